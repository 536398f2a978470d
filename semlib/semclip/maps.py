"""From patch tokens and texts to anomaly maps: similarity, redundant features, odds, image size."""

import math
from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from scipy.ndimage import gaussian_filter1d

CHUNK = 8  # images whose tokens are in float32 at a time; few stay in the processor's cache


def distinct(texts):
    """Text features (C, e) without what is common to all classes, L2-normalised.

    CLIP Surgery (arXiv 2304.05653) multiplies an image feature x with each text feature t_c and
    removes the mean of these products over the classes before it sums over the channels:
    ``sum(x * t_c - mean_k(x * t_k)) = <x, t_c - mean_k t_k>``: it is enough to centre the texts.
    This shifts all similarities of a patch alike, which a softmax over classes does not see; the
    normalisation (our choice) makes it count. CLIP Surgery's class weights are left out.
    """
    return F.normalize(texts - texts.mean(0), dim=-1)


def similarity(tokens, transform, texts):
    """Cosine (..., P, C) of transformed tokens (..., P, d) and unit text features (C, e).

    `transform` (..., d, e): the backbone's projection, or a Transformation Layer.
    """
    features = tokens @ transform  # ... P e
    return features @ texts.T / features.norm(dim=-1, keepdim=True).clamp_min(1e-12)


def defect_logit(similarities, normal, temperature):
    """Log odds (...) of "defect" against class `normal` from similarities (..., C).

    ``log(mean_{c != normal} exp(s_c / T)) - s_normal / T``; by the mean (our choice) the number of
    defect classes makes no difference.
    """
    scaled = similarities / temperature
    defects = torch.cat([scaled[..., :normal], scaled[..., normal + 1 :]], -1)
    return defects.logsumexp(-1) - math.log(defects.shape[-1]) - scaled[..., normal]


@torch.inference_mode()
def anomaly(tokens, layers, *, texts, normal, temperature):
    """Anomaly of each patch, A = (A_F + A_V) / 2, tensor (N, P), halved to stay within 0 and 1.

    tokens : float16 (N, p, L, P, d) of p paths (original, V-V) and L levels; layers : (p, L, d, e)
    or (d, e), see `similarity`. The mean over paths and levels is taken.
    """
    parts = []
    for some in torch.from_numpy(tokens).split(CHUNK):
        some = some.float().permute(1, 2, 0, 3, 4)  # p L n P d
        similarities = similarity(some.flatten(2, 3), layers, texts)  # p L nP C
        odds = defect_logit(similarities, normal, temperature).sigmoid()  # p L nP
        parts.append(odds.mean((0, 1)).unflatten(0, some.shape[2:4]))  # n P
    return torch.cat(parts)


@cache
@torch.inference_mode(False)  # a cached matrix serves training, too
def enlarging(cells, pixels, blur):
    """Matrix (pixels, cells): bilinear, then blurred by `blur` cells; its rows sum to 1."""
    eye = torch.eye(cells)[None, None]
    matrix = F.interpolate(eye, (pixels, cells), mode="bilinear", antialias=pixels < cells)[0, 0]
    if blur:
        sigma = blur * pixels / cells
        matrix = torch.from_numpy(gaussian_filter1d(matrix.numpy(), sigma, axis=0, mode="nearest"))
    return matrix


def enlarge(maps, shape, blur=0.0):
    """Patch maps (..., h, w) at image size `shape`, bilinear, smoothed by `blur` patches."""
    down = enlarging(maps.shape[-2], shape[0], blur)
    across = enlarging(maps.shape[-1], shape[1], blur)
    return down @ maps @ across.T  # separable: one product for rows, one for columns


def highest(maps, share):
    """Mean of the highest share of the pixels of each map, array (n, H, W): (n,)."""
    flat = maps.reshape(len(maps), -1)
    kept = max(1, round(share * flat.shape[1]))
    return np.partition(flat, -kept, axis=1)[:, -kept:].mean(1)


def reduce_masks(masks, shape):
    """Covered part of each cell of a grid of a `shape`, of masks (N, H, W): tensor (N, h, w)."""
    return F.adaptive_avg_pool2d(torch.as_tensor(masks).float()[:, None], shape)[:, 0]


def patch_of(mask, grid):
    """Number of the patch that holds most of a mask (H, W), row by row on the `grid`."""
    return int(reduce_masks(mask[None], grid).argmax())
