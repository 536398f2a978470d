"""Rows beside Table 1 that say what its scores are worth: noise, an untrained encoder, VGG16."""

import numpy as np
import torch
from tqdm import tqdm

from semlib import vgg
from semlib.morphology.clustering import standardise
from semlib.morphology.encoder import Encoder, embed

RANK = 1e-6  # singular values below this share of the largest are rounding


def collect(images, *, seeds=range(3), progress=True):
    """All controls of uint8 images (N, H, W), as `scoreboard.runs` takes them: dict by name.

    Each seed gives one draw of noise and the initial weights from which its training starts.
    """
    count = len(images)
    return {
        "noise, 1-D": [noise(count, 1, seed) for seed in seeds],
        "noise, 128-D": [noise(count, 128, seed) for seed in seeds],
        "mean and contrast": standardise(mean_and_contrast(images)),
        "untrained encoder": [untrained(images, seed, progress=progress) for seed in seeds],
    }


def noise(count, dimensions, seed):
    """Independent standard normal numbers (count, dimensions): no image is looked at."""
    return np.random.default_rng(seed).normal(size=(count, dimensions))


def mean_and_contrast(images):
    """Mean and standard deviation of the grey levels of each image: (N, 2)."""
    return np.array([(image.mean(), image.std()) for image in images])


def untrained(images, seed, *, progress=True):
    """Embeddings (N, 128) of the encoder with which a training of this seed starts."""
    torch.manual_seed(seed)
    return embed(Encoder(), images, progress=progress)


def vgg16(images, *, size=128, progress=True):
    """Mean over all positions of VGG16's last convolution (relu5_3): float32 (N, 512).

    An outside reference: weights from ImageNet, which saw a million labelled photographs and not
    one micrograph. Larger images are brought to `size` by area averaging (our choice, for speed).
    Raises `semlib.weights.WeightsError` if the weights cannot be had.
    """
    vectors = np.empty((len(images), vgg.CHANNELS[-1]), np.float32)
    with tqdm(total=len(images), desc="VGG16", unit="image", disable=not progress) as bar:
        for start in range(0, len(images), vgg.BATCH):
            batch = np.array(images[start : start + vgg.BATCH], np.float32) / 255
            batch = torch.from_numpy(batch)[:, None]  # N x 1 x H x W
            if min(batch.shape[2:]) > size:
                batch = torch.nn.functional.interpolate(batch, size=(size, size), mode="area")
            vectors[start : start + len(batch)] = vgg.stages(batch)[-1].mean((2, 3))
            bar.update(len(batch))
    return vectors


def reduce(embeddings, components=5):
    """Scores of the first principal components, each at standard deviation 1: (N, components).

    Every method then has the same number of dimensions of the same spread, hence the same RankMe,
    and silhouettes can be compared. Raises ValueError if the embeddings span fewer dimensions.
    """
    centred = np.asarray(embeddings, dtype=np.float64)
    centred = centred - centred.mean(axis=0)
    left, values, _ = np.linalg.svd(centred, full_matrices=False)
    rank = int((values > RANK * values[0]).sum())
    if rank < components:
        raise ValueError(
            f"embeddings {centred.shape} span {rank} dimensions, fewer than {components} components"
        )
    return left[:, :components] * np.sqrt(len(centred))


def reduced(methods, components=5):
    """`reduce` for each method of a dict as `scoreboard.runs` takes it, where they span enough."""
    equal = {}
    for name, embeddings in methods.items():
        several = isinstance(embeddings, list)
        try:
            parts = [reduce(part, components) for part in (embeddings if several else [embeddings])]
        except ValueError:
            continue
        equal[name] = parts if several else parts[0]
    return equal
