"""A small U-Net (Ronneberger et al., arXiv 1505.04597)."""

import torch
from torch import nn
from torch.nn import functional as F

CHANNELS = (16, 32, 48)  # at full, half and quarter resolution: 90,000 weights


class UNet(nn.Module):
    """Two levels down and up, (N, `inside`, H, W) to (N, `outside`, H, W), sides multiples of 4."""

    multiple = 4  # of pixels a side: two poolings

    def __init__(self, *, inside=1, outside=1, channels=CHANNELS):
        super().__init__()
        a, b, c = channels
        self.down = nn.ModuleList([_two(inside, a), _two(a, b), _two(b, c)])
        self.up = nn.ModuleList([_two(c + b, b), _two(b + a, a)])
        self.last = nn.Conv2d(a, outside, 1)

    def forward(self, x):
        fine = self.down[0](x)  # N a H W
        middle = self.down[1](F.avg_pool2d(fine, 2))  # N b H/2 W/2
        coarse = self.down[2](F.avg_pool2d(middle, 2))  # N c H/4 W/4
        y = torch.cat([F.interpolate(coarse, scale_factor=2), middle], 1)  # N c+b H/2 W/2
        y = self.up[0](y)  # N b H/2 W/2
        y = torch.cat([F.interpolate(y, scale_factor=2), fine], 1)  # N b+a H W
        return self.last(self.up[1](y))  # N outside H W


def _two(inside, outside):
    """Two 3 x 3 convolutions, each with a leaky ReLU."""
    first = nn.Conv2d(inside, outside, 3, padding=1)
    second = nn.Conv2d(outside, outside, 3, padding=1)
    return nn.Sequential(first, nn.LeakyReLU(0.1), second, nn.LeakyReLU(0.1))
