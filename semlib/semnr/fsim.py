"""FSIM: feature similarity from phase congruency and gradient (Zhang et al., IEEE TIP 20, 2378, 2011).

The conventions are those of the authors' code and of piq with ``chromatic=False``: four scales and orientations, images
averaged down to about 256 pixels. What depends on the size only, the filter bank and its noise constants, is kept.
"""

import math
from functools import lru_cache

import numpy as np
import torch
from numba import njit

from semlib.workers import split

SMALLEST = 32
SCALES = ORIENTATIONS = 4
SHORTEST_WAVE = 6.0  # pixels
BANDWIDTH = 0.55
ANGULAR_SIGMA = math.pi / (ORIENTATIONS * 1.2)
NOISE_SIGMAS = 2.0
T1, T2 = 0.85, 160.0  # section III of the paper
EPS = torch.finfo(torch.float32).eps


def features(image):
    """Phase congruency and gradient magnitude of one image.

    Parameters
    ----------
    image : float32 array (H, W), in [0, 1]

    Returns
    -------
    tuple of float32 tensor (h, w)
        Phase congruency in [0, 1], gradient in grey levels of 0 to 255; h, w after averaging by round(min(H, W) / 256).
    """
    x = torch.from_numpy(np.ascontiguousarray(image))[None, None] * 255
    x = torch.nn.functional.avg_pool2d(x, max(1, round(min(image.shape) / 256)))
    gradient = torch.nn.functional.conv2d(x, _scharr(), padding=1).square().sum(1).sqrt()[0]
    return phase_congruency(x[0, 0]), gradient


def compare(reference, image):
    """FSIM of two results of `features`: sum of S_PC S_G PC_max over sum of PC_max."""
    (pc_a, gradient_a), (pc_b, gradient_b) = reference, image
    weight = torch.maximum(pc_a, pc_b)
    alike = _similarity(pc_a, pc_b, T1) * _similarity(gradient_a, gradient_b, T2)
    return float((alike * weight).sum() / weight.sum())


def phase_congruency(x):
    """Where the Fourier components of x (h, w) are in phase, 0 to 1 (Kovesi's PC2 as the paper uses it).

    Per orientation, with even and odd responses e_s + i o_s and their sum's direction (c, d):
    energy = ``|sum_s (e_s, o_s)| - sum_s |e_s d - o_s c|`` less a noise threshold, over the sum of the amplitudes.
    """
    filters, noise_constants = _bank(*x.shape)
    responses = torch.fft.ifft2(torch.fft.fft2(x) * filters)
    parts = (
        torch.view_as_real(responses).flatten(2, 3).numpy()
    )  # orientation, scale, pixel, even and odd
    finest = responses[:, 0].abs().flatten(1).numpy()
    thresholds = np.empty(ORIENTATIONS, np.float32)
    split(_medians, ORIENTATIONS, finest, np.array(noise_constants, np.float32), thresholds)
    found = np.empty(x.numel(), np.float32)
    split(_congruency, x.numel(), parts, thresholds, found)
    return torch.from_numpy(found).view(x.shape)


@njit(nogil=True, cache=True)
def _medians(start, stop, amplitudes, constants, thresholds):
    middle = (amplitudes.shape[1] - 1) // 2
    for o in range(start, stop):
        thresholds[o] = constants[o] * np.partition(amplitudes[o], middle)[middle]


@njit(nogil=True, fastmath=True, cache=True)
def _congruency(start, stop, parts, thresholds, found):
    for pixel in range(start, stop):
        energies = amplitudes = np.float32(EPS)
        for o in range(ORIENTATIONS):
            even = odd = across = np.float32(0)
            for s in range(SCALES):
                even += parts[o, s, pixel, 0]
                odd += parts[o, s, pixel, 1]
            magnitude = np.sqrt(even * even + odd * odd) + np.float32(EPS)
            for s in range(SCALES):
                e, i = parts[o, s, pixel, 0], parts[o, s, pixel, 1]
                amplitudes += np.sqrt(e * e + i * i)
                across += abs(e * odd - i * even)
            along = (even * even + odd * odd) / magnitude
            energies += max(along - across / magnitude - thresholds[o], np.float32(0))
        found[pixel] = energies / amplitudes


@lru_cache(maxsize=8)
def _bank(height, width):
    """Log-Gabor filters (orientation, scale, h, w), and what turns a median amplitude into a noise threshold."""
    y, x = torch.meshgrid(_frequencies(height), _frequencies(width), indexing="ij")
    radius, theta = torch.sqrt(x**2 + y**2), torch.atan2(-x, y)
    low_pass = 1 / (1 + (radius / 0.45) ** 30)
    radius[0, 0] = 1
    waves = [SHORTEST_WAVE * 2**s for s in range(SCALES)]
    radial = torch.stack(
        [torch.exp(-(torch.log(radius * w) ** 2) / (2 * math.log(BANDWIDTH) ** 2)) for w in waves]
    )
    radial *= low_pass
    radial[:, 0, 0] = 0
    angles = torch.arange(ORIENTATIONS)[:, None, None] * (math.pi / ORIENTATIONS)
    distance = torch.atan2(torch.sin(theta - angles), torch.cos(theta - angles)).abs()
    spread = torch.exp(-(distance**2) / (2 * ANGULAR_SIGMA**2))
    filters = spread[:, None] * radial[None]
    return filters, [_noise_constant(bank) for bank in filters]


def _noise_constant(bank):
    """Threshold over median amplitude at the finest scale, from the filters of one orientation (Kovesi's estimate)."""
    kernels = torch.fft.ifft2(bank).real.double() * math.sqrt(bank[0].numel())
    overlaps = torch.einsum("shw,thw->st", kernels, kernels)
    squares, products = overlaps.trace(), overlaps.triu(1).sum()
    per_power = (squares + 2 * products).item() / (math.log(2) * bank[0].square().sum().item())
    rayleigh = math.sqrt(per_power)
    return rayleigh * (math.sqrt(math.pi / 2) + NOISE_SIGMAS * math.sqrt(2 - math.pi / 2)) / 1.7


def _frequencies(n):
    """Cycles per pixel with 0 first; odd sizes divide by n - 1, as in the authors' code."""
    steps = (
        torch.arange(-(n - 1) / 2, n / 2) / (n - 1) if n % 2 else torch.arange(-n / 2, n / 2) / n
    )
    return torch.roll(steps, -(n // 2))


@lru_cache(maxsize=1)
def _scharr():
    kernel = torch.tensor([[-3.0, 0, 3], [-10, 0, 10], [-3, 0, 3]]) / 16
    return torch.stack([kernel, kernel.T])[:, None]


def _similarity(a, b, constant):
    return (2 * a * b + constant) / (a * a + b * b + constant)
