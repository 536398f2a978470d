"""Denoisers: one interface, less noise, nothing done to what needs nothing; training that resumes."""

import numpy as np
import pytest
import torch

from semlib.semnr import denoise, metrics, unet

TINY = {"steps": 6, "batch_size": 2, "crop": 32, "images": 1, "sizes": [96]}


@pytest.mark.parametrize("name", [*denoise.CLASSICAL, *denoise.LEARNED])
def test_shape_range_and_less_noise(name, lines, noisy):
    before = noisy.copy()
    restored = denoise.denoise(name, noisy)
    assert restored.shape == noisy.shape and restored.dtype == np.float32
    assert restored.min() >= 0 and restored.max() <= 1
    assert (noisy == before).all()
    gain = metrics.psnr(lines[0], restored) - metrics.psnr(lines[0], noisy)
    assert gain == 0 if name == "identity" else gain > 1


@pytest.mark.parametrize("name", [*denoise.CLASSICAL, *denoise.LEARNED])
def test_same_input_same_bytes_and_a_constant_stays(name, noisy):
    assert (denoise.denoise(name, noisy) == denoise.denoise(name, noisy)).all()
    flat = np.full((40, 44), 0.4, np.float32)
    assert np.abs(denoise.denoise(name, flat) - flat).max() < 0.05


@pytest.mark.parametrize("name", list(denoise.GRIDS))
def test_calibration_takes_a_value_of_the_grid(name, lines, noisy):
    settings = denoise.calibrate(name, noisy)
    assert all(value in denoise.GRIDS[name][key] for key, value in settings.items()) and settings
    restored = denoise.denoise(name, noisy, **settings)
    assert metrics.psnr(lines[0], restored) > metrics.psnr(lines[0], noisy)


def test_calibration_filters_stronger_where_there_is_more_noise(lines):
    rng = np.random.default_rng(0)
    image = np.full((96, 96), 0.5) + 0.1 * np.sin(np.arange(96) / 6)
    chosen = [
        denoise.calibrate(
            "Gaussian", np.float32(np.clip(image + sigma * rng.normal(size=image.shape), 0, 1))
        )["sigma"]
        for sigma in (0.005, 0.15)
    ]
    assert chosen[0] < chosen[1]


def test_bad_input(noisy):
    with pytest.raises(ValueError, match="unknown denoiser 'magic'"):
        denoise.denoise("magic", noisy)
    with pytest.raises(ValueError, match="NaN"):
        denoise.denoise("median", np.full((32, 32), np.nan))
    with pytest.raises(ValueError, match="colour"):
        denoise.denoise("median", np.zeros((32, 32, 3)))
    with pytest.raises(ValueError, match="nothing to calibrate"):
        denoise.calibrate("identity", noisy)
    with pytest.raises(FileNotFoundError, match="python -m semlib.semnr.unet"):
        unet.load("mse", unet.MODELS / "nowhere")
    with pytest.raises(ValueError, match="unknown kind"):
        unet.train("best", "nowhere")


@pytest.mark.parametrize("kind", unet.KINDS)
def test_training_is_seeded_and_kept(kind, tmp_path):
    first = unet.train(kind, tmp_path / "a", progress=False, **TINY).state_dict()
    second = unet.train(kind, tmp_path / "b", progress=False, **TINY).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    before = (tmp_path / "a" / f"{kind}.safetensors").stat().st_mtime_ns
    unet.train(kind, tmp_path / "a", progress=False, **TINY)
    assert (tmp_path / "a" / f"{kind}.safetensors").stat().st_mtime_ns == before
    assert not (tmp_path / "a" / f"{kind}.pt").exists()


def test_a_killed_training_goes_on_to_the_same_weights(tmp_path, monkeypatch):
    whole = unet.train("semnr", tmp_path / "whole", progress=False, **TINY).state_dict()
    monkeypatch.setattr(unet, "KEEP_EVERY", 2)
    calls, step = [], unet._semnr_step

    def killed(*arguments):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return step(*arguments)

    monkeypatch.setattr(unet, "_semnr_step", killed)
    with pytest.raises(KeyboardInterrupt):
        unet.train("semnr", tmp_path / "cut", progress=False, **TINY)
    assert not (tmp_path / "cut" / "semnr.safetensors").exists()
    monkeypatch.setattr(unet, "_semnr_step", step)
    resumed = unet.train("semnr", tmp_path / "cut", progress=False, **TINY).state_dict()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_the_blind_network_cannot_see_what_it_guesses():
    """The loss at the hidden pixels does not depend on the network's input there or beside them in the row."""
    noisy = torch.rand(1, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    seen = []

    def network(x):
        seen.append(x)
        return x * 0

    unet._blind_step(network, noisy, None, 5)
    centre = torch.rand(noisy.shape, generator=torch.Generator().manual_seed(5)) < unet.HIDDEN
    rows, columns = np.nonzero(centre[0, 0].numpy())
    assert len(rows) > 5
    for row, column in zip(rows, columns, strict=True):
        part = np.s_[0, 0, row, max(0, column - unet.REACH) : column + unet.REACH + 1]
        assert (seen[0][part] != noisy[part]).all()
