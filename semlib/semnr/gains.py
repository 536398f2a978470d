"""Gains: each answers one question about a restored image and hardly sees the noise in it.

Noise that is independent of the truth averages out of a projection ``<a, b> / <b, b>``, so gains
need no noisy image to compare with, unlike the article's rules.
"""

from functools import lru_cache

import numpy as np
from scipy import ndimage

EDGE_SHARE = 0.1  # of all pixels, those with the steepest gradient
AWAY = 3  # pixels from steep edges in flat areas, one more from the defect


def gains(reference, image):
    """How much of a `trust.Reference` an image float32 (H, W) has; dict of float, our choice.

    - edge: gradient along the truth's edges, 1 kept, below 1 blurred, above 1 over-sharpened.
    - contrast: large-scale contrast (4 px), 1 kept.
    - invention: standard deviation of the smoothed (1.5 px) error away from edges, 0 ideal.
    - outlier: largest smoothed error elsewhere, in robust standard deviations, 4 to 5 for noise.
    - defect: its difference to the golden image, 1 kept, 0 erased, NaN without a mask.
    """
    slope, steep, coarse = _truth(reference)
    error = ndimage.gaussian_filter(image - reference.image, 1.5)
    away = np.ones(image.shape, bool)
    defect = np.nan
    if reference.mask is not None:
        away = ~ndimage.binary_dilation(reference.mask, iterations=AWAY + 1)
        defect = defect_gain(reference, image)
    size = np.abs(error[away])
    return {
        "edge": _gain(_gradient(image)[:, steep], slope),
        "contrast": _gain(ndimage.gaussian_filter(image, 4), coarse),
        "invention": float(error[flat_areas(reference)].std()),
        # 1.4826 median(|x|) is the standard deviation of Gaussian x, whatever the outliers
        "outlier": float(size.max() / max(1.4826 * np.median(size), 1e-6)),
        "defect": defect,
    }


@lru_cache(maxsize=8)  # one for each thread: all candidates of a reference ask for it
def _truth(reference):
    """Gradient along the steepest edges, these edges, and the large-scale contrast of the truth."""
    slope = _gradient(reference.image)
    steepness = np.hypot(*slope)
    steep = steepness >= np.quantile(steepness, 1 - EDGE_SHARE)
    coarse = ndimage.gaussian_filter(reference.image, 4)
    return slope[:, steep], steep, coarse - coarse.mean()


@lru_cache(maxsize=8)
def flat_areas(reference):
    """Pixels away from the steepest edges and from the defect, bool (H, W)."""
    _, steep, _ = _truth(reference)
    near = ndimage.binary_dilation(steep, iterations=AWAY)
    if reference.mask is not None:
        near |= ndimage.binary_dilation(reference.mask, iterations=AWAY + 1)
    return ~near if (~near).any() else ~steep


def defect_gain(reference, image):
    """Share of the defect's difference to the golden image that an image has."""
    near = ndimage.binary_dilation(reference.mask, iterations=2)
    return _gain((image - reference.golden)[near], (reference.image - reference.golden)[near])


def _gain(values, truth):
    """Least-squares factor of the truth in the values."""
    return float(np.vdot(values, truth) / max(np.vdot(truth, truth), 1e-12))


def _gradient(image):
    return np.stack([ndimage.gaussian_filter(image, 1, order) for order in ((0, 1), (1, 0))])
