"""Grids and random surfaces that the simulated scenes are made of.

Lengths are nominal pixels: the field of view always measures 480 x 480 of them, `size` only says
how finely it is sampled.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import fft

FIELD = 480
MARGIN = 40


@dataclass(frozen=True)
class Grid:
    """A padded square grid: `n` samples a side, `pad` of them outside the image on each side."""

    size: int
    n: int
    pad: int
    step: float
    x: np.ndarray
    y: np.ndarray
    fx: np.ndarray
    fy: np.ndarray

    @property
    def inside(self):
        """Slices that cut the image out of the padded grid."""
        cut = slice(self.pad, self.pad + self.size)
        return cut, cut

    def forward(self, field):
        return fft.rfft2(field)

    def inverse(self, spectrum):
        return fft.irfft2(spectrum, s=(self.n, self.n))

    def gaussian(self, sigma, shift=(0.0, 0.0)):
        """Transfer function of a Gaussian blur; the result at (x, y) stands for (x, y) + `shift`."""
        dx, dy = shift
        return _gaussian(self.fy, sigma, dy) * _gaussian(self.fx, sigma, dx)


def _gaussian(f, sigma, shift):
    return np.exp(-2 * (np.pi * sigma * f) ** 2 + 2j * np.pi * f * shift).astype(np.complex64)


@lru_cache(maxsize=4)
def grid(size):
    """The grid of an image of `size` x `size` pixels; x and y are 0 at the centre, y grows downwards."""
    step = FIELD / size
    n = fft.next_fast_len(size + 2 * round(MARGIN / step), real=True)
    pad = (n - size) // 2
    x = ((np.arange(n, dtype=np.float32) - pad + 0.5) * step - FIELD / 2)[None]
    fx = fft.rfftfreq(n, step).astype(np.float32)[None]
    fy = fft.fftfreq(n, step).astype(np.float32)[:, None]
    return Grid(size, n, pad, step, x, x.T, fx, fy)


def white(g, rng):
    """Spectrum of white noise of unit variance; several surfaces may be filtered out of one."""
    return g.forward(rng.standard_normal((g.n, g.n), dtype=np.float32))


@lru_cache(maxsize=32)
def self_affine_transfer(size, length, hurst):
    """Square root of the power spectrum ``(1 + (2 pi f length)^2)^-(1 + hurst)``, scaled to unit variance.

    Flat below the spatial frequency 1 / (2 pi length), a power law above it: the K-correlation model of
    thin-film roughness (Palasantzas, Phys. Rev. B 48, 14472, 1993).
    """
    g = grid(size)
    power = (1 + (2 * np.pi * float(length)) ** 2 * (g.fx**2 + g.fy**2).astype(float)) ** -(
        1 + float(hurst)
    )
    both_halves = np.r_[1, np.full(g.fx.size - 2, 2), 1 if g.n % 2 == 0 else 2]
    return np.sqrt(power / ((power * both_halves).sum() / g.n**2)).astype(np.float32)


def self_affine(g, noise, length, hurst=0.7):
    """Self-affine surface of unit variance out of white noise, float32 (n, n); a larger `hurst` is smoother."""
    return g.inverse(noise * self_affine_transfer(g.size, length, hurst))


def dimples(g, rng, count, radius, depth):
    """Shallow round pits scattered over the film, float32 (n, n), heights in nominal pixels."""
    points = np.zeros((g.n, g.n), np.float32)
    rows, columns = rng.integers(0, g.n, (2, count))
    peak = 2 * np.pi * (radius / g.step) ** 2
    np.add.at(
        points,
        (rows, columns),
        (-depth * peak * rng.lognormal(-0.1, 0.45, count)).astype(np.float32),
    )
    return g.inverse(g.forward(points) * g.gaussian(radius))


def smoothstep(t):
    """0 below 0, 1 above 1, smooth between."""
    t = np.clip(t, 0, 1)
    return t * t * (3 - 2 * t)


def rotate(x, y, angle):
    """Coordinates in a frame turned by `angle` radians."""
    c, s = math.cos(angle), math.sin(angle)
    return c * x + s * y, c * y - s * x


def pick(rng, values, p=None):
    """One of `values` as a Python number: a NumPy scalar would turn float32 images into float64."""
    return values[int(rng.choice(len(values), p=p))]
