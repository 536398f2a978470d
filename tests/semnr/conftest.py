"""Images for the tests, and a machine without pretrained weights."""

import numpy as np
import pytest
from scipy import ndimage

from semlib import vgg, weights


@pytest.fixture
def without_weights(monkeypatch):
    """A machine on which no weights can be had."""

    def load(name):
        raise weights.WeightsError(f"weights {name} cannot be had (no network)")

    monkeypatch.setattr(weights, "load", load)
    vgg._layers.cache_clear()


@pytest.fixture(scope="session")
def lines():
    """Line/space pattern with a small bright defect: image float32 (96, 112) and its mask."""
    y, x = np.mgrid[:96, :112]
    image = ndimage.gaussian_filter(0.3 + 0.3 * ((x // 14) % 2), 1.2) + 0.02 * np.sin(y / 3)
    mask = (y - 50) ** 2 + (x - 42) ** 2 < 30
    return (image + 0.25 * ndimage.gaussian_filter(mask.astype(float), 1)).astype(np.float32), mask


@pytest.fixture
def noisy(lines):
    noise = np.random.default_rng(0).normal(0, 0.08, lines[0].shape)
    return np.clip(lines[0] + noise, 0, 1).astype(np.float32)
