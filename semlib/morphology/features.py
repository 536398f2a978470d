"""The four baselines of Table 1 (Sci Rep section 5.1): GLCM, LBP, wavelets and PCA of raw pixels.

Each takes uint8 images (N, H, W), memmaps included, and gives float32 (N, D). What the paper leaves
open is a keyword argument whose default is our choice.
"""

import os

import numpy as np
import pywt
from scipy.linalg import eigh
from skimage.feature import local_binary_pattern
from tqdm import tqdm

from semlib.workers import threads

# name in Table 1: file in the folder features/
BASELINES = {"GLCM": "glcm", "LBP": "lbp", "Wavelet": "wavelet", "PCA (raw pixels)": "pca"}
LBP_BINS = {"uniform": 10, "default": 256}
STATISTICS = {
    "mean": lambda band: np.abs(band).mean(),
    "std": np.std,
    "energy": lambda band: np.square(band).mean(),
}


def glcm(images, *, distances=(1,), angles=(0, 45, 90, 135), levels=256, progress=True):
    """Five properties of the grey-level co-occurrence matrix: float32 (N, 5 x distances).

    Contrast, dissimilarity, homogeneity, energy and correlation (Haralick 1973, doi
    10.1109/TSMC.1973.4309314) as ``skimage.feature.graycoprops`` gives them, mean over the angles
    (degrees, 0 to 180). Distances are pixels; `levels`, a divisor of 256, merges greys.
    """
    if not 0 < min(distances) <= max(distances) < min(images.shape[1:]):
        raise ValueError(f"GLCM distances {distances} do not fit into {images.shape[1:]} pixels")
    if not 2 <= levels <= 256 or 256 % levels:
        raise ValueError(f"GLCM levels must divide 256, got {levels}")
    turns = np.deg2rad(angles)

    def mean_properties(image):
        image = image // (256 // levels)
        means = []
        for distance in distances:
            steps = [(round(distance * np.sin(a)), round(distance * np.cos(a))) for a in turns]
            by_angle = [_glcm_properties(image, down, right, levels) for down, right in steps]
            means.append(np.mean(by_angle, axis=0))
        return np.concatenate(means)

    return _per_image(mean_properties, images, "GLCM", progress)


def _glcm_properties(image, down, right, levels):
    """The five properties for pairs of pixels this far apart; `right` may be negative."""
    height, width = image.shape
    first = image[: height - down, max(0, -right) : width - max(0, right)]
    second = image[down:, max(0, right) : width - max(0, -right)]
    # each pair of greys as one number, so that counting is one pass: 7 times skimage's speed
    pairs = first.astype(np.uint16) * levels + second
    counts = np.bincount(pairs.ravel(), minlength=levels * levels).reshape(levels, levels)
    joint = (counts + counts.T) / (2 * pairs.size)  # p_ij, levels x levels
    grey = np.arange(levels)
    gap = np.abs(grey[:, None] - grey).ravel()
    gaps = np.bincount(gap, weights=joint.ravel())  # probability of each |i - j|
    marginal = joint.sum(axis=0)
    variance = marginal @ (grey - marginal @ grey) ** 2
    contrast = gaps @ grey**2
    # E(i - j)^2 = 2 (variance - covariance) gives the correlation without another double sum
    correlation = 1 - contrast / (2 * variance) if variance > 1e-30 else 1.0
    return contrast, gaps @ grey, gaps @ (1 / (1 + grey**2)), np.sqrt((joint**2).sum()), correlation


def lbp(images, *, method="uniform", progress=True):
    """Histogram of local binary patterns, radius 1, 8 neighbours, that sums to 1: float32.

    Ojala 2002, doi 10.1109/TPAMI.2002.1017623. "uniform": 10 rotation-invariant bins (our choice),
    "default": all 256 patterns.
    """
    if method not in LBP_BINS:
        raise ValueError(f"LBP method {method!r}: use one of {', '.join(LBP_BINS)}")

    def histogram(image):
        patterns = local_binary_pattern(image, 8, 1, method).astype(np.uint8)
        return np.bincount(patterns.ravel(), minlength=LBP_BINS[method]) / patterns.size

    return _per_image(histogram, images, "LBP", progress)


def wavelet(images, *, family="db2", statistics=("mean", "std"), progress=True):
    """Statistics of each subband of a wavelet decomposition: float32 (N, bands x statistics).

    Two levels as in the paper: the approximation, then from the coarsest to the finest the
    horizontal, vertical and diagonal details. Family (of PyWavelets) and statistics are our choice:
    mean absolute value ("mean"), standard deviation ("std"), mean square ("energy").
    """
    if unknown := sorted(set(statistics) - set(STATISTICS)):
        raise ValueError(f"wavelet statistics {unknown}: use some of {', '.join(STATISTICS)}")

    def of_subbands(image):
        approximation, coarse, fine = pywt.wavedec2(image.astype(np.float32), family, level=2)
        bands = [approximation, *coarse, *fine]
        return [STATISTICS[name](band) for band in bands for name in statistics]

    return _per_image(of_subbands, images, f"wavelet {family}", progress)


TEXTURE = {"GLCM": glcm, "LBP": lbp, "Wavelet": wavelet}  # columns of different units


def pca(images, *, components=128, block=4096, progress=True):
    """Exact principal components of the raw pixels: float32 (N, components), by falling variance.

    With X the (N, pixels) matrix of centred images, the eigenvectors u and eigenvalues s of X X^T
    give the scores u sqrt(s), while only N x N numbers and one `block` of pixels lie in memory. The
    paper: 128 components. The largest score of each is positive.
    """
    count = len(images)
    if not 0 < components <= count:
        raise ValueError(f"PCA to {components} components of {count} images: change pca_components")
    pixels = images.reshape(count, -1)  # N x pixels
    starts = range(0, pixels.shape[1], block)
    gram = np.zeros((count, count))
    for start in tqdm(starts, desc="PCA Gram matrix", unit="block", disable=not progress):
        part = pixels[:, start : start + block].astype(np.float32)
        part -= part.mean(axis=0, dtype=np.float64)  # a float32 mean of many images drifts
        gram += part @ part.T
    values, vectors = eigh(gram, subset_by_index=(count - components, count - 1))  # rising
    scores = vectors[:, ::-1] * np.sqrt(np.maximum(values[::-1], 0))  # rounding gives -1e-9
    largest = np.abs(scores).argmax(axis=0)
    signs = np.sign(scores[largest, range(components)] + 1e-300)  # +1 where all scores are 0
    return (scores * signs).astype(np.float32)


def _per_image(function, images, name, progress):
    """Apply `function` to each image on all cores (the libraries release Python's lock)."""
    if images.ndim != 3 or images.dtype != np.uint8:
        raise ValueError(f"{name} takes uint8 images (N, H, W), got {images.dtype} {images.shape}")
    vectors = threads(function, images, os.cpu_count())
    vectors = tqdm(vectors, name, len(images), unit="image", disable=not progress)
    return np.array(list(vectors), dtype=np.float32)
