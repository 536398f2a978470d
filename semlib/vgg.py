"""VGG16's stages (Simonyan and Zisserman, arXiv 1409.1556), ImageNet weights, on any device."""

from functools import lru_cache

import torch
from torch.nn import functional as F

from semlib import weights

# torchvision's numbers of the convolutions before each pooling
STAGES = ((0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24, 26, 28))
CHANNELS = (64, 128, 256, 512, 512)  # of each stage
BATCH = 4  # images at a time: more do not run faster, and their maps need 100 MB each at 256 pixels
MEAN = (0.485, 0.456, 0.406)  # of ImageNet's images
STD = (0.229, 0.224, 0.225)


def max_pool(x):
    """Largest of 2 x 2 pixels, VGG16's own pooling."""
    return F.max_pool2d(x, 2)


@torch.inference_mode()
def stages(images, *, count=5, pool=max_pool):
    """What VGG16 sees at `count` of five depths: relu1_2, relu2_2, relu3_3, relu4_3, relu5_3.

    `images` are float32 (N, 1 or 3, H, W) in [0, 1] on the device that shall do the work; `pool`
    halves the sides between the stages. A list of float32 (N, C, H / 2^i, W / 2^i), i = 0, 1, ...
    """
    batches = [_stages(batch, count, pool) for batch in images.split(BATCH)]
    return [torch.cat(maps) for maps in zip(*batches, strict=True)]


def _stages(images, count, pool):
    layers = _layers(images.device)
    mean, std = (images.new_tensor(values)[:, None, None] for values in (MEAN, STD))
    # channels last: the convolutions need no copy into an order of their own
    x = ((images - mean) / std).contiguous(memory_format=torch.channels_last)  # N 3 H W
    maps = []
    for number, stage in enumerate(STAGES[:count]):
        x = pool(x) if number else x
        for layer in stage:
            x = F.conv2d(x, *layers[layer], padding=1).relu_()
        maps.append(x)  # N C H/2^number W/2^number
    return maps


@lru_cache(maxsize=2)
def _layers(device):
    """Number of a convolution -> (weight, bias); 59 MB, kept for each device."""
    tensors = {name: torch.from_numpy(values) for name, values in weights.load("vgg16").items()}
    layers = {}
    for layer in sum(STAGES, ()):
        weight = tensors[f"features.{layer}.weight"]
        bias = tensors[f"features.{layer}.bias"]
        layers[layer] = weight.to(device, memory_format=torch.channels_last), bias.to(device)
    return layers
