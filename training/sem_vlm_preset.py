"""The simulated image-caption pairs that SEM-VLM is trained on: the preset `SEM_VLM`.

The families of defects and the burnt-in text are those of the preset "semclip", on which the model
is tested. All else differs: the layers (pitch, direction, contrast, size of the defects), the
microscope (detector, dose), and the captions, which vary and leave some of the facts out. All
numbers are our choice.
"""

import math
import re
from dataclasses import replace
from functools import partial

import numpy as np

from semlib.images.simulator import layers, lines
from semlib.images.simulator.microscope import Detector
from semlib.images.simulator.presets import Preset, line_layer
from semlib.images.simulator.surface import pick
from semlib.images.simulator.words import extent, position

FILM_PITCH = 44.0
NAMES = {
    0: "no defect, a defect-free pattern, a clean surface, nothing unusual, an intact structure, "
    "no anomaly",
    1: "bridge, bridging defect, short circuit, bridge between neighbours, bridged feature, "
    "unwanted link",
    2: "copper residue, metal residue, leftover copper film, unpolished copper patch, "
    "residual copper flake",
    3: "hole, void, missing spot, dark opening, hole in the pattern, pit",
    4: "infilm defect, buried defect, embedded defect, defect under the film, in-film bump, "
    "subsurface bump",
    5: "particle, foreign grain, surface contaminant, fallen-on particle, lump of dirt, "
    "debris particle",
    6: "scratch, long thin scratch, polishing scratch, linear mark, scrape across the pattern",
    7: "crack, hairline crack, fracture, fissure, branched crack, split",
}
SURFACES = {  # layers without a pattern, and the natural ones of `sem_vlm_worlds`
    "film": "an unpatterned film, a plain film, a blanket layer",
    "grains": "a polycrystal, metal grains, a grain structure",
    "pores": "a porous solid, a porous material, a sponge",
    "fibres": "fibres, a felt of fibres, a fibrous material",
    "spheres": "spheres, round particles on a film, beads",
    "particles": "grains of powder, a powder, powder on a film",
    "cracks": "dried plates, plates with gaps, a plate structure",
    "phases": "two phases, a phase structure, a composite",
    "rock": "a rough surface, a fractured surface, a rough film",
}
COUNTS = {2: "two", 3: "three"}
LARGE = 0.18  # of the field; a smaller defect is not called large
SMALL = 0.08


def turned_lines(rng, layer, feature):
    """Lines in any direction."""
    layer = layers.lines(rng, layer, feature)
    degrees = abs((math.degrees(layer.angle) + 90) % 180 - 90)
    direction = "vertical" if degrees < 5 else "horizontal" if degrees > 85 else "oblique"
    return replace(layer, about=f"{direction} lines")


def vias(rng, layer, feature):
    """Round elements on a square lattice, a little higher than the ground between them."""
    u0, v0 = layer.origin
    pitch = layer.pitch

    def distance(u, v):
        du = u - u0 - pitch * np.rint((u - u0) / pitch)
        dv = v - v0 - pitch * np.rint((v - v0) / pitch)
        return (layer.width / 2 - np.hypot(du, dv)).astype(np.float32)

    return replace(layer, field=distance, about="vias", step=0.4 * layer.step, lattice=True)


def contact_holes(rng, layer, feature):
    """The same, dark and deep."""
    yields = layer.yields[::-1]
    holes = replace(vias(rng, layer, feature), about="contact holes")
    return replace(holes, step=-layer.step, yields=yields)


def film(rng, layer, feature):
    """A film: everything is inside, far from any edge."""

    def distance(u, v):
        return np.full(np.broadcast_shapes(np.shape(u), np.shape(v)), 99, np.float32)

    pitch = FILM_PITCH
    layer = replace(layer, pitch=pitch, width=pitch / 2, step=0.25 * pitch)
    return replace(layer, field=distance, about="film")


