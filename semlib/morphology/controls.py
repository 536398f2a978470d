"""Rows beside Table 1 that say what its scores are worth: noise, an untrained encoder, two plain numbers, VGG16."""

import numpy as np
import torch
from tqdm import tqdm

from semlib import vgg
from semlib.morphology import train
from semlib.morphology.encoder import Encoder, to_input
from semlib.morphology.evaluate import standardise

RANK = 1e-6  # singular values below this share of the largest are rounding


def collect(images, *, seeds=range(3), progress=True):
    """All controls of one image set.

    Parameters
    ----------
    images : uint8 array (N, H, W)
    seeds : sequence of int
        One draw of noise and one set of initial weights for each: those with which a training of that seed starts.

    Returns
    -------
    dict of str to array (N, D) or list of array (N, D)
        For `compare.runs`.
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


@torch.inference_mode()
def untrained(images, seed, *, batch_size=64, progress=True):
    """Embeddings (N, 128) of the encoder as `train.train` initialises it with this seed.

    In float32, as its embeddings of different images differ by less than bf16 resolves.
    """
    torch.manual_seed(seed)
    device = train.best_device()
    encoder = Encoder().to(device).eval()
    starts = tqdm(
        range(0, len(images), batch_size),
        desc="untrained encoder",
        unit="batch",
        disable=not progress,
    )
    batches = (to_input(np.array(images[start : start + batch_size]), device) for start in starts)
    return np.concatenate([encoder(batch).cpu().numpy() for batch in batches])


def vgg16(images, *, size=128, progress=True):
    """Mean over all positions of VGG16's last convolution (relu5_3), weights from ImageNet: float32 (N, 512).

    An outside reference: it saw a million labelled photographs and not one micrograph.

    Parameters
    ----------
    images : uint8 array (N, H, W)
    size : int
        Side to which larger images are brought by area averaging; our choice, for speed.

    Raises
    ------
    semlib.weights.WeightsError
        If the weights cannot be had.
    """
    rows = np.empty((len(images), vgg.CHANNELS[-1]), np.float32)
    with tqdm(total=len(images), desc="VGG16", unit="image", disable=not progress) as bar:
        for start in range(0, len(images), vgg.BATCH):
            batch = np.array(images[start : start + vgg.BATCH], np.float32) / 255
            x = torch.from_numpy(batch)[:, None]
            if min(x.shape[2:]) > size:
                x = torch.nn.functional.interpolate(x, size=(size, size), mode="area")
            rows[start : start + len(x)] = vgg.stages(x)[-1].mean((2, 3))
            bar.update(len(x))
    return rows


def reduce(embeddings, components=5):
    """Scores of the first principal components, each brought to standard deviation 1: (N, components).

    Every method then has the same number of dimensions of the same spread, hence the same RankMe, and silhouettes of
    different methods can be compared.

    Raises
    ------
    ValueError
        If the embeddings span fewer dimensions.
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
    """`reduce` for each method of a dict as `compare.runs` takes it; without those that span fewer dimensions."""
    found = {}
    for name, embeddings in methods.items():
        several = isinstance(embeddings, list)
        try:
            parts = [reduce(part, components) for part in (embeddings if several else [embeddings])]
        except ValueError:
            continue
        found[name] = parts if several else parts[0]
    return found
