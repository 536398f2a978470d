"""Registration of two scans of one place: the stage drifts between them and while they run."""

import numpy as np
from scipy import ndimage
from skimage.registration import phase_cross_correlation

MARGIN = 8  # pixels cut off after registration
BANDS = 5  # of rows, for the drift within a scan
SMALLEST = 32  # rows in which a displacement can be told


def register(noisy, clean):
    """Move the clean image onto the noisy one and cut both to what they share.

    The slow scan drifts while it runs: after the shift of the whole image those of five horizontal bands are measured
    (sub-pixel phase correlation), twice, and a straight line over the rows is fitted to them; cubic interpolation. A
    data bar at the bottom, where both images are equal, is cut off first, since it would pin every shift to zero.

    Parameters
    ----------
    noisy, clean : float array (H, W), in [0, 1]

    Returns
    -------
    tuple
        Noisy, moved clean and unmoved clean image without a margin, and the shift (top to bottom, (2, 2), px).
    """
    height = _above_data_bar(noisy, clean)
    noisy, clean = noisy[:height], clean[:height]
    drift = np.zeros((2, height))
    for count in (1, BANDS, BANDS):
        drift += _drift(noisy, _warp(clean, drift), count)
    moved = _warp(clean, drift)
    margin = max(MARGIN, int(np.ceil(np.abs(drift).max())) + 1)
    inside = np.s_[margin:-margin, margin:-margin]
    return *(np.ascontiguousarray(image[inside]) for image in (noisy, moved, clean)), drift[
        :, [0, -1]
    ].T


def displacement(a, b):
    """How far image a lies below and to the right of image b, float (2,), in pixels; both float (H, W), of one size."""
    height = _above_data_bar(a, b)
    return _shift(a[:height], b[:height]) if height >= SMALLEST else np.zeros(2)


def _above_data_bar(noisy, clean):
    """Number of rows above a data bar: the last row of which more than half the pixels differ by 1 % or more."""
    differ = np.median(np.abs(noisy - clean), axis=1) > 0.01
    return int(np.flatnonzero(differ)[-1]) + 1 if differ.any() else len(noisy)


def _drift(noisy, clean, count):
    """Shift (2, H) of each row, a constant for one band and a straight line through the shifts of several."""
    edges = np.linspace(0, len(noisy), count + 1).astype(int)
    bands = [slice(a, b) for a, b in zip(edges[:-1], edges[1:], strict=True)]
    centres = [(band.start + band.stop - 1) / 2 for band in bands]
    shifts = np.array([_shift(noisy[band], clean[band]) for band in bands])
    lines = [np.polyfit(centres, column, min(count - 1, 1)) for column in shifts.T]
    return np.array([np.polyval(line, np.arange(len(noisy))) for line in lines])


def _warp(image, drift):
    rows, columns = np.mgrid[: image.shape[0], : image.shape[1]].astype(float)
    moved = ndimage.map_coordinates(
        image, (rows - drift[0][:, None], columns - drift[1][:, None]), order=3, mode="nearest"
    )
    return np.clip(moved, 0, 1).astype(np.float32)


def _shift(noisy, clean):
    smooth = [
        ndimage.gaussian_filter(image, 2) - ndimage.gaussian_filter(image, 20)
        for image in (noisy, clean)
    ]
    window = np.outer(*(np.hanning(side) for side in noisy.shape))
    return phase_cross_correlation(
        *(image * window for image in smooth), upsample_factor=20, normalization=None
    )[0]
