"""The fast convolution against torch's."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from semlib import winograd


def example(count, height, width, inside, outside):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((count, height, width, inside), np.float32)
    return (
        x,
        rng.standard_normal((outside, inside, 3, 3), np.float32),
        rng.standard_normal(outside, np.float32),
    )


@pytest.mark.parametrize("shape", [(8, 8), (1, 1), (5, 7), (32, 32), (33, 66), (70, 3)])
@pytest.mark.parametrize(("inside", "outside"), [(32, 64), (96, 32)])
@pytest.mark.parametrize(("count", "tiles"), [(1, 64), (3, 64), (3, 1), (3, 7)])
def test_equals_the_direct_convolution(shape, inside, outside, count, tiles, monkeypatch):
    monkeypatch.setattr(winograd, "TILES", tiles)
    x, weight, bias = example(count, *shape, inside, outside)
    image, kernel = (
        torch.from_numpy(x).permute(0, 3, 1, 2).double(),
        torch.from_numpy(weight).double(),
    )
    direct = (
        F.conv2d(image, kernel, torch.from_numpy(bias).double(), padding=1)
        .relu()
        .permute(0, 2, 3, 1)
        .numpy()
    )
    ours = winograd.convolve(x, winograd.transform(weight), bias)
    assert ours.shape == direct.shape and ours.dtype == np.float32
    assert np.abs(ours - direct).max() < 1e-4 * direct.max()


def test_the_same_bits_each_time():
    x, weight, bias = example(2, 75, 90, 32, 32)
    kernels = winograd.transform(weight)
    assert np.array_equal(winograd.convolve(x, kernels, bias), winograd.convolve(x, kernels, bias))


def test_pixels_in_another_order_of_memory():
    x, weight, bias = example(1, 20, 30, 32, 32)
    turned = np.ascontiguousarray(x.swapaxes(1, 2)).swapaxes(1, 2)
    kernels = winograd.transform(weight)
    assert np.array_equal(
        winograd.convolve(turned, kernels, bias), winograd.convolve(x, kernels, bias)
    )


@pytest.mark.parametrize("inside", [20, 32])
def test_channels_that_do_not_fit(inside):
    x, weight, bias = example(1, 8, 8, inside, 32)
    with pytest.raises(ValueError, match="the kernels have"):
        winograd.convolve(x if inside == 20 else x[..., :16], winograd.transform(weight), bias)
