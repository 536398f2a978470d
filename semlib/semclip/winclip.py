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
    texts = two_texts(prompts, backbone)

    def run(pool, episode):
        chunks = _chunks(features, episode.test)
        parts = [_zero_shot(chunk, scales(chunk, backbone), texts) for chunk in chunks]
        whole, maps = map(torch.cat, zip(*parts, strict=True))
        return Result(maps=enlarge(maps, pool.images.shape[1:]).numpy(), scores=whole.numpy())

    return Method("WinCLIP (zero-shot)", "none", run)


def winclip_plus(features, prompts, backbone):
    """Few-shot WinCLIP+, which adds what the defect-free shots look like.

    Each patch and window is compared with those of the shots, ``min (1 - cosine) / 2``, and the
    mean over the three scales is added to the zero-shot map. The image's score is the mean of the
    zero-shot score and of the largest value of this association map (section 4.3).
    """
    texts = two_texts(prompts, backbone)

    def run(pool, episode):
        shots = features[normal_shots(pool, episode)]
        memories = [coreset(_flat(scale), BANK) for scale in scales(shots, backbone)]
        parts = []
        for chunk in _chunks(features, episode.test):
            windows = scales(chunk, backbone)
            near = 0  # n h w: distance to the shots
            for side, scale, memory in zip((1, *WINDOWS), windows, memories, strict=True):
                squared, _ = nearest(_flat(scale), memory)  # of unit vectors: 2 (1 - cosine)
                near = near + spread((squared / 4).view(-1, *scale.shape[2:]), side)
            parts.append((*_zero_shot(chunk, windows, texts), near / len(memories)))
        whole, zero, near = map(torch.cat, zip(*parts, strict=True))
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


def scales(features, backbone):
    """Unit embeddings of the patches and of the windows of both sizes: tensors (n, e, h, w)."""
    tokens = torch.from_numpy(features.tokens[:, 0, -1]).float()
    patches = F.normalize(tokens @ backbone.projection, dim=-1)  # n P e
    patches = patches.mT.unflatten(2, backbone.grid)
    return [patches, *(F.normalize(F.avg_pool2d(patches, window, 1)) for window in WINDOWS)]


def _zero_shot(features, windows, texts):
    """Score of the whole image (n,) and map (n, h, w)."""
    whole = image_scores(features.image, texts)
    inverse = 1 / whole[:, None, None].expand(-1, *windows[0].shape[2:])
    for window, scale in zip(WINDOWS, windows[1:], strict=True):
        scores = (torch.einsum("nehw,e->nhw", scale, texts[1] - texts[0]) / TEMPERATURE).sigmoid()
        inverse = inverse + 1 / spread(scores, window)
    return whole, (1 + len(WINDOWS)) / inverse


def spread(scores, window):
    """Harmonic mean over the windows that cover a patch, (n, h - window + 1, ...) to (n, h, w)."""

    def gathered(values):
        padded = F.pad(values[:, None], (window - 1,) * 4)
        return F.avg_pool2d(padded, window, 1, divisor_override=1)[:, 0]

    return gathered(torch.ones_like(scores)) / gathered(1 / scores.clamp(min=1e-6))


def _chunks(features, numbers):
    return [features[numbers[start : start + CHUNK]] for start in range(0, len(numbers), CHUNK)]


def _flat(scale):
    return scale.flatten(2).mT.flatten(0, 1)  # n e h w to nhw e
