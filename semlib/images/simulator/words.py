"""Words about simulated images and in them: captions, and the burnt-in text of a microscope."""

import re
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from semlib.images.measure import bounding_box
from semlib.images.simulator.surface import pick

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
}
COUNTS = {2: "two", 3: "three"}
LARGE = 0.18  # of the field; a smaller defect is not called large
SMALL = 0.08
TEXT_SHARE = 0.2  # of the images with burnt-in text


def names_of(label):
    """The names that varied captions give to a family of `lines.FAMILIES`."""
    return NAMES[label].split(", ")


def position(mask):
    """Where the centre of a mask lies: "centre", "upper left", "left" ...; thirds of the field."""
    rows, columns = np.nonzero(mask)
    third_y = min(int(3 * (rows.mean() + 0.5) / mask.shape[0]), 2)
    third_x = min(int(3 * (columns.mean() + 0.5) / mask.shape[1]), 2)
    words = _joined(("upper", "", "lower")[third_y], ("left", "", "right")[third_x])
    return {"": "centre", "upper": "top", "lower": "bottom"}.get(words, words)


def extent(mask):
    """Longest side of the bounding box of a mask as a fraction of the field."""
    return max(bounding_box(mask)) / len(mask)


def plural(name):
    """Plural of a name such as "bridge between neighbours"."""
    head, *tail = re.split(r"(?= (?:between|in|under|of|across) )", name)
    return head + ("es" if head.endswith("ch") else "s") + "".join(tail)


def plain_caption(facts, name, mask, text):
    """All that is known of an image, `lines.Facts` and mask, in one fixed form."""
    content = "no defect"
    if facts.count:
        size = f"extent {extent(mask):.2f} of the field"
        content = f"{facts.count} x {name}, {position(mask)}, {size}"
    note = ", with burnt-in text" if text else ""
    return f"Synthetic SEM image of {facts.layer}: {content}{note}."


def varied_caption(rng, facts, mask, text):
    """One of many sentences about an image; some of the facts are left out."""
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


def _joined(*words):
    return " ".join(filter(None, words))


def _layer(rng, layer):
    if layer == "film":
        return pick(rng, ("an unpatterned film", "a plain film", "a blanket layer"))
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
        return _joined(pick(rng, (COUNTS[facts.count], "several")), strength, plural(name))
    size = ""
    if rng.random() < 0.6:
        if extent(mask) > LARGE:
            size = pick(rng, ("large", "big"))
        elif extent(mask) < SMALL:
            size = pick(rng, ("small", "tiny"))
    words = _joined(size, strength, name)
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


@dataclass
class Overlay:
    """What a microscope writes over a finished image."""

    grey: np.ndarray  # uint8 (s, s)
    covered: np.ndarray  # bool (s, s), where `grey` is shown

    def on(self, image):
        return np.where(self.covered, self.grey, image)


def overlay(rng, size, mask):
    """A data bar or a corner label, both with a scale bar, where they hide least of `mask`."""
    bar = rng.random() < 0.5
    words = _burnt_in(rng)
    white = int(rng.integers(200, 256))
    font = ImageFont.load_default(max(8, round(size * rng.uniform(0.04, 0.055))))
    opaque = bar or rng.random() < 0.4
    places = rng.permutation(2 if bar else 4)
    drawn = [_drawn(size, words, font, white, opaque, bar, place) for place in places]
    return min(drawn, key=lambda one: int((one.covered & mask).sum()))


def _burnt_in(rng):
    """Voltage and magnification in some form, and the length of the scale bar."""
    kv = pick(rng, ("0.5kV", "0.8kV", "1.0kV", "1.5kV", "3.0kV"))
    zoom = pick(rng, ("x50k", "x80k", "x100k", "x120k", "x150k"))
    scale = pick(rng, ("100nm", "200nm", "300nm", "500nm", "1um"))
    site = f"Site {rng.integers(1, 99)}"
    return pick(rng, (f"HV {kv}  {zoom}", f"{kv} {zoom} SE", f"Mag {zoom[1:]}  {kv}", site)), scale


def _drawn(size, words, font, white, opaque, bar, place):
    """The overlay at the bottom (place 0) or top (1), left or, for labels, right (2, 3)."""
    text, scale = words
    picture = Image.new("L", (size, size))
    covered = Image.new("1", (size, size))
    high = round((1.5 if bar else 2.7) * font.size)
    long = size // 6  # of the scale bar
    widest = max(font.getlength(text), font.getlength(scale) + long + 4)
    width = size if bar else round(widest) + 8
    left = 0 if bar or place < 2 else size - width
    top = 0 if place % 2 else size - high
    if opaque:
        ImageDraw.Draw(covered).rectangle((left, top, left + width, top + high), 1)
    y = top + high // 2 if bar else top + round(2 * font.size)
    end = left + width - 4
    start = end - long - round(font.getlength(scale)) - 4
    for drawn, ink in ((picture, white), (covered, 1)):
        canvas = ImageDraw.Draw(drawn)
        # smooth letters on an opaque ground alone: what is covered is so whole or not at all
        canvas.fontmode = "L" if opaque and drawn is picture else "1"
        canvas.text((left + 4, top + 1), text, ink, font)
        canvas.line((end - long, y, end, y), ink, 2)
        canvas.text((start, y - 0.6 * font.size), scale, ink, font)
    return Overlay(np.array(picture), np.array(covered))
