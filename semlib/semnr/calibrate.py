"""Settings for classical filters from one noisy image, without its truth and with its own noise.

The noise's spectrum and its growth with the grey value are read from the image (`Noise`). Then the
image gets a little more of the same noise, in two versions whose noise is not correlated
(`recorrupted`): what a filter makes of one is compared with the other. The expected difference is
the error to the truth plus a constant, however the noise is correlated from pixel to pixel. That is
Recorrupted-to-Recorrupted (Pang et al., CVPR 2021), here to choose settings instead of training.
"""

from dataclasses import dataclass
from itertools import product

import joblib
import numpy as np
from scipy import fft, ndimage, optimize

from semlib.semnr import denoise
from semlib.semnr.metrics import check_image

BLOCK = 32  # pixels a side of the pieces whose spectra are taken
HIGH = 0.3  # cycles a pixel from which on a probe of 1 px leaves little of the picture
SMOOTH = 2.0  # pixels of the blur that leaves the local mean
AMOUNT = 0.5  # of noise that is added, as a share of its standard deviation
SIDE = 256  # pixels of the image's middle that are used
PIXELS = {  # settings tried, in pixels
    "Gaussian": {"sigma": (0.5, 0.7, 0.9, 1.2, 1.5, 1.9, 2.4, 3.0)},
    "median": {"size": (3, 5, 7, 9, 11)},
}
NOISES = {  # settings tried, in standard deviations of the noise
    "NL means": {"sigma": (0.5, 0.8, 1.1), "height": (0.4, 0.8, 1.2, 1.8)},
    "TV": {"weight": (0.3, 0.5, 0.8, 1.2, 1.7, 2.4, 3.5)},
    "wavelet": {"sigma": (0.5, 0.7, 0.9, 1.1, 1.4, 1.8, 2.4)},
    "BM3D": {"sigma": (0.6, 0.8, 1.0, 1.3, 1.6, 2.0, 2.5)},
}
_kept = {}  # noise and settings by image: filters share the one, a notebook asks again for both


@dataclass(frozen=True)
class Noise:
    """The noise of an image in [0, 1]."""

    rows: np.ndarray  # (BLOCK,) power along the rows by frequency, mean 1
    columns: np.ndarray  # (BLOCK,) the same along the columns
    law: np.ndarray  # (3,) variance = law . (1, m, m^2) at the local mean m
    sigma: float  # standard deviation over the whole image

    def __str__(self):
        return (
            f"standard deviation {self.sigma:.3f}, correlation of neighbours "
            f"{self.row_correlation:+.2f} in a row, {self.column_correlation:+.2f} in a column"
        )

    @property
    def row_correlation(self):
        """Correlation of neighbours in a row."""
        return float(fft.ifft(self.rows).real[1])

    @property
    def column_correlation(self):
        """Correlation of neighbours in a column."""
        return float(fft.ifft(self.columns).real[1])

    def sample(self, mean, rng):
        """Noise, float64 (H, W), as it would lie on an image with this local mean (H, W)."""
        height, width = mean.shape
        spectrum = fft.rfft2(rng.standard_normal(mean.shape))
        spectrum *= _gain(self.columns, fft.fftfreq(height))[:, None]
        spectrum *= _gain(self.rows, fft.rfftfreq(width))
        powers = np.stack([np.ones_like(mean), mean, mean**2], -1)
        return fft.irfft2(spectrum, mean.shape) * np.sqrt(np.maximum(powers @ self.law, 0))


