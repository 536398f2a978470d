"""Simulated pairs of an inspected image and its reference, with a few small changes of pattern."""

import numpy as np
from scipy import ndimage
from skimage.transform import warp

from semlib.images import simulator


def pair(seed, *, size=300, defects=3, noise=9.0):
    """Inspected and reference image, uint8, and places (x, y) of the changed pattern.

    A disc of the inspected image shows another part of the pattern, or grey that does not belong
    there. The two differ by a shift, a slow distortion, contrast, brightness and their noise.
    """
    rng = np.random.default_rng([31, seed])
    clean = _pattern(seed, size).astype(np.float32)
    changed = clean.copy()
    rows, columns = np.indices(clean.shape)
    places = []
    contrast = np.ptp(np.quantile(clean, [0.05, 0.95]))
    while len(places) < defects:
        x, y = rng.integers(40, size - 40, 2)
        if any(np.hypot(x - a, y - b) < 40 for a, b in places):
            continue
        radius = rng.uniform(4, 8)
        disc = np.hypot(rows - y, columns - x) <= radius
        other = np.roll(clean, rng.integers(-25, 26, 2), (0, 1))
        if rng.random() < 0.5:
            other = clean + rng.choice([-1, 1]) * rng.uniform(0.35, 0.7) * max(contrast, 20)
        if np.abs(other - clean)[disc].mean() < 0.3 * max(contrast, 20):
            continue
        changed[disc] = other[disc]
        places.append((x, y))
    changed = ndimage.gaussian_filter(changed, 0.7)
    shift = rng.uniform(-6, 6, 2)
    slow = ndimage.gaussian_filter(rng.normal(size=(2, size, size)), (0, 60, 60))
    slow *= rng.uniform(0, 1.0) / np.abs(slow).max()
    rough = ndimage.gaussian_filter(rng.normal(size=(2, size, size)), (0, 4, 4))
    rough *= rng.uniform(0.1, 0.4) / rough.std()  # edges of no two dies are equally rough
    at = np.indices(clean.shape) + shift[:, None, None] + slow + rough
    reference = warp(clean, at, order=3, mode="reflect", preserve_range=True)
    images = []
    for one in (changed, reference):
        shade = 1 + 0.06 * (columns / size - 0.5) * rng.normal()
        one = (one - 90) * rng.uniform(0.85, 1.15) * shade + 90 + rng.uniform(-12, 12)
        grain = ndimage.gaussian_filter1d(rng.normal(size=one.shape), 0.6, axis=1)
        images.append((one + noise * grain / grain.std()).clip(0, 255).round().astype(np.uint8))
    return *images, places


def _pattern(seed, size):
    """A noise-free image of lines, contact holes or vias."""
    for number in range(100 * seed, 100 * seed + 100):
        batch = simulator.sample(1, seed=number, preset="semnr", size=size, labels=[0])
        if "film" not in batch.captions[0]:
            return batch.clean[0]
    raise AssertionError("only films")
