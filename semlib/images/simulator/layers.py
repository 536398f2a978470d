"""Patterned layers as functions of coordinates, and the setting they are drawn from.

The numbers of `EVALUATION` are our choice: the SEM-CLIP paper names classes and 55 nm lines only.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from semlib.images.simulator.microscope import Detector
from semlib.images.simulator.surface import pick, rotate, smoothstep


@dataclass(frozen=True)
class Layer:
    """A repeated structure in a frame (u, v), turned by `angle`; u is normal to the lines."""

    angle: float  # radians
    pitch: float
    width: float  # of an element
    origin: tuple  # (u, v) of one element
    step: float  # height of the inside over the outside
    yields: tuple  # electron yields of inside and outside
    rough: float  # spread of the edges
    void: tuple  # range of yields of a hole's ground
    field: Callable | None = None  # (u, v) -> distance from the edge of an element, inside > 0
    about: str = ""  # a few words
    lattice: bool = False  # repeated along v too

    def frame(self, x, y):
        """Coordinates (u, v) of a place in the image."""
        return rotate(x, y, self.angle)

    def nearest(self, u, v, *, between=False):
        """The element nearest to (u, v), or the place between two along u."""
        half = 0.5 if between else 0.0
        u0, v0 = self.origin
        u = u0 + self.pitch * (round((u - u0) / self.pitch - half) + half)
        if self.lattice:
            v = v0 + self.pitch * round((v - v0) / self.pitch)
        return u, v


def lines(rng, layer, feature):
    """`layer` with lines along v, in some of them a jog, the end of a line or a wider line."""
    pitch = layer.pitch
    u0 = layer.origin[0]
    at = int(rng.integers(-4, 5))
    end = rng.uniform(-150, 150)
    side = pick(rng, (-1, 1))
    jog = side * rng.uniform(0.3, 1.0) * pitch
    wider = rng.uniform(0.2, 0.45) * (pitch - layer.width)

    def distance(u, v):
        if feature == "jog":
            u = u + jog * smoothstep((v - end) / (2 * abs(jog)))
        number = np.rint((u - u0) / pitch)
        inside = layer.width / 2 - np.abs(u - u0 - number * pitch)
        if feature == "end":
            inside = np.where(number == at, np.minimum(inside, side * (v - end)), inside)
        elif feature == "wide":
            inside = np.where(number == at, inside + wider / 2, inside)
        return inside.astype(np.float32)

    return replace(layer, field=distance, about="vertical lines")


@dataclass(frozen=True)
class Setting:
    """What images are drawn from: a pair is a range, lengths are nominal pixels."""

    kinds: tuple = (lines,)  # equally frequent; (rng, layer, feature) -> layer with its field
    bridged: tuple = (lines,)  # those where a bridge can be
    pitch: tuple = (22, 30)
    duty: tuple = (0.42, 0.6)
    rough: tuple = (0.4, 1.0)  # spread of the edges
    angles: tuple = (0.0,)  # degrees the lines are turned by
    depth: tuple = (0.2, 0.36)  # height of a line per pitch
    high: tuple = (0.95, 1.2)  # electron yield of a line
    low: tuple = (0.45, 0.75)  # electron yield of a space
    swap: float = 0.0  # share of layers with these two exchanged
    feature: float = 0.12  # share of lines with a jog, a line end or a wider line
    # of families 1 to 6: range of the radius; for scratches, of half the width
    sizes: tuple = ((7, 20), (18, 60), (8, 24), (22, 50), (9, 30), (2.0, 4.5))
    void: tuple = (0.1, 0.55)  # electron yield of a hole's ground
    dose: tuple = ((70, 240),)  # ranges, one is picked
    # seen from all round: bright edges, few shadows
    detector: Detector = Detector(facing=0.1, inclined=0.6, convex=0.04, shadow=0.3, halo=0.0)
    grey: tuple = (70, 115)  # mean grey level
    several: float = 0.1  # share of images with two or three defects


EVALUATION = Setting()


def draw(rng, setting, kinds):
    """A layer of the given setting, one of `kinds`."""
    kind = pick(rng, kinds)
    angle = math.radians(pick(rng, setting.angles) + rng.normal(0, 0.4))
    pitch = rng.uniform(*setting.pitch)
    width = pitch * rng.uniform(*setting.duty)
    origin = (rng.uniform(-pitch / 2, pitch / 2), rng.uniform(-pitch / 2, pitch / 2))
    step = pitch * rng.uniform(*setting.depth)
    rough = rng.uniform(*setting.rough)
    yields = (rng.uniform(*setting.high), rng.uniform(*setting.low))
    if rng.random() < setting.swap:
        yields = yields[::-1]
    feature = pick(rng, ("jog", "end", "wide")) if rng.random() < setting.feature else ""
    layer = Layer(angle, pitch, width, origin, step, yields, rough, setting.void)
    return kind(rng, layer, feature)
