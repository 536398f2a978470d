"""What SEM-CLIP trains: Transformation Layers on masks, a Classification Head on labels."""

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.linear_model import LogisticRegression
from tqdm import tqdm

from semlib.semclip.maps import defect_logit, enlarge, reduce_masks, similarity

BATCH = 8  # images a step
FINER = 4  # cells of the training maps along one patch
DECAY = 0.01
PATIENCE = 60  # seconds until training shows its progress; a small model is done by then
SHARPNESS = 8  # power of the anomaly map when it weighs tokens
TINY = 1e-12  # a smaller probability counts as this, so that its logarithm is finite


def transformation_layers(
    tokens, masks, start, grid, *, texts, normal, temperature, steps, learning_rate, seed
):
    """Train one linear map for each path and level on the shots' masks, by focal plus dice loss.

    The paper does not say how it trains the layer: start, losses (those of APRIL-GAN, arXiv
    2305.17382), optimiser (AdamW, cosine decay) and the finer grid are our choice.

    Takes tokens (N, p, L, P, d) of patches on the `grid` (rows, columns), masks (N, H, W) and the
    start (d, e): the backbone's projection, so that without a step the segmentation is the
    zero-shot one. The learning rate is in units of the start's standard deviation, as a layer's
    scale does not reach the cosines. Returns a tensor (p, L, d, e) for `maps.anomaly`, which also
    explains texts, normal and temperature.
    """
    covered = reduce_masks(masks, [FINER * side for side in grid])  # N 4h 4w
    # defects are small: without a weight so few steps would end with empty maps
    weight = float((1 - covered).sum() / covered.sum().clamp_min(1))
    tokens = tokens.permute(1, 2, 0, 3, 4).contiguous()  # p L N P d
    change = torch.zeros(*tokens.shape[:2], *start.shape, requires_grad=True)  # p L d e
    rate = learning_rate * float(start.std())
    # decay acts on the change: it draws a layer back to its start
    optimiser = torch.optim.AdamW([change], lr=rate, weight_decay=DECAY, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, max(steps, 1))
    order = batches(len(masks), steps, seed)
    for shots in tqdm(order, desc="train", unit="step", delay=PATIENCE, leave=False):
        some = tokens[:, :, shots].float().flatten(2, 3)  # p L nP d
        logits = defect_logit(similarity(some, start + change, texts), normal, temperature)
        maps = logits.sigmoid().unflatten(2, (len(shots), *grid))  # p L n h w
        maps = enlarge(maps, covered.shape[1:]).clamp(0, 1)  # p L n 4h 4w
        target = covered[shots].expand_as(maps)  # every path and level explains the masks itself
        loss = focal_loss(maps, target, weight) + dice_loss(maps, target)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        schedule.step()
    return (start + change).detach()


def batches(count, steps, seed):
    """Numbers of the shots of each step: shuffled passes, `BATCH` at a time or all if fewer."""
    rng = np.random.default_rng(seed)
    size = min(BATCH, count)
    passes = -(-steps * size // count)  # rounded up
    order = np.concatenate([rng.permutation(count) for _ in range(passes)] or [[]])
    return [order[k * size : (k + 1) * size] for k in range(steps)]


def focal_loss(maps, covered, weight=1.0, gamma=2.0):
    """Binary focal loss of probabilities (arXiv 1708.02002, Eq. 5), weighted mean of all cells."""
    weights = 1 + (weight - 1) * covered  # of a cell, by the part of it that is defect
    # logarithms written out: five times as fast as torch's own binary cross-entropy
    log_defect = maps.clamp_min(TINY).log()
    log_rest = (1 - maps).clamp_min(TINY).log()
    losses = (maps - covered).abs() ** gamma * torch.lerp(log_rest, log_defect, covered)
    return -(weights * losses).sum() / weights.sum()


def dice_loss(maps, covered):
    """1 - Dice of all cells together, V-Net's (arXiv 1606.04797) without squares."""
    # pooled over the batch: images without a defect neither dominate nor collapse it
    overlap = (maps * covered).sum()
    return 1 - (2 * overlap + 1) / (maps.sum() + covered.sum() + 1)  # + 1: no 0 / 0


def describe(features, maps):
    """What the Classification Head sees of each image, float32 (N, e + L d).

    The image embedding of the `Features`, and for each level the mean of the original path's tokens
    where the anomaly map (N, P) is high: our choice, the paper does not say.
    """
    # a power of the map weighs the tokens, as small defects would else drown
    weights = (maps / maps.amax(1, keepdim=True).clamp_min(1e-6)) ** SHARPNESS
    weights = weights / weights.sum(1, keepdim=True).clamp_min(1e-6)
    tokens = torch.from_numpy(features.tokens[:, 0]).float()  # N L P d
    pooled = F.normalize(torch.einsum("np,nlpd->nld", weights, tokens), dim=-1)
    return np.concatenate([features.image, pooled.flatten(1).numpy()], 1)


def classification_head(inputs, classes, *, strength):
    """Fit a linear head by cross-entropy with balanced classes and an L2 penalty 1 / `strength`.

    Takes inputs (N, D) of `describe` and classes (N,) from 0 to C - 1, each at least once.
    Returns weight (C, D), bias (C,), mean (D,): ``softmax(weight (x - mean) + bias)``.
    """
    mean = inputs.mean(0)
    model = LogisticRegression(C=strength, class_weight="balanced", max_iter=1000)
    model.fit(inputs - mean, classes)
    weight = model.coef_
    bias = model.intercept_
    if len(weight) == 1:  # of two classes scikit-learn gives one row of log odds
        weight = np.concatenate([0 * weight, weight])
        bias = np.concatenate([0 * bias, bias])
    return {"weight": weight.astype(np.float32), "bias": bias.astype(np.float32), "mean": mean}


def trust(probabilities, classes):
    """How far words can be trusted, float32 (1,): the part of N shots that they name rightly.

    Takes their probabilities (N, C) and the classes (N,). Words learn nothing from the shots, so
    that none need be left out. Laplace's rule of succession, (right + 1) / (N + 2), as a few shots
    make nothing certain.
    """
    right = (probabilities.argmax(1) == classes).sum()
    return np.array([(right + 1) / (len(classes) + 2)], np.float32)