TRAINING = layers.Setting(
    kinds=(turned_lines, turned_lines, turned_lines, contact_holes, vias, film),
    bridged=(turned_lines, turned_lines, turned_lines, vias),
    pitch=(34, 64),
    duty=(0.35, 0.65),
    rough=(0.2, 1.6),
    angles=(0.0, 90.0, 90.0, 30.0, 45.0, -45.0, -30.0, 60.0, -60.0),
    depth=(0.15, 0.4),
    high=(0.9, 1.3),
    low=(0.4, 0.8),
    swap=0.35,
    feature=0.2,
    sizes=((6, 40), (14, 110), (7, 60), (18, 90), (7, 80), (2.0, 9.0)),
    void=(0.12, 0.35),
    dose=((25, 60), (280, 900), (1000, 3000)),
    # seen from one side: one flank bright, longer shadows
    detector=Detector(facing=0.25, inclined=0.4, convex=0.06, shadow=0.55, halo=0.008),
    grey=(55, 135),
    several=0.15,
)


def names_of(label):
    """The names that captions give to a family of `lines.FAMILIES`, or 7, to cracks."""
    return NAMES[label].split(", ")


def plural(name):
    """Plural of a name such as "bridge between neighbours"."""
    head, *tail = re.split(r"(?= (?:between|in|under|of|across) )", name)
    return head + ("es" if head.endswith("ch") else "s") + "".join(tail)


def varied_caption(rng, facts, mask, text):
    """One of many sentences about an image, from `lines.Facts` and its mask."""
    name = pick(rng, names_of(facts.label))
    layer = _layer(rng, facts.layer)
    note = ""
    if text:
        note = pick(rng, (" with burnt-in text", " with a text label", ", text in the image"))
    if rng.random() >= 0.7:
        note = ""
    if not facts.count:
        clean = (
            f"{layer}, {name}{note}",
            f"a SEM image of {layer} showing {name}{note}",
            f"{name}, {layer}{note}",
        )
        return pick(rng, clean)
    defect = _defect(rng, facts, name, mask)
    place = ""
    if facts.count == 1 and rng.random() < 0.6:
        words = position(mask)
        place = pick(rng, (f" at the {words}", f", {words}", f", in the {words} of the image"))
    defective = (
        f"a SEM image of {layer} with {defect}{place}{note}",
        f"{defect} on {layer}{place}{note}",
        f"{defect}{place}{note}",
        f"electron micrograph: {defect}{place}, {layer}{note}",
        f"{layer} showing {defect}{place}{note}",
        f"an inspection image with {defect}{place}{note}",
    )
    return pick(rng, defective)


def _layer(rng, layer):
    if layer in SURFACES:
        return pick(rng, SURFACES[layer].split(", "))
    if layer.endswith("lines"):
        direction = layer.split()[0]
        words = pick(rng, ("lines", "line and space pattern", "metal lines", "dense lines"))
        return f"{direction} {words}" if rng.random() < 0.5 else words
    return layer if rng.random() < 0.6 else f"an array of {layer}"


def _defect(rng, facts, name, mask):
    strength = ""
    if rng.random() < 0.5:
        faint = pick(rng, ("faint", "weak", "low-contrast"))
        strong = pick(rng, ("strong", "clear", "high-contrast"))
        strength = faint if facts.strength < 0.3 else strong if facts.strength > 0.7 else ""
    if facts.count > 1:
        number = pick(rng, (COUNTS[facts.count], "several"))
        return " ".join(filter(None, (number, strength, plural(name))))
    size = ""
    if rng.random() < 0.6:
        if extent(mask) > LARGE:
            size = pick(rng, ("large", "big"))
        elif extent(mask) < SMALL:
            size = pick(rng, ("small", "tiny"))
    words = " ".join(filter(None, (size, strength, name)))
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


SEM_VLM = Preset(
    "semvlm",
    dict.fromkeys(lines.FAMILIES, 1),
    partial(line_layer, setting=TRAINING, caption=varied_caption),
)
