"""``python -m benchmarks.gpu``: training and embedding on one device, beside what it can compute.

On a CPU, too: ``python -m benchmarks.gpu --device cpu --count 128 --size 64``.
"""

import json
import tempfile
import time
from pathlib import Path

import click
import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.inputs import images
from semlib import paths
from semlib.images.pyramid import pyramid
from semlib.morphology import encoder, recipes, train


@click.command(context_settings={"show_default": True})
@click.option("--count", default=4591, help="Images, the paper's number; 64 different ones.")
@click.option("--size", default=512, help="Pixels a side.")
@click.option("--device", default="cuda")
@click.option("--out", type=click.Path(path_type=Path), help="[default: figures/bench-gpu.json]")
def main(count, size, device, out):
    """Measure one epoch of the paper's recipe (three scales, batch 32) and the embeddings.

    The operations of products and convolutions are counted in a first run of 64 images, not timed.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise click.ClickException("no GPU here: PyTorch finds no CUDA device; try --device cpu")
    levels = pyramid(np.resize(images(64, size), (count, size, size)))
    some = [level[:64] for level in levels]
    with FlopCounterMode(display=False) as both:
        network, _ = train_once(some, device)
    with FlopCounterMode(display=False) as embedding:
        encoder.embed(network, some[0], device=device)
    network, epoch = train_once(levels, device)
    begin = time.perf_counter()
    encoder.embed(
        network, levels[0], device=device
    )  # its result ends on the CPU: nothing is pending
    seconds = {"epoch": epoch, "embedding": time.perf_counter() - begin}
    each = {"embedding": embedding.get_total_flops() / len(some[0])}
    each["epoch"] = both.get_total_flops() / len(some[0]) - each["embedding"]
    name = torch.cuda.get_device_name() if device == "cuda" else "CPU"
    result = {"device": name, "torch": torch.__version__, "count": count, "size": size}
    result |= {f"peak_{kind}": peak(device, kind) for kind in ("float32", "bfloat16")}
    for part, spent in seconds.items():
        rates = {
            "images_per_second": count / spent,
            "operations_per_second": count * each[part] / spent,
        }
        result[part] = {"seconds": spent} | rates
    text = json.dumps(result, indent=1)
    with paths.atomic(out or paths.figures_root() / "bench-gpu.json") as temporary:
        temporary.write_text(text + "\n")
    click.echo(text)


def train_once(levels, device):
    """The encoder after one epoch, and the seconds of its steps without those of the scores."""
    with tempfile.TemporaryDirectory() as folder:
        train.train(levels, Path(folder), epochs=1, batch_size=32, device=device)
        cost = json.loads(Path(folder, "cost.json").read_text())
        return recipes.load_encoder(Path(folder)), cost["seconds"]


def peak(device, kind):
    """Operations a second of a large matrix product, the quickest of five."""
    side = 1024 if device == "cpu" else 8192
    a = torch.rand(side, side, device=device).to(getattr(torch, kind))
    seconds = []
    for _ in range(5):
        begin = time.perf_counter()
        (a @ a)[0, 0].item()  # waits for the device
        seconds.append(time.perf_counter() - begin)
    return 2 * side**3 / min(seconds)


if __name__ == "__main__":
    main()
