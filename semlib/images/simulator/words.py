"""Words about simulated images and in them: captions, and the burnt-in text of a microscope."""

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from semlib.images.measure import bounding_box
from semlib.images.simulator.lines import FAMILIES
from semlib.images.simulator.surface import pick

TEXT_SHARE = 0.2  # of the images with burnt-in text


def position(mask):
    """Where the centre of a mask lies: "centre", "upper left", "left" ...; thirds of the field."""
    rows, columns = np.nonzero(mask)
    third_y = min(int(3 * (rows.mean() + 0.5) / mask.shape[0]), 2)
    third_x = min(int(3 * (columns.mean() + 0.5) / mask.shape[1]), 2)
    words = f"{('upper', '', 'lower')[third_y]} {('left', '', 'right')[third_x]}".strip()
    return {"": "centre", "upper": "top", "lower": "bottom"}.get(words, words)


def extent(mask):
    """Longest side of the bounding box of a mask as a fraction of the field."""
    return max(bounding_box(mask)) / len(mask)


def plain_caption(rng, facts, mask, text):
    """All that is known of an image, `lines.Facts` and mask, in one fixed form, without `rng`."""
    content = "no defect"
    if facts.count:
        name = FAMILIES[facts.label]
        size = f"extent {extent(mask):.2f} of the field"
        content = f"{facts.count} x {name}, {position(mask)}, {size}"
    note = ", with burnt-in text" if text else ""
    return f"Synthetic SEM image of {facts.layer}: {content}{note}."


def overlay(rng, size, mask):
    """What a microscope writes over an image: grey values, uint8 (s, s), and where they are shown.

    A data bar or a corner label, both with a scale bar, where they hide least of `mask`.
    """
    bar = rng.random() < 0.5
    kv = pick(rng, ("0.5kV", "0.8kV", "1.0kV", "1.5kV", "3.0kV"))
    zoom = pick(rng, ("x50k", "x80k", "x100k", "x120k", "x150k"))
    scale = pick(rng, ("100nm", "200nm", "300nm", "500nm", "1um"))
    site = f"Site {rng.integers(1, 99)}"
    text = pick(rng, (f"HV {kv}  {zoom}", f"{kv} {zoom} SE", f"Mag {zoom[1:]}  {kv}", site))
    white = int(rng.integers(200, 256))
    font = ImageFont.load_default(max(8, round(size * rng.uniform(0.04, 0.055))))
    opaque = bar or rng.random() < 0.4
    places = rng.permutation(2 if bar else 4)
    drawn = [_drawn(size, text, scale, font, white, opaque, bar, place) for place in places]
    return min(drawn, key=lambda one: int((one[1] & mask).sum()))


def _drawn(size, text, scale, font, white, opaque, bar, place):
    """The overlay at the bottom (place 0) or top (1), left or, for labels, right (2, 3)."""
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
    return np.array(picture), np.array(covered)
