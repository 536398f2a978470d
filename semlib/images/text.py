"""Burnt-in text of a microscope: a data bar or a corner label with a scale bar, drawn over a finished image."""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from semlib.images.surface import pick

SHARE = 0.2


@dataclass
class Overlay:
    """`grey` uint8 (s, s) to be shown where `covered`, bool (s, s), is True."""

    grey: np.ndarray
    covered: np.ndarray

    def on(self, image):
        return np.where(self.covered, self.grey, image)


def overlay(rng, size, mask):
    """A data bar or a corner label, where it hides as little of `mask` as can be.

    Returns
    -------
    Overlay
    """
    bar = rng.random() < 0.5
    words, white = _words(rng), int(rng.integers(200, 256))
    font = ImageFont.load_default(max(8, round(size * rng.uniform(0.04, 0.055))))
    opaque = bar or rng.random() < 0.4
    ground = 0 if opaque else None
    places = [
        _drawn(size, words, font, white, ground, bar, k) for k in rng.permutation(2 if bar else 4)
    ]
    return min(places, key=lambda place: int((place.covered & mask).sum()))


def _words(rng):
    kv = pick(rng, ("0.5kV", "0.8kV", "1.0kV", "1.5kV", "3.0kV"))
    zoom = pick(rng, ("x50k", "x80k", "x100k", "x120k", "x150k"))
    scale = pick(rng, ("100nm", "200nm", "300nm", "500nm", "1um"))
    return pick(
        rng,
        (
            f"HV {kv}  {zoom}",
            f"{kv} {zoom} SE",
            f"Mag {zoom[1:]}  {kv}",
            f"Site {rng.integers(1, 99)}",
        ),
    ), scale


def _drawn(size, words, font, white, ground, bar, place):
    """The overlay at the bottom (0) or top (1), left or, for labels, right (2, 3)."""
    picture, covered = Image.new("L", (size, size)), Image.new("1", (size, size))
    canvas, cover = ImageDraw.Draw(picture), ImageDraw.Draw(covered)
    text, scale = words
    high = round(1.5 * font.size) if bar else round(2.7 * font.size)
    widest = max(font.getlength(text), font.getlength(scale) + size // 6 + 4)
    width = size if bar else round(widest) + 8
    left, top = (0 if bar or place < 2 else size - width), (0 if place % 2 else size - high)
    if ground is not None:
        cover.rectangle((left, top, left + width, top + high), 1)
    for layer, ink in ((canvas, white), (cover, 1)):
        layer.fontmode = "1" if layer is cover or ground is None else "L"
        layer.text((left + 4, top + 1), text, ink, font)
        y = top + high // 2 if bar else top + round(2 * font.size)
        end = left + width - 4
        long = size // 6
        layer.line((end - long, y, end, y), ink, 2)
        start = end - long - round(font.getlength(scale)) - 4
        layer.text((start, y - 0.6 * font.size), scale, ink, font)
    return Overlay(np.array(picture), np.array(covered))
