"""The image pyramid: levels L0, L1 (half) and L2 (quarter), by area."""

import os

import numpy as np
from PIL import Image
from tqdm import tqdm

from semlib import paths
from semlib.images.preprocess import write_header
from semlib.workers import threads

FACTORS = (2, 4)


def pyramid(images):
    """Downsample by 2 and by 4, each from the full image, by the mean over 2x2 and 4x4 pixels.

    Sci Rep paper, "Methods": L0 512, L1 256, L2 128 by area downsampling. Means are rounded half
    up, which is what Pillow's ``reduce`` does on the stack seen as one tall image.

    Parameters
    ----------
    images : ndarray, uint8, (N, H, W) or (H, W)
        H and W divisible by 4.

    Returns
    -------
    tuple of three uint8 ndarrays
        `images` itself, (..., H/2, W/2) and (..., H/4, W/4).

    Raises
    ------
    ValueError
        If the type, the number of dimensions or the size does not fit.
    """
    images = np.asarray(images)
    if images.dtype != np.uint8 or images.ndim not in (2, 3):
        raise ValueError(
            f"expected uint8 images (N, H, W) or (H, W), got {images.dtype} {images.shape}"
        )
    *stack, height, width = images.shape
    if height % 4 or width % 4 or not images.size:
        raise ValueError(
            f"images of {height} x {width} pixels cannot be halved twice: use a size divisible by 4"
        )
    tall = Image.fromarray(images.reshape(-1, width))
    smaller = [np.asarray(tall.reduce(f)).reshape(*stack, height // f, width // f) for f in FACTORS]
    return images, *smaller


def radial_spectrum(images):
    """Mean power of square images by spatial frequency, direction averaged out.

    Each image loses its mean and is tapered by a Hann window of mean square 1. White noise of
    variance v gives v / side^2 at every frequency; levels of a pyramid compare mode by mode.

    Parameters
    ----------
    images : ndarray, (N, side, side) or (side, side)

    Returns
    -------
    frequency : ndarray, (side // 2,)
        In cycles per pixel, from 1 / side to 0.5.
    power : ndarray, (side // 2,)
        In squared grey levels, per mode.

    Raises
    ------
    ValueError
        If the images are not square.
    """
    images = np.asarray(images)
    side = images.shape[-1]
    if images.ndim not in (2, 3) or images.shape[-2] != side:
        raise ValueError(f"expected images (N, side, side) or (side, side), got {images.shape}")
    stack = images.reshape(-1, side, side)
    taper = np.hanning(side + 1)[:-1]
    window = np.outer(taper, taper) / np.mean(taper**2)
    power = sum(np.abs(np.fft.fft2((image - image.mean()) * window)) ** 2 for image in stack)
    modes = np.fft.fftfreq(side, 1 / side)
    ring = np.rint(np.hypot(modes[:, None], modes)).astype(int).ravel()
    mean = np.bincount(ring, power.ravel()) / np.bincount(ring) / (len(stack) * side**4)
    radii = np.arange(1, side // 2 + 1)
    return radii / side, mean[radii]


def build_pyramid(dataset, *, chunk=16):
    """Write ``level1.npy`` and ``level2.npy`` from ``level0.npy``, `chunk` images at a time in a thread a core.

    Returns
    -------
    tuple of two Paths

    Raises
    ------
    FileNotFoundError
        If there is no ``level0.npy`` yet.
    """
    where = paths.of(dataset)
    if not where.level(0).exists():
        raise FileNotFoundError(f"{where.level(0)} is missing: run notebook 02, preprocess_dataset")
    n, height, width = np.load(where.level(0), mmap_mode="r").shape
    pyramid(_rows(where.level(0), 0, 1))
    starts = range(0, n, chunk)
    levels = threads(
        lambda start: pyramid(_rows(where.level(0), start, chunk)), starts, os.cpu_count(), 1
    )
    with (
        paths.atomic(where.level(1)) as half,
        paths.atomic(where.level(2)) as quarter,
        open(half, "wb") as one,
        open(quarter, "wb") as two,
        tqdm(total=n, unit="image", desc="pyramid") as bar,
    ):
        for file, factor in zip((one, two), FACTORS, strict=True):
            write_header(file, (n, height // factor, width // factor))
        for images, *smaller in levels:
            for file, level in zip((one, two), smaller, strict=True):
                file.write(level)
            bar.update(len(images))
    return where.level(1), where.level(2)


def _rows(file, start, count):
    """Map some rows of a .npy file; mapped anew each time, so that no more than these stay in memory."""
    return np.load(file, mmap_mode="r")[start : start + count]
