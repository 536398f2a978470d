"""Denoisers: one interface, less noise, nothing done to what needs nothing."""

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest

from semlib.semnr import denoise, metrics


@pytest.mark.parametrize("name", denoise.names())
def test_range_less_noise_same_bytes_and_a_constant_stays(name, lines, noisy):
    before = noisy.copy()
    restored = denoise.denoise(name, noisy)
    assert restored.shape == noisy.shape and restored.dtype == np.float32
    assert restored.min() >= 0 and restored.max() <= 1 and (noisy == before).all()
    gain = metrics.psnr(lines[0], restored) - metrics.psnr(lines[0], noisy)
    assert gain == 0 if name == "identity" else gain > 1
    assert (denoise.denoise(name, noisy) == restored).all()
    flat = np.full((40, 44), 0.4, np.float32)
    assert np.abs(denoise.denoise(name, flat) - flat).max() < 0.05


@pytest.mark.parametrize(
    ("name", "image", "said"),
    [
        ("magic", np.zeros((32, 32)), "unknown denoiser 'magic'"),
        ("median", np.full((32, 32), np.nan), "nan"),
        ("median", np.zeros((32, 32, 3)), "colour"),
        ("median", np.zeros((2, 32, 32)), "one image"),
        ("median", np.zeros((15, 32)), "fewer than 16"),
    ],
)
def test_bad_input(name, image, said):
    with pytest.raises(ValueError, match=said):
        denoise.denoise(name, image)


def test_bm3d_says_what_it_needs(monkeypatch):
    monkeypatch.setitem(sys.modules, "bm3d", None)  # as where it is not installed
    with pytest.raises(ValueError, match="pip install bm3d"):
        denoise.denoise("BM3D", np.full((32, 32), 0.5, np.float32))


def test_threads_call_bm3d_one_after_the_other(monkeypatch):
    inside = []

    def bm3d(image, sigma):
        inside.append(sigma)
        time.sleep(0.02)
        assert len(inside) == 1, "two threads at once, which ends the process"
        inside.pop()
        return image

    monkeypatch.setitem(sys.modules, "bm3d", SimpleNamespace(bm3d=bm3d))
    images = np.random.default_rng(0).random((4, 32, 32), np.float32)
    with ThreadPoolExecutor(4) as pool:
        restored = list(pool.map(lambda x: denoise.denoise("BM3D", x, sigma=0.1), images))
    assert np.array_equal(restored, images)


def test_a_network_restores_any_size_and_does_not_depend_on_the_padding(lines):
    network = denoise.network("mse")
    image = lines[0][:101, :77]
    restored = denoise.restore(network, image)
    assert restored.shape == image.shape
    part = denoise.restore(network, np.ascontiguousarray(image[:85, :61]))
    # far from the cut the surroundings make no difference
    assert np.abs(part[:48, :32] - restored[:48, :32]).max() < 0.02


def test_weights_are_read_and_an_untrained_network_changes_nothing(tmp_path):
    from safetensors.torch import save_file

    from semlib.semnr.gated import GatedUNet

    built = {"channels": [4, 8], "blocks": [1, 2]}
    save_file(GatedUNet(**built).half().state_dict(), tmp_path / "semnr.safetensors")
    (tmp_path / "semnr.json").write_text(json.dumps({"network": built}))
    loaded = denoise.load("semnr", tmp_path)
    assert type(loaded) is GatedUNet and not loaded.training
    image = np.random.default_rng(0).random((33, 47), np.float32)
    restored = denoise.restore(loaded, image)
    assert restored.dtype == np.float32 and (restored == image).all()
