"""Numbers that each answer one question about a restored image and hardly see the noise that is left in it.

Noise that is independent of the truth averages out of a projection ``<a, b> / <b, b>``, so these need no noisy image to
compare with, unlike the article's rules.
"""

import numpy as np
from scipy import ndimage

from semlib.semnr import inputs

EDGE_SHARE = 0.1  # of all pixels, those with the steepest gradient


def gains(reference, image, *, mask=None, golden=None):
    """How much of the truth's edges, contrast, quiet and defect a restored image has.

    Parameters
    ----------
    reference, image : float array (H, W), in [0, 1]
    mask : bool array (H, W), optional
    golden : float array (H, W), optional
        The field without the defect; `mask` and `golden` are needed for the defect's gain.

    Returns
    -------
    dict
        edge: gradient along the truth's edges, 1 kept, below 1 blurred, above 1 over-sharpened.
        contrast: large-scale contrast (4 px), 1 kept.
        invention: standard deviation of the smoothed (1.5 px) error away from edges, in grey values, 0 ideal.
        outlier: largest smoothed error outside the defect, in units of its robust standard deviation; about 4 to 5
        for noise.
        defect: the defect's difference to the golden image, 1 kept, 0 erased; NaN without a mask.
    """
    reference, image = inputs.images(reference, image)
    slope, steep = _gradient(reference), _edges(reference)
    coarse = ndimage.gaussian_filter(reference, 4)
    coarse -= coarse.mean()
    error = ndimage.gaussian_filter(image - reference, 1.5)
    quiet = ~ndimage.binary_dilation(steep, iterations=3)
    if mask is not None:
        quiet &= ~ndimage.binary_dilation(mask, iterations=4)
    quiet = quiet if quiet.any() else ~steep
    elsewhere = error if mask is None else error[~ndimage.binary_dilation(mask, iterations=4)]
    return {
        "edge": _gain(_gradient(image)[:, steep], slope[:, steep]),
        "contrast": _gain(ndimage.gaussian_filter(image, 4), coarse),
        "invention": float(error[quiet].std()),
        "outlier": float(
            np.abs(elsewhere).max() / max(1.4826 * np.median(np.abs(elsewhere)), 1e-6)
        ),
        "defect": np.nan
        if mask is None or golden is None
        else _defect(reference, image, mask, golden),
    }


def _defect(reference, image, mask, golden):
    near = ndimage.binary_dilation(mask, iterations=2)
    return _gain((image - golden)[near], (reference - golden)[near])


def _gain(values, truth):
    """Least-squares factor of the truth in the values."""
    return float(np.vdot(values, truth) / max(np.vdot(truth, truth), 1e-12))


def _gradient(image):
    return np.stack([ndimage.gaussian_filter(image, 1, order) for order in ((0, 1), (1, 0))])


def _edges(reference):
    steepness = np.hypot(*_gradient(reference))
    return steepness >= np.quantile(steepness, 1 - EDGE_SHARE)
