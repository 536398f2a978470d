"""The signal, the noise and the frame of a simulated microscope."""

import numpy as np
import pytest

from semlib.images.simulator import microscope
from semlib.images.simulator.surface import Scene, grid_of


def scene(height, size=128):
    material = np.ones_like(height, np.float32)
    return Scene(height.astype(np.float32), material, np.zeros((size, size), bool), "")


def bump(size=128, high=20.0, radius=40.0):
    grid = grid_of(size)
    return scene(high * np.exp(-(((grid.x**2 + grid.y**2) / radius**2) ** 2)))


def rng():
    return np.random.default_rng(0)


def test_a_flat_film_gives_a_flat_signal_which_material_scales():
    grid = grid_of(128)
    flat = scene(np.zeros((grid.n, grid.n)))
    np.testing.assert_allclose(microscope.signal(flat, 128, rng()), 1, atol=1e-5)
    flat.material *= 0.5
    np.testing.assert_allclose(microscope.signal(flat, 128, rng()), 0.5, atol=1e-5)


def test_a_bump_is_bright_at_the_upper_left_and_dark_at_the_lower_right():
    signal = microscope.signal(bump(), 128, rng())[grid_of(128).inside]
    film = np.median(signal)
    assert signal[54:60, 54:60].mean() > 1.05 * film
    assert signal[68:74, 68:74].mean() < 0.8 * film


def test_the_shadow_is_longer_behind_a_higher_bump():
    def shadow(high):
        signal = microscope.signal(bump(high=high), 128, rng())[grid_of(128).inside]
        return int((np.diagonal(signal)[76:] < 0.95).sum())

    assert shadow(6.0) < shadow(20.0) < shadow(60.0)


def test_the_probe_keeps_the_mean_and_smooths():
    grid = grid_of(128)
    field = rng().standard_normal((grid.n, grid.n)).astype(np.float32)
    blurred = microscope.probe(field, 128, rng())
    assert blurred.shape == (128, 128)
    assert blurred.std() < 0.6 * field.std()
    np.testing.assert_allclose(microscope.probe(np.ones_like(field), 128, rng()), 1, atol=1e-5)


@pytest.mark.parametrize("grey", [20.0, 98.0, 200.0])
@pytest.mark.parametrize("dose", [40.0, 900.0, 2600.0])
def test_noise_has_the_stated_mean_and_variance(grey, dose):
    shot = microscope.acquire(np.full((400, 400), grey), rng(), dose=dose)
    variance = grey**2 / dose + grey * microscope.FILM_GREY / (microscope.YIELD * dose)
    assert shot.mean() == pytest.approx(grey, abs=5 * np.sqrt(variance) / 400)
    assert shot.var() == pytest.approx(variance, rel=0.03)


def test_noise_is_skewed_like_a_compound_process():
    shot = microscope.acquire(np.full((400, 400), 98.0), rng(), dose=20.0)
    d = microscope.YIELD
    skewness = (d + 3 * d**2 + d**3) / np.sqrt(20 * (d + d**2) ** 3)
    assert ((shot - shot.mean()) ** 3).mean() / shot.std() ** 3 == pytest.approx(skewness, abs=0.03)


def test_correlation_runs_along_the_rows_and_keeps_the_variance():
    flat = np.full((400, 400), 98.0)
    plain = microscope.acquire(flat, rng())
    shot = microscope.acquire(flat, rng(), correlation=0.6)
    shot -= shot.mean()
    assert shot.var() == pytest.approx(plain.var(), rel=0.03)
    assert (shot[:, 1:] * shot[:, :-1]).mean() / shot.var() == pytest.approx(0.6, abs=0.02)
    assert abs((shot[1:] * shot[:-1]).mean() / shot.var()) < 0.02


def test_jitter_moves_rows_sideways_only():
    edge = np.tile(np.where(np.arange(200) < 100, 50.0, 150.0), (300, 1))
    still = microscope.acquire(edge, rng(), dose=1e7)
    shaken = microscope.acquire(edge, rng(), dose=1e7, jitter=1.5)
    assert (still < 100).sum(1).std() < 0.2
    assert (shaken < 100).sum(1).std() == pytest.approx(1.5, rel=0.15)
    np.testing.assert_allclose(shaken[:, :80].mean(), 50, atol=0.1)


@pytest.mark.parametrize("bad", [{"dose": 0}, {"dose": -1}, {"jitter": -0.1}, {"correlation": 1.0}])
def test_acquire_names_the_bad_argument(bad):
    with pytest.raises(ValueError, match=f"{next(iter(bad))}={next(iter(bad.values()))}"):
        microscope.acquire(np.full((8, 8), 98.0), rng(), **bad)


def test_the_frame_is_three_dark_columns_and_rare_lines():
    image = np.full((64, 64), 98.0)
    lines = 0
    for seed in range(400):
        one, other = microscope.framed([image, image + 1], np.random.default_rng(seed))
        assert (one[:, -3:] == microscope.DARK).all() and (other[:, -3:] == microscope.DARK).all()
        marked = one[:, :-3] != 98
        assert (marked == (other[:, :-3] != 99)).all()
        assert not marked[3:-3, 3:].any()
        lines += marked.any()
    assert 0 < lines < 60
    assert (image == 98).all()


def test_jpeg_is_grey_blocky_and_close():
    image = np.clip(rng().normal(98, 3, (128, 128)), 0, 255).astype(np.uint8)
    decoded = microscope.from_jpeg(microscope.to_jpeg(image))
    steps = np.abs(np.diff(decoded.astype(float), axis=1)).mean(0)
    assert decoded.shape == image.shape
    assert np.abs(decoded.astype(float) - image).mean() < 3
    assert steps[7::8].mean() > 1.2 * steps[3::8].mean()
