"""Rows beside Table 1 that say what its scores are worth: noise, an untrained encoder, VGG16."""

import contextlib

import numpy as np
import torch
from tqdm import tqdm

from semlib import vgg
from semlib.morphology.clustering import standardise
from semlib.morphology.encoder import Encoder, embed

RANK = 1e-6  # singular values below this share of the largest are rounding


def collect(images, seeds):
    """All controls of uint8 images (N, H, W), as `scoreboard.runs` takes them: dict by name.

    Each seed gives one draw of noise and the weights from which its training starts.
    """

    def noise(dimensions):
        size = len(images), dimensions
        return [np.random.default_rng(seed).normal(size=size) for seed in seeds]

    return {
        "noise, 1-D": noise(1),
        "noise, 128-D": noise(128),
        "mean and contrast": standardise([(image.mean(), image.std()) for image in images]),
        "untrained encoder": [untrained(images, seed) for seed in seeds],
    }


def untrained(images, seed):
    """Embeddings (N, 128) of the encoder with which a training of this seed starts."""
    torch.manual_seed(seed)
    return embed(Encoder(), images)


def vgg16(images, *, size=128):
    """Mean over all positions of VGG16's last convolution (relu5_3): float32 (N, 512).

    Its weights, from ImageNet, saw a million labelled photographs and not one micrograph. Larger
    images are brought to `size` by area averaging (our choice, for speed).
    """
    vectors = np.empty((len(images), vgg.CHANNELS[-1]), np.float32)
    for start in tqdm(range(0, len(images), vgg.BATCH), "VGG16", unit="batch"):
        batch = np.array(images[start : start + vgg.BATCH], np.float32) / 255
        batch = torch.from_numpy(batch)[:, None]  # N x 1 x H x W
        if min(batch.shape[2:]) > size:
            batch = torch.nn.functional.interpolate(batch, size=(size, size), mode="area")
        vectors[start : start + len(batch)] = vgg.stages(batch, dtype=vgg.quick())[-1].mean((2, 3))
    return vectors


def reduce(embeddings, components=5):
    """Scores of the first principal components, each at standard deviation 1: (N, components).

    All methods then have the same RankMe, and silhouettes can be compared.
    """
    embeddings = np.asarray(embeddings, dtype=np.float64)
    left, values, _ = np.linalg.svd(embeddings - embeddings.mean(axis=0), full_matrices=False)
    rank = (values > RANK * values[0]).sum()
    if rank < components:
        raise ValueError(f"embeddings span {rank} dimensions, fewer than {components} components")
    return left[:, :components] * np.sqrt(len(embeddings))


def reduced(methods, components=5):
    """`reduce` for each method of a dict as `scoreboard.runs` takes it, where they span enough."""
    equal = {}
    for name, embeddings in methods.items():
        with contextlib.suppress(ValueError):
            if isinstance(embeddings, list):
                equal[name] = [reduce(part, components) for part in embeddings]
            else:
                equal[name] = reduce(embeddings, components)
    return equal
