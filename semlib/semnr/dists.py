"""DISTS: structure and texture in VGG16 features (Ding et al., IEEE TPAMI 44, 2567, 2022).

``D = 1 - sum_ij (alpha_ij l(x_ij, y_ij) + beta_ij s(x_ij, y_ij))`` over the image and five stages i
with channels j; l compares a channel's means, s its variances and covariance (arXiv 2004.07728).
"""

import numpy as np
import piq
import torch
from piq.functional import L2Pool2d
from torch import nn
from torch.nn import functional as F

from semlib import vgg, weights
from semlib.semnr.metrics import score_pairs

SMALLEST = 32  # pixels a side
LARGEST = 256  # pixels of the shorter side; larger images are scaled down, as the authors do


class Distance(piq.DISTS):
    """piq's DISTS on our VGG16 for one reference, (H, W) or (H, W, 3), with its features kept.

    With `quick` the convolutions are in `vgg.quick`: values differ by up to 4e-4.
    """

    def __init__(self, reference, *, quick=False):
        channels = (3, *vgg.CHANNELS)
        alpha, beta = (torch.from_numpy(weights.load("dists")[name]) for name in ("alpha", "beta"))
        parts = [*alpha.split(channels, dim=1), *beta.split(channels, dim=1)]
        # piq.DISTS would download its weights and all of VGG16 here, so its base is called instead
        super(piq.DISTS, self).__init__(
            nn.Identity(), layers=(), weights=parts, allow_layers_weights_mismatch=True
        )
        self.dtype = vgg.quick() if quick else torch.float32
        with torch.inference_mode():
            self.kept = self.get_features(_tensor(reference))

    def get_features(self, x):
        """The images themselves and the five stages, tensors (N, C, h, w)."""
        # Hann-weighted; a new one each time: it keeps the number of channels of its first call
        return [x, *vgg.stages(x, pool=lambda maps: L2Pool2d()(maps), dtype=self.dtype)]

    def forward(self, image):
        """DISTS of an image of the reference's shape: float, 0 (equal) to about 1."""
        return self.together([image])[0]

    @torch.inference_mode()
    def together(self, images):
        """DISTS of several images at once, which small ones like: list of float."""
        features = self.get_features(torch.cat([_tensor(image) for image in images]))
        pairs = zip(self.compute_distance(self.kept, features), self.weights, strict=True)
        alike = torch.cat([(term * weight.to(term)).mean((2, 3)) for term, weight in pairs], 1)
        # rounding would put equal images -1e-7 apart
        return (1 - alike.sum(1)).clamp(min=0).tolist()


def _tensor(image):
    """An image as float32 tensor (1, 3, h, w), on a GPU where there is one."""
    x = torch.from_numpy(np.ascontiguousarray(image))
    x = x.expand(3, -1, -1) if x.ndim == 2 else x.permute(2, 0, 1)
    x = x[None].to("cuda" if torch.cuda.is_available() else "cpu")
    scale = LARGEST / min(x.shape[2:])
    if scale >= 1:
        return x
    return F.interpolate(x, scale_factor=scale, recompute_scale_factor=False, mode="bilinear")


def dists(reference, image):
    """DISTS distance, 0 for equal images; `semlib.weights.WeightsError` if there are no weights."""
    return score_pairs(reference, image, SMALLEST, lambda a, b: Distance(a)(b))


def unavailable():
    """Why DISTS cannot be computed here, or None if it can."""
    try:
        for name in ("vgg16", "dists"):
            weights.load(name)
    except weights.WeightsError as error:
        return str(error)
    return None
