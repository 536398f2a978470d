"""From a scene to an SEM image: secondary-electron signal, probe, shot noise, scan, JPEG."""

import io
import math
from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy import fft

from semlib.images.simulator.surface import grid_of, pick, rotate

FILM_GREY = 98.0
YIELD = 0.9  # secondary electrons that a primary one releases at FILM_GREY
NEAR_GAUSSIAN = 1000.0  # electrons a pixel from which on the skewness is below 0.06
BORDER = 3
DARK = 4
SHADOW_DISTANCES = (5.0, 11.0, 24.0, 52.0)
SHADOW_REACH = 1.9
SHADOW_FLOOR = 0.6  # what is lower, in nominal pixels, casts no shadow


@dataclass(frozen=True)
class Detector:
    """How much of the signal comes from each of five effects."""

    facing: float
    inclined: float
    convex: float
    shadow: float
    halo: float


SIDE = Detector(facing=0.4, inclined=0.15, convex=0.05, shadow=0.8, halo=0.016)
ANNULAR = Detector(facing=0.06, inclined=0.8, convex=0.04, shadow=0.2, halo=0.0)


def signal(scene, size, rng, detector=SIDE):
    """Secondary-electron signal of a scene, float32 (n, n); about 1 on a flat film.

    ``S = material (1 + e (1/cos - 1)) (1 + d n.u + c convexity) (1 - s sin(horizon)) + halo``, with
    the detector in direction u, at the upper left:

    - inclined surfaces emit more (the 1/cos law), and those facing the detector are seen best;
    - convex edges bloom, since electrons also leave through the side wall;
    - where something high hides the detector it is dark. The horizon is taken over a cone that
      widens with distance, so that shadows are soft, and as long as the thing is high;
    - a wall facing the detector throws electrons back onto the film before it: the halo.
    """
    grid = grid_of(size)
    height = scene.height
    spectrum = grid.forward(height)
    azimuth = math.radians(rng.normal(222, 7))
    ux = math.cos(azimuth)
    uy = math.sin(azimuth)
    # central differences, periodic
    dx = (np.roll(height, -1, 1) - np.roll(height, 1, 1)) * (0.5 / grid.step)
    dy = (np.roll(height, -1, 0) - np.roll(height, 1, 0)) * (0.5 / grid.step)
    inclined = np.sqrt(1 + dx * dx + dy * dy)  # 1 / cos
    facing = (dx * -ux + dy * -uy) / inclined
    hidden = np.zeros_like(height)  # tangent of the horizon
    for distance in SHADOW_DISTANCES:
        ahead = spectrum * grid.gaussian(distance / 3, (distance * ux, distance * uy))
        above = grid.inverse(ahead) - height - SHADOW_FLOOR
        hidden = np.maximum(hidden, above * (SHADOW_REACH / distance))
    convex = np.clip(height - grid.inverse(spectrum * grid.gaussian(3.0)), -3, 3)
    behind = grid.inverse(spectrum * grid.gaussian(12.0, (-18 * ux, -18 * uy)))
    halo = detector.halo * np.maximum(behind - np.maximum(height, 0), 0)
    # 1 / cos has no limit on a steep wall, a real edge has
    emitted = scene.material * (1 + detector.inclined * np.minimum(inclined - 1, 2))
    collected = np.maximum(1 + detector.facing * facing + detector.convex * convex, 0.2)
    lit = 1 - detector.shadow * hidden / np.sqrt(1 + hidden * hidden)  # sine from tangent
    return emitted * collected * lit + halo


def probe(field, size, rng):
    """Blur by an astigmatic probe and cut out the image, float32 (size, size)."""
    grid = grid_of(size)
    major = rng.uniform(0.9, 1.3)  # standard deviations in real pixels
    minor = rng.uniform(0.65, 0.9)
    fu, fv = rotate(grid.fx, grid.fy, rng.uniform(0, np.pi))
    along = fu * grid.step * major
    across = fv * grid.step * minor
    # the transfer function of a Gaussian that is wider along one axis
    blur = np.exp(-2 * np.pi**2 * (along * along + across * across))
    return grid.inverse(grid.forward(field) * blur)[grid.inside]


def shading(size, rng):
    """Slow change of brightness over the field, factor (size, size) with mean about 1."""
    x = np.linspace(-1, 1, size, dtype=np.float32)[None]
    tilt, roll, bow = (rng.normal(0, spread) for spread in (0.042, 0.027, 0.01))
    return (1 + tilt * x + bow * (x * x - 1 / 3)) * (1 + roll * x.T)


def acquire(clean, rng, *, dose=2600.0, jitter=0.0, correlation=0.0):
    """Scan a noise-free image, grey values (H, W): float32, neither clipped nor rounded.

    Every pixel receives N ~ Poisson(dose) primary electrons, which release Poisson(N delta)
    secondary ones, delta proportional to the grey value and `YIELD` at `FILM_GREY`. The variance in
    grey levels, ``clean^2 / dose + clean FILM_GREY / (YIELD dose)``, is larger than Poisson's.
    `jitter`: standard deviation of the sideways displacement of the rows in pixels.
    `correlation`: of the noise of neighbours in a row, 0 to below 1 (detector bandwidth).
    """
    if not dose > 0 or jitter < 0 or not 0 <= correlation < 1:
        given = f"dose={dose}, jitter={jitter}, correlation={correlation}"
        raise ValueError(f"{given}: need dose > 0, jitter >= 0, 0 <= correlation < 1")
    clean = np.asarray(clean, np.float32)
    if jitter:
        shifts = jitter * rng.standard_normal(len(clean))
        columns = np.arange(clean.shape[1], dtype=np.float32)
        # linear between the pixels of a row
        rows = [
            np.interp(columns + by, columns, row) for row, by in zip(clean, shifts, strict=True)
        ]
        clean = np.stack(rows).astype(np.float32)
    noise = _shot_noise(np.maximum(clean, 0), rng, dose)
    if correlation:
        # first-order autoregressive rows, made in the spectrum; the root keeps the variance
        f = fft.rfftfreq(clean.shape[1])
        gain = math.sqrt(1 - correlation**2) / np.abs(1 - correlation * np.exp(-2j * np.pi * f))
        noise = fft.irfft(fft.rfft(noise) * gain.astype(np.float32), clean.shape[1])
    return clean + noise


def _shot_noise(clean, rng, dose):
    per_grey = YIELD / FILM_GREY
    if dose >= NEAR_GAUSSIAN:  # a normal law of the same variance takes its place
        noise = rng.standard_normal(clean.shape, dtype=np.float32)
        return noise * np.sqrt(clean * clean * (1 / dose) + clean * (1 / (per_grey * dose)))
    primaries = rng.poisson(dose, clean.shape)
    secondaries = rng.poisson(primaries * (clean * per_grey)).astype(np.float32)
    return secondaries * (1 / (per_grey * dose)) - clean


def to_8bit(image):
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def framed(images, rng):
    """Versions of one image, (k, s, s), with dark columns at the right.

    Now and then there is a line along some edges too, left by the alignment of the beam.
    """
    images = np.array(images)
    if rng.random() <= 0.08:
        value = pick(rng, (rng.uniform(20, 60), rng.uniform(130, 170)))
        at = int(rng.integers(0, 3))
        for edge in (images[:, at], images[:, -1 - at], images[..., at]):
            if rng.random() < 0.6:
                edge[:] = value
    images[..., -BORDER:] = DARK
    return images


def to_jpeg(image, quality=80):
    """Bytes of a grey JPEG file."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def from_jpeg(data):
    return np.array(Image.open(io.BytesIO(data)))
