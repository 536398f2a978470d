"""Fixtures for the tests of the Sci Rep paper's parts."""

import numpy as np
import pytest


@pytest.fixture
def blobs():
    """Points (100, 4) in three far groups, and their labels 1 to 3."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(3), [20, 30, 50])
    return rng.normal(size=(100, 4)) * 0.1 + 10 * np.eye(4)[labels], labels + 1
