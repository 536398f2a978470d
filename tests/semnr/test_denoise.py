"""Denoisers: one interface, less noise, nothing done to what needs nothing."""

import numpy as np
import pytest

from semlib.semnr import denoise, metrics


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
    chosen = []
    for sigma in (0.005, 0.15):
        noisy = np.float32(np.clip(image + sigma * rng.normal(size=image.shape), 0, 1))
        chosen.append(denoise.calibrate("Gaussian", noisy)["sigma"])
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
    with pytest.raises(FileNotFoundError, match="python -m training.denoisers mse"):
        denoise.load("mse", denoise.MODELS / "nowhere")
