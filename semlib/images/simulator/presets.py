"""What is simulated: for each preset its classes, its wafer and its microscope."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from semlib.images.simulator import film, layers, lines, microscope, patterns, words
from semlib.images.simulator.surface import pick
from semlib.workers import keep_memory


@dataclass(frozen=True)
class Preset:
    """A kind of image set; `shoot(rng, label, size)` takes one image, see `unpatterned`."""

    name: str  # two presets that differ have different names
    totals: dict  # images per class in a full set
    shoot: Callable
    quality: int | None = None  # of the JPEG files

    def render(self, seed, size, index, label):
        """Image `index` of a set, before JPEG: a function of the arguments alone."""
        keep_memory()  # blocks of one image serve the next one, a third less time
        return self.shoot(np.random.default_rng([seed, index, label]), label, size)

    def finished(self, seed, size, job):
        """`render` of a job (index, label) and, where the preset has a quality, JPEG."""
        image, *rest = self.render(seed, size, *job)
        if self.quality:
            image = microscope.from_jpeg(microscope.to_jpeg(image, self.quality))
        return image, *rest


def unpatterned(rng, label, size):
    """A film under a review microscope: side detector, high dose, dark border.

    Returns the noisy and the noise-free image, uint8 (size, size), mask and caption.
    """
    scene = film.scene(rng, label, size)
    level = microscope.FILM_GREY * rng.normal(1, 0.058) * microscope.shading(size, rng)
    clean = microscope.probe(microscope.signal(scene, size, rng), size, rng) * level
    dose = rng.lognormal(math.log(2600), 0.12)
    noisy = microscope.acquire(clean, rng, dose=dose, jitter=0.12, correlation=0.36)
    noisy, clean = microscope.to_8bit(microscope.framed([noisy, clean], rng))
    return noisy, clean, scene.mask, scene.caption


def patterned(rng, label, size, kind=None):
    """A patterned wafer under an annular detector, at a dose that leaves about 20 dB."""
    scene = patterns.scene(rng, label, size, kind)
    level = 92 * rng.normal(1, 0.05) * (1 + 0.5 * (microscope.shading(size, rng) - 1))
    signal = microscope.signal(scene, size, rng, microscope.ANNULAR)
    clean = microscope.probe(signal, size, rng) * level
    dose = rng.lognormal(math.log(31), 0.12)
    noisy = microscope.acquire(clean, rng, dose=dose, jitter=0.2, correlation=0.2)
    return microscope.to_8bit(noisy), microscope.to_8bit(clean), scene.mask, scene.caption


def line_layer(rng, label, size, setting=layers.EVALUATION, caption=words.plain_caption):
    """A patterned layer under a review microscope; a fifth has text, which the mask leaves out."""
    written = rng.random() < words.TEXT_SHARE  # the first lot, so that `has_text` can repeat it
    scene, facts = lines.scene(rng, label, size, setting)
    level = rng.uniform(*setting.grey) * microscope.shading(size, rng)
    signal = microscope.signal(scene, size, rng, setting.detector)
    clean = microscope.probe(signal, size, rng) * level
    low, high = pick(rng, setting.dose)
    dose = low * (high / low) ** rng.uniform()
    noisy = microscope.acquire(clean, rng, dose=dose, jitter=0.15, correlation=0.25)
    images = microscope.to_8bit([noisy, clean])
    mask = scene.mask
    if written:
        grey, covered = words.overlay(rng, size, mask)
        images = np.where(covered, grey, images)
        mask = mask & ~covered
    return *images, mask, caption(rng, facts, mask, written)


def has_text(seed, index, label):
    """Whether text is burnt into image `index` of a set of line layers."""
    return bool(np.random.default_rng([seed, index, label]).random() < words.TEXT_SHARE)


CARINTHIA = Preset("carinthia", {1: 55, 2: 8, 3: 4008, 4: 289, 5: 4, 6: 227}, unpatterned, 80)
SEMNR = Preset("semnr", dict.fromkeys(patterns.FAMILIES, 1), patterned)
SEMCLIP = Preset("semclip", {0: 226, 1: 59, 2: 141, 3: 230, 4: 77, 5: 455, 6: 144}, line_layer)
PRESETS = {preset.name: preset for preset in (CARINTHIA, SEMNR, SEMCLIP)}


def of(preset):
    """The preset of a name; a `Preset` is one already."""
    if isinstance(preset, Preset):
        return preset
    if preset not in PRESETS:
        raise ValueError(f"unknown preset {preset!r}: use one of {', '.join(PRESETS)}")
    return PRESETS[preset]
