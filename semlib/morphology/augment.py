"""Random changes of SEM images that keep the defect what it is: mirror, turn and crop, dose, contrast, hidden parts."""

import math

import torch
from torch.nn import functional

TURN = math.radians(15)
SMALLEST_CROP = 0.75  # of the side
NOISE = 0.02  # standard deviation at full brightness
BLOCKS, HIDDEN = 8, 0.15  # the image in 8 x 8 blocks, and the share of them that is hidden


def augment(images, names, generator):
    """Change each image of a batch independently.

    Parameters
    ----------
    images : float tensor (N, 1, H, W)
        In [0, 1]; not changed in place. The result may leave the range a little.
    names : sequence of str
        Keys of `CHANGES`, applied in the order given.
    generator : torch.Generator
        On the CPU; the only source of randomness.

    Returns
    -------
    float tensor (N, 1, H, W), channels last

    Raises
    ------
    ValueError
        If a name is unknown.
    """
    if unknown := set(names) - set(CHANGES):
        raise ValueError(f"unknown changes {sorted(unknown)}: use some of {', '.join(CHANGES)}")
    for name in names:
        images = CHANGES[name](images, generator)
    return images.contiguous(memory_format=torch.channels_last)


def flip(images, generator):
    """Mirror left-right and top-bottom, each with probability 1/2."""
    for axis in (2, 3):
        images = torch.where(_uniform(images, generator) < 0.5, images.flip(axis), images)
    return images


def warp(images, generator):
    """Turn by up to 15 degrees and enlarge a window of 75 to 100 % of the side that lies within the image.

    Defects sit near the centre, so such windows hold them; what a turn brings in from outside is mirrored.
    """
    angle, size, x, y = (_uniform(images, generator).flatten() for _ in range(4))
    angle, size = TURN * (2 * angle - 1), SMALLEST_CROP + (1 - SMALLEST_CROP) * size
    cosine, sine = size * angle.cos(), size * angle.sin()
    rows = torch.stack(
        [cosine, -sine, (1 - size) * (2 * x - 1), sine, cosine, (1 - size) * (2 * y - 1)], dim=1
    )
    grid = functional.affine_grid(rows.view(-1, 2, 3), list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, padding_mode="reflection", align_corners=False)


def dose(images, generator):
    """Add noise whose variance grows with the signal, as with fewer electrons a pixel; its strength varies by image."""
    strength = NOISE * _uniform(images, generator)
    noise = torch.randn(images.shape, generator=generator).to(images.device)
    return images + strength * images.clamp_min(0).sqrt() * noise


def contrast(images, generator):
    """Scale the contrast by up to a fifth either way and shift the brightness by up to 0.08."""
    gain, shift = (2 * _uniform(images, generator) - 1 for _ in range(2))
    mean = images.mean((2, 3), keepdim=True)
    return (images - mean) * torch.exp(0.2 * gain) + mean + 0.08 * shift


def mask(images, generator):
    """Replace 15 % of the blocks of an 8 x 8 grid by the image's mean: the masked objective."""
    blocks = (
        torch.rand((len(images), 1, BLOCKS, BLOCKS), generator=generator).to(images.device) < HIDDEN
    )
    hidden = functional.interpolate(blocks.to(images.dtype), images.shape[2:])
    return images + hidden * (images.mean((2, 3), keepdim=True) - images)


CHANGES = {"flip": flip, "warp": warp, "dose": dose, "contrast": contrast, "mask": mask}


def _uniform(images, generator):
    """One number in [0, 1) for each image, (N, 1, 1, 1)."""
    return torch.rand((len(images), 1, 1, 1), generator=generator).to(images.device)
