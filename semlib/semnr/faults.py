"""Faults that make the metrics of a restored image worthless, however they come out.

The limits are our choice; tests/semnr/test_faults.py counts false alarms and misses.
"""

import numpy as np
from scipy import ndimage

from semlib.semnr import registration

BLANK = 0.05  # of the reference's contrast; honest restorers of faint scenes kept a fifth
INVERTED = 0.2  # correlation with the negative from which on an image is one
APART = 1.0  # pixels beside the reference; noise alone made up to 0.75
EXPLAINED = 0.2  # share of the difference that moving the image must remove


def faults(truth, image):
    """Name and a sentence of what is wrong: blank, inverted or shifted; a dict of one or none.

    Both float (H, W) in [0, 1]; noise is smoothed away (Gaussian, 2 px) before they are compared.
    """
    contrast = float(image.std() / max(truth.std(), 1e-6))
    if contrast < BLANK:
        return {"blank": f"it has {contrast:.1%} of the reference's contrast"}
    smooth, other = (ndimage.gaussian_filter(x, 2) for x in (truth, image))
    shift = registration.displacement(image, truth)
    there = _correlation(smooth, other)
    beside = ndimage.shift(other, -shift, order=1, cval=np.nan)
    common = np.isfinite(beside)  # what both show
    moved = _correlation(smooth[common], beside[common])
    if -there > max(moved, INVERTED):
        return {"inverted": f"its correlation with the reference is {there:.2f}"}
    if np.abs(shift).max() >= APART and 1 - moved < (1 - EXPLAINED) * (1 - there):
        down, right = (f"{abs(way):.1f} px" for way in shift)
        ways = ("up" if shift[0] < 0 else "down", "left" if shift[1] < 0 else "right")
        return {"shifted": f"it lies {down} {ways[0]} and {right} to the {ways[1]} of its place"}
    return {}


def _correlation(a, b):
    a, b = (x - x.mean() for x in (a, b))
    return float((a * b).sum() / max(np.sqrt((a * a).sum() * (b * b).sum()), 1e-12))
