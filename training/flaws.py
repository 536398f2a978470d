"""Defects on any simulated surface: particle, hole, scratch, crack.

Each takes a grid, a generator, height and material (n, n) and returns both changed, and the
footprint, bool (n, n), part of which lies inside the image. Lengths are nominal pixels, 480 a side
of the field of view; all numbers are our choice.
"""

import math

import numpy as np
from scipy import ndimage
from skimage.draw import line

from semlib.images.simulator.surface import FIELD, rotate, smoothstep

SMALLEST = 2.5  # samples: half the width of what a picture can show


def particle(grid, rng, height, material):
    """A lump that lies on the surface, smooth or knobbly, brighter or darker than it."""
    radius = _radius(grid, rng)
    x, y = _place(grid, rng, radius)
    u, v = rotate(grid.x - x, grid.y - y, rng.uniform(0, np.pi))
    stretch = rng.lognormal(0, 0.25)
    knobs = rng.uniform(0, 0.2) * grid.surfaces(rng)(radius / 2, 1.2)
    away = np.hypot(u * stretch, v / stretch) / radius + knobs
    away -= min(0, away[grid.inside].min() - 0.5)  # knobs never raise it everywhere
    footprint = away < 1
    ground = float(np.median(height[footprint])) if footprint.any() else 0.0
    dome = radius * rng.uniform(0.3, 1.0) * np.sqrt(np.maximum(1 - away**2, 0))
    top = ground + 0.3 * (height - ground) + dome
    grey = rng.uniform(0.7, 1.35) * (material[footprint].mean() if footprint.any() else 1)
    return np.where(footprint, top, height), np.where(footprint, grey, material), footprint


def hole(grid, rng, height, material):
    """A round or oval hole, dark inside."""
    radius = _radius(grid, rng)
    x, y = _place(grid, rng, radius)
    u, v = rotate(grid.x - x, grid.y - y, rng.uniform(0, np.pi))
    stretch = rng.lognormal(0, 0.2)
    away = np.hypot(u * stretch, v / stretch) / radius
    inside = smoothstep((1 - away) * rng.uniform(3, 8))
    height = height - radius * rng.uniform(0.3, 1.2) * inside
    return height, material * (1 - rng.uniform(0.15, 0.7) * inside), away < 1


def scratch(grid, rng, height, material):
    """A long, hardly bent furrow with raised sides, of one or several strokes."""
    x, y = _place(grid, rng, 0.1 * FIELD)
    u, v = rotate(grid.x - x, grid.y - y, rng.uniform(0, np.pi))
    width = max(rng.uniform(1.5, 6), SMALLEST * grid.step / 2)
    length = rng.uniform(0.15, 0.8) * FIELD / 2
    footprint = np.zeros(height.shape, bool)
    for _ in range(int(rng.integers(1, 4))):
        across = (v - rng.normal(0, 3 * width) - rng.normal(0, 0.15) * u * u / FIELD) / width
        end = smoothstep((length * rng.uniform(0.6, 1) - np.abs(u)) / (2 * width))
        furrow = np.exp(-(across**2)) - 0.6 * np.exp(-((np.abs(across) - 1.6) ** 2) * 2)
        height = height - rng.uniform(0.8, 2.5) * width * furrow * end
        material = material * (1 - rng.uniform(-0.2, 0.5) * np.exp(-(across**2)) * end)
        footprint |= (np.abs(across) < 1.6) & (end > 0.3)
    return height, material, footprint


def crack(grid, rng, height, material):
    """A jagged, branched, narrow gap."""
    x, y = _place(grid, rng, 0.1 * FIELD)
    drawn = np.zeros(height.shape, bool)
    length = rng.uniform(0.15, 0.7) * FIELD
    branches = [(x, y, rng.uniform(0, 2 * np.pi), length)]
    while branches:
        x, y, angle, left = branches.pop()
        while left > 0:
            step = rng.uniform(4, 16)
            turned = angle + rng.normal(0, 0.5)
            ahead = x + step * math.cos(turned), y + step * math.sin(turned)
            ends = np.clip(_samples(grid, y, x, *ahead[::-1]), 0, grid.n - 1)
            drawn[line(*ends)] = True
            x, y = ahead
            left -= step
            if rng.random() < 0.06 and left > 30:
                branches.append(
                    (x, y, angle + rng.choice([-1, 1]) * rng.uniform(0.5, 1.2), left / 2)
                )
    width = max(rng.uniform(1.0, 4.0), SMALLEST * grid.step / 2)
    away = ndimage.distance_transform_edt(~drawn) * grid.step / width
    inside = smoothstep(1.5 - away)
    height = height - rng.uniform(0.8, 2.5) * width * inside
    return height, material * (1 - rng.uniform(0.15, 0.7) * inside), away < 1


def _radius(grid, rng):
    """Half the size of a defect, graded: from what a picture just shows to a tenth of it."""
    return math.exp(rng.uniform(math.log(max(4.0, SMALLEST * grid.step)), math.log(48)))


def _place(grid, rng, margin):
    """A place (x, y) in the image, `margin` away from its border."""
    half = FIELD / 2 - margin
    return rng.uniform(-half, half, 2)


def _samples(grid, *lengths):
    return [round(float(at) / grid.step + grid.n / 2) for at in lengths]


DEFECTS = {"particle": particle, "hole": hole, "scratch": scratch, "crack": crack}
