"""The image pyramid: levels L0, L1 (half) and L2 (quarter), by area."""

import numpy as np
from PIL import Image
from scipy import ndimage
from tqdm import tqdm

from semlib import paths

FACTORS = (2, 4)
CHUNK = 16  # images in memory at a time


def pyramid(images):
    """Images, uint8 (N, H, W) or (H, W), with their halves and quarters, by the mean over areas.

    Each level is made from the full image (Sci Rep paper, "Methods": L0 512, L1 256, L2 128 by area
    downsampling), rounded half up. H and W must be divisible by 4.
    """
    images = np.asarray(images)
    *stack, height, width = images.shape
    if images.dtype != np.uint8 or height % 4 or width % 4 or not images.size:
        kind = f"{images.dtype} images {images.shape}"
        raise ValueError(f"{kind}: expected uint8 (N, H, W) or (H, W), H and W divisible by 4")
    # no area crosses from one image to the next, so the stack is reduced as one tall image
    tall = Image.fromarray(images.reshape(-1, width))
    smaller = [np.asarray(tall.reduce(f)).reshape(*stack, height // f, width // f) for f in FACTORS]
    return images, *smaller


def build_pyramid(dataset):
    """Write ``level1.npy`` and ``level2.npy`` from ``level0.npy``; returns their paths."""
    place = paths.of(dataset)
    if not place.level(0).exists():
        raise FileNotFoundError(f"{place.level(0)} is missing: run notebook 02, preprocess_dataset")
    level0 = np.load(place.level(0), mmap_mode="r")
    count, height, width = level0.shape
    with paths.atomic(place.level(1)) as half, paths.atomic(place.level(2)) as quarter:
        levels = [
            np.lib.format.open_memmap(file, "w+", np.uint8, (count, height // f, width // f))
            for file, f in zip((half, quarter), FACTORS, strict=True)
        ]
        for start in tqdm(range(0, count, CHUNK), "pyramid", unit="chunk"):
            part = slice(start, start + CHUNK)
            _, levels[0][part], levels[1][part] = pyramid(level0[part])
    return place.level(1), place.level(2)


def radial_spectrum(images):
    """Mean power of square images, (N, side, side) or (side, side), by spatial frequency.

    Returns frequencies in cycles per pixel, from 1 / side to 0.5, and squared grey levels per mode,
    (side // 2,) each. White noise of variance v gives v / side^2 at every frequency; levels of a
    pyramid compare mode by mode.
    """
    side = images.shape[-1]
    stack = images.reshape(-1, side, side)
    # a Hann window of mean square 1: edges that do not meet would leak into all frequencies
    taper = np.hanning(side + 1)[:-1]
    window = np.outer(taper, taper) / np.mean(taper**2)
    power = sum(np.abs(np.fft.fft2((image - image.mean()) * window)) ** 2 for image in stack)
    modes = np.fft.fftfreq(side, 1 / side)
    ring = np.rint(np.hypot(modes[:, None], modes)).astype(int)
    radii = np.arange(1, side // 2 + 1)
    return radii / side, ndimage.mean(power, ring, radii) / (len(stack) * side**4)
