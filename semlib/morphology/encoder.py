"""The shared-weight encoder and the projection head of the Sci Rep paper (section 4)."""

import torch
from torch import nn


class Encoder(nn.Module):
    """Three strided convolution blocks, average pooling and a linear layer; one for all scales.

    Sci Rep 2026, section 4 "Encoder Architecture" (doi 10.1038/s41598-026-46947-3): each block is
    a 3x3 convolution (stride 2, padding 1), batch normalisation and ReLU, 1 -> 32 -> 64 -> 128
    channels. Because the pooling is adaptive, the same weights take images of any size.

    Parameters
    ----------
    channels : sequence of int
        Output channels of the blocks.
    dim : int
        Length of the embedding.
    """

    def __init__(self, channels=(32, 64, 128), dim=128):
        super().__init__()
        widths = [1, *channels]
        blocks = []
        for i, width in enumerate(channels):
            blocks += [nn.Conv2d(widths[i], width, 3, stride=2, padding=1, bias=False)]  # the batch norm has the bias
            blocks += [nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
        self.blocks = nn.Sequential(*blocks)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.linear = nn.Linear(channels[-1], dim)

    def forward(self, images):
        """Embed images (N, 1, H, W), float in [0, 1], as (N, dim)."""
        maps = self.blocks(images)  # N x 128 x H/8 x W/8
        return self.linear(self.pool(maps).flatten(1))  # N x dim


class ProjectionHead(nn.Sequential):
    """Linear - batch norm - ReLU - linear, used in training only (section 4 "Projection Head").

    Parameters
    ----------
    dim : int
        Length of embedding, hidden layer and projection.
    """

    def __init__(self, dim=128):
        super().__init__(nn.Linear(dim, dim), nn.BatchNorm1d(dim), nn.ReLU(inplace=True), nn.Linear(dim, dim))


def to_input(images, device="cpu"):
    """Turn uint8 images (N, H, W) into encoder input: float32 (N, 1, H, W) in [0, 1], channels last."""
    batch = torch.as_tensor(images, device=device).unsqueeze(1)
    return batch.to(torch.float32, memory_format=torch.channels_last).div_(255)
