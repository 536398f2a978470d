"""The convolutions of VGG16 (Simonyan and Zisserman, arXiv 1409.1556) with ImageNet weights, for one image at a time.

The weights are those of `semlib.weights`; the layers run through `semlib.winograd`.
"""

from functools import lru_cache

import numpy as np
import torch
from torch.nn import functional as F

from semlib import weights, winograd

STAGES = ((0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24, 26, 28))  # convolutions before each pooling
CHANNELS = (64, 128, 256, 512, 512)  # of each stage
EARLY = 3  # stages that take one image at a time
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet


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
    walk([image], lambda _number, _stage, y: maps.append(torch.from_numpy(y)), count=count, pool=pool)
    return maps


def walk(images, visit, *, count=5, pool=max_pool):
    """As `stages` for several images of one size; calls ``visit(number of the image, stage, array (H, W, C))``.

    The first stages take one image after the other, as their maps are large, the last ones all images at once, as
    theirs are smaller than the weights.
    """
    middle = []
    for number, image in enumerate(images):
        y = _first(image)
        for stage in range(min(count, EARLY)):
            y = _stage(stage, pool(y) if stage else y)
            visit(number, stage, y[0])
        middle.append(pool(y) if count > EARLY else y)
    y = np.concatenate(middle) if count > EARLY else None
    for stage in range(EARLY, count):
        y = _stage(stage, pool(y) if stage > EARLY else y)
        for number, one in enumerate(y):
            visit(number, stage, one)


def _stage(number, y):
    for layer in STAGES[number][number == 0 :]:
        y = winograd.convolve(y, *_network()[layer])
    return y


@torch.inference_mode()
def _first(x):
    """First convolution and ReLU, (1, C, H, W) to array (1, H, W, 64); three equal channels are one and a constant."""
    weight, bias = (torch.from_numpy(weights.load("vgg16")[f"features.0.{part}"]) for part in ("weight", "bias"))
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (MEAN, STD))
    if x.shape[1] == 1:
        parts = [(weight / std).sum(1, keepdim=True), -(weight * mean / std).sum(1, keepdim=True)]
        x, weight = torch.cat([x, torch.ones_like(x)], 1), torch.cat(parts, 1)
    else:
        x = (x - mean) / std
    x = x.contiguous(memory_format=torch.channels_last)
    return F.conv2d(x, weight, bias, padding=1).relu_().permute(0, 2, 3, 1).contiguous().numpy()


@lru_cache(maxsize=1)
def _network():
    """Layer -> (Winograd matrices, bias); 650 MB."""
    found = weights.load("vgg16")
    layers = [layer for stage in STAGES for layer in stage][1:]
    return {n: (winograd.transform(found[f"features.{n}.weight"]), found[f"features.{n}.bias"]) for n in layers}
