"""WinCLIP and WinCLIP+ (Jeong et al., CVPR 2023, arXiv 2303.14814) on the backbone of SEM-CLIP, simplified.

Simplified, so that all methods share the features that SEM-CLIP computes once:

- The paper sends each window through the image encoder again, with all other patches masked. Here a window's embedding
  is the mean of its projected patch tokens (original path, last level).
- The paper's prompts say "flawless" or "damaged" of one object in many ways. Here the defect-free class stands for the
  first, and the mean of all defect classes for the second.
- WinCLIP+ compares patches by these projected tokens too, not by those of the layer before the last.
"""

import numpy as np
import torch
from torch.nn import functional as F

from semlib.semclip.episodes import Method, Result
from semlib.semclip.maps import enlarge
from semlib.semclip.patchcore import coreset, nearest
from semlib.semclip.support import normal_shots

WINDOWS = (2, 3)  # sides in patches: the paper's small and mid scale
CHUNK = 32  # images whose windows are in memory at a time


def winclip(features, prompts, backbone, *, temperature=0.07):
    """Zero-shot WinCLIP, which sees no support.

    Each window's probability of "defect" against "defect-free" is a softmax over the two texts. A patch takes the
    harmonic mean over the windows that cover it, and the map is the harmonic mean of both scales and of the whole
    image (section 4.2). The image's score is that of the whole image.

    Parameters
    ----------
    features : Features
        Of all images of the pool.
    prompts : Prompts
    backbone : Backbone
        The one that made the features.
    temperature : float
        Divides the similarities in the softmax.

    Returns
    -------
    Method
    """
    see = _Windows(features, prompts, backbone, temperature)

    def run(pool, episode):
        whole, maps = _stacked(see.zero_shot, episode.test)
        return Result(maps=enlarge(maps, pool.images.shape[1:]).numpy(), scores=whole.numpy())

    return Method("WinCLIP (zero-shot)", "none", run)


def winclip_plus(features, prompts, backbone, *, temperature=0.07, bank=1000, seed=0):
    """Few-shot WinCLIP+, which adds what the defect-free shots look like.

    Each patch and window is compared with those of the shots, ``min (1 - cosine) / 2``, and the mean over the three
    scales is added to the zero-shot map; the image's score is the mean of the zero-shot score and of the largest value
    of the association map (section 4.3).

    Parameters
    ----------
    features, prompts, backbone, temperature
        As in `winclip`.
    bank : int
        Patches or windows of the shots that are kept for each scale, chosen by PatchCore's coreset.
    seed : int
        Of the coreset.

    Returns
    -------
    Method
    """
    see = _Windows(features, prompts, backbone, temperature)

    def run(pool, episode):
        shots = see.scales(normal_shots(pool, episode))
        memories = [coreset(scale.flatten(2).mT.flatten(0, 1), bank, seed) for scale in shots]
        whole, zero, near = _stacked(
            lambda rows: (*see.zero_shot(rows), see.association(rows, memories)), episode.test
        )
        maps = enlarge(zero + near, pool.images.shape[1:])
        return Result(maps=maps.numpy(), scores=((whole + near.amax((1, 2))) / 2).numpy())

    return Method("WinCLIP+", "normals", run)


def two_texts(prompts, backbone):
    """Embeddings of "defect-free" and of "defect", the mean of all other classes, L2-normalised, tensor (2, e)."""
    texts = prompts.embed(backbone)
    defect = np.delete(texts, prompts.normal, axis=0).mean(0)
    return F.normalize(torch.from_numpy(np.stack([texts[prompts.normal], defect])), dim=1)


def image_scores(images, texts, temperature):
    """Probability of the second of two texts for image embeddings (n, e), tensor (n,)."""
    return (torch.from_numpy(images) @ (texts[1] - texts[0]) / temperature).sigmoid()


class _Windows:
    """Patches and windows of the images of a pool, against texts and against those of other images."""

    def __init__(self, features, prompts, backbone, temperature):
        self.features, self.temperature, self.grid = features, temperature, backbone.grid
        self.texts = two_texts(prompts, backbone)
        self.projection = backbone.projection.detach().cpu()

    def scales(self, rows):
        """Unit embeddings of the patches and of the windows of both sizes: tensors (n, e, h, w)."""
        tokens = torch.from_numpy(np.asarray(self.features.tokens[rows, 0, -1])).float()
        patches = F.normalize(tokens @ self.projection, dim=-1).mT.unflatten(2, self.grid)
        return [patches, *(F.normalize(F.avg_pool2d(patches, window, 1)) for window in WINDOWS)]

    def zero_shot(self, rows):
        """Score of the whole image (n,) and map (n, gh, gw)."""
        whole = image_scores(self.features.image[rows], self.texts, self.temperature)
        odds = self.texts[1] - self.texts[0]
        inverse = 1 / whole[:, None, None].expand(-1, *self.grid)
        for window, scale in zip(WINDOWS, self.scales(rows)[1:], strict=True):
            scores = (torch.einsum("nehw,e->nhw", scale, odds) / self.temperature).sigmoid()
            inverse = inverse + 1 / spread(scores, window)
        return whole, (1 + len(WINDOWS)) / inverse

    def association(self, rows, memories):
        """Distance to the nearest of the shots' patches and windows, mean of the scales (n, gh, gw)."""
        total = torch.zeros(len(rows), *self.grid)
        for window, scale, memory in zip((1, *WINDOWS), self.scales(rows), memories, strict=True):
            squared, _ = nearest(scale.flatten(2).mT.flatten(0, 1), memory)
            total += spread((squared / 4).view(len(rows), *scale.shape[2:]), window)
        return total / (1 + len(WINDOWS))


def spread(scores, window):
    """Harmonic mean over the windows that cover a patch, from (n, h - window + 1, ...) to (n, h, w)."""

    def gathered(values):
        padded = F.pad(values[:, None], (window - 1,) * 4)
        return F.avg_pool2d(padded, window, 1, divisor_override=1)[:, 0]

    return gathered(torch.ones_like(scores)) / gathered(1 / scores.clamp(min=1e-6))


def _stacked(function, rows):
    """Results of a function of rows, a chunk at a time, each put together."""
    parts = [function(rows[start : start + CHUNK]) for start in range(0, len(rows), CHUNK)]
    return [torch.cat(part) for part in zip(*parts, strict=True)]
