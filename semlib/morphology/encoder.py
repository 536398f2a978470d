"""The shared-weight encoder and the projection head of the Sci Rep paper (section 4), and what may be changed."""

import torch
from torch import nn


class Encoder(nn.Module):
    """Three strided convolution blocks, pooling and a linear layer; one for all scales.

    Sci Rep 2026, section 4 "Encoder Architecture" (doi 10.1038/s41598-026-46947-3): each block is
    a 3x3 convolution (stride 2, padding 1), batch normalisation and ReLU, 1 -> 32 -> 64 -> 128
    channels. Because the pooling is adaptive, the same weights take images of any size. The defaults are the paper's;
    nothing of what may be changed adds a weight, except more channels.

    Parameters
    ----------
    channels : sequence of int
        Output channels of the blocks.
    dim : int
        Length of the embedding.
    standardise : bool
        Bring each image to mean 0 and standard deviation 1 first.
    pooling : {"mean", "max", "attention"}
        A key of `POOLING`; the paper: mean. A defect covers a few per cent of an image, and the mean dilutes it.
    readout : bool
        End with a `Readout`.

    Raises
    ------
    ValueError
        If `pooling` is unknown.
    """

    def __init__(
        self, channels=(32, 64, 128), dim=128, *, standardise=False, pooling="mean", readout=False
    ):
        super().__init__()
        if pooling not in POOLING:
            raise ValueError(f"pooling is one of {', '.join(POOLING)}; got {pooling!r}")
        self.standardise = standardise
        widths = [1, *channels]
        blocks = []
        for i, width in enumerate(channels):
            blocks += [
                nn.Conv2d(widths[i], width, 3, stride=2, padding=1, bias=False)
            ]  # the batch norm has the bias
            blocks += [nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
        self.blocks = nn.Sequential(*blocks)
        self.pool = POOLING[pooling]()
        self.linear = nn.Linear(channels[-1], dim)
        self.readout = Readout(dim) if readout else nn.Identity()

    def forward(self, images):
        """Embed images (N, 1, H, W), float in [0, 1], as (N, dim)."""
        if self.standardise:
            images = standardised(images)
        maps = self.blocks(images)  # N x 128 x H/8 x W/8
        return self.readout(self.linear(self.pool(maps).flatten(1)))  # N x dim


class ContrastAttention(nn.Module):
    """Mean of the maps (N, C, H, W) weighted by how far each place is from the image's mean: (N, C, 1, 1).

    The weight is the squared distance from the mean over the image, averaged over 3x3 places; our choice.
    """

    def forward(self, maps):
        distance = (maps - maps.mean((2, 3), keepdim=True)).square().mean(1, keepdim=True)
        weight = nn.functional.avg_pool2d(distance, 3, stride=1, padding=1)
        return (weight * maps).sum((2, 3), keepdim=True) / weight.sum(
            (2, 3), keepdim=True
        ).clamp_min(1e-9)


POOLING = {
    "mean": lambda: nn.AdaptiveAvgPool2d(1),
    "max": lambda: nn.AdaptiveMaxPool2d(1),
    "attention": ContrastAttention,
}


class Readout(nn.Module):
    r"""Exponential of the standardised embedding, straight from `limit` standard deviations on.

    .. math:: r(u) = e^{\min(u, c)} (1 + \max(u - c, 0)), \quad u = (z - \mu) / \sigma

    Our choice. It spreads the few images that answer strongly in some dimension and draws the many that do not
    together: rare kinds of defects among one common kind. Any silhouette rises with it, so judge it by the
    scores against labels. In training it passes z unchanged and the loss does not see it; mean and deviation
    are set once, by `fit`, over the training images.
    """

    limit = 4.0

    def __init__(self, dim):
        super().__init__()
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("spread", torch.ones(dim))

    def fit(self, embeddings):
        """Take mean and deviation from embeddings (N, dim) before the readout; a constant column gives 1."""
        deviation = embeddings.std(dim=0, correction=0)
        self.mean.copy_(embeddings.mean(dim=0))
        self.spread.copy_(
            torch.where(deviation > 1e-6 * embeddings.abs().max(), deviation, torch.inf)
        )
        return self

    def forward(self, embeddings):
        if self.training:
            return embeddings
        u = (embeddings.float() - self.mean) / self.spread
        return u.clamp(max=self.limit).exp() * (1 + (u - self.limit).clamp(min=0))


class ProjectionHead(nn.Sequential):
    """Linear - batch norm - ReLU - linear, used in training only (section 4 "Projection Head").

    Parameters
    ----------
    dim : int
        Length of embedding, hidden layer and projection.
    """

    def __init__(self, dim=128):
        super().__init__(
            nn.Linear(dim, dim), nn.BatchNorm1d(dim), nn.ReLU(inplace=True), nn.Linear(dim, dim)
        )


def to_input(images, device="cpu"):
    """Turn uint8 images (N, H, W) into encoder input: float32 (N, 1, H, W) in [0, 1], channels last."""
    batch = torch.as_tensor(images).unsqueeze(1)
    if torch.device(device).type == "cuda" and not batch.is_cuda:
        batch = batch.pin_memory()
    return (
        batch.to(device, non_blocking=True)
        .to(torch.float32, memory_format=torch.channels_last)
        .div_(255)
    )


def standardised(images):
    """Bring each image of (N, 1, H, W) to mean 0 and standard deviation 1; a constant image becomes 0."""
    deviation, mean = torch.std_mean(images, dim=(1, 2, 3), keepdim=True, correction=0)
    return (images - mean) / deviation.clamp_min(1e-3)
