"""Scores of the SEM-CLIP protocol: image and pixel AUROC, F1-max, AP, PRO, and classification.

For the pixel scores each defect pixel is ranked among the defect-free ones: every threshold at
which a curve can turn is a defect pixel's value. Image and class scores are scikit-learn's.
"""

import numpy as np
import pandas as pd
from scipy import ndimage
from sklearn.metrics import (
    balanced_accuracy_score,
    precision_recall_fscore_support,
    roc_auc_score,
    roc_curve,
)

SEGMENTATION = ("iAUROC", "pAUROC", "F1-max", "AP", "PRO")
DECISIONS = ("false alarms", "missed", "seconds")  # of `alarms`, and of training and testing
CLASSIFICATION = ("accuracy", "balanced accuracy", "precision", "recall", "F1")
PRO_LIMIT = 0.3  # largest false positive rate of PRO (Bergmann et al.)
STEPS = 2**20  # of the quick ranking
TOLERANCE = 1e-4  # error of the quick ranking above which values are sorted


def image_auroc(image_scores, is_defective):
    """Area under the ROC curve of scores (n,), higher is more anomalous (scikit-learn)."""
    image_scores, is_defective = _checked(image_scores, is_defective, "images")
    return float(roc_auc_score(is_defective, image_scores))


def alarms(image_scores, is_defective):
    """Shares of false alarms and of missed defects at a threshold that other images fixed.

    The images (n,) are halved, every other one of each kind; the threshold with the least sum of
    both shares on one half judges the other. Dict of "false alarms" and "missed", 0 to 1; NaN
    where there are less than two images of a kind.
    """
    image_scores, is_defective = _checked(image_scores, is_defective, "images")
    if min(is_defective.sum(), (~is_defective).sum()) < 2:
        return {"false alarms": np.nan, "missed": np.nan}
    half = pd.Series(is_defective).groupby(is_defective).cumcount().to_numpy() % 2
    alarm = np.zeros(len(image_scores), bool)
    for number in (0, 1):
        judged = half == number
        level = _threshold(image_scores[~judged], is_defective[~judged])
        alarm[judged] = image_scores[judged] >= level
    false, found = (float(alarm[kind].mean()) for kind in (~is_defective, is_defective))
    return {"false alarms": false, "missed": 1 - found}


def _threshold(image_scores, is_defective):
    """Between the scores where true minus false positive rate is highest and the one below."""
    false, true, values = roc_curve(is_defective, image_scores)
    best = values[np.argmax(true - false)]
    below = image_scores[image_scores < best]
    return (best + below.max()) / 2 if len(below) else best


def pixels(maps, masks):
    """Scores over all pixels of all images together: dict of pAUROC, F1-max, AP, PRO, 0 to 1.

    Takes maps (n, H, W), higher is more anomalous, and masks of the defects. AP is the sum of
    (R_n - R_(n-1)) P_n over thresholds. PRO (Bergmann et al., doi 10.1007/s11263-020-01400-4) is
    the mean over the defects (8-connected regions) of the part of each above a threshold,
    integrated over the false positive rate from 0 to 0.3, over 0.3.
    """
    maps, masks = _checked(maps, masks, "pixels")
    order, values, above, reached = _ranked(maps, masks)
    last = np.append(values[1:] != values[:-1], True)  # of the defect pixels with one value
    true = np.flatnonzero(last) + 1
    false = reached[last]
    count = len(values)
    free = masks.size - count
    rates = above / free, reached / free
    return {
        "pAUROC": _area(np.full(count, 1 / count), *rates, 1.0),
        "F1-max": float((2 * true / (true + false + count)).max()),
        "AP": float(np.sum(np.diff(true, prepend=0) * (true / (true + false))) / count),
        "PRO": _area(_region_shares(masks)[order], *rates, PRO_LIMIT),
    }


def _ranked(maps, masks):
    """Defect pixels from the largest value down: order, values, defect-free above, and not below.

    The values are counted in `STEPS` equal steps. Where pixels that share a step could change a
    score by more than `TOLERANCE`, they are sorted instead: exact and several times slower.
    """
    maps = maps.astype(np.result_type(maps, np.float32), copy=False)
    low = maps.min()
    high = maps.max()
    steps = ((maps - low) * ((STEPS - 1) / (high - low) if high > low else 0)).astype(np.int32)
    order = np.argsort(-steps[masks], kind="stable")
    bad = steps[masks][order]
    good = np.bincount(steps.ravel(), minlength=STEPS) - np.bincount(bad, minlength=STEPS)
    reached = np.cumsum(good[::-1])[::-1][bad]
    if np.mean(good[bad] / (reached + np.arange(1, len(bad) + 1))) <= TOLERANCE:
        return order, bad, reached - good[bad], reached
    order = np.argsort(-maps[masks], kind="stable")
    bad = maps[masks][order]
    good = np.sort(maps[~masks])
    return order, bad, *(len(good) - np.searchsorted(good, bad, side) for side in ("right", "left"))


def _region_shares(masks):
    """Weight of each defect pixel, 1 / (regions * size of its region); they sum to 1."""
    within_image = np.zeros((3, 3, 3), int)
    within_image[1] = 1  # neighbours in the same image, corners too
    regions, count = ndimage.label(masks, within_image)
    regions = regions[masks]
    return 1 / (count * np.bincount(regions)[regions])


def _area(shares, before, after, limit):
    """Area under the curve of found share against false positive rate up to `limit`, over it."""
    # a pixel is found while the rate goes from `before` (larger values) to `after` (equal ones);
    # ties count as a straight line, the trapezoid rule
    reach = np.minimum(after, limit)
    width = np.maximum(after - before, np.finfo(float).tiny)
    areas = limit - reach + np.maximum(reach - before, 0) ** 2 / (2 * width)
    return float(np.sum(shares * areas) / limit)


def classification(probabilities, labels):
    """The `CLASSIFICATION` scores of one test set, 0 to 1 (scikit-learn).

    The largest of the probabilities (n, C) names the class. Means are over the classes among
    `labels` (n,), so recall and balanced accuracy are the same. An unused class has precision 0.
    """
    predicted = np.asarray_chkfinite(probabilities).argmax(axis=1)
    balanced = balanced_accuracy_score(labels, predicted)
    look = {"labels": np.unique(labels), "average": "macro", "zero_division": 0}
    macro = precision_recall_fscore_support(labels, predicted, **look)[:3]
    values = [float(value) for value in ((predicted == labels).mean(), balanced, *macro)]
    return dict(zip(CLASSIFICATION, values, strict=True))


def _checked(values, truth, kind):
    values = np.asarray_chkfinite(values)
    truth = np.asarray(truth, bool)
    if truth.all() or not truth.any():
        which = "defective" if truth.all() else "defect-free"
        raise ValueError(f"all {truth.size} {kind} are {which}: AUROC needs both kinds")
    return values, truth
