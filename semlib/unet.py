"""A small U-Net (Ronneberger et al., arXiv 1505.04597), shared by denoising and segmentation."""

import torch
from torch import nn
from torch.nn import functional as F

CHANNELS = (16, 32, 48)


class UNet(nn.Module):
    """Two levels down and up, (N, `inside`, H, W) to (N, `outside`, H, W), the sides multiples of 4.

    With `residual` it predicts what to subtract from the input, which then has as many channels as the output.
    """

    def __init__(self, residual=True, *, inside=1, outside=1, channels=CHANNELS):
        super().__init__()
        a, b, c = channels
        self.residual = residual
        self.down = nn.ModuleList([_two(inside, a), _two(a, b), _two(b, c)])
        self.up = nn.ModuleList([_two(c + b, b), _two(b + a, a)])
        self.last = nn.Conv2d(a, outside, 1)

    def forward(self, x):
        fine = self.down[0](x)  # N a H W
        middle = self.down[1](F.avg_pool2d(fine, 2))  # N b H/2 W/2
        coarse = self.down[2](F.avg_pool2d(middle, 2))  # N c H/4 W/4
        y = self.up[0](torch.cat([F.interpolate(coarse, scale_factor=2), middle], 1))
        y = self.up[1](torch.cat([F.interpolate(y, scale_factor=2), fine], 1))
        return x + self.last(y) if self.residual else self.last(y)


def _two(inside, outside):
    first, second = (nn.Conv2d(n, outside, 3, padding=1) for n in (inside, outside))
    return nn.Sequential(first, nn.LeakyReLU(0.1), second, nn.LeakyReLU(0.1))
