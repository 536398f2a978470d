"""Resizing against Pillow, bit for bit."""

import numpy as np
import pytest
from PIL import Image

from semlib.images.resize import bicubic


@pytest.mark.parametrize("side", [1, 2, 5, 37, 100, 472, 512, 513, 1000])
@pytest.mark.parametrize("size", [512, 128, 33, 1])
def test_equal_to_pillow(side, size):
    image = np.random.default_rng(0).integers(0, 256, (side, side), np.uint8)
    for one in (
        image,
        np.where(image < 128, 0, 255).astype(np.uint8),
    ):  # black and white overshoots
        slow = np.asarray(Image.fromarray(one).resize((size, size), Image.Resampling.BICUBIC))
        assert np.array_equal(bicubic(one, size), slow)


def test_takes_parts_of_an_image():
    image = np.random.default_rng(0).integers(0, 256, (60, 80), np.uint8)
    assert np.array_equal(bicubic(image[4:56, 14:66], 64), bicubic(image[4:56, 14:66].copy(), 64))
