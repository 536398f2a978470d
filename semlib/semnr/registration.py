"""Registration of two scans of one place: the stage drifts between them and while they run."""

from itertools import pairwise

import numpy as np
from scipy import ndimage
from skimage.registration import phase_cross_correlation

MARGIN = 8  # pixels cut off after registration
BANDS = 5  # of rows, for the drift within a scan
SMALLEST = 32  # rows in which a displacement can be told


def register(noisy, clean):
    """Move the clean image onto the noisy one, both float (H, W), and cut both to what they share.

    The slow scan drifts while it runs: after the shift of the whole image those of five bands of
    rows are measured, twice, and a straight line over the rows is fitted. A data bar at the bottom,
    where both are equal, is cut off first. Returns the noisy image and the clean one, moved and as
    it was, float32 (h, w), and the shift (down, right) of the first and the last row in pixels.
    """
    height = _above_data_bar(noisy, clean)
    noisy, clean = (image[:height] for image in (noisy, clean))
    drift = np.zeros((2, height))
    for count in (1, BANDS, BANDS):
        drift += _drift(noisy, _warp(clean, drift), count)
    margin = max(MARGIN, int(np.ceil(np.abs(drift).max())) + 1)
    inside = np.s_[margin:-margin, margin:-margin]
    cut = [np.ascontiguousarray(x[inside]) for x in (noisy, _warp(clean, drift), clean)]
    return *cut, drift[:, [0, -1]].T


def displacement(a, b):
    """How far image a lies below and to the right of image b, float (2,) in pixels; (H, W) both."""
    height = _above_data_bar(a, b)
    return _shift(a[:height], b[:height]) if height >= SMALLEST else np.zeros(2)


def _above_data_bar(a, b):
    # up to the last row of which half the pixels differ by more than 1 %
    differ = np.median(np.abs(a - b), axis=1) > 0.01
    return int(np.flatnonzero(differ)[-1]) + 1 if differ.any() else len(a)


def _drift(noisy, clean, count):
    """Shift (2, H) of each row: a constant for one band, a line through the shifts of several."""
    edges = np.linspace(0, len(noisy), count + 1).astype(int)
    centres = (edges[:-1] + edges[1:] - 1) / 2
    shifts = [_shift(noisy[start:stop], clean[start:stop]) for start, stop in pairwise(edges)]
    lines = np.polyfit(centres, shifts, min(count - 1, 1))
    return np.array([np.polyval(line, np.arange(len(noisy))) for line in lines.T])


def _warp(image, drift):
    rows, columns = np.indices(image.shape)
    places = (rows - drift[0][:, None], columns - drift[1][:, None])
    moved = ndimage.map_coordinates(image, places, order=3, mode="nearest")
    return np.clip(moved, 0, 1).astype(np.float32)


def _shift(a, b):
    # a band-pass keeps noise and shading out, the window the edges of the frame
    window = np.outer(*(np.hanning(side) for side in a.shape))
    bands = [ndimage.gaussian_filter(x, 2) - ndimage.gaussian_filter(x, 20) for x in (a, b)]
    a, b = (band * window for band in bands)
    return phase_cross_correlation(a, b, upsample_factor=20, normalization=None)[0]
