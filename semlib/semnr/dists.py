"""DISTS: structure and texture in VGG16 features (Ding et al., IEEE TPAMI 44, 2567, 2022; arXiv 2004.07728).

``D = 1 - sum_ij (alpha_ij l(x_ij, y_ij) + beta_ij s(x_ij, y_ij))`` over the image and five stages i with
channels j, where l compares the means and s the variances and covariance of a channel. D is a distance: 0 for
equal images.
"""

from functools import lru_cache

import numpy as np
import torch
from torch.nn import functional as F

from semlib import vgg, weights

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


@torch.inference_mode()
def features(image):
    """VGG16 features of one image, with their means and variances.

    Parameters
    ----------
    image : float32 array (H, W), grey in [0, 1], or (H, W, 3)
        Brought to 256 pixels on its shorter side if that is longer, as the authors do.

    Returns
    -------
    list of (maps less their mean (pixels, C), mean (C,), variance (C,))
        Six entries: the image itself and five stages.
    """
    x = torch.from_numpy(np.ascontiguousarray(image))
    x = x[None, None] if x.ndim == 2 else x.permute(2, 0, 1)[None]
    if min(x.shape[-2:]) > 256:
        x = F.interpolate(x, scale_factor=256 / min(x.shape[-2:]), recompute_scale_factor=False, mode="bilinear")
    maps = [x.expand(1, 3, -1, -1)[0].permute(1, 2, 0), *vgg.stages(x, pool=_l2_pool)]
    return [_statistics(stage.reshape(-1, stage.shape[2])) for stage in maps]


@torch.inference_mode()
def compare(reference, image):
    """DISTS of two results of `features`, 0 (equal) to about 1."""
    similarity = 0.0
    alphas, betas = _coefficients()
    for (x, x_mean, x_var), (y, y_mean, y_var), alpha, beta in zip(reference, image, alphas, betas, strict=True):
        covariance = (x * y).mean(0)
        structure = (2 * x_mean * y_mean + EPS) / (x_mean**2 + y_mean**2 + EPS)
        texture = (2 * covariance + EPS) / (x_var + y_var + EPS)
        similarity += float((alpha * structure).sum() + (beta * texture).sum())
    return max(0.0, 1 - similarity)


def _statistics(maps):
    mean = maps.mean(0)
    centred = maps - mean
    return centred, mean, centred.square().mean(0)


def _l2_pool(y):
    """Square root of the Hann-weighted mean square, 3 x 3, every second pixel, (H, W, C); separable."""
    y = F.pad(y.square(), (0, 0, 1, 1, 1, 1))
    height, width, _ = y.shape
    rows = y[: height - 2 : 2] + y[2:height:2]
    rows.add_(y[1 : height - 1 : 2], alpha=2)
    both = rows[:, : width - 2 : 2] + rows[:, 2:width:2]
    return both.add_(rows[:, 1 : width - 1 : 2], alpha=2).div_(16).add_(1e-12).sqrt_()


@lru_cache(maxsize=1)
def _coefficients():
    """alpha and beta by stage, normalised to a sum of one."""
    both = {name: torch.from_numpy(values).flatten() for name, values in weights.load("dists").items()}
    total = both["alpha"].sum() + both["beta"].sum()
    return [(both[name] / total).split(CHANNELS) for name in ("alpha", "beta")]
