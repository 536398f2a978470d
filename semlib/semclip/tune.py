"""What SEM-CLIP trains: Transformation Layers by focal and dice loss, a Classification Head by cross-entropy."""

import numpy as np
import torch
from tqdm import tqdm

from semlib.semclip.maps import (
    defect_logit,
    dice_loss,
    enlarge,
    focal_loss,
    reduce_masks,
    similarity,
)

BATCH = 8  # images a step
FINER = 4  # cells of the training maps along one patch
DECAY = 0.01
PATIENCE = 60  # seconds until training shows its progress; a small model is done by then
SHARPNESS = 8  # power of the anomaly map when it weighs tokens
HEAD = ("weight", "bias", "mean")


def transformation_layers(
    tokens, masks, projection, texts, *, normal, grid, temperature, steps, learning_rate, seed
):
    """Train one linear map for each path and level on the shots' masks.

    Each map starts as the backbone's projection, so that without a step the segmentation is the zero-shot one, and
    weight decay draws it back there. Every path and level has to explain the masks by itself (the losses of their maps
    are averaged): its focal plus its dice loss, on a grid `FINER` times that of the patches. In the focal loss defects
    and the rest of the shots weigh alike: so few steps would else end with empty maps, as defects are small. The paper
    trains the layer without saying how; start, losses (those of APRIL-GAN, arXiv 2305.17382), weights, optimiser
    (AdamW, cosine decay) and grid are our choice.

    Parameters
    ----------
    tokens : tensor (N, p, L, P, d)
    masks : bool array (N, H, W)
    projection : tensor (d, e)
    texts : tensor (C, e)
        What the maps compare with, L2-normalised.
    normal : int
        The defect-free class.
    grid : (int, int)
        Rows and columns of patches.
    temperature : float
    steps : int
    learning_rate : float
        In units of the projection's standard deviation, since a layer's scale does not reach the cosines.
    seed : int
        Order of the shots.

    Returns
    -------
    tensor (p, L, d, e)
    """
    covered = reduce_masks(masks, [FINER * side for side in grid])
    weight = float((1 - covered).sum() / covered.sum().clamp_min(1))
    tokens = tokens.permute(1, 2, 0, 3, 4).contiguous()
    change = torch.zeros(*tokens.shape[:2], *projection.shape, requires_grad=True)
    rate = learning_rate * float(projection.std())
    optimiser = torch.optim.AdamW([change], lr=rate, weight_decay=DECAY, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, max(steps, 1))
    for rows in tqdm(
        batches(len(masks), steps, seed), desc="train", unit="step", delay=PATIENCE, leave=False
    ):
        some = tokens[:, :, rows].float().flatten(2, 3)
        logits = defect_logit(similarity(some, projection + change, texts), normal, temperature)
        maps = enlarge(logits.sigmoid().unflatten(2, (len(rows), *grid)), covered.shape[1:]).clamp(
            0, 1
        )
        target = covered[rows].expand_as(maps)
        loss = focal_loss(maps, target, weight) + dice_loss(maps, target)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        schedule.step()
    return (projection + change).detach()


def batches(count, steps, seed):
    """Row numbers of each step: shuffled passes over the shots, `BATCH` at a time or all where there are fewer."""
    rng, size = np.random.default_rng(seed), min(BATCH, count)
    passes = -(-steps * size // count)
    order = np.concatenate([rng.permutation(count) for _ in range(passes)] or [[]])
    return [order[k * size : (k + 1) * size] for k in range(steps)]


def describe(image, tokens, maps):
    """What the Classification Head sees of each image, float32 (N, e + L d): the whole and where it looks odd.

    The image embedding beside the original path's tokens of each level, averaged with a power of the anomaly map as
    weights, as small defects would else drown (our choice; the paper does not name the head's input); each of these
    vectors L2-normalised.

    Parameters
    ----------
    image : float32 array (N, e)
    tokens : tensor (N, p, L, P, d)
    maps : tensor (N, P), 0 to 1
    """
    weights = (maps / maps.amax(1, keepdim=True).clamp_min(1e-6)) ** SHARPNESS
    weights = weights / weights.sum(1, keepdim=True).clamp_min(1e-6)
    pooled = torch.einsum("np,nlpd->nld", weights, tokens[:, 0].float())
    pooled = torch.nn.functional.normalize(pooled, dim=-1).flatten(1)
    return np.concatenate([image, pooled.numpy()], 1)


def classification_head(seen, classes, count, *, strength):
    """Fit a linear head by cross-entropy with balanced classes and an L2 penalty.

    Parameters
    ----------
    seen : float32 array (N, D)
        See `describe`.
    classes : int array (N,)
        0 to `count` - 1, each at least once.
    count : int
    strength : float
        Inverse of the penalty (scikit-learn's C).

    Returns
    -------
    dict of float32 array
        weight (C, D), bias (C,), mean (D,): ``softmax(weight (x - mean) + bias)``.
    """
    from sklearn.linear_model import LogisticRegression

    mean = seen.mean(0)
    model = LogisticRegression(C=strength, class_weight="balanced", max_iter=1000).fit(
        seen - mean, classes
    )
    weight, bias = model.coef_, model.intercept_
    if count == 2:  # scikit-learn gives one row of log odds
        weight, bias = np.concatenate([0 * weight, weight]), np.concatenate([0 * bias, bias])
    return {"weight": weight.astype(np.float32), "bias": bias.astype(np.float32), "mean": mean}
