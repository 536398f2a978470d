"""Where the time of a stage goes: its costliest operators or functions, and the roofline."""

import contextlib
import cProfile
import io
import pstats
import threading
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
    parts = [roofline(machine.peaks(), traffic.product, *work, seconds)]
    if traffic.bytes:
        with record(activities=[ProfilerActivity.CPU]) as found:
            case.ours()
        parts.append(
            found.key_averages().table(
                sort_by="self_cpu_time_total", row_limit=TOP, max_name_column_width=40
            )
        )
    return "\n\n".join([case.title, *parts, functions(case.ours)])


def functions(work):
    """Python's costliest functions, those of other threads among them, as text."""
    profiles = []

    def begin(*_):
        profiles.append(cProfile.Profile())
        with contextlib.suppress(ValueError):  # from Python 3.12 on the first one sees all threads
            profiles[-1].enable()

    threading.setprofile(begin)
    begin()
    try:
        work()
    finally:
        threading.setprofile(None)
        for one in profiles:
            one.disable()
    text = io.StringIO()
    found = pstats.Stats(*(one for one in profiles if one.getstats()), stream=text)
    found.strip_dirs().sort_stats("tottime").print_stats(TOP)
    return text.getvalue().strip()


def roofline(peaks, product, operations, traffic, seconds):
    """What the machine's measured peaks allow beside what was measured, as text; `product` is the number format."""
    bounds = {"arithmetic": operations / peaks[product], "memory": traffic / peaks["copy"]}
    limit = max(bounds, key=bounds.get)
    lines = [
        f"peaks      {peaks['float32'] / 1e9:.0f} Gop/s float32, {peaks['bfloat16'] / 1e9:.0f} Gop/s bfloat16 "
        f"(product of 2048 x 2048), {peaks['copy'] / 1e9:.1f} GB/s (copy), on {peaks['device']}",
        f"measured   {seconds:.3f} s",
    ]
    if not bounds[limit]:
        return "\n".join([*lines, "work       not counted: NumPy and others"])
    return "\n".join([
        *lines,
        f"work       {operations / 1e9:.2f} Gop, {traffic / 1e9:.2f} GB",
        f"at least   {bounds['arithmetic']:.3f} s of {product} arithmetic, {bounds['memory']:.3f} s of memory",
        f"limit      {limit}: {bounds[limit] / seconds:.0%} of its peak",
    ])  # fmt: skip


class Traffic(TorchDispatchMode):
    """Within ``with``: `bytes` that PyTorch's operators read and wrote (views move nothing), and `product`, the lowest
    format of numbers among them."""

    def __init__(self):
        super().__init__()
        self.bytes, self.product = 0, "float32"

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        if not function.is_view:
            tensors = [
                x for x in tree_leaves((args, kwargs, result)) if isinstance(x, torch.Tensor)
            ]
            if any(x.dtype == torch.bfloat16 for x in tensors):
                self.product = "bfloat16"
            self.bytes += sum(x.numel() * x.element_size() for x in tensors)
        return result
