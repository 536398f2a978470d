"""How far a restored image may be from the truth, pixel by pixel: where it is a guess.

A small network sees the noisy and the restored image and gives the quantile of the error that nine
of ten pixels stay below; a factor from held-out images makes that true on average (conformalised
quantile regression, arXiv 1905.03222).
"""

import json
import math
from functools import cache

import numpy as np
import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional as F

from semlib.semnr import denoise
from semlib.semnr.gated import FOLD
from semlib.unet import UNet

COVERAGE = 0.9  # of the intervals
ENDING = "-spread"  # of the names of its files, behind the denoiser's
MULTIPLE = FOLD * UNet.multiple  # pixels a side


class ErrorSpread(nn.Module):
    """Noisy and restored images (N, 2, H, W) to the logarithm of a half width (N, 1, H, W)."""

    def __init__(self):
        super().__init__()
        self.network = UNet(inside=2 * FOLD**2, outside=FOLD**2)
        nn.init.constant_(self.network.last.bias, math.log(0.05))  # a usual half width

    def forward(self, x):
        y = F.pixel_shuffle(self.network(F.pixel_unshuffle(x, FOLD)), FOLD)
        return y.clamp(-7, 0)  # from 1/1000 to the whole range of grey values


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
    sides = [(0, 0), (0, -height % MULTIPLE), (0, -width % MULTIPLE)]
    x = torch.from_numpy(np.pad(pair, sides, mode="edge"))[None]  # 1 2 H W
    with torch.inference_mode():
        return factor * network(x)[0, 0, :height, :width].exp().numpy()


@cache
def load(kind, folder):
    network = ErrorSpread()
    network.load_state_dict(load_file(folder / f"{kind}{ENDING}.safetensors"))
    return network.eval(), json.loads((folder / f"{kind}{ENDING}.json").read_text())["factor"]
