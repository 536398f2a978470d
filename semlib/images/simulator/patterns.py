"""Patterned wafers with small defects: what lies under the beam in the "semnr" preset.

A pattern is one field, positive inside lines, holes or vias and measured in nominal pixels from
their edge. A defect changes the field, and its mask is where the field changed sign.
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from semlib.images.simulator.surface import Scene, grid_of, pick, rotate, smoothstep

REACH = 110.0  # defects lie so close to the centre
STEPS = np.arange(-12, 12)  # elements that may lie within it


@dataclass
class Pattern:
    """A repeated structure; lengths in nominal pixels."""

    field: np.ndarray  # (n, n), distance from the edge of an element, positive inside
    sites: np.ndarray  # (m, 2), places (x, y) near the centre where an element lies
    width: float  # of an element
    space: float  # between two
    high: float  # electron yield of the inside
    low: float  # of the outside
    step: float  # height of the inside over the outside
    grain: float = 0.03  # relative spread of the yield of its grains


def lines(grid, rng, rough, pitch, width):
    """Upright lines and spaces with rough edges: field and sites."""
    phase = rng.uniform(0, pitch)
    offset = np.mod(grid.x - phase + pitch / 2, pitch) - pitch / 2
    field = width / 2 - np.abs(offset) + rng.uniform(0.4, 1.1) * rough(8.0)
    centres = phase + pitch * STEPS
    centres = centres[np.abs(centres) < REACH]
    sites = np.stack([centres, rng.uniform(-REACH, REACH, centres.size)], axis=1)
    return field, sites


def array(grid, rng, rough, pitch, width):
    """Round elements on a square or staggered lattice: field and sites."""
    stagger = pick(rng, (0.0, 0.5))
    x0, y0 = rng.uniform(0, pitch, 2).tolist()
    row = np.rint((grid.y - y0) / pitch)
    shift = x0 + stagger * pitch * np.mod(row, 2)
    column = np.rint((grid.x - shift) / pitch)
    distance = np.hypot(grid.x - shift - column * pitch, grid.y - y0 - row * pitch)
    field = width / 2 - distance + rng.uniform(0.3, 0.9) * rough(6.0)
    rows, columns = np.meshgrid(STEPS, STEPS)
    x = x0 + pitch * (columns + stagger * np.mod(rows, 2))
    sites = np.stack([x, y0 + pitch * rows], axis=-1).reshape(-1, 2)
    return field.astype(np.float32), sites[np.abs(sites).max(1) < REACH]


# field, ranges of pitch, width per pitch, yield of inside and of outside, signs and range of a step
KINDS = {
    "lines and spaces": (lines, (30, 62), (0.42, 0.58), (0.9, 1.2), (0.4, 0.7), (1,), (9, 18)),
    "contact holes": (array, (36, 66), (0.45, 0.62), (0.3, 0.5), (0.85, 1.1), (-1,), (9, 18)),
    "vias": (array, (44, 84), (0.35, 0.55), (1.3, 1.7), (0.6, 0.8), (-1, 1), (1.5, 4)),
}
FILM = "an unpatterned film"


def draw(grid, rng, kind):
    """A `Pattern` of a kind of `KINDS` or `FILM`."""
    rough = grid.surfaces(rng)
    if kind == FILM:
        field = np.full((grid.n, grid.n), 99, np.float32)
        sites = rng.uniform(-REACH, REACH, (8, 2))
        step = rng.uniform(6, 14)
        return Pattern(field, sites, 34.0, 34.0, rng.uniform(0.8, 1.1), 0.45, step, grain=0.08)
    field_of, pitches, duties, highs, lows, signs, steps = KINDS[kind]
    pitch = rng.uniform(*pitches)
    width = pitch * rng.uniform(*duties)
    field, sites = field_of(grid, rng, rough, pitch, width)
    yields = (rng.uniform(*highs), rng.uniform(*lows))
    step = pick(rng, signs) * rng.uniform(*steps)
    return Pattern(field, sites, width, pitch - width, *yields, step)


def _blob(grid, rough, x, y, rx, ry):
    """Field of a rounded, slightly irregular patch."""
    distance = np.hypot((grid.x - x) / rx, (grid.y - y) / ry)
    return (1 - distance + 0.12 * rough(6.0, 1.2)).astype(np.float32) * min(rx, ry)


def protrusion(grid, rng, rough, pattern, x, y):
    """The field with an outgrowth of an edge into the space beside it."""
    x += pick(rng, (-1, 1)) * (pattern.width / 2 - 1)
    out = rng.uniform(0.35, 0.75) * pattern.space
    return np.maximum(pattern.field, _blob(grid, rough, x, y, out, rng.uniform(0.6, 1.5) * out))


def bridge(grid, rng, rough, pattern, x, y):
    """The field with two neighbours joined."""
    x += pick(rng, (-1, 1)) * (pattern.width + pattern.space) / 2
    neck = rng.uniform(0.25, 0.7) * pattern.space + 2
    return np.maximum(pattern.field, _blob(grid, rough, x, y, 0.5 * pattern.space + 8, neck))


def pinhole(grid, rng, rough, pattern, x, y):
    """The field with a small hole through an element, off its middle."""
    r = min(rng.uniform(0.13, 0.3) * pattern.width, 10.0) + 1
    x += rng.uniform(-0.2, 0.2) * pattern.width
    return np.minimum(pattern.field, -_blob(grid, rough, x, y, r, r * rng.uniform(0.8, 1.4)))


def missing(grid, rng, rough, pattern, x, y):
    """The field without an element, or with one closed but for a small rest."""
    r = 0.5 * (pattern.width + pattern.space)
    outside = np.maximum(np.abs(grid.x - x), np.abs(grid.y - y)) >= r
    shut = pattern.width * pick(rng, (0.6, rng.uniform(0.15, 0.3)))
    return np.where(outside, pattern.field, pattern.field - shut).astype(np.float32)


LINES, HOLES, VIAS = KINDS
PARTICLE = 5
# label: name, words of a caption, kinds it occurs on, the change of the field
DEFECTS = {
    0: ("no defect", "no defect", (*KINDS, FILM), None),
    1: ("protrusion", "a protrusion of an edge", (LINES,), protrusion),
    2: ("bridge", "a bridge between two lines", (LINES,), bridge),
    3: ("pinhole", "a pinhole", (LINES, VIAS, FILM), pinhole),
    4: ("missing contact", "a missing or closed contact", (HOLES, VIAS), missing),
    PARTICLE: ("particle", "a particle", (*KINDS, FILM), None),
}
FAMILIES = {label: name for label, (name, *_) in DEFECTS.items()}


def scene(rng, label, size, kind=None):
    """A patterned wafer with one small defect of the family `label`, a key of `DEFECTS`.

    `kind` is one of those the family occurs on, by default any of them. The mask is where the
    defect added or removed material, or the footprint of a particle.
    """
    grid = grid_of(size)
    _, about, kinds, change = DEFECTS[label]
    kind = kind or pick(rng, kinds)
    pattern = draw(grid, rng, kind)
    rough = grid.surfaces(rng)
    footprint = np.zeros((grid.n, grid.n), bool)
    site = pattern.sites[rng.integers(len(pattern.sites))].tolist()
    if change:
        field = change(grid, rng, rough, pattern, *site)
        footprint = (field > 0) != (pattern.field > 0)
        pattern = replace(pattern, field=field)
    # inclined walls, grains that differ in yield
    inside = smoothstep(pattern.field / rng.uniform(3.0, 6.0) + 0.5)
    grains = rough(pick(rng, (2.0, 3.0, 5.0)), 1.0)
    bright = pattern.low + (pattern.high - pattern.low) * inside
    material = bright * (1 + pattern.grain * rng.uniform(0.6, 1.4) * grains)
    height = pattern.step * inside + 3 * pattern.grain * grains
    if label == PARTICLE:
        grain = _particle(grid, rng, rough, *site)
        footprint = grain > 0
        height = height + grain
        material = np.where(footprint, rng.uniform(0.7, 1.5), material).astype(np.float32)
    caption = f"Synthetic SEM image of {kind}: {about}."
    return Scene(height, material, footprint[grid.inside].copy(), caption)


def _particle(grid, rng, rough, x, y):
    """A rounded rough grain, its height."""
    r = rng.uniform(6, 20)
    dx, dy = rng.normal(0, 8, 2).tolist()
    u, v = rotate(grid.x - x - dx, grid.y - y - dy, rng.uniform(0, math.pi))
    across = r * rng.uniform(0.55, 1.0)
    dome = 1 - (u / r) ** 2 - (v / across) ** 2 + 0.25 * rough(6.0, 1.0)
    tall = rng.uniform(0.6, 1.1) * r * np.sqrt(np.maximum(dome, 0))
    return np.where(np.hypot(u, v) < 1.6 * r, tall, 0).astype(np.float32)
