"""The network of the denoisers: a U-Net whose blocks multiply instead of applying a ReLU.

The blocks are those of NAFNet (Chen et al., arXiv 2204.04676) without channel attention. Each pixel
has its own norm, over its channels: a dark corner of an image does not change a bright one.
"""

from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional as F

FOLD = 2  # pixels a side that the first level takes together, which costs a quarter


class GatedUNet(nn.Module):
    """Removes noise from (N, 1, H, W), sides multiples of `multiple`: input plus a correction.

    Each of the `channels` is a level, of half the resolution of the one before; `blocks` says how
    many blocks it has on the way down. On the way up each has one.
    """

    def __init__(self, channels=(32, 64, 128), blocks=(1, 2, 4)):
        super().__init__()
        self.multiple = FOLD * 2 ** (len(channels) - 1)
        self.first = nn.Conv2d(FOLD**2, channels[0], 3, padding=1)
        levels = zip(channels, blocks, strict=True)
        self.down = nn.ModuleList([nn.Sequential(*map(Block, [c] * n)) for c, n in levels])
        self.narrow = nn.ModuleList([nn.Conv2d(a, b, 2, stride=2) for a, b in pairwise(channels)])
        upward = channels[::-1]
        self.widen = nn.ModuleList([nn.Conv2d(a, b, 1) for a, b in pairwise(upward)])
        self.up = nn.ModuleList(map(Block, upward[1:]))
        self.last = nn.Conv2d(channels[0], FOLD**2, 3, padding=1)
        for parameter in self.last.parameters():
            nn.init.zeros_(parameter)  # untrained it changes nothing

    def forward(self, x):
        y = self.down[0](self.first(F.pixel_unshuffle(x, FOLD)))  # N a H/2 W/2
        levels = []
        for narrow, down in zip(self.narrow, self.down[1:], strict=True):
            levels.append(y)
            y = down(narrow(y))  # N b H/4 W/4, N c H/8 W/8
        for widen, up in zip(self.widen, self.up, strict=True):
            y = up(F.interpolate(widen(y), scale_factor=2) + levels.pop())
        return x + F.pixel_shuffle(self.last(y), FOLD)


class Block(nn.Module):
    """Mixes neighbours, then channels; each half of the channels gates the other. Residual."""

    def __init__(self, channels):
        super().__init__()
        double = 2 * channels
        self.norm = nn.LayerNorm(channels)  # without it the products of many blocks run away
        self.mix_norm = nn.LayerNorm(channels)
        self.spread = nn.Conv2d(channels, double, 1)
        self.around = nn.Conv2d(double, double, 3, padding=1, groups=double)  # each one by itself
        self.gather = nn.Conv2d(channels, channels, 1)
        self.mix = nn.Conv2d(channels, double, 1)
        self.out = nn.Conv2d(channels, channels, 1)

    def forward(self, x):
        y = self.spread(_each_pixel(self.norm, x))
        x = x + self.gather(_gated(self.around(y)))
        return x + self.out(_gated(self.mix(_each_pixel(self.mix_norm, x))))


def _gated(x):
    first, second = torch.chunk(x, 2, dim=1)
    return first * second


def _each_pixel(norm, x):
    """Normalise the channels of each pixel: N C H W in and out."""
    return norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
