"""APRIL-GAN (Chen et al., arXiv 2305.17382): linear maps of patch tokens, trained on masks."""

import numpy as np
import torch

from semlib.semclip import maps, tune
from semlib.semclip.episodes import Method, Result
from semlib.semclip.winclip import TEMPERATURE, image_scores, two_texts


def april_gan(features, prompts, backbone, *, steps=100):
    """One linear map per level of the original path, from random weights, by focal plus dice loss.

    As the paper's method, without its memory bank and trained on the support instead of on another
    data set: no V-V path, no redundant features removed, two texts. All else is as in SEM-CLIP, so
    that the two differ by what the methods differ in. The image's score is the mean of its text
    score and of the map's maximum. Parameters as in `winclip.winclip`.
    """
    texts = two_texts(prompts, backbone)
    width, length = backbone.projection.shape
    weights = np.random.default_rng(0).uniform(-1, 1, (width, length))
    start = torch.from_numpy((weights / np.sqrt(width)).astype(np.float32))  # as torch's own layers
    look = {"texts": texts, "normal": 0, "temperature": TEMPERATURE}

    def run(pool, episode):
        shots = torch.from_numpy(features.tokens[episode.support, :1])
        given = shots, pool.masks[episode.support], start, backbone.grid
        layers = tune.transformation_layers(*given, **look, steps=steps, learning_rate=0.02, seed=0)
        patches = maps.anomaly(features.tokens[episode.test, :1], layers, **look)
        anomaly = maps.enlarge(patches.unflatten(1, backbone.grid), pool.images.shape[1:])
        whole = image_scores(features.image[episode.test], texts)
        return Result(maps=anomaly.numpy(), scores=((whole + anomaly.amax((1, 2))) / 2).numpy())

    return Method("APRIL-GAN", "masks", run)
