"""Patterned layers with the six defects of SEM-CLIP, as height and material with exact masks.

The classes are the paper's (arXiv 2502.14884); how each looks is our choice, since its images are not public. Every
defect is a function of the grid, a generator, the spectrum of a white noise, the layer and its field, the
coordinates (u, v) about the defect, its radius `r` in nominal pixels and its `strength`, 0 faint to 1 strong.
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from semlib.images import layers
from semlib.images.defects import rock
from semlib.images.surface import FIELD, grid, pick, rotate, self_affine, smoothstep, white
from semlib.images.topography import Scene

REACH = 0.42 * FIELD


@dataclass
class Change:
    """What a defect does.

    `field`: the pattern's field after it; `footprint`, bool; `lift`: added height; `cover`, 0 to 1: how far `tint`
    takes the place of the yield; `gain`, factor of the yield; all (n, n) or numbers.
    """

    field: np.ndarray
    footprint: np.ndarray
    lift: np.ndarray | float = 0.0
    cover: np.ndarray | float = 0.0
    tint: float = 1.0
    gain: np.ndarray | float = 1.0


@dataclass
class Facts:
    """What is known of an image beside its mask: `label`, `count` of defects, `strength` 0 to 1, `layer` in words."""

    label: int
    count: int
    strength: float
    layer: str


def _blob(g, noise, u, v, ru, rv, ragged=0.15, length=8.0):
    """A rounded irregular patch: nominal pixels from its edge, positive inside."""
    field = 1 - np.hypot(u / ru, v / rv) + ragged * self_affine(g, noise, length, 1.2)
    near = np.hypot(u / ru, v / rv) < 2
    return np.where(near, field * min(ru, rv), -99).astype(np.float32)


def bridge(g, rng, noise, layer, field, u, v, r, strength):
    """A short between two neighbours, as high as they are or lower."""
    reach = (
        0.5 * (layer.pitch - layer.width) + 0.3 * layer.width + layer.pitch * (rng.random() < 0.15)
    )
    patch = _blob(g, noise, u, v, max(reach, 0.8 * r), r, 0.1)
    joined = np.maximum(field, patch)
    footprint = (joined > 0) & (field <= 0)
    return Change(
        joined, footprint, cover=0.25 * (1 - strength) * footprint, tint=min(layer.yields)
    )


def residue(g, rng, noise, layer, field, u, v, r, strength):
    """Copper left by the polish: a thin bright ragged film over lines and spaces."""
    along = rng.uniform(0.6, 1.0)
    u, v = rotate(u, v, rng.uniform(0, math.pi))
    patch = _blob(g, noise, u, v, r, r * along, rng.uniform(0.25, 0.45), rng.uniform(0.5, 0.9) * r)
    edge = smoothstep(patch / 4)
    ripple = 1 + 0.3 * self_affine(g, noise, 5.0, 1.0)
    cover = edge * (0.4 + 0.5 * strength) * np.clip(ripple, 0.4, 1.3)
    tint = max(layer.yields) * (1.15 + 0.45 * strength)
    return Change(field, patch > 0, (2 + 3 * strength) * edge * ripple, np.clip(cover, 0, 1), tint)


def hole(g, rng, noise, layer, field, u, v, r, strength):
    """A void: the lines are missing there, and the ground below them is dark."""
    patch = _blob(g, noise, u, v, r, r * rng.uniform(0.75, 1.3), 0.12)
    inside = smoothstep(patch / 4 + 0.5)
    lift = -inside * rng.uniform(0.2, 0.8) * abs(layer.step)
    cover = inside * (0.5 + 0.5 * strength)
    return Change(np.minimum(field, -patch), patch > 0, lift, cover, rng.uniform(*layer.void))


def infilm(g, rng, noise, layer, field, u, v, r, strength):
    """Something buried: a soft bump that the lines run over and give way to."""
    distance = np.hypot(u / r, v / (r * rng.uniform(0.7, 1.2)))
    bump = np.exp(-1.2 * distance**2).astype(np.float32)
    push = (0.2 + 0.25 * strength) * bump * pick(rng, (1, 1, -1))
    at = u * (1 - push) + layer.site[0], v * (1 - push) + layer.site[1]
    warped = np.where(
        bump > 0.01,
        layer.field(*at) + field - layer.field(u + layer.site[0], v + layer.site[1]),
        field,
    )
    gain = 1 + (0.15 + 0.25 * strength) * pick(rng, (1, -1)) * bump
    return Change(
        warped.astype(np.float32), distance < 1, (0.2 + 0.3 * strength) * r * bump, gain=gain
    )


def particle(g, rng, noise, layer, field, u, v, r, strength):
    """A grain on top, or some grown together, rough or faceted, with its shadow."""
    ramp = rock(rng, u, v, math.pi * (r / FIELD) ** 2, 1 + int(rng.binomial(2, 0.3)))
    ramp += 0.06 * self_affine(g, noise, 10.0)
    body = ramp > 0
    dome = r * rng.uniform(0.6, 1.0) * np.sqrt(np.clip(ramp, 0, 1) * (0.5 + 0.5 * strength))
    dome += rng.uniform(0.3, 1.6) * self_affine(g, noise, 3.0, 1.0) * smoothstep(3 * ramp)
    lift = np.where(body, np.maximum(dome, 0.5) + max(layer.step, 0) - layer.step * (field > 0), 0)
    return Change(field, body, lift, 0.9 * body, max(layer.yields) * (0.85 + 0.5 * strength))


def scratch(g, rng, noise, layer, field, u, v, r, strength):
    """A long thin mark across the lines: a groove with a bright or a dark ground."""
    s, t = rotate(u, v, rng.uniform(-1.0, 1.0))
    half = rng.uniform(70, 260)
    t = t - rng.normal(0, 60) / FIELD**2 * s * s + 1.2 * self_affine(g, noise, 30.0)
    width = r * (1 + 0.3 * np.sin(s * rng.uniform(0.01, 0.04) + rng.uniform(0, 7)))
    stroke = np.minimum(width - np.abs(t), 0.1 * (half - np.abs(s))) + 0.35 * self_affine(
        g, noise, 4.0
    )
    inside = smoothstep(stroke / 2 + 0.5)
    lift = -inside * (0.3 + 0.5 * strength) * abs(layer.step)
    tint = pick(rng, (0.3, 1.6))
    return Change(field, stroke > 0, lift, inside * (0.3 + 0.5 * strength), tint)


DEFECTS = {1: bridge, 2: residue, 3: hole, 4: infilm, 5: particle, 6: scratch}
FAMILIES = {
    0: "defect-free",
    1: "bridge",
    2: "copper residue",
    3: "hole",
    4: "infilm",
    5: "particle",
    6: "scratch",
}
BRIDGE, HOLE = 1, 3
BRIDGED = ("lines", "vias")


def _defect(g, rng, noise, layer, field, frame, label, sizes, strength):
    """One defect of a family at a random place; as often as it comes out empty, another one."""
    while True:
        at = layer.frame(*rng.uniform(-REACH, REACH, 2))
        if label in (BRIDGE, HOLE):
            at = layer.nearest(*at, between=label == BRIDGE or layer.kind == "contact holes")
        r = sizes[0] * (sizes[1] / sizes[0]) ** rng.uniform()
        u, v = frame[0] - at[0], frame[1] - at[1]
        change = DEFECTS[label](g, rng, noise, replace(layer, site=at), field, u, v, r, strength)
        if change.footprint[g.inside].any():
            return change


def scene(rng, label, size, setting):
    """A patterned layer with the defects of one family.

    Parameters
    ----------
    rng : numpy.random.Generator
    label : int
        0 to 6, see `FAMILIES`.
    size : int
        Samples per side of the image.
    setting : layers.Setting

    Returns
    -------
    Scene
        The mask is the footprint of the defects, by construction; shadows are not part of it.
    Facts
    """
    g = grid(size)
    if label == BRIDGE:
        setting = replace(setting, kinds=tuple(kind for kind in setting.kinds if kind in BRIDGED))
    layer, noise = layers.draw(rng, setting), white(g, rng)
    u, v = layer.frame(g.x, g.y)
    field = layer.field(u, v) + layer.rough * self_affine(g, noise, 8.0)
    count = 0 if label == 0 else int(rng.integers(2, 4)) if rng.random() < setting.several else 1
    strength, flaw = rng.uniform(0, 1), white(g, rng)
    lift, cover, gain = np.zeros((3, g.n, g.n), np.float32) + np.float32([[[0]], [[0]], [[1]]])
    footprint, tint = np.zeros((g.n, g.n), bool), np.float32(1)
    for _ in range(count):
        change = _defect(g, rng, flaw, layer, field, (u, v), label, setting.sizes[label], strength)
        field, footprint = change.field, footprint | change.footprint
        tint = np.where(change.cover > cover, np.float32(change.tint), tint)
        lift, cover, gain = lift + change.lift, np.maximum(cover, change.cover), gain * change.gain
    inside = smoothstep(field / rng.uniform(3.0, 5.0) + 0.5)
    grains = self_affine(g, noise, pick(rng, (2.0, 3.0, 5.0)), 1.0)
    high, low = layer.yields
    material = (low + (high - low) * inside) * (1 - cover) + tint * cover
    material *= gain * (1 + rng.uniform(0.01, 0.04) * grains)
    height = (layer.step * inside + lift + 0.08 * grains).astype(np.float32)
    facts = Facts(label, count, strength, layer.about)
    return Scene(height, material.astype(np.float32), footprint[g.inside].copy(), ""), facts