def noise(image):
    """Estimate the `Noise` of an image (H, W) in [0, 1] of 64 pixels a side at least.

    Few places of a pattern are flat, but at high frequencies across a direction there is nothing
    but noise, as the probe has blurred the picture: these give the spectrum along the direction.
    The noise's spectrum is taken to be a product of one along rows and one along columns. In an
    image that was filtered or compressed before, the estimate is too low.
    """
    image = check_image(image, smallest=2 * BLOCK)
    # pieces of BLOCK x BLOCK, each a quarter of its side beside the next
    windows = np.lib.stride_tricks.sliding_window_view(image, (BLOCK, BLOCK))
    pieces = windows[:: BLOCK // 4, :: BLOCK // 4].reshape(-1, BLOCK, BLOCK).astype(np.float64)
    means = pieces.mean((1, 2))
    window = np.hanning(BLOCK + 1)[:-1]
    window = np.outer(window, window)
    powers = np.abs(fft.fft2((pieces - means[:, None, None]) * window)) ** 2 / (window**2).sum()
    # medians pass over the peaks of a pattern; a power is exponential, its median ln 2 of its mean
    spectrum = np.median(powers, axis=0) / np.log(2)
    high = np.abs(fft.fftfreq(BLOCK)) >= HIGH
    rows = np.median(spectrum[high], axis=0)
    columns = np.median(spectrum[:, high], axis=1)
    corner = max(float(spectrum[np.ix_(high, high)].mean()), 1e-12)
    whole = rows.mean() * columns.mean() / corner**2  # of the noise's variance over its corner
    corners = powers[:, high][:, :, high].reshape(len(pieces), -1)
    variances = np.maximum(np.median(corners, axis=1) / np.log(2) * whole, 1e-12)
    # coefficients of 1, m and m^2, none negative, that fit the variances in proportion
    terms = np.stack([np.ones_like(means), means, means**2], axis=1)
    fitted = np.full(len(means), variances.mean())
    for _ in range(3):  # errors are relative to the fit: relative to the data it would be too low
        law, _ = optimize.nnls(terms / fitted[:, None], variances / fitted)
        fitted = np.maximum(terms @ law, 1e-12)
    # a constant image has no power to divide by
    spectra = [power / max(power.mean(), 1e-12) for power in (rows, columns)]
    return Noise(*spectra, law, float(np.sqrt(variances.mean())))


def recorrupted(image, noise, rng):
    """Two versions of an image (H, W), both float32 with the same truth and unrelated noise.

    ``image + a n`` and ``image - n / a`` with a = `AMOUNT` and n of the same covariance as the
    image's own noise: the covariance of their noises is C - C = 0.
    """
    added = noise.sample(ndimage.gaussian_filter(image, SMOOTH), rng)
    return (np.float32(image + AMOUNT * added), np.float32(image - added / AMOUNT))


def grid(name, sigma):
    """All settings tried for a filter on noise of this standard deviation: list of dict."""
    sigma = max(sigma, 1e-4)  # TV and non-local means divide by it
    values = dict(PIXELS.get(name, {}))
    for setting, factors in NOISES.get(name, {}).items():
        values[setting] = [round(factor * sigma, 6) for factor in factors]
    return [dict(zip(values, chosen, strict=True)) for chosen in product(*values.values())]


def risks(name, image, noise):
    """Estimated mean squared error, up to a constant, of each of `grid`: float64 (settings,)."""
    function = denoise.filters()[name]
    top, left = (max(0, side - SIDE) // 2 for side in image.shape)
    image = image[top : top + SIDE, left : left + SIDE]
    # the same noise for every filter and setting; the total is larger, and the settings with it
    noisier, other = recorrupted(image, noise, np.random.default_rng(0))
    total = noise.sigma * np.sqrt(1 + AMOUNT**2)
    restored = [function(noisier, **one) for one in grid(name, total)]
    return np.array([np.square(np.clip(one, 0, 1) - other).mean() for one in restored])


def settings(name, images):
    """Settings of a filter for one noisy image (H, W), or shared by several of one kind: dict."""
    return chosen(name, images)[0]


def chosen(name, images):
    """`settings` and their estimated mean squared error, up to the same constant for all filters.

    Of several images the mean error decides. The dict is empty for an identity, and for a learned
    denoiser, whose error is NaN.
    """
    images = [check_image(image) for image in (images if isinstance(images, list) else [images])]
    return _once(name, _chosen, name, images)


def _chosen(name, images):
    if name not in denoise.filters():
        return {}, np.nan
    noises = [_once("noise", noise, image) for image in images]
    totals = np.mean([risks(name, *pair) for pair in zip(images, noises, strict=True)], axis=0)
    best = int(np.argmin(totals))
    return grid(name, np.mean([one.sigma for one in noises]))[best], float(totals[best])


def _once(what, function, *arguments):
    """The result of a function, computed once for equal arguments."""
    key = joblib.hash((what, arguments))
    if key not in _kept:
        _kept[key] = function(*arguments)
    return _kept[key]


def names():
    """Filters that can be calibrated here."""
    return [name for name in denoise.names() if name in PIXELS | NOISES]


def best(images):
    """The filter with the least estimated risk on noisy images of one kind: (name, settings)."""
    found = {name: chosen(name, images) for name in names()}
    name = min(found, key=lambda name: found[name][1])
    return name, found[name][0]


def calibrated(name, image):
    """Denoise with the settings that are best for this image's own noise."""
    return denoise.denoise(name, image, **settings(name, image))


def _gain(power, frequencies):
    """Amplitude at some frequencies, linear between those of a piece."""
    half = BLOCK // 2 + 1
    return np.sqrt(np.interp(np.abs(frequencies), np.arange(half) / BLOCK, power[:half]))
