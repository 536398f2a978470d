"""WinCLIP and WinCLIP+ (Jeong et al., CVPR 2023, arXiv 2303.14814) on SEM-CLIP's features.

Simplified, so that all methods share the features that SEM-CLIP computes once:

- The paper encodes each window again, with all other patches masked. Here a window's embedding is
  the mean of its projected patch tokens (original path, last level).
- The paper's prompts say "flawless" or "damaged" of one object in many ways. Here the defect-free
  class stands for the first, and the mean of all defect classes for the second.
- WinCLIP+ compares patches by these projected tokens, not by those of the layer before the last.
"""

import numpy as np
import torch
from torch.nn import functional as F

from semlib.semclip.episodes import Method, Result, normal_shots
from semlib.semclip.maps import enlarge
from semlib.semclip.patchcore import coreset, nearest

WINDOWS = (2, 3)  # sides in patches: the paper's small and mid scale
TEMPERATURE = 0.07  # of the softmax over both texts
CHUNK = 32  # images whose windows are in memory at a time
BANK = 1000  # patches or windows of the shots that are kept for each scale


def winclip(features, prompts, backbone):
    """Zero-shot WinCLIP; `features` are the backbone's of all images of the pool.

    Each window's probability of "defect" is a softmax over the two texts. A patch takes the
    harmonic mean over the windows that cover it, and the map is the harmonic mean of both scales
    and of the whole image (section 4.2), whose probability is the image's score.
    """
    windows = _Windows(features, prompts, backbone)

    def run(pool, episode):
        whole, maps = _in_chunks(windows.zero_shot, episode.test)
        return Result(maps=enlarge(maps, pool.images.shape[1:]).numpy(), scores=whole.numpy())

    return Method("WinCLIP (zero-shot)", "none", run)


def winclip_plus(features, prompts, backbone):
    """Few-shot WinCLIP+, which adds what the defect-free shots look like.

    Each patch and window is compared with those of the shots, ``min (1 - cosine) / 2``, and the
    mean over the three scales is added to the zero-shot map. The image's score is the mean of the
    zero-shot score and of the largest value of this association map (section 4.3).
    """
    windows = _Windows(features, prompts, backbone)

    def run(pool, episode):
        shots = windows.scales(normal_shots(pool, episode))
        memories = [coreset(_flat(scale), BANK) for scale in shots]

        def both(chosen):
            return *windows.zero_shot(chosen), windows.association(chosen, memories)

        whole, zero, near = _in_chunks(both, episode.test)
        maps = enlarge(zero + near, pool.images.shape[1:])
        return Result(maps=maps.numpy(), scores=((whole + near.amax((1, 2))) / 2).numpy())

    return Method("WinCLIP+", "normals", run)


def two_texts(prompts, backbone):
    """Unit embeddings of "defect-free" and of "defect", the mean of all other classes, (2, e)."""
    texts = prompts.embed(backbone)
    defect = np.delete(texts, prompts.normal, axis=0).mean(0)
    return F.normalize(torch.from_numpy(np.stack([texts[prompts.normal], defect])), dim=1)


def image_scores(images, texts):
    """Probability of the second of two texts for image embeddings (n, e), tensor (n,)."""
    return (torch.from_numpy(images) @ (texts[1] - texts[0]) / TEMPERATURE).sigmoid()


class _Windows:
    """Patches and windows of chosen images, against texts and against those of other images."""

    def __init__(self, features, prompts, backbone):
        self.features = features
        self.backbone = backbone
        self.texts = two_texts(prompts, backbone)

    def scales(self, chosen):
        """Unit embeddings of the patches and of the windows of both sizes: tensors (n, e, h, w)."""
        tokens = torch.from_numpy(self.features.tokens[chosen, 0, -1]).float()
        patches = F.normalize(tokens @ self.backbone.projection, dim=-1)  # n P e
        patches = patches.mT.unflatten(2, self.backbone.grid)
        return [patches, *(F.normalize(F.avg_pool2d(patches, window, 1)) for window in WINDOWS)]

    def zero_shot(self, chosen):
        """Score of the whole image (n,) and map (n, gh, gw)."""
        whole = image_scores(self.features.image[chosen], self.texts)
        odds = self.texts[1] - self.texts[0]
        inverse = 1 / whole[:, None, None].expand(-1, *self.backbone.grid)
        for window, scale in zip(WINDOWS, self.scales(chosen)[1:], strict=True):
            scores = (torch.einsum("nehw,e->nhw", scale, odds) / TEMPERATURE).sigmoid()
            inverse = inverse + 1 / spread(scores, window)
        return whole, (1 + len(WINDOWS)) / inverse

    def association(self, chosen, memories):
        """Distance to the shots' nearest patches and windows, mean of the scales (n, gh, gw)."""
        total = 0
        scales = zip((1, *WINDOWS), self.scales(chosen), memories, strict=True)
        for window, scale, memory in scales:
            squared, _ = nearest(_flat(scale), memory)  # of unit vectors: 2 (1 - cosine)
            total = total + spread((squared / 4).view(len(chosen), *scale.shape[2:]), window)
        return total / (1 + len(WINDOWS))


def spread(scores, window):
    """Harmonic mean over the windows that cover a patch, (n, h - window + 1, ...) to (n, h, w)."""

    def gathered(values):
        padded = F.pad(values[:, None], (window - 1,) * 4)
        return F.avg_pool2d(padded, window, 1, divisor_override=1)[:, 0]

    return gathered(torch.ones_like(scores)) / gathered(1 / scores.clamp(min=1e-6))


def _flat(scale):
    return scale.flatten(2).mT.flatten(0, 1)  # n e h w to nhw e


def _in_chunks(function, numbers):
    """Results of a function of image numbers, a chunk at a time, each put together."""
    parts = [function(numbers[start : start + CHUNK]) for start in range(0, len(numbers), CHUNK)]
    return [torch.cat(part) for part in zip(*parts, strict=True)]
