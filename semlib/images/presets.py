"""What is simulated: for each preset its classes, its wafer and its microscope."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from semlib.images import defects, pattern, scan, topography

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
    noisy = scan.acquire(clean, rng, dose=rng.lognormal(math.log(2600), 0.12), jitter=0.12, correlation=0.36)
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
    noisy = scan.acquire(clean, rng, dose=rng.lognormal(math.log(31), 0.12), jitter=0.2, correlation=0.2)
    return scan.to_8bit(noisy), scan.to_8bit(clean), scene.mask, scene.caption


PRESETS = {
    "carinthia": Preset({1: 55, 2: 8, 3: 4008, 4: 289, 5: 4, 6: 227}, defects.FAMILIES, unpatterned, 80),
    "semnr": Preset(dict.fromkeys(pattern.FAMILIES, 1), pattern.FAMILIES, patterned, None),
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
    classes, totals = (np.array(list(part)) for part in (PRESETS[preset].totals, PRESETS[preset].totals.values()))
    smallest = TEACHING_MINIMUM * len(classes)
    if mix == "teaching" and n < smallest:
        raise ValueError(f"n={n}: mix 'teaching' needs at least {smallest} images, {TEACHING_MINIMUM} of each class")
    least = TEACHING_MINIMUM if mix == "teaching" else int(n >= ALL_CLASSES_FROM)
    share = n * totals / totals.sum()
    counts = np.maximum(np.floor(share + 1e-9).astype(int), least)
    by_remainder = np.argsort(np.floor(share) - share, kind="stable")
    counts[by_remainder[: max(n - counts.sum(), 0)]] += 1
    counts[np.argmax(counts)] -= counts.sum() - n
    return np.random.default_rng([seed, n]).permutation(np.repeat(classes, counts))


def render(preset, seed, index, label, size):
    """Image `index` of a set, see `unpatterned`: a function of the arguments alone. JPEG comes after it."""
    _keep_memory()
    return PRESETS[preset].shoot(np.random.default_rng([seed, index, label]), label, size)


@lru_cache(maxsize=1)
def _keep_memory():
    """Free one large block, once: glibc then keeps the memory of an image for the next, a third less time."""
    np.empty(31 << 20, np.uint8)
