"""Clean SEM images of natural worlds: grains, pores, fibres, spheres, particles, cracks, phases.

The wafers of `semlib.images.simulator` are all lines and films; these are what a network also has
to know. Each world is a surface, height and material, on the simulator's own grid, and is seen by
the simulator's own microscope; a defect changes the surface before the picture is taken, so that
the same place with and without it is known. All numbers are our choice.
"""

import math
from functools import partial

import numpy as np
from scipy.spatial import cKDTree

from semlib.images.simulator import microscope
from semlib.images.simulator.microscope import Detector
from semlib.images.simulator.surface import Scene, grid_of, rotate, smoothstep
from training.flaws import DEFECTS


def image(rng, size, world=None, defect=None):
    """One clean picture of a world, uint8 (size, size); `world` from `WORLDS`, or any at random.

    With `defect`, one of `flaws.DEFECTS`, the result is (picture with it, picture without it, its
    mask), the mask bool (size, size), neither empty nor full.
    """
    world = world or str(rng.choice(list(WORLDS)))
    grid = grid_of(size)
    unit = math.exp(rng.uniform(math.log(9), math.log(90)))  # of a feature: magnification
    height, material = WORLDS[world](grid, rng, unit)
    surfaces = [(height, material)]
    if defect:
        height, material, mask = DEFECTS[defect](grid, rng, height, material)
        surfaces.insert(0, (height, material))
    pictures = _photographs(grid, surfaces, int(rng.integers(2**32)))
    return (*pictures, mask[grid.inside].copy()) if defect else pictures[0]


def _photographs(grid, surfaces, look):
    """Pictures of a place by one microscope drawn from the seed `look`, each uint8 (size, size)."""
    seen = [_emission(grid, *surface, np.random.default_rng(look)) for surface in surfaces]
    rng = np.random.default_rng([look, 1])
    # an operator sets brightness and contrast, once for the place: the last surface is the plain
    scale = math.exp(rng.uniform(math.log(10), math.log(48))) / max(float(seen[-1].std()), 0.02)
    level = rng.uniform(70, 140)
    return [_detected(level + scale * (one - seen[-1].mean())) for one in seen]


def _emission(grid, height, material, rng):
    """The signal of a surface behind the probe, float32 (size, size)."""
    share = rng.uniform()  # of the side detector: relief; the rest an annular one: edges
    detector = Detector(
        facing=0.06 + 0.3 * share,
        inclined=rng.uniform(0.15, 0.8),
        convex=rng.uniform(0.02, 0.06),
        shadow=rng.uniform(0.2, 0.8),
        halo=0.012 * share,
    )
    scene = Scene(height.astype(np.float32), material.astype(np.float32), None, "")
    emitted = microscope.signal(scene, grid.size, rng, detector)
    return microscope.probe(emitted, grid.size, rng) * microscope.shading(grid.size, rng)


def _detected(grey):
    """Grey values uint8; a detector saturates softly at both ends."""
    grey = np.where(grey > 200, 200 + 55 * np.tanh((grey - 200) / 55), grey)
    return microscope.to_8bit(np.where(grey < 25, 25 + 25 * np.tanh((grey - 25) / 25), grey))


def _points(grid, rng, unit, regular=0.0):
    """Places one `unit` apart on average, (k, 2) in nominal pixels, a little beyond the grid."""
    half = grid.n * grid.step / 2 + 2 * unit
    count = int(np.clip((2 * half / unit) ** 2, 12, 9000))
    if regular > rng.random():  # a jittered lattice: cells of like size
        side = math.ceil(math.sqrt(count))
        places = np.stack(np.meshgrid(*[np.linspace(-half, half, side)] * 2), -1).reshape(-1, 2)
        return places + rng.normal(0, 0.3 * 2 * half / side, places.shape)
    return rng.uniform(-half, half, (count, 2))


def _cells(grid, rng, unit, regular=0.0, warp=0.1):
    """Voronoi cells: number of each sample's cell, distance to its border in nominal pixels."""
    rough = grid.surfaces(rng)
    x = grid.x + warp * unit * rough(unit / 2, 1.0)
    y = grid.y + warp * unit * rough(unit / 3, 1.0)
    x, y = rotate(x, y, rng.uniform(0, np.pi))
    stretch = rng.lognormal(0, 0.25)
    places = np.stack([x * stretch, y / stretch], -1).reshape(-1, 2)
    distance, cell = cKDTree(_points(grid, rng, unit, regular)).query(places, 2)
    border = (distance[:, 1] - distance[:, 0]) / 2
    return cell[:, 0].reshape(grid.n, grid.n), border.reshape(grid.n, grid.n)


