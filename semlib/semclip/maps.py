"""Similarity of patches and texts, redundant features, anomaly maps, and their way up to the image's size."""

import math
from functools import cache

import torch
import torch.nn.functional as F
from scipy.ndimage import gaussian_filter1d

TINY = 1e-12  # below it a probability counts as this


def distinct(texts):
    """Text features without what is common to all classes, L2-normalised.

    CLIP Surgery (arXiv 2304.05653) takes the element-wise products of an image feature x and the text features t_c
    and removes their mean over the classes, ``x * t_c - mean_k(x * t_k)``, before summing over channels. That sum is
    ``<x, t_c - mean_k t_k>``: removing the redundant features means centring the texts. It shifts all similarities of
    a patch alike, which a softmax over classes does not see; the normalisation of what is left (our choice) makes it
    count, as nearly equal texts no longer give nearly equal similarities. CLIP Surgery's class weights are left out.

    Parameters
    ----------
    texts : tensor (C, e)
        L2-normalised, C >= 2.

    Returns
    -------
    tensor (C, e)
    """
    return F.normalize(texts - texts.mean(0), dim=-1)


def similarity(tokens, transform, texts):
    """Cosine similarity of transformed patch tokens and text features, tensor (..., P, C).

    Parameters
    ----------
    tokens : tensor (..., P, d)
    transform : tensor (..., d, e)
        A Transformation Layer: the backbone's projection, or what training made of it.
    texts : tensor (C, e)
        L2-normalised.
    """
    features = tokens @ transform
    return features @ texts.T / features.norm(dim=-1, keepdim=True).clamp_min(1e-12)


def defect_logit(similarities, normal, temperature):
    """Log odds of "defect" against "defect-free" in each patch.

    The defect classes speak together, by the mean of their exponentials, so that their number makes no difference
    (our choice): ``log(mean_{c != n} exp(s_c / T)) - s_n / T`` for temperature T and defect-free class n.

    Parameters
    ----------
    similarities : tensor (..., C)
    normal : int
        The defect-free class.
    temperature : float

    Returns
    -------
    tensor (...)
    """
    scaled = similarities / temperature
    defects = torch.cat([scaled[..., :normal], scaled[..., normal + 1 :]], -1)
    return defects.logsumexp(-1) - math.log(defects.shape[-1]) - scaled[..., normal]


@cache
@torch.inference_mode(False)  # a cached matrix serves training, too
def enlarging(cells, pixels, blur):
    """Matrix (pixels, cells) that interpolates bilinearly and then blurs; its rows sum to 1.

    Parameters
    ----------
    cells, pixels : int
        Length before and after.
    blur : float
        Standard deviation of the Gaussian in cells.
    """
    eye = torch.eye(cells)[None, None]
    matrix = F.interpolate(eye, (pixels, cells), mode="bilinear", antialias=pixels < cells)[0, 0]
    if blur:
        matrix = torch.from_numpy(
            gaussian_filter1d(matrix.numpy(), blur * pixels / cells, axis=0, mode="nearest")
        )
    return matrix


def enlarge(maps, shape, blur=0.0):
    """Patch maps (..., h, w) at image size `shape`, bilinear, smoothed by `blur` patches; stays within its range."""
    rows, columns = (enlarging(a, b, blur) for a, b in zip(maps.shape[-2:], shape, strict=True))
    return rows @ maps @ columns.T


def reduce_masks(masks, shape):
    """Masks (N, H, W) as the covered part of each cell of a grid `shape`, float32 tensor (N, h, w)."""
    masks = torch.as_tensor(masks).float()
    return F.adaptive_avg_pool2d(masks[:, None], shape)[:, 0]


def focal_loss(maps, covered, weight=1.0, gamma=2.0):
    """Binary focal loss (arXiv 1708.02002, Eq. 5) with soft targets; weighted mean over all cells.

    Parameters
    ----------
    maps : tensor, 0 to 1
        Probability of a defect in each cell.
    covered : tensor of the same shape, 0 to 1
        Part of each cell that is defect.
    weight : float
        Of a cell within a defect, where one outside weighs 1.
    gamma : float
        How much less weight goes to what is right already.
    """
    weights = 1 + (weight - 1) * covered
    found, missed = (
        maps.clamp_min(TINY).log(),
        (1 - maps).clamp_min(TINY).log(),
    )  # five times as fast as torch's own
    losses = (maps - covered).abs() ** gamma * torch.lerp(missed, found, covered)
    return -(weights * losses).sum() / weights.sum()


def dice_loss(maps, covered, smooth=1.0):
    """1 - Dice of all cells together: pooled over the batch, images without a defect neither dominate nor collapse it.

    The loss of V-Net (arXiv 1606.04797) without squares; `smooth` keeps 0 / 0 away.
    """
    overlap = (maps * covered).sum()
    return 1 - (2 * overlap + smooth) / (maps.sum() + covered.sum() + smooth)
