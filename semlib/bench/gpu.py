"""``python -m semlib.bench --gpu``: training and embedding on one GPU, and their share of what it can compute."""

import time
from unittest import mock

import numpy as np

from semlib.bench import machine
from semlib.bench.case import example_images

NO_GPU = "no GPU here: PyTorch finds no CUDA device, so there is nothing to measure"
BLOCK = 64  # different images; the others repeat them


def measure(count=4591, size=512, batch_size=32, device="cuda"):
    """One epoch of the paper's recipe at three scales, and embeddings at the finest, from uint8 levels on the device.

    A run over four batches warms each up and counts its operations (products and convolutions); it is not timed.

    Parameters
    ----------
    count, size, batch_size : int
        The paper's: 4,591 images of 512 x 512, 32.
    device : str
        "cpu" serves a test.

    Returns
    -------
    dict
        machine, peaks, count, size, batch_size, and for epoch and embedding: seconds, images a second, operations, the
        format of its products, and the share of the rate that a large product in this format has. Random textures.
    """
    import torch

    from semlib.images.pyramid import pyramid
    from semlib.morphology import device as devices
    from semlib.morphology import recipes

    levels = pyramid(np.resize(example_images(min(count, BLOCK), size), (count, size, size)))
    data = devices.resident(levels, device)
    torch.manual_seed(0)
    learner = recipes.Learner(recipes.find("paper")).to(device, memory_format=torch.channels_last)
    quick = "bfloat16" if devices.autocast(device)._enabled else "float32"
    runs = {
        "epoch": (_epoch(learner, batch_size, device), quick),
        "embedding": (_embed(learner, device), "float32"),
    }
    found = {"machine": machine.facts(), "peaks": machine.peaks()}
    found |= {"count": count, "size": size, "batch_size": batch_size}
    for name, (run, arithmetic) in runs.items():
        found[name] = {"format": arithmetic} | _rate(
            run, data, 4 * batch_size, found["peaks"][arithmetic]
        )
    return found


def table(found):
    """What `measure` found, as text."""
    name = found["machine"]["gpu"] or f"{found['machine']['cpu']} (no GPU)"
    lines = [f"{name}, {found['count']:,} images of {found['size']} x {found['size']}"]
    for part in ("epoch", "embedding"):
        row = found[part]
        speed = f"{row['seconds']:.2f} s, {row['per_second']:,.0f} images/s"
        lines.append(
            f"{part}: {speed}, {row['share_of_peak']:.0%} of the rate of a large {row['format']} product"
        )
    return "\n".join(lines)


def _epoch(learner, batch_size, device):
    import torch

    from semlib.morphology import train

    optimiser = torch.optim.Adam(learner.parameters(), lr=1e-3)
    config = {"seed": 0, "batch_size": batch_size}

    def run(levels):
        with mock.patch.object(train, "_trace", lambda *_: {}):
            train.run_epoch(learner, optimiser, levels, config, 0)

    return run


def _embed(learner, device):
    from semlib.morphology import encoder

    return lambda levels: encoder.embed(learner.encoder, levels[0], device=device, progress=False)


def _rate(run, levels, few, peak):
    from torch.utils.flop_counter import FlopCounterMode

    small = [level[:few] for level in levels]
    with FlopCounterMode(display=False) as counter:
        run(small)
    begin = time.perf_counter()
    run(levels)  # its results end on the CPU, so nothing is still under way
    seconds, count = time.perf_counter() - begin, len(levels[0])
    operations = counter.get_total_flops() * count / len(small[0])
    rates = {"seconds": seconds, "per_second": count / seconds, "operations": operations}
    return rates | {"share_of_peak": operations / seconds / peak}
