"""The pyramid against scikit-image and known answers."""

import numpy as np
import pytest
from skimage.transform import downscale_local_mean

from semlib import paths
from semlib.images import pyramid as module
from semlib.images.pyramid import build_pyramid, pyramid, radial_spectrum


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (5, 64, 48), dtype=np.uint8)


def test_a_known_answer():
    image = np.array(
        [[0, 1, 10, 10], [0, 1, 11, 11], [255, 255, 0, 0], [255, 255, 0, 2]], dtype=np.uint8
    )
    _, half, quarter = pyramid(image)
    assert half.tolist() == [[1, 11], [255, 1]]  # 0.5, 10.5, 255 and 0.5, rounded half up
    assert quarter.tolist() == [[67]]  # 1066 / 16 = 66.6


def test_levels_are_the_rounded_means_of_level_0(images):
    levels = pyramid(images)
    assert levels[0] is images
    for level, factor in zip(levels[1:], (2, 4), strict=True):
        reference = downscale_local_mean(images.astype(float), (1, factor, factor))
        np.testing.assert_array_equal(level, np.floor(reference + 0.5))
        assert level.dtype == np.uint8


def test_one_image_a_stack_and_a_view_agree(images):
    for one, many, view in zip(*map(pyramid, (images[3], images, images[1::2])), strict=True):
        np.testing.assert_array_equal(one, many[3])
        np.testing.assert_array_equal(one, view[1])


@pytest.mark.parametrize(
    "bad, message",
    [
        (np.zeros((2, 62, 64), np.uint8), r"\(2, 62, 64\)"),
        (np.zeros((64, 2), np.uint8), r"\(64, 2\)"),
        (np.zeros((0, 64, 64), np.uint8), r"\(0, 64, 64\)"),
        (np.zeros((64, 64)), "float64"),
    ],
)
def test_bad_input_is_named(bad, message):
    with pytest.raises(ValueError, match=message):
        pyramid(bad)


def test_files_equal_the_function_whatever_the_chunk(images, monkeypatch):
    place = paths.of("synthetic")
    place.data.mkdir(parents=True)
    np.save(place.level(0), images)
    for chunk in (2, 64):
        monkeypatch.setattr(module, "CHUNK", chunk)
        assert build_pyramid("synthetic") == (place.level(1), place.level(2))
        for k in (1, 2):
            np.testing.assert_array_equal(np.load(place.level(k)), pyramid(images)[k])
    assert sorted(f.name for f in place.data.iterdir()) == [f"level{k}.npy" for k in range(3)]


def test_files_of_a_wrong_size_or_none_leave_nothing_behind(images):
    place = paths.of("synthetic")
    with pytest.raises(FileNotFoundError, match=r"level0\.npy is missing"):
        build_pyramid("synthetic")
    place.data.mkdir(parents=True)
    np.save(place.level(0), images[:, :62])
    with pytest.raises(ValueError, match=r"62, 48\)"):
        build_pyramid("synthetic")
    assert [file.name for file in place.data.iterdir()] == ["level0.npy"]


def test_white_noise_has_a_flat_spectrum():
    noise = np.random.default_rng(0).normal(100, 6, (20, 64, 64))
    frequency, power = radial_spectrum(noise)
    np.testing.assert_allclose(frequency, np.arange(1, 33) / 64)
    assert power[3:].mean() == pytest.approx(36 / 64**2, rel=0.03)
    assert power[3:16].mean() == pytest.approx(power[16:].mean(), rel=0.06)


@pytest.mark.parametrize("direction", [(8, 0), (0, 8)])
def test_a_wave_shows_at_its_frequency(direction):
    y, x = np.mgrid[:64, :64] / 64
    wave = 100 + 10 * np.sin(2 * np.pi * (direction[0] * y + direction[1] * x))
    frequency, power = radial_spectrum(wave)
    assert frequency[power.argmax()] == 8 / 64
    assert power[np.abs(frequency - 8 / 64) > 2.1 / 64].max() < 1e-6 * power.max()


def test_levels_share_their_low_frequencies():
    levels = pyramid(np.random.default_rng(0).integers(0, 256, (30, 64, 64), dtype=np.uint8))
    full, *smaller = (radial_spectrum(level)[1][:4] for level in levels)
    for spectrum in smaller:
        np.testing.assert_allclose(spectrum, full, rtol=0.15)
