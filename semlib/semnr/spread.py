"""How far a restored image may be from the truth, pixel by pixel: where it is a guess.

A small network sees the noisy and the restored image and gives the standard deviation of the
error; a factor from held-out images makes intervals of it that hold the truth as often as they say.
"""

import json
from functools import cache

import numpy as np
import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional as F

from semlib.semnr import denoise
from semlib.semnr.gated import FOLD

WIDTH = 32  # channels
COVERAGE = 0.9  # of the intervals
ENDING = "-spread"  # of the names of its files, behind the denoiser's


class ErrorSpread(nn.Module):
    """Noisy and restored images (N, 2, H, W) to the logarithm of the error's variance (N, 1, H, W).

    It sees 30 pixels around each one: convolutions with ever larger gaps.
    """

    multiple = FOLD

    def __init__(self):
        super().__init__()
        layers = []
        inside = 2 * FOLD**2
        for gap in (1, 2, 4):
            layers += [nn.Conv2d(inside, WIDTH, 3, padding=gap, dilation=gap), nn.ReLU()]
            inside = WIDTH
        self.layers = nn.Sequential(*layers, nn.Conv2d(WIDTH, FOLD**2, 1))

    def forward(self, x):
        y = F.pixel_shuffle(self.layers(F.pixel_unshuffle(x, FOLD)), FOLD)
        return y.clamp(-14, 2)  # from 1/1000 to more than the whole range of grey values


def is_there(kind):
    """Whether a denoiser has such a network."""
    return (denoise.MODELS / f"{kind}{ENDING}.safetensors").is_file()


def half_width(kind, image, restored, folder=denoise.MODELS):
    """Half the width of the 90 % interval around each restored pixel, float32 (H, W).

    `kind` is the network that restored the image (H, W); both are in [0, 1].
    """
    network, factor = load(kind, folder)
    pair = np.stack([image, restored]).astype(np.float32)
    height, width = image.shape
    sides = [(0, 0), (0, -height % FOLD), (0, -width % FOLD)]
    x = torch.from_numpy(np.pad(pair, sides, mode="edge"))[None]  # 1 2 H W
    with torch.inference_mode():
        variance = network(x)[0, 0, :height, :width].exp()
    return factor * variance.sqrt().numpy()


@cache
def load(kind, folder):
    network = ErrorSpread()
    network.load_state_dict(load_file(folder / f"{kind}{ENDING}.safetensors"))
    return network.eval(), json.loads((folder / f"{kind}{ENDING}.json").read_text())["factor"]
