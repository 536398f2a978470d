"""Can the defect still be seen? CNR, gCNR and the recall of a plain detector at a fixed false-positive rate."""

import numpy as np
from scipy import ndimage

from semlib.semnr import inputs

GUARD, WIDTH = 3, 12  # pixels
FPR = 0.01


def regions(mask, *, guard=GUARD, width=WIDTH):
    """Signal and background of a defect mask: the mask, and a ring around it behind a guard band.

    Parameters
    ----------
    mask : bool array (H, W)
    guard : int
        Pixels between defect and background, which belong to neither: edges, blur and halo.
    width : int
        Width of the ring in pixels.

    Returns
    -------
    tuple of bool array (H, W)

    Raises
    ------
    ValueError
        If the mask is empty, covers everything, or leaves no background behind the guard band.
    """
    mask = inputs.mask(mask, np.shape(mask))
    distance = ndimage.distance_transform_edt(~mask)
    background = (distance > guard) & (distance <= guard + width)
    if not background.any():
        raise ValueError(
            f"mask covers {mask.mean():.0%} of the image: no background behind a guard of {guard} px"
        )
    return mask, background


def cnr(image, signal, background):
    """Contrast-to-noise ratio ``|mu_s - mu_b| / sigma_b``, 0 to infinity.

    Smoothing and compression of the dynamic range inflate it (doi 10.1109/TUFFC.2019.2956855): see `gcnr`.

    Parameters
    ----------
    image : float array (H, W) or (N, H, W), in [0, 1]
    signal, background : bool array (H, W)

    Returns
    -------
    float or float array (N,)
        Infinite if the background is constant and the signal differs; 0 if both are alike.
    """
    return _each(image, signal, background, _cnr)


def gcnr(image, signal, background, *, bins=None):
    """Generalised CNR: 1 - overlap of the two histograms, 0 (no detector can) to 1 (a threshold suffices).

    Unchanged by any monotonic mapping of the grey values up to the binning, so neither gain nor contrast help.

    Parameters
    ----------
    image : float array (H, W) or (N, H, W), in [0, 1]
    signal, background : bool array (H, W)
    bins : int, optional
        Bins of equal width from the least to the largest value; by default the root of the size of the smaller region,
        at least 8 and at most 256, since many bins for few pixels fake a separation.

    Returns
    -------
    float or float array (N,)
    """
    return _each(image, signal, background, lambda inside, around: _gcnr(inside, around, bins))


def recall(image, mask, *, golden=None, fpr=FPR, guard=GUARD):
    """Share of the defect's pixels that a plain detector finds when it raises false alarms at a fixed rate.

    The detector's score is the smoothed absolute difference (Gaussian, 1 px) to a `golden` image without the defect, as
    in die-to-database inspection, or without one to the local mean (Gaussian, 8 px). Its threshold is the 1 - fpr
    quantile of the score outside the mask and its guard band.

    Parameters
    ----------
    image : float array (H, W) or (N, H, W), in [0, 1]
    mask : bool array (H, W)
    golden : float array (H, W), optional
    fpr : float
        Rate of false positives, between 0 and 1.
    guard : int
        Pixels around the mask that count neither way.

    Returns
    -------
    float or float array (N,)
        0 to 1.
    """
    if not 0 < fpr < 1:
        raise ValueError(f"fpr={fpr}: the rate of false positives lies between 0 and 1")
    (image,) = inputs.images(image, names=("image",))
    mask = inputs.mask(mask, image.shape[-2:])
    outside = ndimage.distance_transform_edt(~mask) > guard
    if not outside.any():
        raise ValueError(
            f"mask covers {mask.mean():.0%} of the image: no background behind a guard of {guard} px"
        )
    if image.ndim == 3:
        return np.array([_recall(one, mask, outside, golden, fpr) for one in image])
    return _recall(image, mask, outside, golden, fpr)


def _recall(image, mask, outside, golden, fpr):
    normal = ndimage.gaussian_filter(image, 8) if golden is None else golden
    score = np.abs(ndimage.gaussian_filter(image - normal, 1))
    threshold = np.quantile(score[outside], 1 - fpr)
    return float((score[mask] > max(threshold, 1e-6)).mean())


def _each(image, signal, background, score):
    (image,) = inputs.images(image, names=("image",))
    signal = inputs.mask(signal, image.shape[-2:], "signal")
    background = inputs.mask(background, image.shape[-2:], "background")
    if (signal & background).any():
        raise ValueError(
            f"signal and background share {int((signal & background).sum())} pixels: they must not overlap"
        )
    if image.ndim == 3:
        return np.array([score(one[signal], one[background]) for one in image])
    return score(image[signal], image[background])


def _cnr(inside, around):
    difference = abs(float(inside.mean(dtype=np.float64)) - float(around.mean(dtype=np.float64)))
    spread = float(around.std(dtype=np.float64))
    if spread < 1e-9:
        return 0.0 if difference < 1e-9 else float("inf")
    return difference / spread


def _gcnr(inside, around, bins):
    bins = bins or int(np.clip(np.sqrt(min(inside.size, around.size)), 8, 256))
    low, high = min(inside.min(), around.min()), max(inside.max(), around.max())
    if low == high:
        return 0.0
    shares = [
        np.histogram(values, bins, (low, high))[0] / values.size for values in (inside, around)
    ]
    return float(1 - np.minimum(*shares).sum())
