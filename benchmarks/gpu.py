"""``make bench-gpu``: what one GPU does of the heavy work, beside what it can do.

``bench-gpu.json`` and ``bench-gpu.md`` are written anew after every figure: a killed run loses
none. `--toy` runs the same at toy sizes, on a CPU, too: a dry run, which gives no figure of a GPU.
"""

import json
import math
import os
import platform
import shutil
import signal
import subprocess
import time
import traceback
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import torch
from tabulate import tabulate

from benchmarks import gpu_parts
from semlib import __version__, paths
from semlib.morphology.encoder import best_device


@dataclass(frozen=True)
class Sizes:
    """How much is measured."""

    matrix: int = 8192  # rows and columns of the products
    copied: int = 2**31  # bytes
    rounds: int = 10  # timed calls, whose median counts
    compared: tuple = (256, 128)  # images and pixels a side: losses and embeddings, CPU and GPU
    ssl: tuple = (4591, 512)  # the paper's, with the two coarser levels
    epochs: int = 15
    batch: int = 32
    embedded: tuple = (16_384, 256)
    judged: tuple = (8, 256)  # noisy images by DISTS and the trust profile
    pairs: int = 64  # simulated, for SEM-VLM, and how many of them are in a batch
    pair_batch: int = 32
    pieces: int = 16  # simulated, for the denoiser; a batch has so many crops of so many pixels
    crops: tuple = (8, 96)
    compared_steps: int = 4  # of these trainings, CPU and GPU
    steps: int = 200


TOY = Sizes(
    matrix=128,
    copied=2**20,
    rounds=1,
    compared=(8, 32),
    ssl=(10, 32),
    epochs=1,
    batch=4,
    embedded=(40, 32),
    judged=(1, 64),
    pairs=4,
    pair_batch=2,
    pieces=2,
    crops=(2, 32),
    compared_steps=2,
    steps=3,
)
# seconds after which a part is stopped, in the order in which they run
BUDGETS = {"ceilings": 25, "agreement": 70, "ssl": 160, "embedding": 60}
BUDGETS |= {"trust": 60, "trainings": 120}
WHOLE = 520  # seconds from the start after which nothing runs: 9 minutes with packages and imports
PATIENCE = 20  # times as long for a dry run, which may share a busy CPU
REAL = "Measured at full size."
DRY = "A dry run at toy sizes: none of these is a figure of a GPU, and no goal is judged."


class OutOfTime(Exception):
    """A part has used up its seconds."""


@click.command()
@click.option("--toy", is_flag=True, help="A dry run at toy sizes, without a GPU, too.")
@click.option(
    "--only", multiple=True, type=click.Choice(BUDGETS), help="A part anew; may be repeated."
)
@click.option("--out", type=click.Path(path_type=Path), help="Folder.  [default: docs]")
def main(toy, only, out):
    """Measure every part and write the results; exit code 1 if one failed or values differ."""
    device = best_device()
    if device == "cpu" and not toy:
        raise click.ClickException("no GPU: PyTorch finds no CUDA device here; --toy is a dry run")
    if toy and not out:
        raise click.UsageError("--toy needs --out FOLDER: docs/ is for figures of a GPU")
    out = out or paths.ROOT / "docs"
    paths.check_writable(out, "name another folder by --out")
    result = {"what": DRY if toy else REAL, "toy": toy, "machine": machine(device), "parts": {}}
    if only:
        result["parts"] = earlier(result, out)
    end = time.monotonic() + WHOLE * (PATIENCE if toy else 1)
    for name in BUDGETS:
        if not only or name in only or name == "ceilings":  # without them there are no shares
            measure(name, TOY if toy else Sizes(), device, result, out, end)
    click.echo(text(result))
    if wrong := faults(result):
        raise click.ClickException("; ".join(wrong))


def earlier(result, out):
    """Parts of the last run in the folder, if it was one on this machine at these sizes."""
    file = out / "bench-gpu.json"
    last = json.loads(file.read_text()) if file.is_file() else {}
    alike = all(last.get(name) == result[name] for name in ("toy", "machine"))
    return last["parts"] if alike else {}


