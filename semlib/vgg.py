"""The convolutions of VGG16 (Simonyan and Zisserman, arXiv 1409.1556) with ImageNet weights, for one image at a time.

The weights are those of `semlib.weights`; the layers run through `semlib.winograd`.
"""

from functools import lru_cache

import numpy as np
import torch
from numba import njit

from semlib import weights, winograd, workers
from semlib.workers import split

STAGES = (
    (0, 2),
    (5, 7),
    (10, 12, 14),
    (17, 19, 21),
    (24, 26, 28),
)  # convolutions before each pooling
CHANNELS = (64, 128, 256, 512, 512)  # of each stage
SMALL, TOGETHER = (
    64**2,
    3,
)  # pixels of maps that go through a stage together, and how many images do
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet
_TAPS = 27  # of the first convolution


def max_pool(y):
    """Largest of 2 x 2 pixels, VGG16's own pooling, (N, H, W, C); an odd last row or column is dropped."""
    height, width = (side - side % 2 for side in y.shape[1:3])
    rows = np.maximum(y[:, :height:2], y[:, 1:height:2])
    return np.maximum(rows[:, :, :width:2], rows[:, :, 1:width:2])


def stages(image, *, count=5, pool=max_pool):
    """Outputs of the last ReLU of each stage: relu1_2, relu2_2, relu3_3, relu4_3, relu5_3.

    Parameters
    ----------
    image : float32 tensor (1, 1, H, W), grey in [0, 1], or (1, 3, H, W)
    count : int
        Stages to compute, 1 to 5.
    pool : callable
        Array (N, H, W, C) to about half the sides, between the stages.

    Returns
    -------
    list of float32 tensor (H / 2^i, W / 2^i, C)

    Raises
    ------
    semlib.weights.WeightsError
        If the weights cannot be had.
    """
    maps = []
    walk(
        [image], lambda _number, _stage, y: maps.append(torch.from_numpy(y)), count=count, pool=pool
    )
    return maps


def walk(images, visit, *, count=5, pool=max_pool):
    """As `stages` for several images of one size; calls ``visit(number of the image, stage, array (H, W, C))``.

    Stages with large maps take one image after the other, the others `TOGETHER` images at once, as their weights are
    larger than the maps; the values are the same. Of each stage image 0 comes before all others.
    """
    workers.keep_memory()
    for first in range(0, len(images), TOGETHER):
        _walk(images[first : first + TOGETHER], first, visit, count, pool)


def _walk(images, first, visit, count, pool):
    height, width = images[0].shape[-2:]
    alone = sum(height * width >> 2 * stage > SMALL for stage in range(count))
    middle = []
    for number, image in enumerate(images, first):
        y = _first(image)
        for stage in range(alone):
            y = _stage(stage, pool(y) if stage else y)
            visit(number, stage, y[0])
        middle.append(y)
    y = np.concatenate(middle)
    for stage in range(alone, count):
        y = _stage(stage, pool(y) if stage else y)
        for number, one in enumerate(y, first):
            visit(number, stage, one)


def _stage(number, y):
    for layer in STAGES[number][number == 0 :]:
        y = winograd.convolve(y, *_network()[layer])
    return y


def _first(x):
    """First convolution and ReLU, (1, 1 or 3, H, W) to array (1, H, W, 64)."""
    weight, bias = (weights.load("vgg16")[f"features.0.{part}"] for part in ("weight", "bias"))
    mean, std = (np.array(values, np.float32)[:, None, None] for values in (MEAN, STD))
    planes = (x[0].numpy() - mean) / std
    y = np.empty((*planes.shape[1:], len(bias)), np.float32)
    split(_convolve_rows, len(y), planes, weight.reshape(len(bias), _TAPS).T.copy(), bias, y)
    return y[None]


@njit(nogil=True, fastmath=True, cache=True)
def _convolve_rows(start, stop, planes, weight, bias, y):
    seen = np.zeros(_TAPS, np.float32)
    for i in range(start, stop):
        for j in range(y.shape[1]):
            for tap in range(_TAPS):
                row, column = i + tap // 3 % 3 - 1, j + tap % 3 - 1
                inside = 0 <= row < y.shape[0] and 0 <= column < y.shape[1]
                seen[tap] = planes[tap // 9, row, column] if inside else 0
            for c in range(len(bias)):
                total = bias[c]
                for tap in range(_TAPS):
                    total += seen[tap] * weight[tap, c]
                y[i, j, c] = max(total, np.float32(0))


@lru_cache(maxsize=1)
def _network():
    """Layer -> (Winograd matrices, bias); 650 MB."""
    found = weights.load("vgg16")
    layers = [layer for stage in STAGES for layer in stage][1:]
    return {
        n: (winograd.transform(found[f"features.{n}.weight"]), found[f"features.{n}.bias"])
        for n in layers
    }
