"""PatchCore (Roth et al., CVPR 2022, arXiv 2106.08265) on VGG16: how far a patch is from all defect-free ones."""

from math import isqrt
from typing import NamedTuple

import numpy as np
import torch
from torch.nn import functional as F
from tqdm import tqdm

from semlib import vgg
from semlib.semclip.episodes import Method, Result
from semlib.semclip.maps import enlarge
from semlib.semclip.support import normal_shots

BLUR = 4.0  # standard deviation in pixels of a 224 px image, as the authors smooth their maps
COARSE = 32  # length of the projected patches among which the coreset is chosen


class VggFeatures(NamedTuple):
    """`tokens` float16 (N, P, D), patches row by row on a square grid; `pooled` float32 (N, 768), one row an image."""

    tokens: np.ndarray
    pooled: np.ndarray


@torch.inference_mode()
def vgg_features(images, *, size=160, dimension=128, seed=0, progress=True):
    """What VGG16 sees in patches and in whole images; one pass, to be shared by all episodes.

    Patches (section 3.1): relu3_3 and relu4_3, each averaged over 3 x 3 neighbours, the coarser one enlarged to the
    finer grid, concatenated. Our choice: each level has unit length, so that neither outweighs the other, and a random
    Gaussian matrix shortens the patches so that they fit into memory (it keeps distances to about
    1 / sqrt(2 `dimension`)). Whole images: the largest value of each channel of both levels (our choice; a small defect
    hardly moves the mean).

    Parameters
    ----------
    images : uint8 array (N, H, W)
    size : int
        Pixels per side that VGG16 gets, a multiple of 16; the grid has size / 4 patches a side.
    dimension : int
        D, length of a patch.
    seed : int
        Of the random matrix.
    progress : bool

    Returns
    -------
    VggFeatures

    Raises
    ------
    ValueError
        If the images are not uint8 (N, H, W) or the size does not fit.
    semlib.weights.WeightsError
        If the weights of VGG16 cannot be had.
    """
    images = np.asarray(images)
    if images.ndim != 3 or images.dtype != np.uint8:
        raise ValueError(f"images must be uint8 (N, H, W), not {images.dtype} {images.shape}")
    if size < 32 or size % 16:
        raise ValueError(f"size={size}: VGG16 takes multiples of 16 pixels here, from 32 on")
    channels = sum(vgg.CHANNELS[2:4])
    mix = _projection(channels, dimension, seed)
    tokens = np.empty((len(images), (size // 4) ** 2, dimension), np.float16)
    pooled = np.empty((len(images), channels), np.float32)
    with tqdm(total=len(images), desc="VGG16", unit="image", disable=not progress) as bar:
        for start in range(0, len(images), vgg.BATCH):
            fine, coarse = _levels(images[start : start + vgg.BATCH], size)
            stop = start + len(fine)
            pooled[start:stop] = torch.cat([fine.amax((2, 3)), coarse.amax((2, 3))], 1)
            tokens[start:stop] = (_patches(fine, coarse) @ mix).half()
            bar.update(len(fine))
    return VggFeatures(tokens, pooled)


def _levels(images, size):
    """relu3_3 and relu4_3, tensors (N, C, h, w)."""
    x = torch.from_numpy(images.astype(np.float32) / 255)[:, None]
    x = F.interpolate(x, (size, size), mode="bicubic", antialias=True).clamp(0, 1)
    return vgg.stages(x, count=4)[2:]


def patchcore(tokens, *, bank=1000, neighbours=9, seed=0, name="PatchCore (VGG16)"):
    """PatchCore from the defect-free shots alone.

    The map is the distance to the nearest patch of the memory bank (section 3.3), enlarged and smoothed. The image's
    score is the largest distance s* = ||m_test - m*||, weighted as in Eq. 7 over the `neighbours` patches m of the bank
    nearest to m*: ``(1 - exp(s*) / sum_m exp ||m_test - m||) s*``.

    Parameters
    ----------
    tokens : float16 array (N, P, D)
        Of all images of the pool, see `vgg_features`.
    bank : int
        Patches kept, chosen by `coreset`; all of them where there are no more.
    neighbours : int
    seed : int
        Of the coreset.
    name : str

    Returns
    -------
    Method
    """

    def run(pool, episode):
        memory = coreset(_rows(tokens[normal_shots(pool, episode)]), bank, seed)
        around = (
            torch.cdist(memory, memory).topk(min(neighbours, len(memory)), largest=False).indices
        )
        found = [
            _distances(torch.from_numpy(tokens[i]).float(), memory, around) for i in episode.test
        ]
        distances, scores = (torch.stack(part) for part in zip(*found, strict=True))
        side = isqrt(tokens.shape[1])
        maps = enlarge(
            distances.view(-1, side, side), pool.images.shape[1:], blur=BLUR / 224 * side
        )
        return Result(maps=maps.numpy(), scores=scores.numpy())

    return Method(name, "normals", run)


def coreset(rows, size, seed=0):
    """Greedy coreset (Algorithm 1): each next row is the one farthest from those chosen, among randomly projected rows.

    Parameters
    ----------
    rows : float32 tensor (n, D)
    size : int
    seed : int
        Of the projection; the first row is always chosen.

    Returns
    -------
    float32 tensor (min(n, size), D)
    """
    if len(rows) <= size:
        return rows
    short = rows @ _projection(rows.shape[1], min(COARSE, rows.shape[1]), seed)
    lengths = short.square().sum(1)
    chosen, gap = [0], torch.full_like(lengths, torch.inf)  # squared distance to the chosen ones
    while len(chosen) < size:
        last = chosen[-1]
        gap = torch.minimum(gap, torch.addmv(lengths + lengths[last], short, short[last], alpha=-2))
        chosen.append(int(gap.argmax()))
    return rows[chosen]


def nearest(rows, memory):
    """Squared Euclidean distance to the nearest row of the memory (m, D), and which it is, for each of rows (n, D)."""
    least, which = torch.addmm(memory.square().sum(1), rows, memory.T, alpha=-2).min(1)
    return (least + rows.square().sum(1)).clamp_(min=0), which


def _distances(rows, memory, around):
    """Distance of each patch to the memory (P,), and the image's weighted score."""
    squared, closest = nearest(rows, memory)
    distances = squared.sqrt()
    worst = int(distances.argmax())
    others = (memory[around[closest[worst]]] - rows[worst]).norm(dim=1)
    share = (distances[worst] - others.logsumexp(0)).exp() if len(memory) > 1 else 0.0
    return distances, (1 - share) * distances[worst]


def _patches(fine, coarse):
    """Levels (N, C, h, w) and (N, C', h / 2, w / 2) as patches (N, h w, C + C')."""
    fine, coarse = (
        F.avg_pool2d(level, 3, 1, 1, count_include_pad=False) for level in (fine, coarse)
    )
    coarse = F.interpolate(coarse, fine.shape[2:], mode="bilinear")
    both = torch.cat([F.normalize(fine), F.normalize(coarse)], 1)
    return both.flatten(2).mT


def _projection(inside, outside, seed):
    """Random matrix (inside, outside) that keeps distances on average (Johnson and Lindenstrauss)."""
    values = np.random.default_rng(seed).normal(size=(inside, outside)) / np.sqrt(outside)
    return torch.from_numpy(values.astype(np.float32))


def _rows(tokens):
    return torch.from_numpy(np.asarray(tokens)).float().flatten(0, 1)
