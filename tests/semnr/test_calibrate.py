"""Calibration: the noise is read right, the settings are those that the truth would choose."""

import numpy as np
import pytest
from scipy.signal import lfilter

from semlib.images.simulator import microscope
from semlib.semnr import calibrate, denoise, metrics


def correlated(shape, rows, columns, rng):
    """Gaussian noise of variance 1 with these lag-1 correlations."""
    noise = rng.standard_normal(shape)
    for axis, rho in ((1, rows), (0, columns)):
        noise = lfilter([np.sqrt(1 - rho**2)], [1, -rho], noise, axis=axis)
    return noise[-shape[0] + 20 :, 20:]


@pytest.fixture(scope="module")
def pattern():
    """Blurred lines that are nowhere flat, float (200, 200)."""
    y, x = np.mgrid[:200, :200]
    return 0.45 + 0.2 * np.tanh(1.5 * np.sin(2 * np.pi * x / 11)) + 0.05 * np.sin(y / 9)


@pytest.mark.parametrize(("rows", "columns"), [(0.0, 0.0), (0.5, 0.0), (0.6, 0.3)])
def test_level_and_correlations_are_read_from_a_pattern_without_flat_areas(pattern, rows, columns):
    noise = correlated((220, 220), rows, columns, np.random.default_rng(1))
    found = calibrate.noise(np.float32(np.clip(pattern + 0.07 * noise, 0, 1)))
    assert found.sigma == pytest.approx(0.07, rel=0.08)
    assert found.row_correlation == pytest.approx(rows, abs=0.05)
    assert found.column_correlation == pytest.approx(columns, abs=0.05)


def test_variance_grows_with_the_grey_value():
    truth = np.repeat(np.linspace(0.2, 0.8, 192)[None], 192, 0)
    rng = np.random.default_rng(0)
    scan = microscope.acquire(truth * 255, rng, dose=200, correlation=0.3) / 255
    law = calibrate.noise(np.float32(scan.clip(0, 1))).law
    for mean in (0.3, 0.7):
        there = np.abs(truth - mean) < 0.05
        variance = (scan - truth)[there].var()
        assert law @ [1, mean, mean**2] == pytest.approx(variance, rel=0.15)


def test_samples_have_the_noise_they_were_read_from(pattern):
    noise = correlated((220, 220), 0.5, 0.2, np.random.default_rng(1))
    found = calibrate.noise(np.float32(np.clip(0.5 + 0.05 * noise, 0, 1)))
    drawn = found.sample(np.full((400, 300), 0.5), np.random.default_rng(2))
    assert drawn.std() == pytest.approx(0.05, rel=0.06)
    again = calibrate.noise(np.float32((0.5 + drawn).clip(0, 1)))
    assert again.row_correlation == pytest.approx(0.5, abs=0.06)
    assert again.column_correlation == pytest.approx(0.2, abs=0.06)


def test_the_two_versions_have_unrelated_noise():
    truth = np.full((256, 256), 0.5)
    noise = 0.06 * correlated((276, 276), 0.6, 0.0, np.random.default_rng(3))
    image = np.float32(truth + noise)
    pair = calibrate.recorrupted(image, calibrate.noise(image), np.random.default_rng(4))
    left, right = (version - truth for version in pair)
    assert abs(np.corrcoef(left.ravel(), right.ravel())[0, 1]) < 0.04
    assert np.corrcoef(left.ravel(), noise.ravel())[0, 1] > 0.8


@pytest.mark.parametrize("name", ["Gaussian", "TV", "wavelet"])
@pytest.mark.parametrize("rows", [0.0, 0.6])
def test_settings_are_nearly_those_that_the_truth_chooses(pattern, name, rows):
    noise = 0.08 * correlated((220, 220), rows, 0.0, np.random.default_rng(5))
    noisy = np.float32(np.clip(pattern + noise, 0, 1))
    scores = {}
    for settings in calibrate.grid(name, calibrate.noise(noisy).sigma):
        restored = denoise.denoise(name, noisy, **settings)
        scores[tuple(settings.values())] = metrics.psnr(np.float32(pattern), restored)
    chosen = calibrate.settings(name, noisy)
    assert scores[tuple(chosen.values())] > max(scores.values()) - 0.3


def test_more_noise_means_stronger_filters_and_clean_images_weak_ones(pattern):
    noise = correlated((220, 220), 0.4, 0.0, np.random.default_rng(6))
    sigmas = []
    for size in (0.002, 0.05, 0.2):
        noisy = np.float32(np.clip(pattern + size * noise, 0, 1))
        sigmas.append(calibrate.settings("Gaussian", noisy)["sigma"])
    assert sigmas[0] == min(calibrate.PIXELS["Gaussian"]["sigma"]) < sigmas[1] < sigmas[2]


def test_several_images_share_one_setting_and_the_best_filter_is_named(pattern):
    rng = np.random.default_rng(7)
    noisy = [
        np.float32(np.clip(pattern + 0.1 * correlated((220, 220), 0.5, 0, rng), 0, 1))[:96, :96]
        for _ in range(2)
    ]
    name, settings = calibrate.best(noisy)
    assert name in calibrate.names() and settings == calibrate.settings(name, noisy)
    others = {one: calibrate.chosen(one, noisy)[1] for one in calibrate.names()}
    assert others[name] == min(others.values())


def test_what_has_no_settings_has_none(pattern):
    image = np.float32(pattern)
    assert calibrate.settings("identity", image) == {}
    assert calibrate.settings("SEMNR", image) == {}


def test_a_constant_image_is_left_alone():
    flat = np.full((80, 80), 0.4, np.float32)
    for name in calibrate.names():
        assert np.abs(calibrate.calibrated(name, flat) - flat).max() < 1e-3


def test_bm3d_is_a_row_only_where_it_is_installed(monkeypatch):
    monkeypatch.setattr(denoise.importlib.util, "find_spec", lambda name: None)
    assert "BM3D" not in calibrate.names()
    monkeypatch.setattr(denoise.importlib.util, "find_spec", lambda name: object())
    assert calibrate.names()[-1] == "BM3D"
    assert len(calibrate.grid("BM3D", 0.1)) == 7


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (np.zeros((40, 80), np.float32), "fewer than 64"),
        (np.full((80, 80), 2.0), "not in"),
        (np.zeros((80, 80, 3)), "colour"),
    ],
)
def test_bad_input(image, said):
    with pytest.raises(ValueError, match=said):
        calibrate.noise(image)
