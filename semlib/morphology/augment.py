"""Random changes of SEM images that keep the defect what it is; all are our choice."""

import math

import torch
from torch.nn import functional

TURN = math.radians(15)
SMALLEST_CROP = 0.75  # of the side
NOISE = 0.02  # standard deviation at full brightness
BLOCKS = 8  # on a side
HIDDEN = 0.15  # share of the blocks


def augment(images, names, generator):
    """Change each image of a batch (N, 1, H, W), in [0, 1], independently and not in place.

    `names` are keys of `CHANGES`, applied in order; `generator` (torch, on the CPU) is the only
    source of randomness. The result may leave the range a little.
    """
    for name in names:
        images = CHANGES[name](images, generator)
    return images.contiguous(memory_format=torch.channels_last)  # what the encoder is quickest on


def flip(images, generator):
    """Mirror left-right and top-bottom, each with probability 1/2."""
    for axis in (2, 3):
        images = torch.where(_uniform(images, generator) < 0.5, images.flip(axis), images)
    return images


def warp(images, generator):
    """Turn by up to 15 degrees and enlarge a window of 75 to 100 % of the side.

    The window holds the defect near the centre. What a turn brings in from outside is mirrored.
    """
    angle, size, x, y = (_uniform(images, generator).flatten() for _ in range(4))  # each N
    angle = TURN * (2 * angle - 1)
    size = SMALLEST_CROP + (1 - SMALLEST_CROP) * size
    cosine = size * angle.cos()
    sine = size * angle.sin()
    right = (1 - size) * (2 * x - 1)  # of the window's centre, which keeps it within [-1, 1]
    down = (1 - size) * (2 * y - 1)
    matrix = torch.stack([cosine, -sine, right, sine, cosine, down], dim=1)
    grid = functional.affine_grid(matrix.view(-1, 2, 3), list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, padding_mode="reflection", align_corners=False)


def dose(images, generator):
    """Add noise whose variance grows with the signal, as with fewer electrons a pixel."""
    strength = NOISE * _uniform(images, generator)
    noise = torch.randn(images.shape, generator=generator).to(images.device)
    return images + strength * images.clamp_min(0).sqrt() * noise


def mask(images, generator):
    """Replace 15 % of the blocks of an 8 x 8 grid by the image's mean: the masked objective."""
    draws = torch.rand((len(images), 1, BLOCKS, BLOCKS), generator=generator)
    hidden = functional.interpolate((draws < HIDDEN).to(images), images.shape[2:])  # N x 1 x H x W
    return images + hidden * (images.mean((2, 3), keepdim=True) - images)


CHANGES = {"flip": flip, "warp": warp, "dose": dose, "mask": mask}


def _uniform(images, generator):  # one number in [0, 1) for each image, N x 1 x 1 x 1
    return torch.rand((len(images), 1, 1, 1), generator=generator).to(images.device)
