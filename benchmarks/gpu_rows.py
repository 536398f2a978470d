"""How ``make bench-gpu`` measures: rows, clocks, and what an operation moves."""

import tempfile
import time
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.inputs import images


def row(what, value, unit, *, at_most=None, at_least=None, must=False):
    """One figure as a dict; it `must` reach its goal where CPU and GPU are compared."""
    goal = ""
    met = None
    if at_most is not None:
        goal = f"at most {at_most:g}"
        met = bool(value <= at_most)
    if at_least is not None:
        goal = f"at least {at_least:,}"
        met = bool(value >= at_least)
    figure = {"what": what, "value": float(value), "unit": unit}
    return figure | {"goal": goal, "met": met, "must": must}


def textures(count, side):
    """Random textures, uint8 (count, side, side)."""
    some = images(min(count, 64), side)
    many = np.empty((count, side, side), np.uint8)
    for number in range(count):
        again, which = divmod(number, len(some))
        many[number] = np.roll(some[which], (7 * again, 13 * again), axis=(0, 1))
    return many


def gap(expected, values):
    """Largest difference: absolute for values up to 1, relative for larger ones."""
    return (np.abs(expected - values) / np.maximum(1, np.abs(expected))).max()


def apart(expected, values):
    """Largest difference of embeddings (N, D), relative to their standard deviation."""
    return np.abs(expected - values).max() / (expected - expected.mean(axis=0)).std()


def wait(device):
    """Until the device has done all that it was given."""
    if device == "cuda":
        torch.cuda.synchronize()


def seconds(work, device, rounds):
    """Median time of so many calls, after a third as many that do not count."""
    times = []
    for _ in range(rounds // 3 + rounds):
        wait(device)
        begin = time.perf_counter()
        work()
        wait(device)
        times.append(time.perf_counter() - begin)
    return float(np.median(times[rounds // 3 :]))


class Moved(TorchDispatchMode):
    """Counts the bytes of all tensors that operations read and write, in `total`."""

    total = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        results = function(*args, **(kwargs or {}))
        if not (function.is_view or "empty" in str(function)):  # these move nothing
            tensors = [x for x in tree_leaves((args, kwargs, results)) if torch.is_tensor(x)]
            self.total += sum(tensor.nbytes for tensor in tensors)
        return results


def shares(work, spent, ceilings, kind):
    """Rows: which part of the ceilings a call reaches that takes so many seconds."""
    with FlopCounterMode(display=False) as counter, Moved() as moved:
        work()
    if ceilings:
        reached = counter.get_total_flops() / spent / 1e12
        yield row("its share of the matrix rate", reached / ceilings[f"{kind} product"], kind)
        yield row("its share of the copy rate", moved.total / spent / 1e9 / ceilings["copy"], "")


def steps_of(module, train, device, steps):
    """Losses of a training's steps, and the median seconds from one to the next."""
    losses = []
    times = []
    plain = module._step

    def step(*given):
        losses.append(plain(*given))  # a number: the device has done the step
        times.append(time.perf_counter())
        return losses[-1]

    with tempfile.TemporaryDirectory() as folder, mock.patch.object(module, "_step", step):
        train(Path(folder), device, steps)
    return np.array(losses), float(np.median(np.diff(times)[steps // 10 :]))
