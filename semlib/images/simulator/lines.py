"""Patterned layers with the six defects of SEM-CLIP: functions of a `Site`, which give a `Change`.

The classes are the paper's (arXiv 2502.14884); how each looks is our choice: no images are public.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from semlib.images.simulator import layers
from semlib.images.simulator.defects import rock
from semlib.images.simulator.surface import FIELD, Scene, grid_of, pick, rotate, smoothstep

REACH = 0.42 * FIELD


@dataclass
class Site:
    """Where a defect goes, and on what."""

    rough: Callable  # see `Grid.surfaces`
    layer: layers.Layer
    field: np.ndarray  # the pattern, positive inside, with its rough edges
    at: tuple  # (u, v) of the defect in the layer's frame
    u: np.ndarray  # coordinates about the defect
    v: np.ndarray
    r: float  # radius in nominal pixels
    strength: float  # 0 faint to 1 strong

    def blob(self, u, v, ru, rv, ragged=0.15, length=8.0):
        """A rounded irregular patch: nominal pixels from its edge, positive inside."""
        distance = np.hypot(u / ru, v / rv)
        field = 1 - distance + ragged * self.rough(length, 1.2)
        return np.where(distance < 2, field * min(ru, rv), -99).astype(np.float32)


@dataclass
class Change:
    """What a defect does; arrays are (n, n)."""

    field: np.ndarray  # of the pattern, after it
    footprint: np.ndarray  # bool
    lift: np.ndarray | float = 0.0  # added height
    cover: np.ndarray | float = 0.0  # 0 to 1: how far `tint` takes the place of the yield
    tint: float = 1.0
    gain: np.ndarray | float = 1.0  # factor of the yield


@dataclass
class Facts:
    """What is known of an image beside its mask."""

    label: int
    count: int  # of defects
    strength: float  # 0 to 1
    layer: str  # in words


def bridge(site, rng):
    """A short between two neighbours, as high as they are or lower."""
    layer = site.layer
    space = layer.pitch - layer.width
    reach = 0.5 * space + 0.3 * layer.width + layer.pitch * (rng.random() < 0.15)
    patch = site.blob(site.u, site.v, max(reach, 0.8 * site.r), site.r, 0.1)
    joined = np.maximum(site.field, patch)
    added = (joined > 0) & (site.field <= 0)
    cover = 0.25 * (1 - site.strength) * added
    return Change(joined, added, cover=cover, tint=min(layer.yields))


def residue(site, rng):
    """Copper left by the polish: a thin bright ragged film over lines and spaces."""
    along = rng.uniform(0.6, 1.0)
    u, v = rotate(site.u, site.v, rng.uniform(0, math.pi))
    ragged = rng.uniform(0.25, 0.45)
    patch = site.blob(u, v, site.r, site.r * along, ragged, rng.uniform(0.5, 0.9) * site.r)
    edge = smoothstep(patch / 4)
    ripple = 1 + 0.3 * site.rough(5.0, 1.0)
    cover = np.clip(edge * (0.4 + 0.5 * site.strength) * np.clip(ripple, 0.4, 1.3), 0, 1)
    tint = max(site.layer.yields) * (1.15 + 0.45 * site.strength)
    lift = (2 + 3 * site.strength) * edge * ripple
    return Change(site.field, patch > 0, lift, cover, tint)


def hole(site, rng):
    """A void: the lines are missing there, and the ground below them is dark."""
    patch = site.blob(site.u, site.v, site.r, site.r * rng.uniform(0.75, 1.3), 0.12)
    inside = smoothstep(patch / 4 + 0.5)
    lift = -inside * rng.uniform(0.2, 0.8) * abs(site.layer.step)
    cover = inside * (0.5 + 0.5 * site.strength)
    field = np.minimum(site.field, -patch)
    return Change(field, patch > 0, lift, cover, tint=rng.uniform(*site.layer.void))


def infilm(site, rng):
    """Something buried: a soft bump that the lines run over and give way to."""
    distance = np.hypot(site.u / site.r, site.v / (site.r * rng.uniform(0.7, 1.2)))
    bump = np.exp(-1.2 * distance**2).astype(np.float32)
    push = (0.2 + 0.25 * site.strength) * bump * pick(rng, (1, 1, -1))
    u0, v0 = site.at
    smooth = site.layer.field(site.u + u0, site.v + v0)
    pushed = site.layer.field(site.u * (1 - push) + u0, site.v * (1 - push) + v0)
    # the difference of the two layers, so that the rough edges of the field stay
    warped = np.where(bump > 0.01, pushed + site.field - smooth, site.field).astype(np.float32)
    gain = 1 + (0.15 + 0.25 * site.strength) * pick(rng, (1, -1)) * bump
    lift = (0.2 + 0.3 * site.strength) * site.r * bump
    return Change(warped, distance < 1, lift, gain=gain)


def particle(site, rng):
    """A grain on top, or some grown together, rough or faceted, with its shadow."""
    step = site.layer.step
    area = math.pi * (site.r / FIELD) ** 2
    ramp = rock(rng, site.u, site.v, area, 1 + int(rng.binomial(2, 0.3))) + 0.06 * site.rough(10.0)
    body = ramp > 0
    round_top = np.sqrt(np.clip(ramp, 0, 1) * (0.5 + 0.5 * site.strength))
    dome = site.r * rng.uniform(0.6, 1.0) * round_top
    dome += rng.uniform(0.3, 1.6) * site.rough(3.0, 1.0) * smoothstep(3 * ramp)
    # on top of whatever is highest, lines or spaces
    lift = np.where(body, np.maximum(dome, 0.5) + max(step, 0) - step * (site.field > 0), 0)
    tint = max(site.layer.yields) * (0.85 + 0.5 * site.strength)
    return Change(site.field, body, lift, 0.9 * body, tint)


def scratch(site, rng):
    """A long thin mark across the lines: a groove with a bright or a dark ground."""
    s, t = rotate(site.u, site.v, rng.uniform(-1.0, 1.0))
    half = rng.uniform(70, 260)
    t = t - rng.normal(0, 60) / FIELD**2 * s * s + 1.2 * site.rough(30.0)
    width = site.r * (1 + 0.3 * np.sin(s * rng.uniform(0.01, 0.04) + rng.uniform(0, 7)))
    stroke = np.minimum(width - np.abs(t), 0.1 * (half - np.abs(s))) + 0.35 * site.rough(4.0)
    inside = smoothstep(stroke / 2 + 0.5)
    lift = -inside * (0.3 + 0.5 * site.strength) * abs(site.layer.step)
    tint = pick(rng, (0.3, 1.6))
    return Change(site.field, stroke > 0, lift, inside * (0.3 + 0.5 * site.strength), tint)


NAMES = ("defect-free", "bridge", "copper residue", "hole", "infilm", "particle", "scratch")
FAMILIES = dict(enumerate(NAMES))
DEFECTS = (None, bridge, residue, hole, infilm, particle, scratch)


def _defect(rng, grid, layer, rough, field, kind, sizes, strength):
    """One defect at a random place; as often as it comes out empty, another one."""
    u, v = layer.frame(grid.x, grid.y)
    while True:
        at = layer.frame(*rng.uniform(-REACH, REACH, 2))
        if kind in (bridge, hole):
            # a hole is where material stands: if the elements are recessed, between them
            at = layer.nearest(*at, between=kind is bridge or layer.step < 0)
        r = sizes[0] * (sizes[1] / sizes[0]) ** rng.uniform()
        site = Site(rough, layer, field, at, u - at[0], v - at[1], r, strength)
        change = kind(site, rng)
        if change.footprint[grid.inside].any():
            return change


def scene(rng, label, size, setting):
    """A patterned layer of a `layers.Setting` with the defects of the family `label`, 0 to 6.

    Returns a `Scene`, whose mask is the footprint of the defects without shadows, and `Facts`.
    """
    grid = grid_of(size)
    kind = DEFECTS[label]
    layer = layers.draw(rng, setting, setting.bridged if kind is bridge else setting.kinds)
    rough = grid.surfaces(rng)
    field = layer.field(*layer.frame(grid.x, grid.y)) + layer.rough * rough(8.0)
    count = int(label > 0)
    if label and rng.random() < setting.several:
        count = int(rng.integers(2, 4))
    strength = rng.uniform(0, 1)
    flaw = grid.surfaces(rng)
    footprint = np.zeros((grid.n, grid.n), bool)
    lift, cover = np.zeros((2, grid.n, grid.n), np.float32)
    gain = tint = np.float32(1)
    for _ in range(count):
        change = _defect(rng, grid, layer, flaw, field, kind, setting.sizes[label - 1], strength)
        field = change.field
        footprint |= change.footprint
        # where two defects meet, the one that covers more shows
        tint = np.where(change.cover > cover, np.float32(change.tint), tint)
        cover = np.maximum(cover, change.cover)
        lift = lift + change.lift
        gain = gain * change.gain
    inside = smoothstep(field / rng.uniform(3.0, 5.0) + 0.5)
    grains = rough(pick(rng, (2.0, 3.0, 5.0)), 1.0)
    high, low = layer.yields
    material = (low + (high - low) * inside) * (1 - cover) + tint * cover
    material *= gain * (1 + rng.uniform(0.01, 0.04) * grains)
    height = layer.step * inside + lift + 0.08 * grains
    mask = footprint[grid.inside].copy()
    drawn = Scene(height.astype(np.float32), material.astype(np.float32), mask, "")
    return drawn, Facts(label, count, strength, layer.about)
