"""DISTS: structure and texture in VGG16 features (Ding et al., IEEE TPAMI 44, 2567, 2022; arXiv 2004.07728).

``D = 1 - sum_ij (alpha_ij l(x_ij, y_ij) + beta_ij s(x_ij, y_ij))`` over the image and five stages i with
channels j, where l compares the means and s the variances and covariance of a channel. D is a distance: 0 for
equal images.
"""

from functools import lru_cache

import numpy as np
import torch
from numba import njit
from torch.nn import functional as F

from semlib import vgg, weights
from semlib.workers import split

SMALLEST = 32
CHANNELS = (3, *vgg.CHANNELS)
EPS = 1e-6


def unavailable():
    """Why DISTS cannot be computed here, or None if it can."""
    try:
        weights.load("vgg16")
        weights.load("dists")
    except weights.WeightsError as error:
        return str(error)
    return None


class Features:
    """VGG16 features of one image, computed together with those of the first images that are compared to it.

    Parameters
    ----------
    image : float32 array (H, W), grey in [0, 1], or (H, W, 3)
        Brought to 256 pixels on its shorter side if that is longer, as the authors do.

    Attributes
    ----------
    stages : list of (maps float32 (H, W, C), mean float32 (C,), variance float64 (C,))
        Six entries: the image itself, with one channel if it is grey, and five stages; empty at first.
    """

    def __init__(self, image):
        self.image, self.stages = image, []


@torch.inference_mode()
def distances(reference, images):
    """DISTS of images from a reference, 0 (equal) to about 1.

    Parameters
    ----------
    reference : Features
    images : sequence of float32 array (H, W) or (H, W, 3)
        Of the reference's size.

    Returns
    -------
    list of float
    """
    alike, (alphas, betas), known = np.zeros(len(images)), _coefficients(), list(reference.stages)
    new = [] if known else [reference.image]

    def visit(number, stage, maps):
        if number < len(new):
            known.append(_statistics(maps))
            return
        (x, x_mean, x_var), alpha, beta = known[stage + 1], alphas[stage + 1], betas[stage + 1]
        moved, square, product = _moments(maps, x, x_mean)
        y_mean, y_var = x_mean + moved, square - moved**2
        structure = (2 * x_mean * y_mean + EPS) / (x_mean**2 + y_mean**2 + EPS)
        texture = (2 * product + EPS) / (x_var + y_var + EPS)
        alike[number - len(new)] += (alpha * structure + beta * texture).sum()

    scaled = [_scaled(image) for image in (*new, *images)]
    for number, image in enumerate(scaled):
        visit(number, -1, image[0].permute(1, 2, 0).numpy())
    vgg.walk(scaled, visit, pool=_l2_pool)
    reference.stages = known
    return np.maximum(0, 1 - alike).tolist()


def _scaled(image):
    x = torch.from_numpy(np.ascontiguousarray(image))
    x = x[None, None] if x.ndim == 2 else x.permute(2, 0, 1)[None]
    if min(x.shape[-2:]) > 256:
        x = F.interpolate(
            x, scale_factor=256 / min(x.shape[-2:]), recompute_scale_factor=False, mode="bilinear"
        )
    return x


def _statistics(maps):
    mean = _moments(maps, maps, np.zeros(maps.shape[2], np.float32))[0].astype(np.float32)
    moved, square, _ = _moments(maps, maps, mean)
    return maps, mean, square - moved**2


def _moments(y, x, shift):
    """Means over the pixels, float64 (3, C), of y - shift, of its square and of its product with x - shift."""
    sums = np.zeros((len(y), 3, y.shape[2]), np.float32)
    split(_add_up, len(y), y, x, shift, sums)
    return sums.sum(0, dtype=np.float64) / (y.shape[0] * y.shape[1])


@njit(nogil=True, fastmath=True, cache=True)
def _add_up(start, stop, y, x, shift, sums):
    for row in range(start, stop):
        first, second, mixed = sums[row]
        for j in range(y.shape[1]):
            _add_pixel(y[row, j], x[row, j], shift, first, second, mixed)


@njit(nogil=True, fastmath=True, cache=True)
def _add_pixel(a, b, shift, first, second, mixed):
    for c in range(len(shift)):
        d = a[c] - shift[c]
        first[c] += d
        second[c] += d * d
        mixed[c] += d * (b[c] - shift[c])


def _l2_pool(y):
    """Square root of the Hann-weighted mean square, 3 x 3, every second pixel, (N, H, W, C)."""
    count, height, width, channels = y.shape
    pooled = np.empty((count, -(-height // 2), -(-width // 2), channels), np.float32)
    split(_pool_rows, count * pooled.shape[1], y, pooled)
    return pooled


@njit(nogil=True, fastmath=True, cache=True)
def _pool_rows(start, stop, y, pooled):
    _, height, width, channels = y.shape
    _, down, across, _ = pooled.shape
    for row in range(start, stop):
        image, top = row // down, row % down * 2
        for j in range(across):
            total = pooled[image, top // 2, j]
            total[:] = 1e-12
            for k in range(9):
                up, left = k // 3 - 1, k % 3 - 1
                if 0 <= top + up < height and 0 <= 2 * j + left < width:
                    weight = np.float32((2 - abs(up)) * (2 - abs(left)) / 16)
                    pixel = y[image, top + up, 2 * j + left]
                    for c in range(channels):
                        total[c] += weight * pixel[c] * pixel[c]
            for c in range(channels):
                total[c] = np.sqrt(total[c])


@lru_cache(maxsize=1)
def _coefficients():
    """alpha and beta by stage, normalised to a sum of one."""
    both = {name: values.ravel() for name, values in weights.load("dists").items()}
    total = both["alpha"].sum() + both["beta"].sum()
    ends = np.cumsum(CHANNELS)[:-1]
    return [np.split(both[name] / total, ends) for name in ("alpha", "beta")]
