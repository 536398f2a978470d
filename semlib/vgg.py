"""VGG16's stages (Simonyan and Zisserman, arXiv 1409.1556), ImageNet weights, on any device."""

from functools import lru_cache, partial

import torch
from torch.nn import functional as F

from semlib import weights

# torchvision's numbers of the convolutions before each pooling
STAGES = ((0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24, 26, 28))
CHANNELS = (64, 128, 256, 512, 512)  # of each stage
BATCH = 4  # images at a time: more do not run faster, and their maps need 100 MB each at 256 pixels
MEAN = (0.485, 0.456, 0.406)  # of ImageNet's images
STD = (0.229, 0.224, 0.225)
MAX_POOL = partial(F.max_pool2d, kernel_size=2)  # VGG16's own


@torch.inference_mode()
def stages(images, *, count=5, pool=MAX_POOL, dtype=torch.float32):
    """What VGG16 sees at `count` of five depths: relu1_2, relu2_2, relu3_3, relu4_3, relu5_3.

    `images` are float32 (N, 1 or 3, H, W) in [0, 1] on the device that shall do the work; `pool`
    halves the sides between the stages; `dtype` is that of the convolutions, see `quick`. A list of
    float32 (N, C, H / 2^i, W / 2^i), i = 0, 1, ...
    """
    batches = [_stages(batch, count, pool, dtype) for batch in images.split(BATCH)]
    return [torch.cat(maps) for maps in zip(*batches, strict=True)]


def quick():
    """bfloat16 where this CPU has it, in half the time; float32 elsewhere, as it is emulated."""
    cpu = torch.cpu.get_capabilities()
    native = cpu.get("avx512_bf16", False) or cpu.get("amx_bf16", False)
    return torch.bfloat16 if native and not torch.cuda.is_available() else torch.float32


def _stages(images, count, pool, dtype):
    layers = _layers(images.device, dtype)
    mean, std = (images.new_tensor(values)[:, None, None] for values in (MEAN, STD))
    # channels last: the convolutions need no copy into an order of their own
    x = ((images - mean) / std).to(dtype).contiguous(memory_format=torch.channels_last)  # N 3 H W
    maps = []
    for number, stage in enumerate(STAGES[:count]):
        x = pool(x) if number else x
        for layer in stage:
            x = F.conv2d(x, *layers[layer], padding=1).relu_()
        maps.append(x.float())  # N C H/2^number W/2^number
    return maps


@lru_cache(maxsize=2)
def _layers(device, dtype):
    """Number of a convolution -> (weight, bias); 59 MB, kept for each device and type."""
    tensors = {name: torch.from_numpy(values) for name, values in weights.load("vgg16").items()}
    layers = {}
    for layer in sum(STAGES, ()):
        weight = tensors[f"features.{layer}.weight"]
        bias = tensors[f"features.{layer}.bias"]
        weight = weight.to(device, dtype, memory_format=torch.channels_last)
        layers[layer] = weight, bias.to(device, dtype)
    return layers
