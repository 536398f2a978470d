"""What ``python -m semlib check`` says: what is here, what is missing, and how to get it."""

import importlib.metadata
import importlib.util
import json
import os
import platform
import shutil
import tomllib

import click
import psutil
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from semlib import paths

_REINSTALL = "make setup, or: python -m pip install -e ."


def report():
    """Print the state of environment, data, figures and weights.

    Returns
    -------
    bool
        Whether Python and every package are within the bounds of pyproject.toml. Missing data are no fault: they are
        said with the command that brings them.
    """
    sound = _environment()
    _machine()
    _data()
    _figures()
    _weights()
    return sound


def requirements():
    """The Python bound and the packages that semlib needs, from pyproject.toml or else from what is installed."""
    file = paths.ROOT / "pyproject.toml"
    if file.is_file():
        project = tomllib.loads(file.read_text(encoding="utf-8"))["project"]
        return project["requires-python"], [Requirement(text) for text in project["dependencies"]]
    meta = importlib.metadata.metadata("semlib")
    needed = [Requirement(text) for text in importlib.metadata.requires("semlib")]
    return meta["Requires-Python"], [
        r for r in needed if not (r.marker and "extra" in str(r.marker))
    ]


def faults():
    """Sentences about Python and packages that are missing or out of bounds; empty if all is well."""
    python, needed = requirements()
    said = []
    if platform.python_version() not in SpecifierSet(python):
        said.append(f"Python {platform.python_version()} is not {python}")
    for requirement in needed:
        try:
            version = importlib.metadata.version(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            said.append(f"{requirement.name} is not installed (needs {requirement.specifier})")
            continue
        if not requirement.specifier.contains(version, prereleases=True):
            said.append(f"{requirement.name} {version} is not {requirement.specifier}")
    return said


def _environment():
    click.secho("environment", bold=True)
    said = faults()
    for fault in said:
        _line("MISSING", fault, _REINSTALL)
    if not said:
        _line(
            "ok",
            f"Python {platform.python_version()}, {len(requirements()[1])} packages within their bounds",
        )
    return not said


def _machine():
    memory, disk = psutil.virtual_memory(), shutil.disk_usage(_existing(paths.data_root()))
    _line(
        "ok",
        f"{os.cpu_count()} cores, {memory.total / 2**30:.0f} GiB memory ({memory.available / 2**30:.0f} free)",
    )
    _line(
        "ok" if disk.free > 10 * 2**30 else "LOW",
        f"{disk.free / 2**30:.0f} GiB disk free at {paths.data_root()}",
    )
    if importlib.util.find_spec("torch") is None:
        return
    import torch

    cpu = torch.cpu.get_capabilities()
    native = cpu.get("avx512_bf16") or cpu.get("amx_bf16")
    _line("device", f"cpu, bf16 {'native' if native else 'emulated: float32 is faster'}")
    for i in range(torch.cuda.device_count()):
        bf16 = "native" if torch.cuda.is_bf16_supported() else "not supported"
        _line("device", f"cuda:{i}, {torch.cuda.get_device_name(i)}, bf16 {bf16}")
    if torch.backends.mps.is_available():
        _line("device", "mps")


def _data():
    from semlib.images.datasets import ARCHIVES

    click.secho(f"data in {paths.data_root()}", bold=True)
    for name in paths.BUILT_IN:
        place = paths.of(name)
        archive = ARCHIVES.get(name)
        size = (
            f"{archive.bytes / 1e6:.0f} MB; or place data.zip as {place.archive}"
            if archive
            else "simulated"
        )
        if place.manifest.is_file():
            _line("ok", f"{name}: {_contents(place.data)}")
        elif place.archive.is_file() or (place.raw / "data").is_dir():
            _line("partly", f"{name}: raw files, no manifest yet", f"python -m semlib fetch {name}")
        else:
            _line("missing", name, f"python -m semlib fetch {name} ({size})")
        if place.archive.is_file():
            _checksum(place, archive)
    for folder in sorted(paths.data_root().glob("*/manifest.csv")):
        if folder.parent.name not in paths.BUILT_IN:
            _line("ok", f"{folder.parent.name} (an own folder): {_contents(folder.parent)}")


def _contents(folder):
    with open(folder / "manifest.csv", encoding="utf-8") as lines:
        count = sum(1 for _ in lines) - 1
    made = [
        name
        for name in ("level0.npy", "level1.npy", "level2.npy", "ssl", "features")
        if (folder / name).exists()
    ]
    return f"{count} images in the manifest" + (f"; {', '.join(made)}" if made else "")


def _checksum(place, archive):
    """Compare data.zip with the published checksum, or for the synthetic set with the one recorded beside it."""
    from semlib.driver.fingerprint import file_digest

    record = place.raw / "simulation.json"
    known = (
        archive.sha256
        if archive
        else json.loads(record.read_text()).get("sha256")
        if record.is_file()
        else None
    )
    if known is None:
        _line(
            "unknown",
            f"{place.archive}: no checksum on record",
            f"python -m semlib fetch {place.name}",
        )
    elif file_digest(place.archive) == known:
        _line(
            "ok",
            f"{place.archive}: sha256 {known[:12]}... as {'published' if archive else 'recorded'}",
        )
    else:
        _line("WRONG", f"{place.archive}: sha256 is not {known}", "remove the file and fetch again")


def _figures():
    click.secho(f"figures in {paths.figures_root()}", bold=True)
    suite = {path.stem for path in paths.NOTEBOOKS.glob("[0-9][0-9]_*.ipynb")}
    runs = sorted(paths.figures_root().glob("*/run.json"))
    for file in runs:
        run = json.loads(file.read_text(encoding="utf-8"))
        left = sorted(suite - set(run["notebooks"]))
        rerun = (
            f'python -m semlib reproduce --dataset "{run["dataset"]}" --profile {run["profile"]}'
        )
        state = f"{file.parent.name}: {len(run['notebooks'])} notebooks run, profile {run['profile']}, {run['started']}"
        _line(
            "partly" if left else "ok",
            state + (f"; not run: {', '.join(left)}" if left else ""),
            left and rerun,
        )
    if not runs:
        _line("missing", "no run yet", "make reproduce, or: python -m semlib reproduce")


def _weights():
    """One line for each optional set of weights: semlib.weights.status() yields (name, is here, how to get it)."""
    if importlib.util.find_spec("semlib.weights") is None:
        return
    from semlib import weights

    click.secho("weights (optional)", bold=True)
    for name, here, hint in weights.status():
        _line("ok" if here else "missing", name, None if here else hint)


def _existing(folder):
    """`folder` or the nearest folder above it that exists."""
    return next(
        above for above in (folder.absolute(), *folder.absolute().parents) if above.exists()
    )


def _line(state, what, hint=None):
    click.echo(f"  {state:8}{what}" + (f"\n          -> {hint}" if hint else ""))
