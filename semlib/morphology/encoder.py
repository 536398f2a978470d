"""The encoder and the projection head of the Sci Rep paper, section 4, and our readout."""

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

DIM = 128  # numbers in an embedding and in a projection
POOLING = {"mean": nn.AdaptiveAvgPool2d, "max": nn.AdaptiveMaxPool2d}


class Encoder(nn.Module):
    """Three strided convolution blocks, pooling and a linear layer, shared by all scales.

    Sci Rep 2026, section 4 "Encoder Architecture" (doi 10.1038/s41598-026-46947-3). The pooling is
    adaptive, so images may have any size. The defaults are the paper's; no option adds a weight:
    `standardise` brings each image to mean 0 and standard deviation 1 first, `pooling` "max" keeps
    a defect of a few per cent of the image, which "mean" dilutes, `readout` appends a `Readout`.
    """

    def __init__(self, *, standardise=False, pooling="mean", readout=False):
        super().__init__()
        if pooling not in POOLING:
            raise ValueError(f"pooling is one of {', '.join(POOLING)}; got {pooling!r}")
        self.standardise = standardise
        self.blocks = nn.Sequential(*_block(1, 32), *_block(32, 64), *_block(64, 128))
        self.pool = POOLING[pooling](1)
        self.linear = nn.Linear(128, DIM)
        self.readout = Readout(DIM) if readout else nn.Identity()

    def forward(self, images):
        """Embed images (N, 1, H, W), float in [0, 1], as (N, 128)."""
        if self.standardise:
            images = standardised(images)
        maps = self.blocks(images)  # N x 128 x H/8 x W/8
        vectors = self.pool(maps).flatten(1)  # N x 128
        return self.readout(self.linear(vectors))  # N x 128


class ProjectionHead(nn.Sequential):
    """Linear - batch norm - ReLU - linear, used in training only (section 4 "Projection Head")."""

    def __init__(self):
        super().__init__(
            nn.Linear(DIM, DIM),  # N x 128
            nn.BatchNorm1d(DIM),
            nn.ReLU(inplace=True),
            nn.Linear(DIM, DIM),  # N x 128
        )


class Readout(nn.Module):
    r"""Exponential of the standardised embedding, straight beyond 4 standard deviations.

    .. math:: r(u) = e^{\min(u, c)} (1 + \max(u - c, 0)), \quad u = (z - \mu) / \sigma, \quad c = 4

    Our choice. It spreads the few images that answer strongly in some dimension and draws the many
    others together. Any silhouette rises with it, so judge it by the scores against labels.
    Training does not see it: mean and deviation are set once after training, by `fit`.
    """

    limit = 4.0

    def __init__(self, dim):
        super().__init__()
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("spread", torch.ones(dim))

    def fit(self, embeddings):
        """Take mean and deviation from embeddings (N, dim); a constant column gives 1."""
        deviation = embeddings.std(dim=0, correction=0)
        varies = deviation > 1e-6 * embeddings.abs().max()  # less is rounding
        self.mean.copy_(embeddings.mean(dim=0))
        self.spread.copy_(torch.where(varies, deviation, torch.inf))
        return self

    def forward(self, embeddings):
        if self.training:
            return embeddings
        u = (embeddings.float() - self.mean) / self.spread  # N x dim
        beyond = (u - self.limit).clamp(min=0)  # a straight line: e^u of an outlier would be all
        return u.clamp(max=self.limit).exp() * (1 + beyond)


def _block(before, after):
    """3 x 3 convolution of stride 2, batch normalisation, ReLU: half the sides."""
    convolution = nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False)  # the norm has one
    return convolution, nn.BatchNorm2d(after), nn.ReLU(inplace=True)


def standardised(images):
    """Each image of (N, 1, H, W) at mean 0 and standard deviation 1; a constant image becomes 0."""
    deviation, mean = torch.std_mean(images, dim=(1, 2, 3), keepdim=True, correction=0)
    return (images - mean) / deviation.clamp_min(1e-3)  # a quarter of a grey level


def to_input(images, device="cpu"):
    """Turn uint8 images (N, H, W) into encoder input: float32 (N, 1, H, W) in [0, 1]."""
    batch = torch.as_tensor(images).to(device).unsqueeze(1)  # bytes travel: a quarter of floats
    # channels last: the layout in which convolutions of few channels are quickest on a CPU
    return batch.to(torch.float32, memory_format=torch.channels_last).div_(255)


def best_device():
    """Return "cuda" where there is one, else "cpu"."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def embed(encoder, images, *, batch_size=64, device=None, progress=True):
    """Embed uint8 images (N, H, W) as float32 (N, 128) in evaluation mode.

    In float32 throughout: bfloat16, and a GPU's TF32, round away what near collapse still differs.
    """
    device = device or best_device()
    encoder = encoder.to(device).eval()
    starts = range(0, len(images), batch_size)
    # filled in place: small arrays that stay would cut up the memory of the batches
    embeddings = np.empty((len(images), DIM), np.float32)
    with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        for start in tqdm(starts, desc="embed L0", unit="batch", disable=not progress):
            rows = slice(start, start + batch_size)
            batch = np.array(images[rows])  # reads a memmap
            embeddings[rows] = encoder(to_input(batch, device)).float().cpu().numpy()
    return embeddings
