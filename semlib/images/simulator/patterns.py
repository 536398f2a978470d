"""Patterned wafers with small defects: what lies under the beam in the "semnr" preset.

A pattern is one field, positive inside lines, holes or vias and measured in nominal pixels from
their edge. A defect changes the field, and its mask is where the field changed sign.
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from semlib.images.simulator.surface import Scene, grid_of, pick, rotate, smoothstep

REACH = 110.0  # defects lie so close to the centre


@dataclass
class Pattern:
    """A repeated structure; lengths in nominal pixels."""

    field: np.ndarray  # (n, n), distance from the edge of an element, positive inside
    step: float  # height of the inside over the outside
    bright: tuple  # electron yield of the inside and of the outside
    sites: np.ndarray  # (m, 2), places (x, y) near the centre where an element lies
    width: float  # of an element
    space: float  # between two
    about: str  # a few words
    grain: float = 0.03  # relative spread of the yield of its grains


def lines(grid, rng, noise):
    """Upright lines and spaces with rough edges."""
    pitch = rng.uniform(30, 62)
    width = pitch * rng.uniform(0.42, 0.58)
    phase = rng.uniform(0, pitch)
    offset = np.mod(grid.x - phase + pitch / 2, pitch) - pitch / 2
    rough = rng.uniform(0.4, 1.1) * grid.rough(noise, 8.0)
    field = width / 2 - np.abs(offset) + rough
    centres = phase + pitch * np.arange(-12, 12)
    centres = centres[np.abs(centres) < REACH]
    sites = np.stack([centres, rng.uniform(-REACH, REACH, centres.size)], axis=1)
    bright = (rng.uniform(0.9, 1.2), rng.uniform(0.4, 0.7))
    step = rng.uniform(9, 18)
    return Pattern(field, step, bright, sites, width, pitch - width, "lines and spaces")


def _array(grid, rng, noise, pitch, radius):
    """Round elements on a square or staggered lattice: field and sites."""
    stagger = pick(rng, (0.0, 0.5))
    x0, y0 = rng.uniform(0, pitch, 2).tolist()
    row = np.rint((grid.y - y0) / pitch)
    shift = x0 + stagger * pitch * np.mod(row, 2)
    column = np.rint((grid.x - shift) / pitch)
    distance = np.hypot(grid.x - shift - column * pitch, grid.y - y0 - row * pitch)
    rough = rng.uniform(0.3, 0.9) * grid.rough(noise, 6.0)
    field = (radius - distance + rough).astype(np.float32)
    rows, columns = np.meshgrid(np.arange(-12, 12), np.arange(-12, 12))
    x = x0 + pitch * (columns + stagger * np.mod(rows, 2))
    sites = np.stack([x, y0 + pitch * rows], axis=-1).reshape(-1, 2)
    return field, sites[np.abs(sites).max(1) < REACH]


def holes(grid, rng, noise):
    """Contact holes: dark, deep, with bright rims."""
    pitch = rng.uniform(36, 66)
    width = pitch * rng.uniform(0.45, 0.62)
    field, sites = _array(grid, rng, noise, pitch, width / 2)
    bright = (rng.uniform(0.3, 0.5), rng.uniform(0.85, 1.1))
    step = -rng.uniform(9, 18)
    return Pattern(field, step, bright, sites, width, pitch - width, "contact holes")


def vias(grid, rng, noise):
    """Filled vias: bright metal, slightly recessed or proud."""
    pitch = rng.uniform(44, 84)
    width = pitch * rng.uniform(0.35, 0.55)
    field, sites = _array(grid, rng, noise, pitch, width / 2)
    bright = (rng.uniform(1.3, 1.7), rng.uniform(0.6, 0.8))
    step = pick(rng, (-1, 1)) * rng.uniform(1.5, 4)
    return Pattern(field, step, bright, sites, width, pitch - width, "vias")


def film(grid, rng, noise):
    """An unpatterned film with visible grain."""
    field = np.full((grid.n, grid.n), 99, np.float32)
    sites = rng.uniform(-REACH, REACH, (8, 2))
    step = rng.uniform(6, 14)
    bright = (rng.uniform(0.8, 1.1), 0.45)
    return Pattern(field, step, bright, sites, 34.0, 34.0, "an unpatterned film", 0.08)


def _blob(grid, noise, x, y, rx, ry):
    """Field of a rounded, slightly irregular patch."""
    irregular = 0.12 * grid.rough(noise, 6.0, 1.2)
    distance = np.hypot((grid.x - x) / rx, (grid.y - y) / ry)
    return (1 - distance + irregular).astype(np.float32) * min(rx, ry)


def protrusion(grid, rng, noise, pattern, site):
    """An outgrowth of an edge into the space beside it."""
    side = pick(rng, (-1, 1))
    out = rng.uniform(0.35, 0.75) * pattern.space
    x = site[0] + side * (pattern.width / 2 - 1)
    patch = _blob(grid, noise, x, site[1], out, rng.uniform(0.6, 1.5) * out)
    return np.maximum(pattern.field, patch), "a protrusion of an edge"


def bridge(grid, rng, noise, pattern, site):
    """Material that joins two neighbours."""
    side = pick(rng, (-1, 1))
    x = site[0] + side * (pattern.width + pattern.space) / 2
    neck = rng.uniform(0.25, 0.7) * pattern.space
    patch = _blob(grid, noise, x, site[1], 0.5 * pattern.space + 8, neck + 2)
    return np.maximum(pattern.field, patch), "a bridge between two lines"


def pinhole(grid, rng, noise, pattern, site):
    """A small hole through an element, off its middle."""
    r = min(rng.uniform(0.13, 0.3) * pattern.width, 10.0) + 1
    x = site[0] + rng.uniform(-0.2, 0.2) * pattern.width
    patch = _blob(grid, noise, x, site[1], r, r * rng.uniform(0.8, 1.4))
    return np.minimum(pattern.field, -patch), "a pinhole"


def missing(grid, rng, noise, pattern, site):
    """An element that is absent, or closed but for a small rest."""
    r = 0.5 * (pattern.width + pattern.space)
    outside = np.maximum(np.abs(grid.x - site[0]), np.abs(grid.y - site[1])) >= r
    shut = pattern.width * pick(rng, (0.6, rng.uniform(0.15, 0.3)))
    field = np.where(outside, pattern.field, pattern.field - shut).astype(np.float32)
    return field, "a missing or closed contact"


PATTERNS = {"lines": lines, "holes": holes, "vias": vias, "film": film}
# label: name, patterns it occurs on, the change of the field
DEFECTS = {
    0: ("no defect", ("lines", "holes", "vias", "film"), None),
    1: ("protrusion", ("lines",), protrusion),
    2: ("bridge", ("lines",), bridge),
    3: ("pinhole", ("lines", "vias", "film"), pinhole),
    4: ("missing contact", ("holes", "vias"), missing),
    5: ("particle", ("lines", "holes", "vias", "film"), None),
}
FAMILIES = {label: name for label, (name, _, _) in DEFECTS.items()}
PARTICLE = 5


def scene(rng, label, size):
    """A patterned wafer with one small defect of the family `label`, a key of `DEFECTS`.

    The mask is where the defect added or removed material, or the footprint of a particle.
    """
    grid = grid_of(size)
    _, homes, change = DEFECTS[label]
    pattern = PATTERNS[pick(rng, homes)](grid, rng, grid.white(rng))
    noise = grid.white(rng)
    about = "no defect"
    footprint = np.zeros((grid.n, grid.n), bool)
    site = pattern.sites[rng.integers(len(pattern.sites))].tolist()
    if change:
        field, about = change(grid, rng, noise, pattern, site)
        footprint = (field > 0) != (pattern.field > 0)
        pattern = replace(pattern, field=field)
    height, material = _relief(grid, rng, noise, pattern)
    if label == PARTICLE:
        grain = _particle(grid, rng, noise, site)
        about = "a particle"
        footprint = grain > 0
        height = height + grain
        material = np.where(footprint, rng.uniform(0.7, 1.5), material).astype(np.float32)
    caption = f"Synthetic SEM image of {pattern.about}: {about}."
    return Scene(height, material, footprint[grid.inside].copy(), caption)


def _relief(grid, rng, noise, pattern):
    """Height and material of a pattern: inclined walls, grains that differ in yield."""
    inside = smoothstep(pattern.field / rng.uniform(3.0, 6.0) + 0.5)
    grains = grid.rough(noise, pick(rng, (2.0, 3.0, 5.0)), 1.0)
    high, low = pattern.bright
    material = (low + (high - low) * inside) * (1 + pattern.grain * rng.uniform(0.6, 1.4) * grains)
    return pattern.step * inside + 3 * pattern.grain * grains, material


def _particle(grid, rng, noise, site):
    """A rounded rough grain, its height."""
    r = rng.uniform(6, 20)
    x = grid.x - site[0] - rng.normal(0, 8)
    y = grid.y - site[1] - rng.normal(0, 8)
    u, v = rotate(x, y, rng.uniform(0, math.pi))
    dome = 1 - (u / r) ** 2 - (v / (r * rng.uniform(0.55, 1.0))) ** 2
    dome = dome + 0.25 * grid.rough(noise, 6.0, 1.0)
    tall = rng.uniform(0.6, 1.1) * r * np.sqrt(np.maximum(dome, 0))
    return np.where(np.hypot(u, v) < 1.6 * r, tall, 0).astype(np.float32)
