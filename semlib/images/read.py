"""The one place that reads image and mask files."""

import os

import numpy as np
from PIL import Image

FOREGROUND = 128  # some published masks have soft edges


def image(path):
    """Read an image file as uint8 (H, W).

    Colour becomes luminance (ITU-R 601, alpha ignored; 16-bit colour by its high bytes). Grey of
    more than 8 bits is scaled from the image's own minimum and maximum to 0 and 255, since
    detectors rarely fill 16 bits. Of a TIFF stack the first image counts. A missing file is a
    FileNotFoundError, one that is empty, truncated or no image a ValueError.
    """
    try:
        with Image.open(path) as opened:
            deep = opened.mode in ("I", "F") or opened.mode.startswith("I;16")
            return _to_8bit(np.asarray(opened)) if deep else np.array(opened.convert("L"))
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: no such image") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        size = os.path.getsize(path)
        raise ValueError(f"{path}: not a readable image ({size:,} bytes): {error}") from error


def try_image(path):
    """An image file as (uint8 (H, W), ""), or (None, the reason) where `image` raises an error."""
    try:
        return image(path), ""
    except (ValueError, OSError) as error:
        return None, str(error)


def mask(path, like=None):
    """Read a mask of any mode as bool (H, W): foreground where its luminance is at least 128.

    A file that is no readable image, or has not the size of the image `like`, is a ValueError.
    """
    try:
        with Image.open(path) as opened:
            foreground = np.asarray(opened.convert("L")) >= FOREGROUND
    except (OSError, SyntaxError) as error:
        raise ValueError(f"{path}: not a readable mask: {error}") from error
    if like is not None and foreground.shape != like.shape:
        raise ValueError(f"{path} has {foreground.shape} pixels, its image {like.shape}")
    return foreground


def pictures(table, raw):
    """Rows of a manifest with the columns image and mask (None without one).

    Files that cannot be read are named and left out.
    """
    images = []
    for path in table["path"]:
        pixels, reason = try_image(raw / path)
        images.append(pixels)
        if reason:
            print("left out here, an error in notebook 02 unless skip_bad is set:", reason)
    masks = [mask(raw / path) if path else None for path in table["mask_path"]]
    return table.assign(image=images, mask=masks).dropna(subset=["image"])


def _to_8bit(values):
    low = float(values.min())
    high = float(values.max())
    if not np.isfinite(high - low):
        raise ValueError("some values are not finite")
    scale = 255 / (high - low) if high > low else 0
    return np.rint((values - low) * scale).astype(np.uint8)
