"""What the metrics take, and the metrics that compare pixels: PSNR, SSIM, CNR and gCNR.

PSNR and SSIM equal piq's with ``downsample=False``, and SSIM scikit-image's with
``gaussian_weights=True, sigma=1.5, use_sample_covariance=False``, the mean taken where it fits.
Images are float (H, W) in [0, 1]; of batches (N, H, W) a metric returns an array (N,).
"""

import numpy as np
from numba import njit

WINDOW = 11  # pixels of SSIM's window
_WEIGHTS = np.exp(-((np.arange(WINDOW) - WINDOW // 2) ** 2) / (2 * 1.5**2))  # Gaussian, 1.5 px
KERNEL = (_WEIGHTS / _WEIGHTS.sum()).astype(np.float32)
C1 = 0.01**2
C2 = 0.03**2


def check_images(array, name="image", *, smallest=1):
    """An image or a batch of them as float32; ValueError with `name` for anything else."""
    array = np.asarray(array)
    shape = array.shape
    if array.ndim not in (2, 3) or not array.size or (array.ndim == 3 and shape[-1] in (3, 4)):
        raise ValueError(f"{name} has shape {shape}: give a grey image (height, width), no colour")
    if array.dtype.kind != "f":
        raise ValueError(f"{name} has type {array.dtype}: give floats in [0, 1], as image / 255")
    if min(shape[-2:]) < smallest:
        raise ValueError(f"{name} has {shape[-2:]} pixels, fewer than {smallest} a side")
    if not (array.min() >= 0 and array.max() <= 1):  # false for NaN, too
        extremes = f"{array.min():.4g} to {array.max():.4g}"
        raise ValueError(f"{name} has values from {extremes}, not in [0, 1]: scale or clip it")
    return array.astype(np.float32, copy=False)


def check_image(array, name="image", *, smallest=1):
    """As `check_images`, for one image (H, W)."""
    image = check_images(array, name, smallest=smallest)
    if image.ndim != 2:
        raise ValueError(f"{name} has shape {image.shape}: one image (height, width) at a time")
    return image


def check_mask(array, shape, name="mask"):
    """A mask of the given shape as bool, True where it is not 0; neither empty nor full."""
    marked = np.asarray(array) != 0
    if marked.shape != tuple(shape):
        raise ValueError(f"{name} has shape {marked.shape}, the image {tuple(shape)}")
    if marked.all() or not marked.any():
        raise ValueError(f"{name} is empty or covers the whole image: CNR compares two parts of it")
    return marked


def score_pairs(reference, image, smallest, score):
    """`score` of two images (H, W) after a check; of two batches (N, H, W) an array (N,)."""
    reference = check_images(reference, "reference", smallest=smallest)
    image = check_images(image, smallest=smallest)
    if reference.shape != image.shape:
        raise ValueError(f"shapes differ: reference {reference.shape}, image {image.shape}")
    if image.ndim == 2:
        return score(reference, image)
    return np.array([score(a, b) for a, b in zip(reference, image, strict=True)])


def psnr(reference, image):
    """Peak signal-to-noise ratio in dB, -10 log10(mean squared error + 1e-8); 80 at most."""
    return score_pairs(reference, image, 1, _psnr)


def _psnr(a, b):
    return float(-10 * np.log10(np.square(a - b).mean(dtype=np.float64) + 1e-8))


def ssim(reference, image):
    """Structural similarity (Wang et al. 2004, doi 10.1109/TIP.2003.819861), 1 for equal images."""
    return score_pairs(reference, image, WINDOW, lambda a, b: ssim_of(moments(a), moments(b)))


def moments(image):
    """Image, local mean and local variance, as SSIM needs them of one image."""
    mean = _smooth(image, np.ones_like(image))
    return image, mean, _smooth(image, image) - mean * mean


def ssim_of(reference, image):
    """SSIM of two results of `moments`."""
    (a, mean_a, variance_a), (b, mean_b, variance_b) = reference, image
    both = mean_a * mean_b
    luminance = (2 * both + C1) / (mean_a**2 + mean_b**2 + C1)
    structure = (2 * (_smooth(a, b) - both) + C2) / (variance_a + variance_b + C2)
    return float((luminance * structure).mean(dtype=np.float64))


def _smooth(a, b):
    """Gaussian window of a * b where it fits whole: (H, W) becomes (H - 10, W - 10)."""
    smoothed = np.empty([side - WINDOW + 1 for side in a.shape], np.float32)
    _smooth_rows(a, b, KERNEL, smoothed)
    return smoothed


@njit(nogil=True, fastmath=True, cache=True)
def _smooth_rows(a, b, window, smoothed):
    # the window is separable: one pass down the columns of a * b, one along the row it gives
    column = np.empty(a.shape[1], np.float32)
    for row in range(len(smoothed)):
        column[:] = 0
        for k in range(WINDOW):
            for j in range(len(column)):
                column[j] += window[k] * a[row + k, j] * b[row + k, j]
        for j in range(smoothed.shape[1]):
            total = np.float32(0)
            for k in range(WINDOW):
                total += window[k] * column[j + k]
            smoothed[row, j] = total


def cnr(image, signal, background):
    """Contrast-to-noise ratio ``|mu_s - mu_b| / sigma_b`` of two regions, bool (H, W).

    Infinite on a constant background; inflated by compression (doi 10.1109/TUFFC.2019.2956855).
    """
    return _in_regions(image, signal, background, _cnr)


def _cnr(inside, around):
    difference = abs(float(inside.mean(dtype=np.float64) - around.mean(dtype=np.float64)))
    spread = float(around.std(dtype=np.float64))
    if spread < 1e-9:  # a constant background up to rounding
        return 0.0 if difference < 1e-9 else float("inf")
    return difference / spread


def gcnr(image, signal, background):
    """Generalised CNR: 1 - overlap of the two histograms, 0 (hidden) to 1 (a threshold suffices).

    Monotonic mappings of the grey values do not change it, up to the binning. Source as `cnr`.
    """
    return _in_regions(image, signal, background, _gcnr)


def _gcnr(inside, around):
    # many bins for few pixels would fake a separation: root of the smaller region's size
    bins = int(np.clip(np.sqrt(min(inside.size, around.size)), 8, 256))
    low = min(inside.min(), around.min())
    high = max(inside.max(), around.max())
    if low == high:
        return 0.0
    inside_share = np.histogram(inside, bins, (low, high))[0] / inside.size
    around_share = np.histogram(around, bins, (low, high))[0] / around.size
    return float(1 - np.minimum(inside_share, around_share).sum())


def _in_regions(image, signal, background, score):
    image = check_images(image)
    signal = check_mask(signal, image.shape[-2:], "signal")
    background = check_mask(background, image.shape[-2:], "background")
    if shared := int((signal & background).sum()):
        raise ValueError(f"signal and background share {shared} pixels: they must not overlap")
    if image.ndim == 3:
        return np.array([score(one[signal], one[background]) for one in image])
    return score(image[signal], image[background])
