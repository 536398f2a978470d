"""Registration: known shifts and drifts, real pairs."""

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from semlib.semnr import compare, metrics, registration
from tests.conftest import real_sem


@pytest.fixture
def field():
    """Smooth random field, 180 x 160, in [0, 1]."""
    image = ndimage.gaussian_filter(np.random.default_rng(0).random((180, 160)), 3)
    return np.float32((image - image.min()) / np.ptp(image))


def with_noise(image):
    noise = np.random.default_rng(1).normal(0, 0.05, image.shape)
    return np.float32(np.clip(image + noise, 0, 1))


@pytest.mark.parametrize("shift", [(0.0, 0.0), (-3.4, 1.6), (2.25, -4.5), (0.0, 1.2)])
def test_a_known_shift(field, shift):
    noisy = with_noise(np.clip(ndimage.shift(field, shift, order=3, mode="nearest"), 0, 1))
    assert registration.displacement(noisy, field) == pytest.approx(shift, abs=0.15)
    image, truth, unmoved, measured = registration.register(noisy, field)
    assert measured.mean(0) == pytest.approx(shift, abs=0.15)
    assert image.shape == truth.shape == unmoved.shape
    assert metrics.psnr(truth, image) > 25.5
    if np.abs(shift).max() > 1.5:
        assert metrics.psnr(truth, image) > metrics.psnr(unmoved, image) + 3


def test_registration_follows_drift(field):
    rows, columns = np.mgrid[: len(field), : field.shape[1]].astype(float)
    drifted = ndimage.map_coordinates(field, (rows, columns - rows / 60), order=3, mode="nearest")
    noisy = with_noise(drifted)
    image, truth, _, shift = registration.register(noisy, field)
    assert shift[:, 1] == pytest.approx([0, 3], abs=0.3)
    assert metrics.psnr(truth, image) > 25


def test_pairs_of_any_suffix_and_none(tmp_path, monkeypatch, field):
    assert compare.pairs(3) == []
    monkeypatch.setenv("SEMLIB_MICROGRAPHS", str(tmp_path))
    (tmp_path / "kriss").mkdir()
    levels = np.uint8(255 * field)
    for name in ("noisy_1.tif", "clean_1.png", "noisy_2.bmp"):  # the last without its partner
        Image.fromarray(levels).save(tmp_path / "kriss" / name)
    ((name, noisy, clean),) = compare.pairs(3)
    assert name == "1" and (noisy == clean).all() and (clean == levels / np.float32(255)).all()


@pytest.mark.slow
def test_real_pairs_register_better_than_they_lie(monkeypatch):
    monkeypatch.setenv("SEMLIB_MICROGRAPHS", str(real_sem("kriss").parent))
    pairs = compare.pairs(2)
    assert [name for name, *_ in pairs] == ["01", "02"]
    for _, noisy, clean in pairs:
        assert noisy.shape == clean.shape == (441, 512)  # 471 rows less those of the data bar
        image, truth, unmoved, _ = registration.register(noisy, clean)
        assert metrics.psnr(truth, image) > metrics.psnr(unmoved, image) + 0.3


def test_half_a_period_of_lines_is_a_shift(lines):
    image, _ = lines
    moved = np.roll(image, 13, axis=1)  # of a period of 28: its negative lies nearer
    assert registration.displacement(moved, image) == pytest.approx([0, 13], abs=0.3)


def test_equal_and_constant_images_lie_on_each_other():
    image = np.random.default_rng(0).random((40, 40), np.float32)
    assert not registration.displacement(image, image).any()
    assert not registration.displacement(np.zeros_like(image), image).any()