def grains(grid, rng, unit):
    """Polished or etched metal: a grey and a tilt for each grain, bright or dark boundaries."""
    cell, border = _cells(grid, rng, unit, 0.3, rng.uniform(0, 0.12))
    greys = rng.normal(1, rng.uniform(0.04, 0.2), cell.max() + 1)
    material = np.clip(greys, 0.4, 1.8)[cell]
    width = rng.uniform(1.2, 3.5)
    edge = np.exp(-((border / width) ** 2))
    height = rng.uniform(-2.5, 2.5) * edge + rng.normal(0, 0.04 * unit, cell.max() + 1)[cell]
    material += rng.choice([-0.35, 0.35, 0]) * edge
    if rng.random() < 0.35:  # some grains are twinned: parallel bands
        angle = rng.uniform(0, np.pi, cell.max() + 1)[cell]
        pitch = unit * rng.uniform(0.12, 0.3)
        bands = np.sin(2 * np.pi * (grid.x * np.cos(angle) + grid.y * np.sin(angle)) / pitch)
        twinned = (rng.random(cell.max() + 1) < 0.4)[cell]
        material += rng.uniform(0.05, 0.15) * twinned * np.tanh(3 * bands)
    return _grainy(grid, rng, height), material


def pores(grid, rng, unit):
    """A porous solid: dark holes with bright rims, between round and winding."""
    rough = grid.surfaces(rng)
    field = rough(unit / 3, rng.uniform(1.5, 3.0))
    share = rng.uniform(0.06, 0.45)
    depth = field - np.quantile(field, share)
    inside = smoothstep(-depth * rng.uniform(4, 10))
    height = -unit * rng.uniform(0.3, 0.9) * inside + 0.03 * unit * rough(unit / 2)
    material = 1 - rng.uniform(0.3, 0.7) * inside
    return _grainy(grid, rng, height), material


def fibres(grid, rng, unit):
    """A felt of long fibres: the upper ones hide the lower ones."""
    height = np.full((grid.n, grid.n), -2.5 * unit)
    material = np.full((grid.n, grid.n), rng.uniform(0.35, 0.8))
    half = grid.n * grid.step / 2
    main = rng.uniform(0, np.pi)
    spread = rng.choice([0.15, 0.5, np.pi])
    count = int(np.clip(rng.uniform(1.0, 2.5) * 2 * half / unit, 6, 90))
    for level in np.linspace(-2 * unit, 0, count):
        radius = 0.3 * unit * rng.lognormal(0, 0.3)
        u, v = rotate(grid.x, grid.y, main + rng.normal(0, spread))
        wave = rng.normal(0, 0.35, 2) * half
        phase = 2 * np.pi * rng.random(2)
        course = rng.uniform(-half, half) + wave[0] * np.sin(u / half * 1.5 + phase[0])
        course += 0.2 * wave[1] * np.sin(u / half * 5 + phase[1])
        # distance to a curve: the height above it, shortened where steep
        slope = np.gradient(course, axis=1) / grid.step / max(abs(np.cos(main)), 0.5)
        across = (v - course) / np.sqrt(1 + np.minimum(slope**2, 4)) / radius
        top = level + radius * np.sqrt(np.maximum(1 - across**2, 0))
        seen = (np.abs(across) < 1) & (top > height)
        height = np.where(seen, top, height)
        material = np.where(seen, 1 + 0.15 * level / unit + rng.normal(0, 0.03), material)
    return _grainy(grid, rng, height, 0.5), material


