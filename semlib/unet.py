"""A small U-Net (Ronneberger et al., arXiv 1505.04597), shared by denoising and segmentation."""

from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional as F

CHANNELS = (16, 32, 48)  # at full, half and quarter resolution: 90,000 weights


class UNet(nn.Module):
    """(N, `inside`, H, W) to (N, `outside`, H, W), sides multiples of `multiple`.

    Each of the `channels` is a level of half the resolution of the one before. With `fold` = 2 the
    first works on blocks of 2 x 2 pixels, which costs a quarter. With `residual` the network
    predicts what to add to its input, which then has the output's channels.
    """

    def __init__(self, residual=True, *, inside=1, outside=1, channels=CHANNELS, fold=1):
        super().__init__()
        self.residual = residual
        self.fold = fold
        self.multiple = fold * 2 ** (len(channels) - 1)
        widths = [inside * fold**2, *channels]
        self.down = nn.ModuleList([_two(a, b) for a, b in pairwise(widths)])
        upward = list(pairwise(channels[::-1]))  # coarse to fine
        self.up = nn.ModuleList([_two(coarse + fine, fine) for coarse, fine in upward])
        self.last = nn.Conv2d(channels[0], outside * fold**2, 1)

    def forward(self, x):
        y = self.down[0](F.pixel_unshuffle(x, self.fold))  # N a H W, sides divided by fold
        levels = []
        for down in self.down[1:]:
            levels.append(y)
            y = down(F.avg_pool2d(y, 2))  # N b H/2 W/2, N c H/4 W/4
        for up in self.up:
            y = torch.cat([F.interpolate(y, scale_factor=2), levels.pop()], 1)  # N c+b H/2 W/2
            y = up(y)
        y = F.pixel_shuffle(self.last(y), self.fold)  # N outside H W
        return x + y if self.residual else y


def _two(inside, outside):
    """Two 3 x 3 convolutions, each with a leaky ReLU."""
    first = nn.Conv2d(inside, outside, 3, padding=1)
    second = nn.Conv2d(outside, outside, 3, padding=1)
    return nn.Sequential(first, nn.LeakyReLU(0.1), second, nn.LeakyReLU(0.1))
