"""Where the time of a stage goes: its costliest operators or functions, and the roofline."""

import cProfile
import io
import pstats
import time
import warnings

import torch
from torch.profiler import ProfilerActivity
from torch.profiler import profile as record
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from semlib.bench import machine

TOP = 15


def profile(stage):
    """Profile our side of a stage, after a first run.

    The roofline: no run is quicker than its operations at the rate of a large matrix product, or than its bytes at the
    rate of a copy, whichever is longer. Of PyTorch, operations are those of products and convolutions, and bytes are
    what each operator reads and writes, as nothing is fused; caches make less of it. See `Case.work` for the rest.

    Parameters
    ----------
    stage : semlib.bench.stages.Stage

    Returns
    -------
    str
        For PyTorch's operators (time in themselves) and, of the rest, for Python's functions.
    """
    warnings.filterwarnings("ignore")
    case = stage.make(**stage.options)
    case.ours()
    begin = time.perf_counter()
    case.ours()
    seconds = time.perf_counter() - begin
    with FlopCounterMode(display=False) as operations, Traffic() as traffic:
        case.ours()
    work = case.work[0] + operations.get_total_flops(), case.work[1] + traffic.bytes
    parts = [roofline(machine.peaks(), *work, seconds)]
    if traffic.bytes:
        with record(activities=[ProfilerActivity.CPU]) as found:
            case.ours()
        parts.append(found.key_averages().table(sort_by="self_cpu_time_total", row_limit=TOP, max_name_column_width=40))
    calls = cProfile.Profile()
    calls.runcall(case.ours)
    text = io.StringIO()
    pstats.Stats(calls, stream=text).strip_dirs().sort_stats("tottime").print_stats(TOP)
    return "\n\n".join([case.title, *parts, text.getvalue().strip()])


def roofline(peaks, operations, traffic, seconds):
    """What the machine's measured peaks allow beside what was measured, as text."""
    best = max(peaks["float32"], peaks["bfloat16"])
    bounds = {"arithmetic": operations / best, "memory": traffic / peaks["copy"]}
    limit = max(bounds, key=bounds.get)
    lines = [
        f"peaks      {peaks['float32'] / 1e9:.0f} Gop/s float32, {peaks['bfloat16'] / 1e9:.0f} Gop/s bfloat16 "
        f"(product of 2048 x 2048), {peaks['copy'] / 1e9:.1f} GB/s (copy), on {peaks['device']}",
        f"work       {operations / 1e9:.2f} Gop, {traffic / 1e9:.2f} GB",
        f"at least   {bounds['arithmetic']:.3f} s of arithmetic, {bounds['memory']:.3f} s of memory",
        f"measured   {seconds:.3f} s",
    ]
    if bounds[limit]:
        lines.append(f"limit      {limit}: {bounds[limit] / seconds:.0%} of its peak")
    return "\n".join(lines)


class Traffic(TorchDispatchMode):
    """Within ``with``: `bytes` that PyTorch's operators read and wrote; views move nothing."""

    def __init__(self):
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        if not function.is_view:
            tensors = [x for x in tree_leaves((args, kwargs, result)) if isinstance(x, torch.Tensor)]
            self.bytes += sum(x.numel() * x.element_size() for x in tensors)
        return result
