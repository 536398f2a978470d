"""Six families of simulated defects on a thin film: relief, footprint and darkness.

The names are ours: the real classes have none; only the statistics of their masks are taken over.
Each function takes a grid, a generator and `Grid.surfaces` and returns a `Defect`.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from semlib.images.simulator.surface import FIELD, pick, rotate, smoothstep

FAMILIES = {
    1: "broad scratches",
    2: "thin crack",
    3: "particle",
    4: "large flake or agglomerate",
    5: "pit",
    6: "no visible defect",
}
# median area fraction and standard deviation s of its logarithm: exp(s^2 / 2) is mean / median
AREA = {1: (0.079, 0.82), 2: (0.0192, 0.2), 3: (0.018, 0.56), 4: (0.074, 0.94), 5: (0.027, 0.5)}
LARGEST = 0.846
SLIVER = 0.12  # a tenth of the particles is smaller by this factor


@dataclass
class Defect:
    """What a defect does to a film."""

    relief: np.ndarray  # (n, n), nominal pixels
    footprint: np.ndarray  # bool (n, n)
    darkness: float  # lost part of the electron yield
    about: str  # a few words


def _area(rng, label):
    median, spread = AREA[label]
    return min(median * rng.lognormal(0, spread), LARGEST)


def _radius(area):
    return FIELD * math.sqrt(area / math.pi)


def _cut(grid, field, area, smallest=np.inf):
    """`field` minus the level above which it covers the fraction `area`, and where it is above.

    Parts below `smallest` samples are left out there; at least the largest part stays.
    """
    values = field[grid.inside].ravel()  # the value of a rank needs no full sort
    rank = min(max(int((1 - area) * values.size), 0), values.size - 2)
    field = field - np.partition(values, rank)[rank]
    parts, _ = ndimage.label(field > 0)
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    return field, (sizes >= max(min(smallest, sizes.max()), 1))[parts]


def _polyhedron(rng, x, y, radius, facets):
    # the lowest of some inclined facets, 0 near the rim, about 1 in the middle
    count = int(rng.integers(facets, facets + 5))
    start = rng.uniform(0, 2 * math.pi)
    field = np.float32(np.inf)
    for k in range(count):
        angle = start + 2 * math.pi * (k + rng.uniform(-0.35, 0.35)) / count
        steep = rng.lognormal(0, 0.45) / radius
        top = steep * (radius * rng.uniform(0.72, 1.1))
        facet = top - (steep * math.cos(angle)) * x - (steep * math.sin(angle)) * y
        field = np.minimum(field, facet)
    return field


def rock(rng, x, y, area, parts, facets=5, slim=0.33):
    """The field of one rock or several grown together, positive inside.

    Each is stretched along an axis of its own, more so for a larger `slim`.
    """
    radius = _radius(area)
    along = math.sqrt(rng.lognormal(0, slim))
    field = np.float32(-np.inf)
    for k in range(parts):
        small = rng.uniform(0.4, 0.8) if k else 1.0
        dx, dy = rng.normal(0, 0.7 * radius, 2).tolist() if k else (0.0, 0.0)
        u, v = rotate(x - dx, y - dy, rng.uniform(0, math.pi))
        one = small * _polyhedron(rng, u / along, v * along, small * radius, facets)
        field = np.maximum(field, one)
    return field


def _crumbs(grid, rng, x, y, count, reach):
    """Height of small rounded crumbs a little farther out than `reach`."""
    height = np.zeros((grid.n, grid.n), np.float32)
    for _ in range(count):
        angle = rng.uniform(0, 2 * math.pi)
        r = rng.uniform(2.2, 6.0)
        flat = rng.uniform(0.6, 1.0)
        distance = reach * rng.uniform(1.1, 1.4) + 2 * r
        u, v = rotate(x - distance * math.cos(angle), y - distance * math.sin(angle), angle)
        dome = np.maximum(1 - (u / r) ** 2 - (v / (r * flat)) ** 2, 0)
        height = np.maximum(height, r * np.sqrt(dome))
    return height


def particle(grid, rng, rough, large=False):
    """A faceted particle, or some grown together, with a grainy top."""
    area = _area(rng, 4 if large else 3)
    if not large and rng.random() < 0.1:
        area *= SLIVER
    radius = _radius(area)
    x = grid.x - rng.normal(0, 12)
    y = grid.y - rng.normal(0, 12)
    parts = 1 + int(rng.binomial(3, 0.15 if large else 0.3))
    grains = rough(pick(rng, (2.5, 4.0, 6.0)), 1.2)
    warp = rough(14.0, 1.2)
    stretch, facets, slim = (1.17, 7, 0.15) if large else (1.1, 5, 0.33)
    field = rock(rng, x / stretch, y * stretch, area, parts, facets, slim)
    field, body = _cut(grid, field + rng.uniform(0.02, 0.09) * warp, area)
    ramp = np.maximum(field, 0)  # 0 from the rim outwards
    high = radius * rng.lognormal(-0.45, 0.35) * (0.6 if large else 1)
    tilt = (rng.normal(-0.1, 0.35) * x + rng.normal(-0.1, 0.35) * y) / radius
    top = np.clip(rng.uniform(0.25, 0.8) * (1 + tilt), 0.1, 1.2)
    height = high * np.minimum(ramp * rng.uniform(1.2, 3.0), top + 0.35 * ramp)
    roughness = rng.uniform(0.4, 2.2) * min(1.0, high / 14)
    height += (roughness * grains + 0.07 * high * warp) * smoothstep(ramp * 5)
    height = np.where(body, np.maximum(height, 0.3), 0)
    height = np.maximum(height, _crumbs(grid, rng, x, y, int(rng.binomial(2, 0.1)), radius))
    darkness = pick(rng, (rng.normal(0.24, 0.1), rng.uniform(0.4, 0.65)), (0.85, 0.15))
    looks = f"{'large ' if large else ''}{'angular' if roughness < 0.8 else 'rough'}"
    about = "particle" if parts == 1 else "agglomerate of particles"
    return Defect(height, height > 0, darkness, f"one {looks} {about}")


def flake(grid, rng, rough):
    """A large thin flake, ragged, wrinkled and curled at its edge, or a large agglomerate."""
    if rng.random() < 0.45:
        return particle(grid, rng, rough, large=True)
    area = _area(rng, 4)
    radius = _radius(area)
    x = grid.x - rng.normal(0, 14)
    y = grid.y - rng.normal(0, 14)
    field = rock(rng, x / 1.17, y * 1.17, area, 1 + int(rng.binomial(2, 0.25)), 7, 0.12)
    field, body = _cut(grid, field + rng.uniform(0.04, 0.1) * rough(20.0, 1.3), area)
    inward = np.maximum(field, 0) * radius
    high = rng.uniform(2.5, 9.0)
    curl = rng.uniform(-0.2, 0.7) * np.exp(-((inward - 5) ** 2) / 40)
    wrinkles = rng.uniform(0.05, 0.35) * rough(pick(rng, (9.0, 14.0, 20.0)), 1.3)
    height = high * ((1 - np.exp(inward * (-1 / rng.uniform(1.5, 5)))) * (1 + wrinkles) + curl)
    height = np.where(body, np.maximum(height, 0.2), 0)
    height = np.maximum(height, _crumbs(grid, rng, x, y, int(rng.binomial(3, 0.1)), radius))
    darkness = rng.normal(0.08, 0.1)
    return Defect(height, height > 0, darkness, "one large thin flake with a ragged outline")


def pit(grid, rng, rough):
    """A crater: an inclined wall, a rough floor, sometimes a raised rim."""
    area = _area(rng, 5)
    x = grid.x - rng.normal(0, 12)
    y = grid.y - rng.normal(0, 12)
    u, v = rotate(x / 1.16, y * 1.16, rng.uniform(0, math.pi))
    along = math.sqrt(rng.lognormal(0, 0.15))
    field = 1 - np.hypot(u / along, v * along) / _radius(area)
    field, body = _cut(grid, field + rng.uniform(0.03, 0.1) * rough(20.0, 1.6), area)
    inward = np.maximum(field, 0)
    floor = rng.uniform(0.2, 1.0) * rough(6.0, 1.2) * smoothstep(inward * 6)
    wall = -rng.uniform(6, 18) * smoothstep(inward / rng.uniform(0.2, 0.6))
    rim = rng.uniform(0, 2.5) * np.exp(np.minimum(field, 0) * 14) * (field <= 0)
    relief = np.where(body, wall + floor, rim)
    return Defect(relief, body, rng.uniform(0.05, 0.3), "one pit with an inclined wall")


def scratches(grid, rng, rough):
    """Ploughed scratches across the whole field: grooves between raised, torn rims."""
    area = _area(rng, 1)
    angle = pick(rng, (-1, 1)) * math.radians(min(max(rng.normal(25, 12), 3), 80))
    gaps = rng.uniform(0.3, 1.0)
    uneven = rough(30.0)
    field = np.float32(-np.inf)
    for _ in range(int(rng.integers(2, 5))):
        u, v = rotate(grid.x, grid.y, angle + rng.normal(0, 0.07))
        v = v - rng.normal(0, 60) - rng.normal(0, 90) / FIELD**2 * u * u
        v = v + rng.uniform(1, 4) * uneven
        width = rng.lognormal(0, 0.35)
        width = width + gaps * np.sin(u * rng.uniform(0.008, 0.03) + rng.uniform(0, 7))
        field = np.maximum(field, 8 * width - np.abs(v))
    smallest = 70 / grid.step**2
    field, footprint = _cut(grid, field + rng.uniform(0.5, 2.0) * rough(6.0), area, smallest)
    inward = np.maximum(field, 0)
    wide = max(float(inward.max()), 1.0)
    groove = -rng.uniform(0.25, 0.6) * wide * smoothstep(inward * (1.6 / wide) - 0.3)
    rims = rng.uniform(1.0, 3.5) * np.exp(-(((inward - 2.5) / 2.2) ** 2)) * (1 + 0.3 * rough(9.0))
    relief = groove + rims + rng.uniform(0.3, 1.2) * rough(4.0)
    relief = np.where(footprint, relief, 0)
    return Defect(relief, footprint, rng.normal(0.05, 0.08), "broad scratches across the field")


def crack(grid, rng, rough):
    """A thin crack on the diagonal, broken up into two or three pieces."""
    area = _area(rng, 2)
    u, v = rotate(grid.x, grid.y, pick(rng, (-1, 1)) * math.radians(rng.normal(45, 5)))
    v = v - rng.normal(0, 15) + rng.uniform(3, 7) * rough(40.0)
    width = 1 + 0.9 * np.sin(u * rng.uniform(0.015, 0.03) + rng.uniform(0, 7))
    field = 4 * width - np.abs(v) - 0.2 * np.maximum(np.abs(u) - 275, 0)
    field, footprint = _cut(grid, field + 0.4 * rough(4.0), area, 60 / grid.step**2)
    relief = np.where(footprint, -rng.uniform(1.2, 2.5) * field, 0)
    return Defect(relief, footprint, rng.uniform(0.02, 0.2), "one thin crack on the diagonal")


DEFECTS = {1: scratches, 2: crack, 3: particle, 4: flake, 5: pit}
