"""PatchCore (Roth et al., arXiv 2106.08265) on VGG16: distance to defect-free patches."""

from math import isqrt
from typing import NamedTuple

import numpy as np
import torch
from torch.nn import functional as F
from tqdm import trange

from semlib import vgg
from semlib.semclip.episodes import Method, Result, normal_shots
from semlib.semclip.maps import enlarge

BLUR = 4.0  # standard deviation in pixels of a 224 px image, as the authors smooth their maps
COARSE = 32  # length of the projected patches among which the coreset is chosen
LENGTH = 128  # of a shortened patch, D


class VggFeatures(NamedTuple):
    """What VGG16 sees in N images."""

    tokens: np.ndarray  # float16 (N, P, D), patches of a square grid
    pooled: np.ndarray  # float32 (N, 768), whole images


@torch.inference_mode()
def vgg_features(images, *, size=160):
    """`VggFeatures` of uint8 images (N, H, W), resized to `size`, a multiple of 16.

    Patches (section 3.1), size / 4 a side: relu3_3 and relu4_3, each averaged over 3 x 3
    neighbours, the coarser one enlarged to the finer grid, concatenated. Our choice: each level has
    unit length, so that neither outweighs the other, and a random matrix shortens the patches to
    D = 128, which keeps distances to about 1 / sqrt(2 D). Whole images: the largest value of each
    channel (our choice; a small defect hardly moves the mean).
    """
    mix = random_projection(sum(vgg.CHANNELS[2:4]), LENGTH)
    tokens = []
    pooled = []
    for start in trange(0, len(images), vgg.BATCH, desc="VGG16", unit="batch", delay=5):
        x = torch.from_numpy(images[start : start + vgg.BATCH].astype(np.float32) / 255)[:, None]
        x = F.interpolate(x, (size, size), mode="bicubic", antialias=True).clamp(0, 1)
        _, _, fine, coarse = vgg.stages(x, count=4, dtype=vgg.quick())  # n 256 h w, n 512 h/2 w/2
        pooled.append(torch.cat([fine.amax((2, 3)), coarse.amax((2, 3))], 1))
        tokens += [(patches(*one) @ mix).half() for one in zip(fine, coarse, strict=True)]
    return VggFeatures(torch.stack(tokens).numpy(), torch.cat(pooled).numpy())


def patches(fine, coarse):
    """Levels (C, h, w) and (C', h/2, w/2) of an image as patches (h w, C + C')."""
    # count_include_pad: at an edge the mean is over the neighbours there are
    look = {"stride": 1, "padding": 1, "count_include_pad": False}
    fine, coarse = (F.avg_pool2d(x[None], 3, **look) for x in (fine, coarse))
    coarse = F.interpolate(coarse, fine.shape[2:], mode="bilinear")
    both = torch.cat([F.normalize(fine), F.normalize(coarse)], 1)  # 1 C+C' h w
    return both[0].flatten(1).T


def patchcore(tokens, *, bank=1000, neighbours=9):
    """PatchCore from the defect-free shots alone; `tokens` as `vgg_features` of the whole pool.

    The map is the distance to the nearest patch of a memory bank (section 3.3), enlarged and
    smoothed. The image's score is the largest distance s* = ||m_test - m*||, weighted as in Eq. 7
    over the `neighbours` patches m of the bank nearest to m*:
    ``(1 - exp(s*) / sum_m exp ||m_test - m||) s*``.
    """

    def run(pool, episode):
        shots = torch.from_numpy(tokens[normal_shots(pool, episode)]).float()
        memory = coreset(shots.flatten(0, 1), bank)
        count = min(neighbours, len(memory))
        around = torch.cdist(memory, memory).topk(count, largest=False).indices
        tested = (torch.from_numpy(tokens[i]).float() for i in episode.test)
        distances, scores = zip(*(_judged(one, memory, around) for one in tested), strict=True)
        side = isqrt(tokens.shape[1])
        grids = torch.stack(distances).view(-1, side, side)
        maps = enlarge(grids, pool.images.shape[1:], blur=BLUR / 224 * side)
        return Result(maps=maps.numpy(), scores=torch.stack(scores).numpy())

    return Method("PatchCore (VGG16)", "normals", run)


def coreset(points, size):
    """At most `size` of the points (n, D), each next one the farthest from those chosen.

    Greedy (Algorithm 1), by distances of randomly projected points; the first is always chosen.
    """
    if len(points) <= size:
        return points
    width = points.shape[1]
    short = points @ random_projection(width, min(COARSE, width))
    lengths = short.square().sum(1)
    chosen = [0]
    gap = torch.full_like(lengths, torch.inf)  # squared distance to the chosen ones
    while len(chosen) < size:
        last = chosen[-1]
        # |a - b|^2 = |a|^2 + |b|^2 - 2 a b: one product of matrix and vector a step
        squared = torch.addmv(lengths + lengths[last], short, short[last], alpha=-2)
        gap = torch.minimum(gap, squared)
        chosen.append(int(gap.argmax()))
    return points[chosen]


def nearest(points, memory):
    """Squared distance of points (n, D) to the nearest of the memory (m, D), and which that is."""
    least, which = torch.addmm(memory.square().sum(1), points, memory.T, alpha=-2).min(1)
    return (least + points.square().sum(1)).clamp_(min=0), which  # rounding may fall below 0


def random_projection(inside, outside):
    """Random matrix (inside, outside) that keeps distances on average (Johnson, Lindenstrauss)."""
    values = np.random.default_rng(0).normal(size=(inside, outside)) / np.sqrt(outside)
    return torch.from_numpy(values.astype(np.float32))


def _judged(points, memory, around):
    """Distance of each patch of an image to the memory (P,), and the image's weighted score."""
    squared, closest = nearest(points, memory)
    distances = squared.sqrt()
    worst = int(distances.argmax())
    others = (memory[around[closest[worst]]] - points[worst]).norm(dim=1)
    share = (distances[worst] - others.logsumexp(0)).exp() if len(memory) > 1 else 0.0
    return distances, (1 - share) * distances[worst]
