"""Unpatterned films with a defect: what lies under the beam in the "carinthia" preset."""

import numpy as np

from semlib.images.measure import bounding_box
from semlib.images.simulator.defects import DEFECTS
from semlib.images.simulator.surface import FIELD, Scene, grid_of, pick, smoothstep


def scene(rng, label, size):
    """A `Scene`: a film with one defect of the family `label`, 1 to 6 as in `defects.FAMILIES`."""
    grid = grid_of(size)
    height, about_film = _film(grid, rng)
    material = np.ones_like(height)
    if rng.random() < 0.22:
        box = _scan_box(grid, rng)
        height += rng.uniform(0.4, 1.6) * box
        material += rng.uniform(0.0, 0.025) * box
        about_film += ", inside a faint square left by an earlier scan"
    mask = np.zeros((size, size), bool)
    about = "no visible defect"
    if label in DEFECTS:
        defect = DEFECTS[label](grid, rng, grid.surfaces(rng))
        # the grain of the film shows faintly through the defect
        height = np.where(defect.footprint, 0.3 * height, height) + defect.relief
        material -= (defect.darkness * defect.footprint).astype(np.float32)
        mask = defect.footprint[grid.inside].copy()
        width, tall = (round(side * FIELD / size) for side in bounding_box(mask))
        about = f"{defect.about}, {width} x {tall} px"
    caption = f"Synthetic SEM image of an unpatterned film: {about}; {about_film}."
    return Scene(height, material, mask, caption)


def _film(grid, rng):
    """Fine grain, and on some films dimples: height and a few words about it."""
    rough = grid.surfaces(rng)
    grain = rng.uniform(0.01, 0.075)
    height = grain * rough(pick(rng, (3.0, 5.0, 8.0)))
    if rng.random() >= 0.35:
        return height, "a grainy film" if grain > 0.05 else "a smooth film"
    count = int(rng.uniform(20, 260))
    height += dimples(grid, rng, count, rng.uniform(1.6, 2.6), rng.uniform(0.25, 0.7))
    return height, "a film with dimples"


def dimples(grid, rng, count, radius, depth):
    """Shallow round pits scattered over the film, float32 (n, n); lengths in nominal pixels."""
    points = np.zeros((grid.n, grid.n), np.float32)
    rows, columns = rng.integers(0, grid.n, (2, count))
    # a point of unit depth times this weight is one deep after the blur
    weight = 2 * np.pi * (radius / grid.step) ** 2
    depths = -depth * weight * rng.lognormal(-0.1, 0.45, count)
    np.add.at(points, (rows, columns), depths.astype(np.float32))
    return grid.inverse(grid.forward(points) * grid.gaussian(radius))


def _scan_box(grid, rng):
    """A soft-edged square near the centre, 0 to 1: carbon deposited by an earlier scan."""
    half = pick(rng, (26.0, 40.0, 70.0, 110.0)) * rng.uniform(0.9, 1.1)
    soft = rng.uniform(5, 16)
    x0, y0 = rng.normal(0, 8, 2).tolist()
    across = smoothstep((half - abs(grid.x - x0)) / soft + 0.5)
    return across * smoothstep((half - abs(grid.y - y0)) / soft + 0.5)
