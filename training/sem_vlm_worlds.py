"""A wider world for SEM-VLM, the preset `WIDE`: layers, microscopes and natural surfaces at random.

Where `sem_vlm_preset.SEM_VLM` has one detector, two doses and one range of pitches, each image of
`WIDE` draws its own; a part of the images are natural surfaces of `textures`, with their particles,
holes, scratches and cracks. The pitches, the doses and the detector of the preset "semclip", on
which SEM-CLIP is tested, are left out on purpose: what is learnt has to carry over. All numbers are
our choice.
"""

import math
from dataclasses import replace

import numpy as np
from scipy.ndimage import gaussian_filter

from semlib.images.simulator import layers, lines, microscope, words
from semlib.images.simulator.microscope import Detector
from semlib.images.simulator.presets import Preset
from semlib.images.simulator.surface import pick
from training import sem_vlm_preset as narrow
from training import textures

CRACK = 7
NATURAL = {0: None, 3: "hole", 5: "particle", 6: "scratch", CRACK: "crack"}  # flaws of `textures`
NATURAL_SHARE = 0.3  # of the images whose label a natural surface can have; of cracks all
WORLDS = ("grains", "pores", "spheres", "particles", "cracks", "phases", "rock", "rock", "phases")
RARE_SHARE = 0.04  # of the natural images show fibres, which take long to draw
DOSES = ((20, 60), (280, 900), (1000, 4000))  # none of 70 to 240
PITCHES = ((11, 19), (33, 90))  # none of 22 to 30
WAVE = 0.5  # largest slope of a wavy line


def wavy_lines(rng, layer, feature):
    """Lines in any direction that swing from side to side."""
    straight = narrow.turned_lines(rng, layer, feature)
    length = layer.pitch * rng.uniform(3, 9)
    swing = rng.uniform(0.1, WAVE) * length / (2 * math.pi)
    start = rng.uniform(0, 2 * math.pi)

    def distance(u, v):
        return straight.field(u + swing * np.sin(2 * math.pi * v / length + start), v)

    return replace(straight, field=distance)


def staggered_holes(rng, layer, feature):
    """Contact holes of which every second row stands between those of the first."""
    return _staggered(narrow.contact_holes(rng, layer, feature), "contact holes")


def staggered_vias(rng, layer, feature):
    """Vias of which every second row stands between those of the first."""
    return _staggered(narrow.vias(rng, layer, feature), "vias")


def _staggered(plain, about):
    half = plain.pitch / 2

    def distance(u, v):
        # two square lattices, the second half a cell away
        return np.maximum(plain.field(u, v), plain.field(u - half, v - half))

    return replace(plain, field=distance, about=about)


def pads(rng, layer, feature):
    """Square elements on a square lattice, rounded at their corners."""
    u0, v0 = layer.origin
    pitch = layer.pitch

    def distance(u, v):
        du = np.abs(u - u0 - pitch * np.rint((u - u0) / pitch))
        dv = np.abs(v - v0 - pitch * np.rint((v - v0) / pitch))
        # a high power of the mean lies between a circle and a square
        return (layer.width / 2 - (du**6 + dv**6) ** (1 / 6)).astype(np.float32)

    return replace(layer, field=distance, about="pads", lattice=True)


LAYERS = (
    *3 * (narrow.turned_lines,),
    wavy_lines,
    narrow.contact_holes,
    staggered_holes,
    narrow.vias,
    staggered_vias,
    pads,
    narrow.film,
)
BRIDGED = (*3 * (narrow.turned_lines,), wavy_lines, narrow.vias, pads)


def setting_of(rng):
    """A `layers.Setting` of one image: one pitch, one detector, one dose."""
    low, high = pick(rng, PITCHES)
    pitch = low * (high / low) ** rng.uniform()
    detector = Detector(
        facing=rng.uniform(0.2, 0.45),
        inclined=rng.uniform(0.1, 0.8),
        convex=rng.uniform(0.02, 0.08),
        shadow=rng.uniform(0.15, 0.9),
        halo=rng.uniform(0, 0.016),
    )
    return layers.Setting(
        kinds=LAYERS,
        bridged=BRIDGED,
        pitch=(pitch, pitch),
        duty=(0.3, 0.7),
        rough=(0.2, 0.05 * pitch),  # at most: narrow lines would else break up
        angles=(0.0, 0.0, 90.0, 90.0, rng.uniform(-90, 90), rng.uniform(-90, 90)),
        depth=(0.1, 0.45),
        high=(0.85, 1.4),
        low=(0.3, 0.8),
        swap=0.35,
        feature=0.2,
        sizes=narrow.TRAINING.sizes,
        void=(0.08, 0.4),
        dose=(pick(rng, DOSES),),
        detector=detector,
        grey=(45, 150),
        several=0.15,
    )


def shoot(rng, label, size):
    """One image of the wide world, for `Preset`; a fifth has text, which the mask leaves out."""
    written = rng.random() < words.TEXT_SHARE
    setting = setting_of(rng)
    if label == CRACK or (label in NATURAL and rng.random() < NATURAL_SHARE):
        clean, mask, facts = _natural(rng, label, size)
    else:
        scene, facts = lines.scene(rng, label, size, setting)
        mask = scene.mask
        level = rng.uniform(*setting.grey) * microscope.shading(size, rng)
        signal = microscope.signal(scene, size, rng, setting.detector)
        clean = microscope.probe(signal, size, rng) * level
    if rng.random() < 0.3:  # out of focus
        clean = gaussian_filter(clean, rng.uniform(0.3, 1.5))
    low, high = setting.dose[0]
    scan = {"jitter": rng.uniform(0, 0.5), "correlation": rng.uniform(0, 0.55)}
    noisy = microscope.acquire(clean, rng, dose=low * (high / low) ** rng.uniform(), **scan)
    images = microscope.to_8bit([noisy, clean])
    if written:
        grey, covered = words.overlay(rng, size, mask)
        written = not label or bool((mask & ~covered).any())  # never over the whole defect
    if written:
        images = np.where(covered, grey, images)
        mask = mask & ~covered
    return *images, mask, narrow.varied_caption(rng, facts, mask, written)


def _natural(rng, label, size):
    """A natural surface: clean grey values float32, mask and `lines.Facts`."""
    world = "fibres" if rng.random() < RARE_SHARE else pick(rng, WORLDS)
    defect = NATURAL[label]
    clean = textures.image(rng, size, world, defect)
    mask = np.zeros((size, size), bool)
    if defect:
        clean, _, mask = clean
    # half: neither called faint nor strong, as the strength is not known
    return clean.astype(np.float32), mask, lines.Facts(label, int(label > 0), 0.5, world)


WIDE = Preset("semvlm-wide", {0: 3, 1: 2, 2: 2, 3: 2, 4: 2, 5: 2, 6: 2, CRACK: 1}, shoot)
