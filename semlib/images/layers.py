"""Patterned layers as functions of coordinates: lines, contact holes, vias and films; what presets draw them from."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from semlib.images import scan
from semlib.images.surface import pick, rotate, smoothstep

FILM_PITCH = 44.0


@dataclass(frozen=True)
class Setting:
    """What a preset draws its layers, its defects and its microscope from; lengths are nominal pixels.

    `kinds`: layers, equally frequent; `pitch`, `duty`, `rough` (spread of the edges): ranges; `angles`: degrees the
    lines are turned by; `depth`: height of a line per pitch; `high`, `low`: yields of line and space; `swap`: share of
    layers with both exchanged; `feature`: share of lines with a jog, a line end or a wider line; `sizes`: label ->
    range of the radius (for scratches, its half width); `dose`: ranges, one is picked; `detector`; `grey`: range of
    the level; `several`: share of images with two or three defects.
    """

    kinds: tuple
    pitch: tuple
    duty: tuple
    rough: tuple
    angles: tuple
    depth: tuple
    high: tuple
    low: tuple
    swap: float
    feature: float
    sizes: dict
    dose: tuple
    detector: scan.Detector
    grey: tuple
    several: float


@dataclass
class Layer:
    """A repeated structure: `field(u, v)` is the distance from its edge, positive inside, in a frame turned by `angle`.

    `pitch`, `width` of an element; `origin` (u, v) of one element; `step`, height of the inside over the outside;
    `yields` of inside and outside; `rough`, spread of the edges; `about`, a few words; `site` (u, v) of the defect.
    """

    field: Callable
    kind: str
    angle: float
    pitch: float
    width: float
    origin: tuple
    step: float
    yields: tuple
    rough: float
    about: str
    site: tuple = (0.0, 0.0)

    def frame(self, x, y):
        """Coordinates (u, v) along and across the normal of the lines."""
        return rotate(x, y, self.angle)

    def nearest(self, u, v, *, between=False):
        """The element nearest to (u, v), or the place between two along u."""
        half = 0.5 if between else 0.0
        u0, v0 = self.origin
        u = u0 + self.pitch * (round((u - u0) / self.pitch - half) + half)
        return (u, v) if self.kind in ("lines", "film") else (u, v0 + self.pitch * round((v - v0) / self.pitch))


def draw(rng, setting):
    """A layer of the given setting."""
    kind = pick(rng, setting.kinds)
    angle = pick(rng, setting.angles) + rng.normal(0, 0.4)
    pitch = rng.uniform(*setting.pitch)
    width = pitch * rng.uniform(*setting.duty)
    origin = rng.uniform(-pitch / 2, pitch / 2), rng.uniform(-pitch / 2, pitch / 2)
    step, rough = pitch * rng.uniform(*setting.depth), rng.uniform(*setting.rough)
    yields = rng.uniform(*setting.high), rng.uniform(*setting.low)
    if rng.random() < setting.swap:
        yields = yields[::-1]
    feature = pick(rng, ("jog", "end", "wide")) if rng.random() < setting.feature else ""
    about = kind
    if kind == "lines":
        field = _lines(rng, pitch, width, origin, feature)
        about = _direction(angle) + " lines"
    elif kind == "film":
        field, pitch, width, step = _film, FILM_PITCH, FILM_PITCH / 2, 0.25 * FILM_PITCH
    else:
        field = _array(pitch, width, origin)
        step = -step if kind == "contact holes" else 0.4 * step
        yields = yields[::-1] if kind == "contact holes" else yields
    return Layer(field, kind, math.radians(angle), pitch, width, origin, step, yields, rough, about)


def _direction(angle):
    turned = abs((angle + 90) % 180 - 90)
    return "vertical" if turned < 5 else "horizontal" if turned > 85 else "oblique"


def _film(u, v):
    return np.full(np.broadcast_shapes(np.shape(u), np.shape(v)), 99, np.float32)


def _lines(rng, pitch, width, origin, feature):
    at, end, side = int(rng.integers(-4, 5)), rng.uniform(-150, 150), pick(rng, (-1, 1))
    jog, wider = side * rng.uniform(0.3, 1.0) * pitch, rng.uniform(0.2, 0.45) * (pitch - width)

    def field(u, v):
        if feature == "jog":
            u = u + jog * smoothstep((v - end) / (2 * abs(jog)))
        k = np.rint((u - origin[0]) / pitch)
        inside = width / 2 - np.abs(u - origin[0] - k * pitch)
        if feature == "end":
            inside = np.where(k == at, np.minimum(inside, side * (v - end)), inside)
        elif feature == "wide":
            inside = np.where(k == at, inside + wider / 2, inside)
        return inside.astype(np.float32)

    return field


def _array(pitch, width, origin):
    def field(u, v):
        du = u - origin[0] - pitch * np.rint((u - origin[0]) / pitch)
        dv = v - origin[1] - pitch * np.rint((v - origin[1]) / pitch)
        return (width / 2 - np.hypot(du, dv)).astype(np.float32)

    return field
