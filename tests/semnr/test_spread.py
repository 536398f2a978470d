"""The half width around restored pixels: it follows the dose and says where the error is."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from semlib.semnr import damage, denoise, spread


@pytest.fixture(scope="module")
def restored():
    """Dose -> list of (error, half width) of four scenes that no training saw."""
    scenes = damage.scenes(4, seed=93_000, size=240)
    seen = {3: [], 200: []}
    for number, levels in enumerate(scenes.clean):
        clean = levels / np.float32(255)
        for dose, pairs in seen.items():
            noisy = damage.acquire(clean, seed=[93_000, number, dose], dose=dose)
            image = denoise.restore(denoise.network("semnr"), noisy).clip(0, 1)
            pairs.append((np.abs(image - clean), spread.half_width("semnr", noisy, image)))
    return seen


@pytest.mark.slow
def test_it_holds_most_of_the_truth_at_each_dose(restored):
    for pairs in restored.values():
        assert 0.8 < np.mean([error <= width for error, width in pairs]) < 0.98


@pytest.mark.slow
def test_it_is_wide_where_electrons_are_few(restored):
    few, many = (np.mean([width for _, width in restored[dose]]) for dose in (3, 200))
    assert few > 2 * many


@pytest.mark.slow
def test_within_an_image_it_is_wide_where_the_error_is_large(restored):
    ranks = [spearmanr(*pair, axis=None).statistic for pairs in restored.values() for pair in pairs]
    assert np.mean(ranks) > 0.15


def test_any_size_gets_a_width_for_each_pixel():
    image = np.random.default_rng(0).random((41, 37), np.float32)
    width = spread.half_width("semnr", image, image)
    assert width.shape == image.shape and width.dtype == np.float32 and (width > 0).all()
    larger = np.pad(image, [(0, 7), (0, 3)], mode="edge")  # to the network's own multiple
    same = spread.half_width("semnr", larger, larger)[:41, :37]
    np.testing.assert_allclose(width, same, rtol=1e-5)
