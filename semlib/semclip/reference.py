"""Die to reference: an image against one of the same pattern without defects, as fabs compare.

Both are registered, brought to one grey scale and subtracted; what is left is divided by what two
good images differ by at edges as steep as here. All of it is our choice, made on simulated pairs.
"""

import numpy as np
from scipy import ndimage
from skimage.registration import optical_flow_ilk, phase_cross_correlation
from skimage.transform import warp

SMOOTH = 1.0  # pixels, standard deviation of a Gaussian over both images: less noise
DEFECT = 2.0  # pixels, standard deviation of a Gaussian over the difference
FINE = 20  # parts of a pixel in which the shift of the whole image is found
RADIUS = 24  # pixels, half a window of the local shift: far wider than a defect
SLACK = 1  # pixels that an edge may lie off without being a difference
GROUPS = 12  # of pixels with edges alike
WIDE = 25.0  # pixels, standard deviation of what counts as uneven brightness
TRIMMED = 0.9  # share of the pixels that the grey scale is fitted to; a defect is among the others
DEVIATION = 1.4826  # standard deviation per median deviation, of a normal distribution
# deviations from which on a difference is a defect; of 40 simulated pairs without one 38 stay below
ALARM = 5.0


def compare(image, reference):
    """How much each pixel differs from the reference, in deviations: float32 (H, W), 0 or more.

    Takes uint8 images (H, W) of one pattern, off each other by a shift and slow distortion. What
    has no counterpart in the reference gets 0.
    """
    if image.shape != reference.shape:
        raise ValueError(f"the image has {image.shape} pixels, its reference {reference.shape}")
    image, reference = (
        ndimage.gaussian_filter(one.astype(np.float32), SMOOTH) for one in (image, reference)
    )
    moved, inside = registered(image, reference)
    moved = grey_matched(moved, image, inside)
    chance = _smoothed(image - moved, inside)
    # how far the image lies outside the grey levels of the reference within `SLACK` pixels
    low = ndimage.minimum_filter(moved, 2 * SLACK + 1)
    high = ndimage.maximum_filter(moved, 2 * SLACK + 1)
    difference = _smoothed(image - np.clip(image, low, high), inside)
    spread = _spread(chance, moved, inside)
    return np.where(inside, np.abs(difference) / spread, 0).astype(np.float32)


def registered(image, reference):
    """The reference moved onto the image, and where it covers it: float32 and bool (H, W).

    First the whole by phase correlation. A repeated pattern has many good shifts, so the ways to
    weigh the frequencies, and no shift, compete: the least remaining difference wins. Then locally,
    by optical flow in windows far wider than a defect.
    """
    shifts = [np.zeros(2)]
    window = np.outer(*(np.hanning(length) for length in image.shape))
    pair = [(one - one.mean()) * window for one in (image, reference)]
    for normalization in ("phase", None):
        look = {"upsample_factor": FINE, "normalization": normalization}
        shifts.append(phase_cross_correlation(*pair, **look)[0])
    grid = np.indices(image.shape, np.float32)
    tried = []
    for shift in shifts:
        places = grid - shift[:, None, None].astype(np.float32)
        moved, inside = _taken(reference, places)
        if inside.mean() > 0.5:
            matched = np.where(inside, grey_matched(moved, image, inside), image)
            tried.append((np.abs(image - matched)[inside].mean(), places, matched))
    _, places, matched = min(tried, key=lambda one: one[0])
    flow = optical_flow_ilk(image, matched, radius=RADIUS, num_warp=4, gaussian=True)
    return _taken(reference, places + flow.astype(np.float32))


def grey_matched(moved, image, inside):
    """`moved` on the grey scale of the image, by a line through most of the pixels inside."""
    x = moved[inside]
    y = image[inside]
    kept = np.ones(len(x), bool)
    for _ in range(5):  # least squares without the pixels that fit worst
        slope, offset = np.polyfit(x[kept], y[kept], 1)
        misfit = np.abs(slope * x + offset - y)
        kept = misfit <= np.quantile(misfit, TRIMMED)
    return (slope * moved + offset).astype(np.float32)


def _taken(reference, places):
    """The reference at places (2, H, W), and which of them lie in it."""
    last = np.array(reference.shape)[:, None, None] - 1
    inside = ((places >= 0) & (places <= last)).all(0)
    moved = warp(reference, places, order=3, mode="edge", preserve_range=True)
    return moved.astype(np.float32), inside


def _smoothed(difference, inside):
    """The difference without slow changes, which are uneven brightness, and with less noise."""
    limits = np.quantile(difference[inside], [0.02, 0.98])  # a large defect must not pull
    weight = ndimage.gaussian_filter(inside.astype(np.float32), WIDE)
    kept = np.where(inside, difference.clip(*limits), 0)
    slow = ndimage.gaussian_filter(kept, WIDE) / np.maximum(weight, 1e-3)
    return ndimage.gaussian_filter(np.where(inside, difference - slow, 0), DEFECT)


def _spread(difference, moved, inside):
    """What the difference is by chance at each pixel, from pixels with edges alike, (H, W)."""
    edges = ndimage.maximum_filter(ndimage.gaussian_gradient_magnitude(moved, DEFECT), 5)
    limits = np.quantile(edges[inside], np.linspace(0, 1, GROUPS + 1))
    group = np.searchsorted(limits[1:-1], edges)
    deviations = []
    for number in range(GROUPS):
        some = difference[inside & (group == number)]
        deviations.append(DEVIATION * np.median(np.abs(some)) if len(some) else np.inf)
    middle = (limits[1:] + limits[:-1]) / 2
    floor = 0.25 * np.median(deviations) + 1e-3  # two equal images differ nowhere
    return np.interp(edges, middle, np.maximum(deviations, floor)).astype(np.float32)
