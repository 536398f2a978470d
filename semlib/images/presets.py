"""What is simulated: for each preset its classes, its wafer and its microscope."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np

from semlib.images import captions, defects, layers, lines, pattern, scan, text, topography
from semlib.images.surface import pick

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


EVALUATION = layers.Setting(
    kinds=("lines",),
    pitch=(22, 30),
    duty=(0.42, 0.6),
    rough=(0.4, 1.0),
    angles=(0.0,),
    depth=(0.2, 0.36),
    high=(0.95, 1.2),
    low=(0.45, 0.75),
    swap=0.0,
    feature=0.12,
    sizes={1: (7, 20), 2: (18, 60), 3: (8, 24), 4: (22, 50), 5: (9, 30), 6: (2.0, 4.5)},
    dose=((70, 240),),
    detector=scan.Detector(facing=0.1, inclined=0.6, convex=0.04, shadow=0.3, halo=0.0),
    grey=(70, 115),
    several=0.1,
)
TRAINING = layers.Setting(
    kinds=("lines", "lines", "lines", "contact holes", "vias", "film"),
    pitch=(34, 64),
    duty=(0.35, 0.65),
    rough=(0.2, 1.6),
    angles=(0.0, 90.0, 90.0, 30.0, 45.0, -45.0, -30.0, 60.0, -60.0),
    depth=(0.15, 0.4),
    high=(0.9, 1.3),
    low=(0.4, 0.8),
    swap=0.35,
    feature=0.2,
    sizes={1: (6, 40), 2: (14, 110), 3: (7, 60), 4: (18, 90), 5: (7, 80), 6: (2.0, 9.0)},
    dose=((25, 60), (280, 900), (1000, 3000)),
    detector=scan.Detector(facing=0.25, inclined=0.4, convex=0.06, shadow=0.55, halo=0.008),
    grey=(55, 135),
    several=0.15,
)


def line_layer(rng, label, size, setting=EVALUATION, varied=False):
    """A dense patterned layer under a review microscope; on a fifth of the images text is burnt in.

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
    noisy = scan.acquire(clean, rng, dose=low * (high / low) ** rng.uniform(), jitter=0.15, correlation=0.25)
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
    "carinthia": Preset({1: 55, 2: 8, 3: 4008, 4: 289, 5: 4, 6: 227}, defects.FAMILIES, unpatterned, 80),
    "semnr": Preset(dict.fromkeys(pattern.FAMILIES, 1), pattern.FAMILIES, patterned, None),
    "semclip": Preset(SEMCLIP_TOTALS, lines.FAMILIES, line_layer, None),
    "semvlm": Preset(
        dict.fromkeys(lines.FAMILIES, 1), lines.FAMILIES, partial(line_layer, setting=TRAINING, varied=True), None
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
