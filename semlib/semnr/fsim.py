"""FSIM: phase congruency and gradient (Zhang et al., IEEE TIP 20, 2378, 2011).

The conventions are those of the authors' code and of piq with ``chromatic=False``: four scales and
orientations, images averaged down to about 256 pixels.
"""

import math
from functools import lru_cache

import numpy as np
import torch
from torch.nn import functional as F

from semlib.semnr.metrics import score_pairs

SMALLEST = 32  # pixels a side
SCALES = 4
ORIENTATIONS = 4
SHORTEST_WAVE = 6.0  # pixels
BANDWIDTH = 0.55
ANGULAR_SIGMA = math.pi / (ORIENTATIONS * 1.2)
NOISE_SIGMAS = 2.0
T1 = 0.85  # of phase congruency; section III of the paper
T2 = 160.0  # of the gradient
EPS = torch.finfo(torch.float32).eps
_SLOPE = torch.tensor([[-3.0, 0, 3], [-10, 0, 10], [-3, 0, 3]]) / 16
SCHARR = torch.stack([_SLOPE, _SLOPE.T])[:, None]


def fsim(reference, image):
    """Feature similarity, 1 for equal images; as `metrics.psnr`, 32 pixels a side at least."""
    return score_pairs(reference, image, SMALLEST, lambda a, b: compare(features(a), features(b)))


@torch.inference_mode()
def features(image):
    """Phase congruency in [0, 1] and gradient (grey levels to 255) of an image, tensors (h, w)."""
    x = torch.from_numpy(np.ascontiguousarray(image))[None, None] * 255
    x = F.avg_pool2d(x, max(1, round(min(image.shape) / 256)))
    gradient = F.conv2d(x, SCHARR, padding=1).square().sum(1).sqrt()[0]
    return phase_congruency(x[0, 0]), gradient


def compare(reference, image):
    """FSIM of two results of `features`: sum of S_PC S_G PC_max over the sum of PC_max (Eq. 5)."""
    (congruency_a, gradient_a), (congruency_b, gradient_b) = reference, image
    weight = torch.maximum(congruency_a, congruency_b)
    alike = _alike(congruency_a, congruency_b, T1) * _alike(gradient_a, gradient_b, T2)
    return float((alike * weight).sum() / weight.sum())


def phase_congruency(x):
    """Where the Fourier components of x (h, w) are in phase, 0 to 1 (Kovesi's PC2, as the paper).

    The responses of one orientation, even + i odd, are turned so that their sum is real. What then
    lies along the sum counts for, what lies across against: energy = sum of the real parts - sum of
    the absolute imaginary parts - noise threshold, over the sum of the amplitudes.
    """
    filters, noise_constants = _bank(*x.shape)
    spectrum = torch.fft.fft2(x)
    energy = torch.full_like(x, EPS)
    amplitude = torch.full_like(x, EPS)
    for bank, constant in zip(filters, noise_constants, strict=True):  # four filters fit the cache
        responses = torch.fft.ifft2(spectrum * bank)  # scale h w, complex
        amplitudes = responses.abs()
        total = responses.sum(0)
        turned = responses * (total / (total.abs() + EPS)).conj()
        along = turned.real.sum(0) - turned.imag.abs().sum(0)
        # the finest scale is mostly noise: its median tells how large
        energy += (along - constant * amplitudes[0].median()).clamp_(min=0)
        amplitude += amplitudes.sum(0)
    return energy / amplitude


@lru_cache(maxsize=8)
def _bank(height, width):
    """Log-Gabor filters (orientation, scale, h, w) and their noise constants (orientation)."""
    y, x = torch.meshgrid(_frequencies(height), _frequencies(width), indexing="ij")
    radius = torch.sqrt(x**2 + y**2)
    theta = torch.atan2(-x, y)
    low_pass = 1 / (1 + (radius / 0.45) ** 30)
    radius[0, 0] = 1  # its logarithm is asked for; the mean gets weight 0 below
    logs = torch.stack([torch.log(radius * SHORTEST_WAVE * 2**scale) for scale in range(SCALES)])
    radial = torch.exp(-(logs**2) / (2 * math.log(BANDWIDTH) ** 2)) * low_pass
    radial[:, 0, 0] = 0
    angles = torch.arange(ORIENTATIONS)[:, None, None] * (math.pi / ORIENTATIONS)
    distance = torch.atan2(torch.sin(theta - angles), torch.cos(theta - angles)).abs()
    spread = torch.exp(-(distance**2) / (2 * ANGULAR_SIGMA**2))
    filters = spread[:, None] * radial
    return filters, [_noise_constant(bank) for bank in filters]


def _noise_constant(bank):
    # Kovesi's estimate of the threshold over the finest scale's median amplitude
    kernels = torch.fft.ifft2(bank).real.double() * math.sqrt(bank[0].numel())
    overlaps = torch.einsum("shw,thw->st", kernels, kernels)
    total = (overlaps.trace() + 2 * overlaps.triu(1).sum()).item()
    rayleigh = math.sqrt(total / (math.log(2) * bank[0].square().sum().item()))
    return rayleigh * (math.sqrt(math.pi / 2) + NOISE_SIGMAS * math.sqrt(2 - math.pi / 2)) / 1.7


def _frequencies(n):
    """Cycles per pixel with 0 first; odd sizes divide by n - 1, as in the authors' code."""
    steps = torch.arange(n) - n // 2
    return torch.roll(steps / (n - n % 2), -(n // 2))


def _alike(a, b, constant):
    return (2 * a * b + constant) / (a * a + b * b + constant)
