"""Registration of two scans of one place: the stage drifts between them and while they run."""

from itertools import pairwise

import numpy as np
from scipy import fft, ndimage
from skimage.filters import difference_of_gaussians
from skimage.registration import phase_cross_correlation

MARGIN = 8  # pixels cut off after registration
BANDS = 5  # of rows, for the drift within a scan


def register(noisy, clean):
    """Move the clean image onto the noisy one, both float (H, W), and cut both to what they share.

    The slow scan drifts while it runs: after the shift of the whole image those of five bands of
    rows are measured, twice, and a straight line over the rows is fitted. Both are without data
    bars. Returns the noisy image and the clean one, moved and as it was, float32 (h, w), and the
    shift (down, right) of the first and the last row in pixels.
    """
    drift = np.zeros((2, len(noisy)))
    for count in (1, BANDS, BANDS):
        drift += _drift(noisy, _warp(clean, drift), count)
    margin = max(MARGIN, int(np.ceil(np.abs(drift).max())) + 1)
    inside = np.s_[margin:-margin, margin:-margin]
    cut = [np.ascontiguousarray(x[inside]) for x in (noisy, _warp(clean, drift), clean)]
    return *cut, drift[:, [0, -1]].T


def displacement(a, b):
    """How far image a lies below and to the right of image b, float (2,) in pixels; (H, W) both."""
    bands = _bands(a, b)
    # The greatest product of the two, not its greatest size: half a period of lines is no inversion
    product = fft.irfft2(fft.rfft2(bands[0]) * fft.rfft2(bands[1]).conj(), a.shape)
    peak = np.array(np.unravel_index(product.argmax(), a.shape))
    whole = np.where(2 * peak > a.shape, peak - a.shape, peak)
    rest = _shift(a, ndimage.shift(b, whole, order=0, mode="nearest"))
    return whole + rest if np.abs(rest).max() < 2 else whole.astype(float)


def _drift(noisy, clean, count):
    """Shift (2, H) of each row: a constant for one band, a line through the shifts of several."""
    edges = np.linspace(0, len(noisy), count + 1).astype(int)
    shifts = [_shift(noisy[start:stop], clean[start:stop]) for start, stop in pairwise(edges)]
    lines = np.polyfit((edges[:-1] + edges[1:] - 1) / 2, shifts, min(count - 1, 1))
    return np.array([np.polyval(line, np.arange(len(noisy))) for line in lines.T])


def _warp(image, drift):
    rows, columns = np.indices(image.shape)
    places = (rows - drift[0][:, None], columns - drift[1][:, None])
    moved = ndimage.map_coordinates(image, places, order=3, mode="nearest")
    return np.clip(moved, 0, 1).astype(np.float32)


def _shift(a, b):
    if not (np.ptp(a) and np.ptp(b)):
        return np.zeros(2)  # nothing to compare
    return phase_cross_correlation(*_bands(a, b), upsample_factor=20, normalization=None)[0]


def _bands(a, b):
    # a band-pass keeps noise and shading out, the window the edges of the frame
    window = np.outer(*(np.hanning(side) for side in a.shape))
    return [difference_of_gaussians(x, 2, 20, mode="reflect") * window for x in (a, b)]
