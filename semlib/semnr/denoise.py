"""Denoisers with one interface: a grey image in [0, 1] in, a grey image in [0, 1] out."""

from functools import cache, partial

import numpy as np
from scipy import ndimage
from skimage import restoration

from semlib.semnr import inputs


def names():
    """All denoisers, from doing nothing to the learned ones."""
    return [*CLASSICAL, *LEARNED]


def denoise(name, image, **settings):
    """Denoise one image.

    Parameters
    ----------
    name : str
        One of `names()`, or "BM3D" if the package bm3d is installed (its licence is non-commercial).
    image : float array (H, W), in [0, 1]
    **settings
        Other values for a classical denoiser's own parameters, see `CLASSICAL` and `calibrate`.

    Returns
    -------
    float32 array (H, W), in [0, 1]

    Raises
    ------
    ValueError
        If the name or the image is not as required.
    FileNotFoundError
        If a learned denoiser was not trained.
    """
    (image,) = inputs.images(image, smallest=16, names=("image",))
    if image.ndim != 2:
        raise ValueError(f"image has shape {image.shape}: one image (height, width) at a time")
    if name in LEARNED:
        restored = _learned(LEARNED[name])(image)
    elif name in CLASSICAL or name == "BM3D":
        restored = (_bm3d if name == "BM3D" else CLASSICAL[name])(image, **settings)
    else:
        raise ValueError(f"unknown denoiser {name!r}: use one of {', '.join(names())}")
    return np.clip(restored, 0, 1).astype(np.float32)


def calibrate(name, image):
    """Best settings of a classical denoiser for one noisy image, without the truth.

    J-invariance (Batson and Royer, arXiv 1901.11365) as scikit-image offers it: each pixel is guessed from the others
    and compared with itself. It assumes noise that is independent from pixel to pixel; correlated scan noise makes it
    choose too weak a filter.

    Parameters
    ----------
    name : str
        One of `GRIDS`.
    image : float array (H, W), in [0, 1]

    Returns
    -------
    dict
        Settings for `denoise`.
    """
    if name not in GRIDS:
        raise ValueError(f"{name!r} has nothing to calibrate: use one of {', '.join(GRIDS)}")
    (image,) = inputs.images(image, smallest=16, names=("image",))
    function = CLASSICAL[name]
    settings = {key: list(values) for key, values in GRIDS[name].items()}
    invariant = restoration.calibrate_denoiser(image, function, settings, approximate_loss=True)
    return dict(invariant.keywords["denoiser_kwargs"])


def _gaussian(image, *, sigma=1.2):
    return ndimage.gaussian_filter(image, sigma)


def _median(image, *, size=3):
    return ndimage.median_filter(image, size)


def _bilateral(image, *, sigma_color=0.15, sigma_spatial=2.0):
    return restoration.denoise_bilateral(
        image, sigma_color=sigma_color, sigma_spatial=sigma_spatial
    )


def _nl_means(image, *, strength=0.8):
    sigma = float(restoration.estimate_sigma(image))
    options = {"patch_size": 5, "patch_distance": 7, "fast_mode": True}
    return restoration.denoise_nl_means(
        image, h=max(strength * sigma, 1e-6), sigma=sigma, **options
    )


def _tv(image, *, weight=0.1):
    return restoration.denoise_tv_chambolle(image, weight=weight)


def _wavelet(image, *, levels=3):
    return restoration.denoise_wavelet(
        image, wavelet="db2", method="BayesShrink", wavelet_levels=levels
    )


def _bm3d(image, *, sigma=None):
    try:
        import bm3d
    except ImportError as error:
        raise ValueError(
            "BM3D needs the package bm3d, which is free for non-commercial use only"
        ) from error
    return bm3d.bm3d(image, sigma or float(restoration.estimate_sigma(image)))


@cache
def _learned(kind):
    """The network of a kind, loaded once."""
    from semlib.semnr import unet

    return partial(unet.restore, unet.load(kind))


CLASSICAL = {
    "identity": lambda image: image, "Gaussian": _gaussian, "median": _median, "bilateral": _bilateral,
    "NL means": _nl_means, "TV": _tv, "wavelet": _wavelet,
}  # fmt: skip
LEARNED = {"U-Net MSE": "mse", "SEMNR": "semnr", "blind spot": "blind"}
GRIDS = {
    "Gaussian": {"sigma": (0.5, 0.8, 1.2, 1.8, 2.5)}, "median": {"size": (3, 5, 7)},
    "bilateral": {"sigma_color": (0.05, 0.15, 0.3)}, "NL means": {"strength": (0.5, 0.8, 1.2)},
    "TV": {"weight": (0.05, 0.1, 0.2, 0.3)}, "wavelet": {"levels": (2, 3, 4)},
}  # fmt: skip
