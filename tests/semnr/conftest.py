"""Images for the tests, and a machine without pretrained weights."""

import numpy as np
import pytest
from scipy import ndimage

from semlib import weights


@pytest.fixture
def without_weights(monkeypatch):
    """A machine on which no weights can be had."""
    from semlib import vgg
    from semlib.semnr import dists

    def load(name):
        raise weights.WeightsError(f"weights {name} cannot be had (no network)")

    monkeypatch.setattr(weights, "load", load)
    vgg._network.cache_clear()
    dists._coefficients.cache_clear()


@pytest.fixture(scope="session")
def lines():
    """Line/space pattern with a small bright defect: image float32 (96, 112) in [0, 1] and its mask."""
    x = np.arange(112)
    image = np.repeat((0.3 + 0.3 * ((x // 14) % 2))[None], 96, 0)
    image = ndimage.gaussian_filter(image, 1.2) + 0.02 * np.sin(np.arange(96) / 3)[:, None]
    y, x = np.mgrid[:96, :112]
    mask = (y - 50) ** 2 + (x - 42) ** 2 < 30
    return (image + 0.25 * ndimage.gaussian_filter(mask.astype(float), 1)).astype(np.float32), mask


@pytest.fixture
def noisy(lines):
    return np.clip(
        lines[0] + np.random.default_rng(0).normal(0, 0.08, lines[0].shape), 0, 1
    ).astype(np.float32)
