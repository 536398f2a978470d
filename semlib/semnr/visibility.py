"""Can the defect still be seen? The regions of CNR and gCNR, and the recall of a plain detector."""

import numpy as np
from scipy import ndimage

GUARD = 3  # pixels around a defect that count neither way: edges, blur and halo
WIDTH = 12  # pixels of the background's ring
FALSE_ALARMS = 0.01  # of the pixels outside
FOUND = 0.25  # recall from which on a defect counts as found; our choice


def regions(mask):
    """Signal and background of a defect: the mask (H, W), and a ring behind a guard band; bool."""
    distance = _distance(mask)
    return mask, (distance > GUARD) & (distance <= GUARD + WIDTH)


def recall(image, mask, golden):
    """Share of a defect's pixels that a plain detector finds at 1 % false alarms; our choice.

    Its score is the smoothed absolute difference (Gaussian, 1 px) to the `golden` image without the
    defect, as in die-to-database inspection; its threshold the 99 % quantile of the score outside
    the mask and its guard band. Images float (H, W) in [0, 1], mask bool (H, W).
    """
    score = np.abs(ndimage.gaussian_filter(image - golden, 1))
    threshold = np.quantile(score[_distance(mask) > GUARD], 1 - FALSE_ALARMS)
    # where image and golden are equal the quantile is 0: rounding must not count as a defect
    return float((score[mask] > max(threshold, 1e-6)).mean())


def around(mask, crop):
    """Window of `crop` pixels a side around a defect, moved to lie within the image."""
    limit = np.array(mask.shape) - crop
    if (limit < 0).any():
        raise ValueError(f"crop={crop}: the image has {min(mask.shape)} pixels a side")
    top, left = np.clip(np.rint(np.argwhere(mask).mean(0) - crop / 2), 0, limit).astype(int)
    return np.s_[top : top + crop, left : left + crop]


def _distance(mask):
    distance = ndimage.distance_transform_edt(~mask)  # of each pixel to the defect
    if distance.max() <= GUARD:
        share = f"mask covers {mask.mean():.0%} of the image"
        raise ValueError(f"{share}: no background behind a guard of {GUARD} px")
    return distance
