"""Simulated images with labels, exact masks, captions and noise-free originals, in memory."""

from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from semlib.images.simulator import presets

SMALLEST = 64
ALL_CLASSES_FROM = 60
TEACHING_MINIMUM = 12


@dataclass
class SimulatedBatch:
    images: np.ndarray  # uint8 (n, s, s)
    clean: np.ndarray  # uint8 (n, s, s), without noise
    labels: np.ndarray  # int (n,)
    masks: np.ndarray  # bool (n, s, s)
    captions: list  # n sentences


def sample(n, *, seed, preset="carinthia", size=480, mix="preset", labels=None):
    """A `SimulatedBatch` of `n` SEM images; image i depends only on (seed, i, its label).

    Parameters
    ----------
    n, seed : int
        At least 1; not negative.
    preset : str or presets.Preset
        "carinthia": unpatterned film, labels 1 to 6, `defects.FAMILIES`. "semnr": lines, contact
        holes, vias and film at a low dose, 0 to 5, `patterns.FAMILIES`. "semclip": dense upright
        lines, 0 to 6, `lines.FAMILIES`, some with text.
    size : int
        Pixels per side, at least 64; the field of view stays the same.
    mix : str
        "preset": classes in the proportions of the real set, exactly its totals at n = 4,591, none
        missing from n = 60 on. "teaching": the same with at least 12 images of each class.
    labels : sequence of int, optional
        The label of each image, instead of a mix.

    """
    preset = presets.of(preset)
    labels = labels_of(n, seed, preset, size, mix, labels)
    images, clean = np.empty((2, n, size, size), np.uint8)
    masks = np.empty((n, size, size), bool)
    captions = []
    for i, label in enumerate(tqdm(labels.tolist(), "simulating", unit="image", disable=n < 50)):
        images[i], clean[i], masks[i], caption = preset.finished(seed, size, (i, label))
        captions.append(caption)
    return SimulatedBatch(images, clean, labels, masks, captions)


def labels_of(n, seed, preset, size, mix="preset", labels=None):
    """Labels of a set, int (n,), after a check of all arguments; see `sample`."""
    if n < 1 or seed < 0 or size < SMALLEST:
        needed = f"n of 1, a seed of 0 and a size of {SMALLEST} at least"
        raise ValueError(f"n={n}, seed={seed}, size={size}: expected {needed}")
    if labels is None:
        return mixture(n, seed, preset.totals, mix)
    labels = np.asarray(labels, int)
    classes = preset.totals.keys()
    if labels.shape != (n,) or not set(labels.tolist()) <= classes:
        expected = f"{n} integers from {min(classes)} to {max(classes)}"
        values = np.unique(labels).tolist()
        raise ValueError(f"labels: expected {expected}, got shape {labels.shape}, values {values}")
    return labels


def mixture(n, seed, totals, mix="preset"):
    """Labels of `n` images in the proportions of `totals`, shuffled, int (n,); see `sample`."""
    least = {"preset": int(n >= ALL_CLASSES_FROM), "teaching": TEACHING_MINIMUM}
    if mix not in least:
        raise ValueError(f"unknown mix {mix!r}: use one of {', '.join(least)}")
    smallest = least[mix] * len(totals)
    if n < smallest:
        raise ValueError(f"n={n}: mix {mix!r} needs {smallest} images, {least[mix]} of each class")
    share = n * np.array(list(totals.values())) / sum(totals.values())
    counts = np.maximum(np.floor(share + 1e-9).astype(int), least[mix])
    # what rounding down left goes to the largest remainders; the largest class pays for `least`
    by_remainder = np.argsort(np.floor(share) - share, kind="stable")
    counts[by_remainder[: max(n - counts.sum(), 0)]] += 1
    counts[np.argmax(counts)] -= counts.sum() - n
    return np.random.default_rng([seed, n]).permutation(np.repeat(list(totals), counts))
