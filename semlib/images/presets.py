"""What is simulated: for each preset its classes, its wafer and its microscope."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np

from semlib.images import captions, defects, layers, lines, pattern, scan, text, topography
from semlib.images.surface import pick

SMALLEST = 64
ALL_CLASSES_FROM = 60
TEACHING_MINIMUM = 12
MIXES = ("preset", "teaching")


@dataclass(frozen=True)
class Preset:
    """`totals`: images per class in a full set; `families`: their names; `shoot` takes one image; JPEG `quality`."""

    totals: dict
    families: dict
    shoot: Callable
    quality: int | None


def unpatterned(rng, label, size):
    """A film under a review microscope: side detector, high dose, dark border.

    Returns
    -------
    tuple
        Noisy image and noise-free image, uint8 (size, size), mask, caption.
    """
    scene = topography.scene(rng, label, size)
    level = scan.FILM_GREY * rng.normal(1, 0.058) * scan.shading(size, rng)
    clean = scan.probe(scan.signal(scene, size, rng), size, rng) * level
    noisy = scan.acquire(
        clean, rng, dose=rng.lognormal(math.log(2600), 0.12), jitter=0.12, correlation=0.36
    )
    marks = scan.frame(size, rng)
    image, clean = (scan.to_8bit(scan.framed(field, marks)) for field in (noisy, clean))
    return image, clean, scene.mask, scene.caption


def patterned(rng, label, size):
    """A patterned wafer under a microscope with an annular detector, at a dose that leaves about 20 dB.

    Returns
    -------
    tuple
        See `unpatterned`; no border, no JPEG.
    """
    scene = pattern.scene(rng, label, size)
    level = 92 * rng.normal(1, 0.05) * (1 + 0.5 * (scan.shading(size, rng) - 1))
    clean = scan.probe(scan.signal(scene, size, rng, scan.ANNULAR), size, rng) * level
    noisy = scan.acquire(
        clean, rng, dose=rng.lognormal(math.log(31), 0.12), jitter=0.2, correlation=0.2
    )
    return scan.to_8bit(noisy), scan.to_8bit(clean), scene.mask, scene.caption


def line_layer(rng, label, size, setting=layers.EVALUATION, varied=False):
    """A patterned layer under a review microscope; on a fifth of the images, chosen by the first lot, text is burnt in.

    Returns
    -------
    tuple
        See `unpatterned`; no border, no JPEG. Pixels under the text are not part of the mask.
    """
    written = rng.random() < text.SHARE
    scene, facts = lines.scene(rng, label, size, setting)
    level = rng.uniform(*setting.grey) * scan.shading(size, rng)
    clean = scan.probe(scan.signal(scene, size, rng, setting.detector), size, rng) * level
    low, high = pick(rng, setting.dose)
    noisy = scan.acquire(
        clean, rng, dose=low * (high / low) ** rng.uniform(), jitter=0.15, correlation=0.25
    )
    image, clean, mask = scan.to_8bit(noisy), scan.to_8bit(clean), scene.mask
    if written:
        marks = text.overlay(rng, size, mask)
        image, clean, mask = marks.on(image), marks.on(clean), mask & ~marks.covered
    caption = (
        captions.varied(rng, facts, mask, written)
        if varied
        else captions.plain(facts, lines.FAMILIES[label], mask, written)
    )
    return image, clean, mask, caption


def has_text(seed, index, label):
    """Whether text is burnt into image `index` of a "semclip" or "semvlm" set."""
    return bool(np.random.default_rng([seed, index, label]).random() < text.SHARE)


SEMCLIP_TOTALS = {0: 226, 1: 59, 2: 141, 3: 230, 4: 77, 5: 455, 6: 144}
PRESETS = {
    "carinthia": Preset(
        {1: 55, 2: 8, 3: 4008, 4: 289, 5: 4, 6: 227}, defects.FAMILIES, unpatterned, 80
    ),
    "semnr": Preset(dict.fromkeys(pattern.FAMILIES, 1), pattern.FAMILIES, patterned, None),
    "semclip": Preset(SEMCLIP_TOTALS, lines.FAMILIES, line_layer, None),
    "semvlm": Preset(
        dict.fromkeys(lines.FAMILIES, 1),
        lines.FAMILIES,
        partial(line_layer, setting=layers.TRAINING, varied=True),
        None,
    ),
}


def mixture(n, *, seed, mix="preset", preset="carinthia"):
    """Labels of `n` images, shuffled, int (n,). See `simulate.sample` for `mix`.

    Raises
    ------
    ValueError
        If the mix is unknown, or `n` too small for it.
    """
    if mix not in MIXES:
        raise ValueError(f"unknown mix {mix!r}: use one of {', '.join(MIXES)}")
    classes, totals = (
        np.array(list(part)) for part in (PRESETS[preset].totals, PRESETS[preset].totals.values())
    )
    smallest = TEACHING_MINIMUM * len(classes)
    if mix == "teaching" and n < smallest:
        raise ValueError(
            f"n={n}: mix 'teaching' needs at least {smallest} images, {TEACHING_MINIMUM} of each class"
        )
    least = TEACHING_MINIMUM if mix == "teaching" else int(n >= ALL_CLASSES_FROM)
    share = n * totals / totals.sum()
    counts = np.maximum(np.floor(share + 1e-9).astype(int), least)
    by_remainder = np.argsort(np.floor(share) - share, kind="stable")
    counts[by_remainder[: max(n - counts.sum(), 0)]] += 1
    counts[np.argmax(counts)] -= counts.sum() - n
    return np.random.default_rng([seed, n]).permutation(np.repeat(classes, counts))


def requested(n, seed, preset, size, mix="preset", labels=None):
    """The labels of a set to be made, int (n,), after a check of all arguments; see `simulate.sample`.

    Raises
    ------
    ValueError
        If an argument is unknown or out of range.
    """
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
    labels, known = np.asarray(labels, int), set(PRESETS[preset].totals)
    if labels.shape != (n,) or not set(labels.tolist()) <= known:
        values = sorted(set(labels.ravel().tolist()))
        expected = f"expected {n} integers from {min(known)} to {max(known)}"
        raise ValueError(f"labels: {expected}, got shape {labels.shape}, values {values}")
    return labels


def render(preset, seed, index, label, size):
    """Image `index` of a set, see `unpatterned`: a function of the arguments alone. JPEG comes after it."""
    _keep_memory()
    return PRESETS[preset].shoot(np.random.default_rng([seed, index, label]), label, size)


@lru_cache(maxsize=1)
def _keep_memory():
    """Free one large block, once: glibc then keeps the memory of an image for the next, a third less time."""
    np.empty(31 << 20, np.uint8)
