"""What ``python -m semlib check`` says: what is here, what is missing, and how to get it."""

import json
import os
import platform
import shutil

import click
import psutil
import torch

from semlib import paths, weights
from semlib.images import micrographs
from semlib.images.download import ARCHIVES


def report():
    """Print the state of machine, data, figures and weights."""
    for title, lines in (
        ("machine", _machine()),
        (f"data in {paths.data_root()}", _data()),
        (f"figures in {paths.figures_root()}", _figures()),
        ("weights (optional)", weights.status()),
    ):
        click.secho(title, bold=True)
        for status, what, *hint in lines:
            click.echo(f"  {status:8}{what}" + "".join(f"\n          -> {text}" for text in hint))


def _machine():
    memory = psutil.virtual_memory()
    size = f"{memory.total / 2**30:.0f} GiB memory ({memory.available / 2**30:.0f} free)"
    yield "ok", f"Python {platform.python_version()}, {os.cpu_count()} cores, {size}"
    folder = paths.data_root().absolute()
    existing = next(above for above in (folder, *folder.parents) if above.exists())
    free = shutil.disk_usage(existing).free / 2**30
    yield "ok" if free > 10 else "LOW", f"{free:.0f} GiB disk free at {folder}"
    cpu = torch.cpu.get_capabilities()
    native = cpu.get("avx512_bf16") or cpu.get("amx_bf16")
    yield "device", f"cpu, bf16 {'native' if native else 'emulated: float32 is faster'}"
    for i in range(torch.cuda.device_count()):
        bf16 = "native" if torch.cuda.is_bf16_supported() else "not supported"
        yield "device", f"cuda:{i}, {torch.cuda.get_device_name(i)}, bf16 {bf16}"
    if torch.backends.mps.is_available():
        yield "device", "mps"


def _data():
    for name in paths.BUILT_IN:
        place = paths.of(name)
        archive = ARCHIVES.get(name)
        command = f"python -m semlib fetch {name}"
        if place.manifest.is_file():
            yield "ok", f"{name}: {_contents(place.manifest)}"
        elif place.archive.is_file() or (place.raw / "data").is_dir():
            yield "partly", f"{name}: raw files, no manifest yet", command
        elif archive:
            size = f"{archive.bytes / 1e6:.0f} MB; or place data.zip as {place.archive}"
            yield "missing", name, f"{command} ({size})"
        else:
            yield "missing", name, f"{command} (simulated)"
        if archive and place.archive.is_file():
            if paths.sha256(place.archive) == archive.sha256:
                yield "ok", f"{place.archive}: sha256 {archive.sha256[:12]}... as published"
            else:
                what = f"{place.archive}: sha256 is not {archive.sha256}"
                yield "WRONG", what, f"remove it, then: {command}"
    if absent := micrographs.missing():
        yield "missing", "real micrographs for notebooks 07 and 08", absent
    else:
        yield "ok", f"real micrographs: {paths.micrographs()}"
    for manifest in sorted(paths.data_root().glob("*/manifest.csv")):
        if manifest.parent.name not in paths.BUILT_IN:
            yield "ok", f"{manifest.parent.name} (an own folder): {_contents(manifest)}"


def _contents(manifest):
    count = len(manifest.read_text(encoding="utf-8").splitlines()) - 1
    names = ("level0.npy", "level1.npy", "level2.npy", "ssl", "features")
    made = ", ".join(name for name in names if manifest.with_name(name).exists())
    return f"{count} images in the manifest" + (f"; {made}" if made else "")


def _figures():
    suite = {path.stem for path in paths.NOTEBOOKS.glob("[0-9][0-9]_*.ipynb")}
    runs = sorted(paths.figures_root().glob("*/run.json"))
    for file in runs:
        run = json.loads(file.read_text(encoding="utf-8"))
        name = file.parent.name
        done = f"{len(run['notebooks'])} notebooks run, profile {run['profile']}, {run['started']}"
        if left := ", ".join(sorted(suite - set(run["notebooks"]))):
            options = f'--dataset "{run["dataset"]}" --profile {run["profile"]}'
            command = f"python -m semlib reproduce {options}"
            yield "partly", f"{name}: {done}; not run: {left}", command
        else:
            yield "ok", f"{name}: {done}"
    if not runs:
        yield "missing", "no run yet", "make reproduce, or: python -m semlib reproduce"
