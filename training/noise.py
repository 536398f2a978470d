"""What a fast scan does to a clean picture, drawn at random: the noise the denoisers learn from.

The shot noise is that of `semlib.images.simulator.microscope`, with what it leaves out: the spread
of the detector's pulses, correlation along the columns, the amplifier's noise and black level, and
charging. The range of every setting is our choice, none is taken from a real pair.
"""

import math

import numpy as np
from scipy import fft, ndimage
from scipy.signal import lfilter

from semlib.images.simulator.microscope import FILM_GREY, YIELD

DOSES = (3, 400)  # electrons a pixel


def draw(rng, doses=DOSES):
    """Settings of one scan, a dict for `scan`."""
    low, high = doses
    return {
        "dose": low * (high / low) ** rng.uniform(),
        "pulses": rng.choice([0.0, rng.uniform(0.2, 1.0)]),
        "rows": rng.uniform(0, 0.8),
        "columns": rng.choice([0.0, rng.uniform(0, 0.4)]),
        "black": rng.choice([0.0, rng.uniform(-60, 40)]),
        "amplifier": rng.choice([0.0, rng.uniform(0, 6)]),
        "jitter": rng.uniform(0, 0.4),
        "charging": rng.choice([0.0, rng.uniform(0, 1)], p=[0.75, 0.25]),
    }


def scan(clean, rng, *, dose, pulses, rows, columns, black, amplifier, jitter, charging):
    """A scan of a clean picture (H, W) in grey levels: float32, clipped to 0 ... 255.

    dose: primary electrons a pixel. pulses: relative variance of the signal of one secondary
    electron. rows, columns: correlation of the noise of neighbours. black: grey level of no
    electrons. amplifier: standard deviation of its noise in grey levels. jitter: that of the rows'
    displacement in pixels. charging: 0 to 1, strength of bright and dark rows and trails.
    """
    seen = _jittered(clean, rng, jitter)
    if charging:
        seen = seen + charging * _charge(seen, rng)
    noise = _shot_noise(np.maximum(seen - black, 0), rng, dose, pulses)
    if amplifier:
        noise += amplifier * rng.standard_normal(noise.shape, dtype=np.float32)
    return np.clip(seen + _correlated(noise, rows, columns), 0, 255).astype(np.float32)


def _jittered(clean, rng, spread):
    """Rows moved sideways, linear between pixels."""
    places = np.arange(clean.shape[1])
    shifts = spread * rng.standard_normal(len(clean))
    moved = [np.interp(places + by, places, row) for row, by in zip(clean, shifts, strict=True)]
    return np.stack(moved)


def _charge(seen, rng):
    """Grey levels to add: trails behind what is bright, and rows that are off as a whole."""
    decay = math.exp(-1 / rng.uniform(8, 60))
    trail = lfilter([1 - decay], [1, -decay], np.maximum(seen - seen.mean(), 0), axis=1)
    rows = ndimage.gaussian_filter1d(rng.standard_normal(len(seen)), rng.uniform(0.3, 2))
    rows *= rng.random(len(seen)) < rng.uniform(0.1, 0.6)
    return rng.uniform(-1, 0.3) * trail + rng.uniform(2, 20) * rows[:, None]


def _shot_noise(grey, rng, dose, pulses):
    """Compound noise as `microscope.acquire`'s; each secondary electron's pulse varies, too."""
    per_grey = YIELD / FILM_GREY
    secondaries = rng.poisson(rng.poisson(dose, grey.shape) * (grey * per_grey)).astype(np.float32)
    if pulses:
        # a sum of n pulses that are gamma distributed is gamma distributed
        secondaries = pulses * rng.standard_gamma(secondaries / pulses, dtype=np.float32)
    return secondaries / np.float32(per_grey * dose) - grey.astype(np.float32)


def _correlated(noise, rows, columns):
    """First-order autoregressive along both axes, made in the spectrum; the variance stays."""
    f = fft.rfftfreq(noise.shape[1])
    g = fft.fftfreq(noise.shape[0])[:, None]
    gain = _gain(rows, f) * _gain(columns, g)
    return fft.irfft2(fft.rfft2(noise) * gain.astype(np.float32), noise.shape)


def _gain(correlation, f):
    return math.sqrt(1 - correlation**2) / np.abs(1 - correlation * np.exp(-2j * np.pi * f))