def measure(name, sizes, device, result, out, end):
    """Run one part within its seconds; every row is on the disk as soon as it is there."""
    budget = BUDGETS[name] * (PATIENCE if result["toy"] else 1)
    part = {"budget": budget, "rows": []}
    result["parts"][name] = part
    ceilings = {row["what"]: row["value"] for row in result["parts"]["ceilings"]["rows"]}
    begin = time.monotonic()
    click.echo(f"{name} ...", err=True)
    try:
        with limit(min(budget, end - begin)):
            for row in getattr(gpu_parts, name)(sizes, device, ceilings):
                if result["toy"] and not row["must"]:
                    row["met"] = None  # a goal says nothing at a toy size
                part["rows"].append(row)
                write(result, out)
    except Exception as error:  # the other parts are measured nevertheless
        traceback.print_exc()
        part["error"] = f"{type(error).__name__}: {error}"
    part["seconds"] = time.monotonic() - begin
    write(result, out)


@contextmanager
def limit(seconds):
    """Raise `OutOfTime` in what runs longer; not where the system has no alarm (Windows)."""

    def stop(*_):
        raise OutOfTime(f"stopped after {seconds:.0f} s")

    if not hasattr(signal, "SIGALRM"):
        yield
        return
    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.01))  # 0 would mean never
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def machine(device):
    """What the figures depend on: a dict of str."""
    about = {"device": "CPU", "processor": f"{platform.machine()}, {os.cpu_count()} cores"}
    if device == "cuda":
        card = torch.cuda.get_device_properties(0)
        about["device"] = f"{card.name}, {card.total_memory / 2**30:.0f} GiB"
        about["driver"] = driver()
        about["CUDA"] = str(torch.version.cuda)
        about["cuDNN"] = str(torch.backends.cudnn.version())
    about |= {"Python": platform.python_version(), "torch": str(torch.__version__)}
    return about | {"numpy": np.__version__, "semlib": __version__}


def driver():
    """Version of the card's driver; "unknown" without nvidia-smi."""
    if not shutil.which("nvidia-smi"):
        return "unknown"
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader", "--id=0"]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.stdout.strip() or "unknown"


def faults(result):
    """What failed, and values of CPU and GPU that differ by more than allowed: list of str."""
    wrong = []
    for name, part in result["parts"].items():
        if "error" in part:
            wrong.append(f"{name}: {part['error']}")
        for row in part["rows"]:
            if not math.isfinite(row["value"]):
                wrong.append(f"{name}: {row['what']} is {row['value']}")
            elif row["must"] and not row["met"]:
                wrong.append(f"{name}: {row['what']} {row['value']:.2g}, allowed {row['goal']}")
    return wrong


def write(result, out):
    """Both files, each whole or not at all."""
    paths.write_text(out / "bench-gpu.json", json.dumps(result, indent=1) + "\n")
    paths.write_text(out / "bench-gpu.md", text(result))


def text(result):
    """The results as Markdown."""
    rows = []
    for name, part in result["parts"].items():
        for row in part["rows"]:
            met = {None: "", True: "yes", False: "no"}[row["met"]]
            value = f"{row['value']:.3g}" if row["value"] < 1000 else f"{row['value']:,.0f}"
            rows.append([name, row["what"], value, row["unit"], row["goal"], met])
        if "error" in part:
            rows.append([name, f"failed: {part['error']}", "", "", "", "no"])
    header = ["part", "what", "value", "unit", "goal", "met"]
    table = tabulate(rows, header, "github", disable_numparse=True)
    about = ", ".join(f"{name} {value}" for name, value in result["machine"].items())
    seconds = sum(part.get("seconds", 0) for part in result["parts"].values())
    head = f"# One GPU\n\n{result['what']} `make bench-gpu`, {seconds:.0f} s; {about}.\n\n"
    return f"{head}{table}\n\n{gpu_parts.__doc__.split(chr(10) * 2, 1)[1]}"


if __name__ == "__main__":
    main()
