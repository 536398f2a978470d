"""Patterned layers as functions of coordinates, and the two settings they are drawn from.

`EVALUATION` makes the "semclip" preset, `TRAINING` the "semvlm" one. A model trained on the second
has met neither the layers of the first (pitch, direction, contrast, size of the defects) nor its
microscope (detector, dose). Only the families of defects and the burnt-in text are the same.

All numbers are our choice: the SEM-CLIP paper (arXiv 2502.14884) names the classes and the 55 nm
lines, no more.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from semlib.images.simulator.microscope import Detector
from semlib.images.simulator.surface import pick, rotate, smoothstep

FILM_PITCH = 44.0
EVALUATION_SIZES = {1: (7, 20), 2: (18, 60), 3: (8, 24), 4: (22, 50), 5: (9, 30), 6: (2.0, 4.5)}
TRAINING_SIZES = {1: (6, 40), 2: (14, 110), 3: (7, 60), 4: (18, 90), 5: (7, 80), 6: (2.0, 9.0)}


@dataclass(frozen=True)
class Setting:
    """What images are drawn from: a pair is a range, lengths are nominal pixels."""

    kinds: tuple = ("lines",)  # equally frequent
    pitch: tuple = (22, 30)
    duty: tuple = (0.42, 0.6)
    rough: tuple = (0.4, 1.0)  # spread of the edges
    angles: tuple = (0.0,)  # degrees the lines are turned by
    depth: tuple = (0.2, 0.36)  # height of a line per pitch
    high: tuple = (0.95, 1.2)  # electron yield of a line
    low: tuple = (0.45, 0.75)  # electron yield of a space
    swap: float = 0.0  # share of layers with these two exchanged
    feature: float = 0.12  # share of lines with a jog, a line end or a wider line
    # label -> range of the radius; for scratches, of half the width
    sizes: dict = field(default_factory=lambda: EVALUATION_SIZES)
    void: tuple = (0.1, 0.55)  # electron yield of a hole's ground
    dose: tuple = ((70, 240),)  # ranges, one is picked
    # seen from all round: bright edges, few shadows
    detector: Detector = Detector(facing=0.1, inclined=0.6, convex=0.04, shadow=0.3, halo=0.0)
    grey: tuple = (70, 115)  # mean grey level
    several: float = 0.1  # share of images with two or three defects


EVALUATION = Setting()
TRAINING = Setting(
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
    sizes=TRAINING_SIZES,
    void=(0.12, 0.35),
    dose=((25, 60), (280, 900), (1000, 3000)),
    # seen from one side: one flank bright, longer shadows
    detector=Detector(facing=0.25, inclined=0.4, convex=0.06, shadow=0.55, halo=0.008),
    grey=(55, 135),
    several=0.15,
)


@dataclass(frozen=True)
class Layer:
    """A repeated structure in a frame (u, v), turned by `angle`; u is normal to the lines."""

    field: Callable  # (u, v) -> distance from the edge of an element, positive inside
    kind: str
    angle: float  # radians
    pitch: float
    width: float  # of an element
    origin: tuple  # (u, v) of one element
    step: float  # height of the inside over the outside
    yields: tuple  # of inside and outside
    void: tuple  # range of yields of a hole's ground
    rough: float  # spread of the edges
    about: str  # a few words

    def frame(self, x, y):
        """Coordinates (u, v) of a place in the image."""
        return rotate(x, y, self.angle)

    def nearest(self, u, v, *, between=False):
        """The element nearest to (u, v), or the place between two along u."""
        half = 0.5 if between else 0.0
        u0, v0 = self.origin
        u = u0 + self.pitch * (round((u - u0) / self.pitch - half) + half)
        if self.kind in ("contact holes", "vias"):
            v = v0 + self.pitch * round((v - v0) / self.pitch)
        return u, v


def draw(rng, setting):
    """A layer of the given setting."""
    kind = pick(rng, setting.kinds)
    angle = pick(rng, setting.angles) + rng.normal(0, 0.4)
    pitch = rng.uniform(*setting.pitch)
    width = pitch * rng.uniform(*setting.duty)
    origin = (rng.uniform(-pitch / 2, pitch / 2), rng.uniform(-pitch / 2, pitch / 2))
    step = pitch * rng.uniform(*setting.depth)
    rough = rng.uniform(*setting.rough)
    yields = (rng.uniform(*setting.high), rng.uniform(*setting.low))
    if rng.random() < setting.swap:
        yields = yields[::-1]
    feature = pick(rng, ("jog", "end", "wide")) if rng.random() < setting.feature else ""
    about = kind
    if kind == "lines":
        distance = _lines(rng, pitch, width, origin, feature)
        about = _direction(angle) + " lines"
    elif kind == "film":
        distance = _film
        pitch = FILM_PITCH
        width = FILM_PITCH / 2
        step = 0.25 * FILM_PITCH
    else:
        distance = _array(pitch, width, origin)
        step *= -1 if kind == "contact holes" else 0.4
        if kind == "contact holes":
            yields = yields[::-1]
    angle = math.radians(angle)
    return Layer(
        distance, kind, angle, pitch, width, origin, step, yields, setting.void, rough, about
    )


def _direction(angle):
    turned = abs((angle + 90) % 180 - 90)
    return "vertical" if turned < 5 else "horizontal" if turned > 85 else "oblique"


def _film(u, v):
    """Everything is inside, far from any edge."""
    return np.full(np.broadcast_shapes(np.shape(u), np.shape(v)), 99, np.float32)


def _lines(rng, pitch, width, origin, feature):
    """Lines along v; in some of them a jog, the end of a line or a wider line."""
    at = int(rng.integers(-4, 5))
    end = rng.uniform(-150, 150)
    side = pick(rng, (-1, 1))
    jog = side * rng.uniform(0.3, 1.0) * pitch
    wider = rng.uniform(0.2, 0.45) * (pitch - width)

    def distance(u, v):
        if feature == "jog":
            u = u + jog * smoothstep((v - end) / (2 * abs(jog)))
        number = np.rint((u - origin[0]) / pitch)
        inside = width / 2 - np.abs(u - origin[0] - number * pitch)
        if feature == "end":
            inside = np.where(number == at, np.minimum(inside, side * (v - end)), inside)
        elif feature == "wide":
            inside = np.where(number == at, inside + wider / 2, inside)
        return inside.astype(np.float32)

    return distance


def _array(pitch, width, origin):
    """Round elements on a square lattice."""

    def distance(u, v):
        du = u - origin[0] - pitch * np.rint((u - origin[0]) / pitch)
        dv = v - origin[1] - pitch * np.rint((v - origin[1]) / pitch)
        return (width / 2 - np.hypot(du, dv)).astype(np.float32)

    return distance
