"""The four baselines of Table 1: GLCM, LBP, wavelet statistics and PCA of raw pixels (Sci Rep section 5.1).

Each takes uint8 images (N, H, W), memmaps included, and gives float32 (N, D). What the paper leaves
open is a keyword argument whose default is our choice.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pywt
from scipy.linalg import eigh
from tqdm import tqdm

DIAGONAL = 0.70711  # scikit-image rounds the sampling points of LBP to five decimals
CORNER, SIDE, CENTRE = 70711, 29289, 129289  # d, 1 - d and 2 - d for it, times 100,000


def glcm(images, *, distances=(1,), angles=(0, 45, 90, 135), levels=256, progress=True):
    """Five texture properties of the grey-level co-occurrence matrix, averaged over the angles.

    Contrast, dissimilarity, homogeneity, energy and correlation of the symmetric, normalised
    matrix (Haralick 1973, doi 10.1109/TSMC.1973.4309314), equal to
    ``skimage.feature.graycoprops``. Distances, angles, levels and averaging are our choice.

    Parameters
    ----------
    images : uint8 array (N, H, W)
    distances : sequence of int
        In pixels.
    angles : sequence of int
        In degrees.
    levels : int
        Grey levels of the matrix, a divisor of 256; fewer levels merge neighbouring greys.

    Returns
    -------
    float32 array (N, 5 * number of distances)
    """
    if not 0 < min(distances) <= max(distances) < min(images.shape[1:]):
        raise ValueError(
            f"GLCM distances {list(distances)} do not fit into images of {images.shape[1:]} pixels"
        )
    if not 2 <= levels <= 256 or 256 % levels:
        raise ValueError(f"GLCM levels must divide 256, got {levels}")
    turns = np.deg2rad(angles)
    offsets = [[(round(d * np.sin(a)), round(d * np.cos(a))) for a in turns] for d in distances]
    return _per_image(partial(_glcm_one, offsets=offsets, levels=levels), images, "GLCM", progress)


def lbp(images, *, method="uniform", progress=True):
    """Histogram of local binary patterns, radius 1, 8 neighbours, that sums to 1.

    Equal to the normalised histogram of ``skimage.feature.local_binary_pattern(image, 8, 1,
    method)`` (Ojala 2002, doi 10.1109/TPAMI.2002.1017623).

    Parameters
    ----------
    images : uint8 array (N, H, W)
    method : {"uniform", "default"}
        10 rotation-invariant bins (our choice), or all 256 patterns.

    Returns
    -------
    float32 array (N, 10) or (N, 256)
    """
    if method not in ("uniform", "default"):
        raise ValueError(f'LBP method is "uniform" or "default", got {method!r}')
    bins = UNIFORM if method == "uniform" else np.arange(256)
    return _per_image(partial(_lbp_one, bins=bins), images, "LBP", progress)


def wavelet(images, *, family="db2", levels=2, statistics=("mean", "std"), progress=True):
    """Statistics of each subband of a wavelet decomposition (PyWavelets).

    Two levels as in the paper: the approximation, then from the coarsest to the finest the
    horizontal, vertical and diagonal details. Family and statistics are our choice.

    Parameters
    ----------
    images : uint8 array (N, H, W)
    family : str
        A name of PyWavelets.
    levels : int
    statistics : sequence of {"mean", "std", "energy"}
        Mean absolute value and standard deviation (grey levels), mean square.

    Returns
    -------
    float32 array (N, (1 + 3 * levels) * number of statistics)
    """
    if unknown := set(statistics) - set(STATISTICS):
        raise ValueError(f"wavelet statistics are {', '.join(STATISTICS)}; got {sorted(unknown)}")
    if family not in pywt.wavelist(kind="discrete"):
        raise ValueError(
            f"{family!r} is no discrete wavelet of PyWavelets, such as haar, db2 or sym4"
        )
    function = partial(_wavelet_one, family=family, levels=levels, statistics=statistics)
    return _per_image(function, images, f"wavelet {family}", progress)


def pca(images, *, components=128, block=4096, progress=True):
    """Exact principal components of the raw pixels, by the streamed N x N Gram matrix.

    With X the (N, pixels) matrix of centred images, the eigenvectors u and eigenvalues s of
    X X^T give the scores u sqrt(s): the same as a singular value decomposition of X, while only
    N x N numbers and one block of pixels lie in memory.

    Parameters
    ----------
    images : uint8 array (N, H, W)
    components : int
        Paper: 128. The sign of each component is fixed so that its largest score is positive.
    block : int
        Pixels read at a time.

    Returns
    -------
    float32 array (N, components)
        Scores in grey levels, by falling variance.

    Raises
    ------
    ValueError
        With fewer images than components.
    """
    count = len(images)
    if not 0 < components <= count:
        raise ValueError(
            f"PCA to {components} components needs as many images, got {count}: lower pca_components"
        )
    pixels = images.reshape(count, -1)
    gram = np.zeros((count, count))
    for start in tqdm(
        range(0, pixels.shape[1], block), desc="PCA Gram matrix", unit="block", disable=not progress
    ):
        part = pixels[:, start : start + block].astype(np.float32)
        part -= part.mean(axis=0, dtype=np.float64)
        gram += part @ part.T
    values, vectors = eigh(gram, subset_by_index=(count - components, count - 1))
    scores = vectors[:, ::-1] * np.sqrt(np.maximum(values[::-1], 0))
    largest = np.abs(scores).argmax(axis=0)
    return (scores * np.sign(scores[largest, range(components)] + 1e-300)).astype(np.float32)


def _per_image(function, images, name, progress):
    """Apply `function` to each image on all cores (numpy releases the interpreter lock)."""
    if getattr(images, "ndim", 0) != 3 or images.dtype != np.uint8:
        got = getattr(images, "dtype", type(images).__name__)
        raise ValueError(f"{name} takes uint8 images (N, H, W), got {got} {np.shape(images)}")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        rows = list(
            tqdm(
                pool.map(function, images),
                total=len(images),
                desc=name,
                unit="image",
                disable=not progress,
            )
        )
    return np.array(rows, dtype=np.float32)


def _glcm_one(image, offsets, levels):
    image = image // (256 // levels)
    means = [
        np.mean([_glcm_properties(image, dy, dx, levels) for dy, dx in ring], axis=0)
        for ring in offsets
    ]
    return np.concatenate(means)


def _glcm_properties(image, dy, dx, levels):
    height, width = image.shape
    first = image[max(0, -dy) : height - max(0, dy), max(0, -dx) : width - max(0, dx)]
    second = image[max(0, dy) : height - max(0, -dy), max(0, dx) : width - max(0, -dx)]
    pairs = first.astype(np.uint16) * levels + second
    counts = np.bincount(pairs.ravel(), minlength=levels * levels).reshape(levels, levels)
    joint = (counts + counts.T) / (2 * pairs.size)
    grey = np.arange(levels)
    gap = np.abs(grey[:, None] - grey).ravel()
    gaps = np.bincount(gap, weights=joint.ravel())  # probability of each |i - j|
    marginal = joint.sum(axis=0)
    variance = marginal @ (grey - marginal @ grey) ** 2
    contrast = gaps @ grey**2
    correlation = (
        1 - contrast / (2 * variance) if variance > 1e-30 else 1.0
    )  # as E(i-j)^2 = 2 (variance - covariance)
    return contrast, gaps @ grey, gaps @ (1 / (1 + grey**2)), np.sqrt((joint**2).sum()), correlation


def _lbp_one(image, bins):
    padded = np.pad(image, 1)
    weighted = {weight: padded * np.int32(weight) for weight in (SIDE, CORNER, CENTRE)}
    code = np.zeros(image.shape, np.uint8)
    for bit, (y, x) in enumerate(
        [(0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1), (1, 0), (1, 1)]
    ):
        above = _diagonal(padded, weighted, y, x) if y and x else _shift(padded, y, x) >= image
        code |= above.view(np.uint8) << np.uint8(bit)
    patterns = np.bincount(code.ravel(), minlength=256)
    return np.bincount(bins, weights=patterns) / code.size


def _shift(padded, y, x):
    """The image moved by (y, x)."""
    return padded[1 + y : padded.shape[0] - 1 + y, 1 + x : padded.shape[1] - 1 + x]


def _diagonal(padded, weighted, y, x):
    """Where the bilinear value at (y, x) * DIAGONAL is at least the centre.

    With d for DIAGONAL and divided by d, this is (1 - d) (sum of the two sides) + d corner >= (2 - d) centre: exact in
    integers but where both are the same. There scikit-image's rounding decides, which `_bilinear` repeats.
    """
    value = _shift(weighted[SIDE], y, 0) + _shift(weighted[SIDE], 0, x)
    value += _shift(weighted[CORNER], y, x)
    centre = _shift(weighted[CENTRE], 0, 0)
    above = value >= centre
    ties = np.flatnonzero(value == centre)
    rows = ties // value.shape[1]
    columns = ties - rows * value.shape[1]
    above[rows, columns] = _bilinear(padded, rows, columns, y, x) >= padded[1:, 1:][rows, columns]
    return above


def _bilinear(padded, rows, columns, y, x):
    """Bilinear values at (y, x) * DIAGONAL from some pixels, rounded step by step as scikit-image does."""
    height, width = padded.shape
    lower = np.mod(np.arange(height) + y * DIAGONAL, 1)[rows]
    right = np.mod(np.arange(width) + x * DIAGONAL, 1)[columns]
    start = (rows + min(y, 0) + 1) * width + columns + min(x, 0) + 1
    corners = (padded.ravel()[start + step] for step in (0, 1, width, width + 1))
    top, bottom = ((1 - right) * next(corners) + right * next(corners) for _ in range(2))
    return (1 - lower) * top + lower * bottom


def _uniform_patterns():
    """Bin of each 8-bit pattern: its number of ones with at most two 0/1 changes around the ring, else 9."""
    bits = (np.arange(256)[:, None] >> np.arange(8)) & 1
    changes = np.abs(np.diff(bits, axis=1)).sum(axis=1)
    return np.where(changes <= 2, bits.sum(axis=1), 9)


UNIFORM = _uniform_patterns()


STATISTICS = {
    "mean": lambda band: np.abs(band).mean(),
    "std": np.std,
    "energy": lambda band: np.square(band).mean(),
}


def _wavelet_one(image, family, levels, statistics):
    bands = pywt.wavedec2(image.astype(np.float32), family, level=levels)
    flat = [bands[0], *(detail for level in bands[1:] for detail in level)]
    return [STATISTICS[name](band) for band in flat for name in statistics]