def spheres(grid, rng, unit, cover=(0.15, 1.6), spread=(0.05, 0.5), lumpy=0.0):
    """Balls, alone or heaped, bright at their rims, on a film."""
    rough = grid.surfaces(rng)
    height = 0.02 * unit * rough(unit)
    material = np.full((grid.n, grid.n), rng.uniform(0.5, 1.1))
    half = grid.n * grid.step / 2
    field = 2 * half / unit
    count = int(np.clip(rng.uniform(*cover) * field**2 * 1.3, 5, 1500))
    centres = rng.uniform(-half, half, (count, 2))
    if rng.random() < 0.5:  # gathered in clusters
        seeds = rng.uniform(-half, half, (max(2, count // 25), 2))
        near = seeds[rng.integers(len(seeds), size=count)]
        centres = near + rng.normal(0, 2.2 * unit, (count, 2))
    radii = 0.5 * unit * rng.lognormal(0, rng.uniform(*spread), count)
    lumps = lumpy * rough(unit / 4, 1.2)
    heaped = cKDTree(centres).query_ball_point(centres, unit, return_length=True)
    lift = 0.4 * radii * rng.random(count) * np.minimum(heaped - 1, 4)
    for (x, y), radius, up in zip(centres, radii, lift, strict=True):
        rows, columns = (_window(grid, c, 1.6 * radius) for c in (y, x))
        if rows.start >= rows.stop or columns.start >= columns.stop:
            continue
        part = np.s_[rows, columns]
        away = np.hypot(grid.x[:, columns] - x, grid.y[rows] - y) / radius + lumps[part]
        top = up + radius * (1 + np.sqrt(np.maximum(1 - away**2, 0))) * 0.6
        seen = (away < 1) & (top > height[part])
        height[part] = np.where(seen, top, height[part])
        material[part] = np.where(seen, rng.normal(1.05, 0.05), material[part])
    return _grainy(grid, rng, height, 0.5), material


def _window(grid, at, reach):
    """Samples within `reach` of a coordinate."""
    first, last = ((at + side) / grid.step + grid.n / 2 for side in (-reach, reach))
    return slice(max(0, int(first)), min(grid.n, int(last) + 2))


def cracks(grid, rng, unit):
    """Dried mud: plates with gaps of varying width, some closed."""
    _, border = _cells(grid, rng, 2 * unit, 0.5, 0.15)
    rough = grid.surfaces(rng)
    width = np.maximum(0.08 * unit * (1 + 0.8 * rough(2 * unit)), 0) + 0.2
    gap = smoothstep(1.2 - border / width)
    height = -0.35 * unit * gap + 0.03 * unit * rough(unit)
    return _grainy(grid, rng, height), 1 - rng.uniform(0.4, 0.75) * gap


def phases(grid, rng, unit):
    """Two materials that have come apart: labyrinths, lamellae or islands."""
    rough = grid.surfaces(rng)
    # a narrow band of the spectrum gives one distance between stripes
    stretch = 1 if rng.random() < 0.6 else rng.uniform(2, 6)
    fu, fv = rotate(grid.fx, grid.fy, rng.uniform(0, np.pi))
    radius = np.hypot(fu * stretch, fv) * unit
    band = np.exp(-(((radius - 1) / rng.uniform(0.15, 0.4)) ** 2)).astype(np.float32)
    white = rng.standard_normal((grid.n, grid.n), dtype=np.float32)
    field = grid.inverse(grid.forward(white) * band)
    field = field / field.std() - rng.uniform(-0.9, 0.9)
    inside = smoothstep(field * rng.uniform(1.5, 5) + 0.5)
    height = rng.uniform(-0.12, 0.12) * unit * inside
    return _grainy(grid, rng, height), 1 + rng.uniform(-0.4, 0.4) * inside + 0.03 * rough(unit / 2)


def rock(grid, rng, unit):
    """A broken or deposited surface: rough on all scales, with terraces on some."""
    rough = grid.surfaces(rng)
    relief = rough(unit, rng.uniform(0.5, 1.2))
    if rng.random() < 0.4:
        steps = rng.uniform(1.5, 4)
        relief = (np.floor(relief * steps) + smoothstep((relief * steps % 1) * 3)) / steps
    height = unit * rng.uniform(0.08, 0.35) * relief
    return height, 1 + rng.uniform(0, 0.08) * rough(unit / 2)


def _grainy(grid, rng, height, share=1.0):
    """The surface with the fine grain that every surface has."""
    return height + share * rng.uniform(0, 0.12) * grid.surfaces(rng)(rng.uniform(1.5, 5))


WORLDS = {"grains": grains, "pores": pores, "fibres": fibres, "spheres": spheres}
WORLDS |= {"particles": partial(spheres, cover=(0.05, 0.4), spread=(0.4, 0.8), lumpy=0.25)}
WORLDS |= {"cracks": cracks, "phases": phases, "rock": rock}
