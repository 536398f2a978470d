"""Patterned layers as functions of coordinates, and the two settings they are drawn from.

`EVALUATION` makes the "semclip" preset, `TRAINING` the "semvlm" one. A model trained on the second has met neither
the layers nor the microscope of the first (lengths in nominal pixels, 480 to the field):

==================  ===============================  ==============================================================
setting             EVALUATION ("semclip")           TRAINING ("semvlm")
==================  ===============================  ==============================================================
layers              upright lines                    half lines, mostly level or oblique; contact holes, vias, film
pitch               22 to 30                         34 to 64
contrast            lines bright                     on a third of the layers spaces bright, lines dark
detector            annular: edges bright, few       stronger side view: one flank bright, longer shadows, halo
                    shadows
dose                70 to 240 electrons a pixel      25 to 60, 280 to 900 or 1000 to 3000
size of defects     half to two and a half pitches   from about the same smallest to twice the largest or more
ground of a hole    black to as dark as a space      dark
captions            one fixed form                   varied, often incomplete
==================  ===============================  ==============================================================

The families of defects and the burnt-in text are the same. All numbers are our choice: the SEM-CLIP paper
(arXiv 2502.14884) names the classes and the 55 nm lines, no more.
"""

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
    range of the radius (for scratches, its half width); `void`: yields of a hole's ground; `dose`: ranges, one is
    picked; `detector`; `grey`: range of the level; `several`: share of images with two or three defects.
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
    void: tuple
    dose: tuple
    detector: scan.Detector
    grey: tuple
    several: float


EVALUATION = Setting(
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
    void=(0.1, 0.55),
    dose=((70, 240),),
    detector=scan.Detector(facing=0.1, inclined=0.6, convex=0.04, shadow=0.3, halo=0.0),
    grey=(70, 115),
    several=0.1,
)
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
    sizes={1: (6, 40), 2: (14, 110), 3: (7, 60), 4: (18, 90), 5: (7, 80), 6: (2.0, 9.0)},
    void=(0.12, 0.35),
    dose=((25, 60), (280, 900), (1000, 3000)),
    detector=scan.Detector(facing=0.25, inclined=0.4, convex=0.06, shadow=0.55, halo=0.008),
    grey=(55, 135),
    several=0.15,
)


@dataclass(frozen=True)
class Layer:
    """A repeated structure: `field(u, v)` is the distance from its edge, positive inside, in a frame turned by `angle`.

    `pitch`, `width` of an element; `origin` (u, v) of one element; `step`, height of the inside over the outside;
    `yields` of inside and outside; `void`, range of yields of a hole's ground; `rough`, spread of the edges; `about`,
    a few words; `site` (u, v) of the defect.
    """

    field: Callable
    kind: str
    angle: float
    pitch: float
    width: float
    origin: tuple
    step: float
    yields: tuple
    void: tuple
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
        return (
            (u, v)
            if self.kind in ("lines", "film")
            else (u, v0 + self.pitch * round((v - v0) / self.pitch))
        )


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
    return Layer(
        field,
        kind,
        math.radians(angle),
        pitch,
        width,
        origin,
        step,
        yields,
        setting.void,
        rough,
        about,
    )


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
