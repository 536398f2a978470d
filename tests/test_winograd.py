"""The fast convolution against torch's."""

import pytest
import torch
from torch.nn import functional as F

from semlib import winograd


@pytest.mark.parametrize("shape", [(4, 4), (1, 1), (5, 7), (32, 32), (33, 66), (70, 3)])
@pytest.mark.parametrize(("inside", "outside"), [(1, 2), (16, 8)])
@pytest.mark.parametrize("tiles", [1, 7, 256])
def test_equals_the_direct_convolution(shape, inside, outside, tiles, monkeypatch):
    monkeypatch.setattr(winograd, "TILES", tiles)
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(1, inside, *shape, generator=rng)
    weight, bias = torch.randn(outside, inside, 3, 3, generator=rng), torch.randn(outside, generator=rng)
    direct = F.conv2d(x.double(), weight.double(), bias.double(), padding=1)[0].permute(1, 2, 0)
    ours = winograd.convolve(x[0].permute(1, 2, 0).contiguous(), winograd.transform(weight), bias)
    assert ours.shape == direct.shape
    assert (ours - direct).abs().max() < 1e-5 * direct.abs().max() + 1e-5
