"""Patterned wafers with small defects, as height and material: what lies under the beam in the "semnr" preset.

A pattern is one field, positive inside lines, holes or vias and measured in nominal pixels from their
edge; a defect changes the field, and its mask is where the field changed sign. Another preset of
patterned wafers needs no more than its own table like `DEFECTS`.
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from semlib.images.surface import grid, pick, rotate, self_affine, smoothstep, white
from semlib.images.topography import Scene

REACH = 110.0


@dataclass
class Pattern:
    """A repeated structure.

    `field` (n, n): distance from the edge in nominal pixels, positive inside; `step`: height of the inside
    over the outside; `bright`: yield of the inside and of the outside; `sites`: (m, 2) places (x, y) near the
    centre where one of its elements lies; `width`: of an element; `space`: between two; `about`: a few words;
    `grain`: relative spread of the yield of its grains.
    """

    field: np.ndarray
    step: float
    bright: tuple
    sites: np.ndarray
    width: float
    space: float
    about: str
    grain: float = 0.03


def lines(g, rng, noise):
    """Upright lines and spaces with rough edges."""
    pitch = rng.uniform(30, 62)
    width = pitch * rng.uniform(0.42, 0.58)
    phase = rng.uniform(0, pitch)
    offset = np.mod(g.x - phase + pitch / 2, pitch) - pitch / 2
    field = width / 2 - np.abs(offset) + rng.uniform(0.4, 1.1) * self_affine(g, noise, 8.0)
    centres = phase + pitch * np.arange(-12, 12)
    centres = centres[np.abs(centres) < REACH]
    sites = np.stack([centres, rng.uniform(-REACH, REACH, centres.size)], axis=1)
    bright = (rng.uniform(0.9, 1.2), rng.uniform(0.4, 0.7))
    return Pattern(
        field, rng.uniform(9, 18), bright, sites, width, pitch - width, "lines and spaces"
    )


def _array(g, rng, noise, pitch, radius):
    """Round elements on a square or staggered lattice: field and sites."""
    stagger = pick(rng, (0.0, 0.5))
    x0, y0 = rng.uniform(0, pitch), rng.uniform(0, pitch)
    row = np.rint((g.y - y0) / pitch)
    shift = x0 + stagger * pitch * np.mod(row, 2)
    column = np.rint((g.x - shift) / pitch)
    distance = np.hypot(g.x - shift - column * pitch, g.y - y0 - row * pitch)
    field = (radius - distance + rng.uniform(0.3, 0.9) * self_affine(g, noise, 6.0)).astype(
        np.float32
    )
    rows, columns = np.meshgrid(np.arange(-12, 12), np.arange(-12, 12))
    sites = np.stack(
        [x0 + pitch * (columns + stagger * np.mod(rows, 2)), y0 + pitch * rows], axis=-1
    ).reshape(-1, 2)
    return field, sites[np.abs(sites).max(1) < REACH]


def holes(g, rng, noise):
    """Contact holes: dark, deep, with bright rims."""
    pitch = rng.uniform(36, 66)
    width = pitch * rng.uniform(0.45, 0.62)
    field, sites = _array(g, rng, noise, pitch, width / 2)
    bright = (rng.uniform(0.3, 0.5), rng.uniform(0.85, 1.1))
    return Pattern(field, -rng.uniform(9, 18), bright, sites, width, pitch - width, "contact holes")


def vias(g, rng, noise):
    """Filled vias: bright metal, slightly recessed or proud."""
    pitch = rng.uniform(44, 84)
    width = pitch * rng.uniform(0.35, 0.55)
    field, sites = _array(g, rng, noise, pitch, width / 2)
    bright = (rng.uniform(1.3, 1.7), rng.uniform(0.6, 0.8))
    return Pattern(
        field, pick(rng, (-1, 1)) * rng.uniform(1.5, 4), bright, sites, width, pitch - width, "vias"
    )


def film(g, rng, noise):
    """An unpatterned film with visible grain."""
    field = np.full((g.n, g.n), 99, np.float32)
    sites = rng.uniform(-REACH, REACH, (8, 2))
    return Pattern(
        field,
        rng.uniform(6, 14),
        (rng.uniform(0.8, 1.1), 0.45),
        sites,
        34.0,
        34.0,
        "an unpatterned film",
        0.08,
    )


def _blob(g, rng, noise, x, y, rx, ry):
    """Field of a rounded, slightly irregular patch."""
    u, v = g.x - x, g.y - y
    irregular = 0.12 * self_affine(g, noise, 6.0, 1.2)
    return (1 - np.hypot(u / rx, v / ry) + irregular).astype(np.float32) * min(rx, ry)


def protrusion(g, rng, noise, pattern, site):
    """An outgrowth of an edge into the space beside it."""
    side = pick(rng, (-1, 1))
    out = rng.uniform(0.35, 0.75) * pattern.space
    x = site[0] + side * (pattern.width / 2 - 1)
    patch = _blob(g, rng, noise, x, site[1], out, rng.uniform(0.6, 1.5) * out)
    return np.maximum(pattern.field, patch), "a protrusion of an edge"


def bridge(g, rng, noise, pattern, site):
    """Material that joins two neighbours."""
    side = pick(rng, (-1, 1))
    x = site[0] + side * (pattern.width + pattern.space) / 2
    neck = rng.uniform(0.25, 0.7) * pattern.space
    patch = _blob(g, rng, noise, x, site[1], 0.5 * pattern.space + 8, neck + 2)
    return np.maximum(pattern.field, patch), "a bridge between two lines"


def pinhole(g, rng, noise, pattern, site):
    """A small hole through an element, off its middle."""
    r = min(rng.uniform(0.13, 0.3) * pattern.width, 10.0) + 1
    x = site[0] + rng.uniform(-0.2, 0.2) * pattern.width
    patch = _blob(g, rng, noise, x, site[1], r, r * rng.uniform(0.8, 1.4))
    return np.minimum(pattern.field, -patch), "a pinhole"


def missing(g, rng, noise, pattern, site):
    """An element that is absent, or closed but for a small rest."""
    r = 0.5 * (pattern.width + pattern.space)
    far = np.maximum(np.abs(g.x - site[0]), np.abs(g.y - site[1])) - r
    shut = pattern.width * pick(rng, (0.6, rng.uniform(0.15, 0.3)))
    return np.where(far < 0, pattern.field - shut, pattern.field).astype(
        np.float32
    ), "a missing or closed contact"


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


def scene(rng, label, size, defects=DEFECTS):
    """A patterned wafer with one small defect.

    Parameters
    ----------
    rng : numpy.random.Generator
    label : int
        A key of `defects`.
    size : int
        Samples per side of the image.
    defects : dict
        label -> (name, patterns it occurs on, function that changes the field or None).

    Returns
    -------
    Scene
        The mask is where the defect added or removed material, or the footprint of a particle.
    """
    g = grid(size)
    _, homes, change = defects[label]
    pattern = PATTERNS[pick(rng, homes)](g, rng, white(g, rng))
    noise, about = white(g, rng), "no defect"
    footprint = np.zeros((g.n, g.n), bool)
    site = pattern.sites[rng.integers(len(pattern.sites))].tolist()
    if change:
        field, about = change(g, rng, noise, pattern, site)
        footprint = (field > 0) != (pattern.field > 0)
        pattern = replace(pattern, field=field)
    height, material = _relief(g, rng, noise, pattern)
    if label == PARTICLE:
        bump, about = _particle(g, rng, noise, site), "a particle"
        footprint = bump > 0
        height = height + bump
        material = np.where(footprint, rng.uniform(0.7, 1.5), material).astype(np.float32)
    caption = f"Synthetic SEM image of {pattern.about}: {about}."
    return Scene(height, material, footprint[g.inside].copy(), caption)


def _relief(g, rng, noise, pattern):
    """Height and material of a pattern: inclined walls, a surface of grains that differ in yield."""
    inside = smoothstep(pattern.field / rng.uniform(3.0, 6.0) + 0.5)
    grains = self_affine(g, noise, pick(rng, (2.0, 3.0, 5.0)), 1.0)
    high, low = pattern.bright
    material = (low + (high - low) * inside) * (1 + pattern.grain * rng.uniform(0.6, 1.4) * grains)
    return pattern.step * inside + 3 * pattern.grain * grains, material


def _particle(g, rng, noise, site):
    """A rounded rough grain, its height."""
    r = rng.uniform(6, 20)
    u, v = rotate(
        g.x - site[0] - rng.normal(0, 8), g.y - site[1] - rng.normal(0, 8), rng.uniform(0, math.pi)
    )
    dome = (
        1
        - (u / r) ** 2
        - (v / (r * rng.uniform(0.55, 1.0))) ** 2
        + 0.25 * self_affine(g, noise, 6.0, 1.0)
    )
    near = np.hypot(u, v) < 1.6 * r
    return np.where(near, rng.uniform(0.6, 1.1) * r * np.sqrt(np.maximum(dome, 0)), 0).astype(
        np.float32
    )
