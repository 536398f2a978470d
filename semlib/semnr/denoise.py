"""Denoisers with one interface: a grey image in [0, 1] in, a grey image in [0, 1] out."""

import importlib.util
import json
from functools import cache, partial
from pathlib import Path
from threading import Lock

import numpy as np
import torch
from safetensors.torch import load_file
from scipy import ndimage
from skimage import restoration

from semlib.semnr.gated import GatedUNet
from semlib.semnr.metrics import check_image

MODELS = Path(__file__).parent / "models"  # networks trained by `python -m training.denoisers`
BORDER = 24  # pixels mirrored around an image before a network sees it
SMALLEST = 16  # pixels a side
BM3D_ALONE = Lock()  # the package crashes where two threads call it


def denoise(name, image, **settings):
    """Denoise one image (H, W) in [0, 1] with one of `names()`; float32 (H, W) in [0, 1].

    "BM3D" needs the package bm3d (free for non-commercial use only).
    `settings` are other values for a classical denoiser's own parameters, see `calibrate`.
    """
    classical = filters()
    if name not in classical | LEARNED:
        raise ValueError(f"unknown denoiser {name!r}: use one of {', '.join(names())}")
    image = check_image(image, smallest=SMALLEST)
    function = classical.get(name) or partial(restore, network(LEARNED[name]))
    return np.clip(function(image, **settings), 0, 1).astype(np.float32)


def names():
    """All denoisers, from doing nothing to the learned ones; BM3D where it is installed."""
    optional = ["BM3D"] if importlib.util.find_spec("bm3d") else []
    return [*CLASSICAL, *optional, *LEARNED]


def filters():
    """The classical denoisers by name, BM3D included."""
    return CLASSICAL | {"BM3D": _bm3d}


def load(kind, folder=MODELS):
    """The network of a kind ("mse", "semnr", "n2n") as it was trained, in evaluation mode.

    ``<kind>.json`` beside the weights says how it is built, "network".
    """
    settings = json.loads((Path(folder) / f"{kind}.json").read_text())
    network = GatedUNet(**settings["network"])
    network.load_state_dict(load_file(Path(folder) / f"{kind}.safetensors"))  # float16 to float32
    # pixel by pixel in memory, all channels together: half the time on a CPU
    return network.eval().to(memory_format=torch.channels_last)


network = cache(load)  # the networks we ship are loaded once


def restore(network, image):
    """An image (H, W) as a network of `load` restores it, float32 (H, W), not clipped."""
    height, width = image.shape
    # sides become multiples of what the poolings need; the border keeps their padding away
    sides = [(BORDER, BORDER + -(side + 2 * BORDER) % network.multiple) for side in image.shape]
    x = torch.from_numpy(np.pad(image, sides, mode="reflect"))[None, None]  # 1 1 H W
    with torch.inference_mode():
        restored = network(x.to(next(network.parameters()).device))[0, 0].cpu()
    return restored.numpy()[BORDER : BORDER + height, BORDER : BORDER + width]


def _nl_means(image, *, strength=0.8, sigma=None, height=None):
    sigma = sigma or float(restoration.estimate_sigma(image))
    height = max(height or strength * sigma, 1e-6)  # 0 would divide by 0 on a constant image
    return restoration.denoise_nl_means(image, 5, 7, height, sigma=sigma)  # px: patch, reach


def _bm3d(image, *, sigma=None):
    try:
        import bm3d
    except ImportError as error:
        raise ValueError("BM3D needs the package bm3d: pip install bm3d") from error
    with BM3D_ALONE:
        return bm3d.bm3d(image, sigma or float(restoration.estimate_sigma(image)))


# without a bilateral filter: scikit-image's moved its results by up to 2 px (0.26)
CLASSICAL = {
    "identity": lambda image: image,
    "Gaussian": partial(ndimage.gaussian_filter, sigma=1.2),
    "median": partial(ndimage.median_filter, size=3),
    "NL means": _nl_means,
    "TV": partial(restoration.denoise_tv_chambolle, weight=0.1),
    "wavelet": partial(restoration.denoise_wavelet, wavelet="db2", wavelet_levels=3),
}
LEARNED = {"U-Net MSE": "mse", "SEMNR": "semnr", "Noise2Noise": "n2n"}
