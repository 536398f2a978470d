"""APRIL-GAN (Chen et al., arXiv 2305.17382): linear maps from patch tokens to texts, trained on masks."""

import numpy as np
import torch

from semlib.semclip.episodes import Method, Result
from semlib.semclip.maps import defect_logit, enlarge, similarity
from semlib.semclip.support import shot_masks
from semlib.semclip.tune import transformation_layers
from semlib.semclip.winclip import image_scores, two_texts

CHUNK = 32  # images whose tokens are in float32 at a time


def april_gan(
    features, prompts, backbone, *, steps=100, learning_rate=2e-2, temperature=0.07, seed=0
):
    """One linear map per level of the original path, from random weights, by focal plus dice loss.

    As the paper's method, without its memory bank and trained on the support instead of on another data set: no V-V
    path, no redundant features removed, two texts ("defect-free" and the mean of all defect classes). Training and
    losses are those of SEM-CLIP's Transformation Layers, so that the two differ by what the methods differ in. The
    image's score is the mean of its text score and of the map's maximum.

    Parameters
    ----------
    features, prompts, backbone
        As in `semlib.semclip.winclip.winclip`.
    steps, learning_rate, temperature
        See `semlib.semclip.tune.transformation_layers`.
    seed : int
        Of the weights and of the order of the shots.

    Returns
    -------
    Method
    """
    texts, shape = two_texts(prompts, backbone), tuple(backbone.projection.shape)
    start = np.random.default_rng(seed).uniform(-1, 1, shape) / np.sqrt(
        shape[0]
    )  # torch's own for a linear layer
    start = torch.from_numpy(start.astype(np.float32))

    def run(pool, episode):
        layers = transformation_layers(
            torch.from_numpy(features.tokens[episode.support, :1]), shot_masks(pool, episode), start, texts, normal=0,
            grid=backbone.grid, temperature=temperature, steps=steps, learning_rate=learning_rate, seed=seed,
        )  # fmt: skip
        parts = np.split(episode.test, range(CHUNK, len(episode.test), CHUNK))
        maps = torch.cat(
            [_maps(features.tokens[part, 0], layers[0], texts, temperature) for part in parts]
        )
        maps = enlarge(maps.unflatten(1, backbone.grid), pool.images.shape[1:])
        scores = (
            image_scores(features.image[episode.test], texts, temperature) + maps.amax((1, 2))
        ) / 2
        return Result(maps=maps.numpy(), scores=scores.numpy())

    return Method("APRIL-GAN", "masks", run)


@torch.inference_mode()
def _maps(tokens, layers, texts, temperature):
    """Mean over the levels of the patches' probabilities (n, P); tokens (n, L, P, d), layers (L, d, e)."""
    tokens = torch.from_numpy(tokens).float().transpose(0, 1)
    logits = defect_logit(similarity(tokens.flatten(1, 2), layers, texts), 0, temperature)
    return logits.sigmoid().mean(0).unflatten(0, tokens.shape[1:3])
