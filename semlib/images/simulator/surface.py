"""Grids with random surfaces on them, and scenes: what every simulated image is made of.

Lengths are nominal pixels, 480 a side of the field of view, whatever its `size` in real ones.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import fft

FIELD = 480
MARGIN = 40  # simulated around the image: the Fourier transform joins opposite edges


@dataclass(frozen=True)
class Grid:
    """A square grid of `n` samples a side around an image of `size`."""

    size: int
    n: int
    inside: tuple  # slices that cut the image out of the grid
    step: float  # nominal pixels between samples
    x: np.ndarray  # (1, n), 0 at the centre of the image
    y: np.ndarray  # (n, 1), grows downwards
    fx: np.ndarray  # (1, n // 2 + 1), cycles per nominal pixel
    fy: np.ndarray  # (n, 1)

    def forward(self, field):
        return fft.rfft2(field)

    def inverse(self, spectrum):
        return fft.irfft2(spectrum, s=(self.n, self.n))

    def gaussian(self, sigma, shift=(0.0, 0.0)):
        """Transfer function of a Gaussian blur whose result is moved by `shift`, (x, y)."""
        along = _gaussian(self.fx, sigma, shift[0])
        return _gaussian(self.fy, sigma, shift[1]) * along

    def surfaces(self, rng):
        """A function (length, hurst) that filters self-affine surfaces out of one white noise.

        They are of unit variance, float32 (n, n), unrelated beyond `length`, smoother with `hurst`.
        """
        white = self.forward(rng.standard_normal((self.n, self.n), dtype=np.float32))

        def rough(length, hurst=0.7):
            return self.inverse(white * self_affine_transfer(self.size, length, hurst))

        return rough


@dataclass
class Scene:
    """What the beam meets, on the padded grid; the mask is cut to the image."""

    height: np.ndarray  # float32 (n, n), nominal pixels
    material: np.ndarray  # float32 (n, n), electron yield relative to the film
    mask: np.ndarray  # bool (size, size), the exact footprint of the defects
    caption: str


def _gaussian(f, sigma, shift):
    # a shift is a phase in the spectrum
    return np.exp(-2 * (np.pi * sigma * f) ** 2 + 2j * np.pi * f * shift).astype(np.complex64)


@lru_cache(maxsize=4)
def grid_of(size):
    step = FIELD / size
    n = fft.next_fast_len(size + 2 * round(MARGIN / step), real=True)
    pad = (n - size) // 2
    x = ((np.arange(n, dtype=np.float32) - pad + 0.5) * step - FIELD / 2)[None]
    fx = fft.rfftfreq(n, step).astype(np.float32)[None]
    fy = fft.fftfreq(n, step).astype(np.float32)[:, None]
    cut = slice(pad, pad + size)
    return Grid(size, n, (cut, cut), step, x, x.T, fx, fy)


@lru_cache(maxsize=32)
def self_affine_transfer(size, length, hurst):
    """Root of the power spectrum ``(1 + (2 pi f length)^2)^-(1 + hurst)`` of unit variance.

    Flat below the spatial frequency 1 / (2 pi length), a power law above it: the K-correlation
    model of thin-film roughness (Palasantzas 1993, doi 10.1103/PhysRevB.48.14472).
    """
    grid = grid_of(size)
    squared = grid.fx**2 + grid.fy**2
    power = (1 + (2 * np.pi * float(length)) ** 2 * squared.astype(float)) ** -(1 + float(hurst))
    # the real transform stores one of each pair of opposite frequencies, which both count
    both_halves = np.r_[1, np.full(grid.fx.size - 2, 2), 1 if grid.n % 2 == 0 else 2]
    return np.sqrt(power / ((power * both_halves).sum() / grid.n**2)).astype(np.float32)


def smoothstep(t):
    """0 below 0, 1 above 1, smooth between."""
    t = np.clip(t, 0, 1)
    return t * t * (3 - 2 * t)


def rotate(x, y, angle):
    """Coordinates in a frame turned by `angle` radians."""
    cos = math.cos(angle)
    sin = math.sin(angle)
    return cos * x + sin * y, cos * y - sin * x


def pick(rng, values, p=None):
    """One of `values` as a Python number: a NumPy scalar would turn float32 images into float64."""
    return values[int(rng.choice(len(values), p=p))]
