"""A large image through a network in overlapping tiles that blend into each other."""

import math
from itertools import product

import numpy as np

from semlib.semnr.denoise import SMALLEST
from semlib.semnr.metrics import check_image

TILE = 768  # pixels a side at most: what a laptop's memory holds
OVERLAP = 96  # pixels that neighbouring tiles share
STEP = 16  # pixels: tiles start where the networks' poolings do, or each would round its own way


def restore(function, *images, tile=TILE, overlap=OVERLAP):
    """What a function makes of images (H, W) in [0, 1], tile by tile: float32 (H, W).

    `function` takes a piece (h, w) of each image and returns one. Tiles are as few and as even as
    they can be; in what two share one fades out while the other fades in.
    """
    images = [check_image(image, smallest=SMALLEST) for image in images]
    if not 0 < overlap < tile - STEP:
        raise ValueError(f"overlap={overlap}: above 0 and below {tile} - {STEP} pixels of a tile")
    height, width = images[0].shape
    total = np.zeros((height, width), np.float32)
    weight = np.zeros((height, width), np.float32)
    for rows, columns in product(spans(height, tile, overlap), spans(width, tile, overlap)):
        share = np.outer(*(fade(part.stop - part.start, overlap) for part in (rows, columns)))
        total[rows, columns] += share * function(*(image[rows, columns] for image in images))
        weight[rows, columns] += share
    return total / weight


def spans(side, tile, overlap):
    """Slices of at most `tile` pixels that cover a side and share at least `overlap`.

    They start at multiples of `STEP`.
    """
    if side <= tile:
        return [slice(0, side)]
    count = math.ceil((side - overlap) / (tile - overlap - STEP))
    length = math.ceil((side + (count - 1) * overlap) / count) + STEP
    starts = np.linspace(0, side - length + STEP - 1, count).astype(int) // STEP * STEP
    return [slice(start, min(start + length, side)) for start in starts.tolist()]


def fade(length, overlap):
    """Weight of the pixels of a tile's side, (length,): up and down over the overlap."""
    distance = np.minimum(np.arange(length), np.arange(length)[::-1])  # to the tile's edge
    # the outer quarter counts for nothing: there the network has seen mirrored pixels
    ramp = np.clip((distance - overlap / 4) / (overlap / 2), 0, 1)
    # the image's own edge has no second tile: the little weight keeps 0 / 0 away
    return (np.sin(np.pi / 2 * ramp) ** 2 + 1e-4).astype(np.float32)
