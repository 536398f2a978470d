"""PSNR, SSIM, FSIM, DISTS, CNR, gCNR and defect recall; `Reference` scores many candidates against one image.

All take grey images in [0, 1]. PSNR, SSIM, FSIM and DISTS equal piq's values with ``downsample=False`` for SSIM and
``chromatic=False`` for FSIM; SSIM then equals scikit-image's with ``gaussian_weights=True, sigma=1.5,
use_sample_covariance=False``, the mean taken where the window fits.
"""

from functools import cached_property, lru_cache

import numpy as np
from numba import njit

from semlib.semnr import detect, inputs
from semlib.semnr import dists as _dists
from semlib.semnr import fsim as _fsim
from semlib.semnr.detect import cnr, gcnr, recall, regions
from semlib.workers import split

__all__ = [
    "SMALLEST",
    "Reference",
    "cnr",
    "dists",
    "fsim",
    "gcnr",
    "psnr",
    "recall",
    "regions",
    "ssim",
]

WINDOW, SIGMA = 11, 1.5  # of SSIM, pixels
C1, C2 = 0.01**2, 0.03**2
SMALLEST = _fsim.SMALLEST


def psnr(reference, image):
    """Peak signal-to-noise ratio -10 log10(mean squared error + 1e-8) in dB; equal images have 80 dB.

    Parameters
    ----------
    reference, image : float array (H, W) or (N, H, W), in [0, 1]

    Returns
    -------
    float or float array (N,)
    """
    return _pairs(reference, image, 1, lambda a, b: _psnr(a, b))


def ssim(reference, image):
    """Structural similarity (Wang et al. 2004), Gaussian window of 11 pixels; 1 for equal images, at least -1.

    Parameters and result as in `psnr`; 11 pixels a side at least.
    """
    return _pairs(reference, image, WINDOW, lambda a, b: _ssim(_moments(a), _moments(b)))


def fsim(reference, image):
    """Feature similarity, see `semlib.semnr.fsim`; 1 for equal images. As `psnr`; 32 pixels a side at least."""
    return _pairs(
        reference, image, SMALLEST, lambda a, b: _fsim.compare(_fsim.features(a), _fsim.features(b))
    )


def dists(reference, image):
    """DISTS distance, see `semlib.semnr.dists`; 0 for equal images. As `psnr`; 32 pixels a side at least.

    Raises
    ------
    semlib.weights.WeightsError
        If VGG16 or the DISTS coefficients cannot be had.
    """
    return _pairs(
        reference, image, SMALLEST, lambda a, b: _dists.distances(_dists.Features(a), [b])[0]
    )


class Reference:
    """A reference image whose part of every metric is computed once.

    Parameters
    ----------
    image : float array (H, W), in [0, 1]
        The truth, 32 pixels a side at least.
    mask : bool array (H, W), optional
        The defect. Without it, and without `signal` and `background`, CNR, gCNR and recall are NaN.
    signal, background : bool array (H, W), optional
        Regions of CNR and gCNR; by default those of `regions(mask)`.
    golden : float array (H, W), optional
        The same field without the defect, for `recall`.

    Raises
    ------
    ValueError
        If an image or a mask is not as required.
    """

    def __init__(self, image, *, mask=None, signal=None, background=None, golden=None):
        (self.image,) = inputs.images(image, smallest=SMALLEST, names=("reference",))
        if self.image.ndim != 2:
            raise ValueError(
                f"reference has shape {self.image.shape}: one image (height, width) at a time"
            )
        self.mask = None if mask is None else inputs.mask(mask, self.image.shape)
        if (signal is None) != (background is None):
            raise ValueError("signal and background belong together: give both or none")
        if signal is None and self.mask is not None:
            signal, background = detect.regions(self.mask)
        self.signal, self.background, self.golden = signal, background, golden

    def scores(self, image):
        """Metrics of a candidate (H, W): psnr (dB), ssim, fsim, dists (distance), cnr, gcnr, recall; NaN if unknown."""
        return self.all_scores([image])[0]

    def all_scores(self, images):
        """As `scores` for several candidates, a list of dict; quicker than one by one."""
        images = [inputs.images(self.image, image)[1] for image in images]
        distances = (
            [np.nan] * len(images) if self.without_dists else _dists.distances(self._dists, images)
        )
        return [
            self._scores(image) | {"dists": distance}
            for image, distance in zip(images, distances, strict=True)
        ]

    def _scores(self, image):
        seen = self.signal is not None
        return {
            "psnr": _psnr(self.image, image),
            "ssim": _ssim(self._moments, _moments(image)),
            "fsim": _fsim.compare(self._fsim, _fsim.features(image)),
            "dists": np.nan,
            "cnr": detect.cnr(image, self.signal, self.background) if seen else np.nan,
            "gcnr": detect.gcnr(image, self.signal, self.background) if seen else np.nan,
            "recall": np.nan
            if self.mask is None
            else detect.recall(image, self.mask, golden=self.golden),
        }

    @property
    def without_dists(self):
        """Why there is no DISTS, or None."""
        return _dists.unavailable()

    @cached_property
    def _moments(self):
        return _moments(self.image)

    @cached_property
    def _fsim(self):
        return _fsim.features(self.image)

    @cached_property
    def _dists(self):
        return _dists.Features(self.image)


def _pairs(reference, image, smallest, score):
    reference, image = inputs.images(reference, image, smallest=smallest)
    if image.ndim == 2:
        return score(reference, image)
    return np.array([score(a, b) for a, b in zip(reference, image, strict=True)])


def _psnr(reference, image):
    error = np.square(reference - image).mean(dtype=np.float64)
    return float(-10 * np.log10(error + 1e-8))


def _moments(image):
    """Image, local mean and local variance, as SSIM needs them of one image."""
    mean = _smooth(image, np.ones_like(image))
    return image, mean, _smooth(image, image) - mean * mean


def _ssim(reference, image):
    (a, mean_a, var_a), (b, mean_b, var_b) = reference, image
    both = mean_a * mean_b
    structure = (2 * (_smooth(a, b) - both) + C2) / (var_a + var_b + C2)
    return float(
        ((2 * both + C1) / (mean_a**2 + mean_b**2 + C1) * structure).mean(dtype=np.float64)
    )


def _smooth(a, b):
    """Gaussian window of a * b where it fits whole: (H, W) becomes (H - 10, W - 10)."""
    height, width = (side - WINDOW + 1 for side in a.shape)
    found = np.empty((height, width), np.float32)
    split(_smooth_rows, height, a, b, _window(), found)
    return found


@njit(nogil=True, fastmath=True, cache=True)
def _smooth_rows(start, stop, a, b, window, found):
    column = np.empty(a.shape[1], np.float32)
    for row in range(start, stop):
        column[:] = 0
        for k in range(WINDOW):
            for j in range(len(column)):
                column[j] += window[k] * a[row + k, j] * b[row + k, j]
        for j in range(found.shape[1]):
            total = np.float32(0)
            for k in range(WINDOW):
                total += window[k] * column[j + k]
            found[row, j] = total


@lru_cache(maxsize=1)
def _window():
    x = np.arange(WINDOW) - (WINDOW - 1) / 2
    kernel = np.exp(-(x**2) / (2 * SIGMA**2))
    return (kernel / kernel.sum()).astype(np.float32)
