"""Simulated images with labels, exact masks, captions and noise-free originals, in memory."""

from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from semlib.images.simulator.microscope import from_jpeg, to_jpeg
from semlib.images.simulator.presets import PRESETS, render

SMALLEST = 64
ALL_CLASSES_FROM = 60
TEACHING_MINIMUM = 12
MIXES = ("preset", "teaching")


@dataclass
class SimulatedBatch:
    """A set of `n` images of `s` x `s` pixels."""

    images: np.ndarray  # uint8 (n, s, s)
    clean: np.ndarray  # uint8 (n, s, s), without noise
    labels: np.ndarray  # int (n,)
    masks: np.ndarray  # bool (n, s, s)
    captions: list  # n sentences


def sample(n, *, seed, preset="carinthia", size=480, mix="preset", labels=None):
    """Simulate `n` SEM images; image i depends only on (seed, i, its label).

    Parameters
    ----------
    n, seed : int
        At least 1; not negative.
    preset : str
        "carinthia": unpatterned film, labels 1 to 6 for `defects.FAMILIES`. "semnr": lines, contact
        holes, vias and film at a low dose, labels 0 to 5 for `patterns.FAMILIES`. "semclip": dense
        upright lines, labels 0 to 6 for `lines.FAMILIES`, some with text (`presets.has_text`).
        "semvlm": the same families at other settings and with varied captions, to train on.
    size : int
        Pixels per side, at least 64; the field of view stays the same.
    mix : str
        "preset": classes in the proportions of the real set, exactly its totals at n = 4,591, none
        missing from n = 60 on. "teaching": the same with at least 12 images of each class.
    labels : sequence of int, optional
        The label of each image, instead of a mix.

    Returns
    -------
    SimulatedBatch
    """
    labels = labels_of(n, seed, preset, size, mix, labels)
    images, clean = np.empty((2, n, size, size), np.uint8)
    masks = np.empty((n, size, size), bool)
    captions = []
    for i in tqdm(range(n), desc="simulating", unit="image", disable=n < 50):
        job = (i, int(labels[i]))
        images[i], clean[i], masks[i], caption = finished(preset, seed, size, job)
        captions.append(caption)
    return SimulatedBatch(images, clean, labels, masks, captions)


def finished(preset, seed, size, job):
    """`presets.render` of a job (index, label) and, where the preset has a quality, JPEG."""
    image, *rest = render(preset, seed, *job, size)
    quality = PRESETS[preset].quality
    return from_jpeg(to_jpeg(image, quality)) if quality else image, *rest


def labels_of(n, seed, preset, size, mix="preset", labels=None):
    """Labels of a set, int (n,), after a check of all arguments; see `sample`."""
    if n < 1:
        raise ValueError(f"n={n}: at least one image must be asked for")
    if seed < 0:
        raise ValueError(f"seed={seed}: a seed is not negative")
    if preset not in PRESETS:
        raise ValueError(f"unknown preset {preset!r}: use one of {', '.join(PRESETS)}")
    if size < SMALLEST:
        raise ValueError(f"size={size}: the smallest simulated image has {SMALLEST} pixels a side")
    if labels is None:
        return mixture(n, seed=seed, mix=mix, preset=preset)
    labels = np.asarray(labels, int)
    classes = PRESETS[preset].totals
    if labels.shape != (n,) or not set(labels.tolist()) <= classes.keys():
        raise ValueError(
            f"labels: expected {n} integers from {min(classes)} to {max(classes)}, "
            f"got shape {labels.shape}, values {np.unique(labels).tolist()}"
        )
    return labels


def mixture(n, *, seed, mix="preset", preset="carinthia"):
    """Labels of `n` images in the proportions of a preset, shuffled, int (n,); see `sample`."""
    if mix not in MIXES:
        raise ValueError(f"unknown mix {mix!r}: use one of {', '.join(MIXES)}")
    totals = PRESETS[preset].totals
    classes = np.array(list(totals))
    smallest = TEACHING_MINIMUM * len(classes)
    if mix == "teaching" and n < smallest:
        raise ValueError(
            f"n={n}: mix 'teaching' needs at least {smallest} images, "
            f"{TEACHING_MINIMUM} of each class"
        )
    least = TEACHING_MINIMUM if mix == "teaching" else int(n >= ALL_CLASSES_FROM)
    share = n * np.array(list(totals.values())) / sum(totals.values())
    counts = np.maximum(np.floor(share + 1e-9).astype(int), least)
    # what rounding down left goes to the largest remainders; the largest class pays for `least`
    by_remainder = np.argsort(np.floor(share) - share, kind="stable")
    counts[by_remainder[: max(n - counts.sum(), 0)]] += 1
    counts[np.argmax(counts)] -= counts.sum() - n
    return np.random.default_rng([seed, n]).permutation(np.repeat(classes, counts))
