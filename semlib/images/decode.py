"""From the bytes of an image file to its numbers: TIFF by tifffile, all others by Pillow."""

import contextlib
import os
from dataclasses import dataclass

import numpy as np
import tifffile
from PIL import Image, ImageOps

LARGEST = (
    2**30
)  # pixels; a file that claims more is refused, so that a small file cannot fill memory
Image.MAX_IMAGE_PIXELS = LARGEST  # Pillow's own limit lies below a stitched mosaic

CONTAINERS = (16, 32, 64)  # bits of data types, which detectors of 10 to 14 bits rarely fill

# Orientation tag of TIFF and EXIF (TIFF 6.0, page 36): what turns stored rows and columns upright.
UPRIGHT = {
    2: np.fliplr,
    3: lambda pixels: np.rot90(pixels, 2),
    4: np.flipud,
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: np.rot90(pixels, -1),
    7: lambda pixels: np.rot90(pixels, 2).swapaxes(0, 1),
    8: np.rot90,
}


@dataclass(frozen=True)
class Stored:
    """What a file holds, before anybody decides what it means."""

    pixels: np.ndarray  # (H, W) or (H, W, channels: L A, R G B or R G B A), upright
    bits: int  # of each number, 12 for packed 12-bit data
    inverted: bool  # whether the file says that its least number is white (MinIsWhite)
    stated: (
        tuple | None
    )  # least and greatest number by tags or bits; None: only a container is known
    notes: list  # what was chosen or left out


def stored(path):
    """Read the numbers of an image file.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is empty, cut short, no image, or larger than `LARGEST` pixels; names the file.
    """
    if not os.path.isfile(path):
        raise FileNotFoundError(f"{path}: no such image file")
    size = os.path.getsize(path)
    try:
        return _from_tiff(path) if _is_tiff(path) else _from_pillow(path)
    except Exception as error:  # damaged files raise whatever the decoder stumbles over
        reason = str(error) or type(error).__name__
        hint = "open it in the program that wrote it and save it as PNG or plain TIFF"
        raise ValueError(
            f"{path}: not a readable image ({size:,} bytes): {reason}; {hint}"
        ) from error


def states_range(path):
    """Whether a file states the range of its numbers, from its header alone; True if unreadable."""
    with contextlib.suppress(Exception):  # what is wrong with it is said when it is read
        if _is_tiff(path):
            with tifffile.TiffFile(path) as tiff:
                return _stated(_largest_page(tiff.pages)[0]) is not None
        with Image.open(path) as image:
            return not image.mode.startswith(("I", "F"))
    return True


def _is_tiff(path):
    with open(path, "rb") as file:
        return file.read(4) in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def _from_tiff(path):
    with tifffile.TiffFile(path) as tiff:
        page, notes = _largest_page(tiff.pages)
        _refuse_giants(page.imagelength, page.imagewidth)
        pixels = page.asarray()
        if page.axes.startswith("S") and pixels.ndim == 3:
            pixels = np.moveaxis(pixels, 0, -1)  # planes stored one after the other
        if page.photometric == tifffile.PHOTOMETRIC.PALETTE:
            pixels = np.moveaxis(page.colormap[:, pixels], 0, -1)
            pixels = (pixels >> 8).astype(np.uint8)  # colour maps count to 65,535
        if pixels.ndim not in (2, 3):
            raise ValueError(f"{pixels.ndim} axes ({page.axes}): expected rows, columns, colours")
        orientation = _tag(page, "Orientation")
        return Stored(
            pixels=UPRIGHT.get(orientation, np.asarray)(pixels),
            bits=_bits(page.bitspersample),
            inverted=page.photometric == tifffile.PHOTOMETRIC.MINISWHITE,
            stated=_stated(page),
            notes=notes,
        )


def _largest_page(pages):
    """The largest picture that is no thumbnail, and a note where there are others."""
    full = [page for page in pages if not page.is_reduced] or list(pages)
    if not full:
        raise ValueError("the TIFF file holds no picture")
    page = max(full, key=lambda page: page.imagelength * page.imagewidth)
    if len(pages) == 1:
        return page, []
    same = sum(other.shape == page.shape for other in full)
    place = f"page {page.index + 1} of {len(pages)}"
    if same > 1:
        return page, [f"read {place}, the first of {same} equally large pictures"]
    return page, [f"read {place}, the largest"]


def _stated(page):
    """Range by the tags or by the bits of packed data; None where only the container is known."""
    low = _tag(page, "SMinSampleValue", _tag(page, "MinSampleValue"))
    high = _tag(page, "SMaxSampleValue", _tag(page, "MaxSampleValue"))
    if low is not None and high is not None and np.max(high) > np.min(low):
        return float(np.min(low)), float(np.max(high))
    bits = _bits(page.bitspersample)
    if bits == 1 or page.dtype == np.uint8:
        return 0.0, 255.0
    return None if bits in CONTAINERS else (0.0, float(2**bits - 1))


def _tag(page, name, default=None):
    tag = page.tags.get(name)
    return default if tag is None else tag.value


def _bits(value):
    return int(max(value)) if isinstance(value, tuple) else int(value)


def _from_pillow(path):
    with Image.open(path) as image:
        _refuse_giants(image.height, image.width)
        frames = getattr(image, "n_frames", 1)
        notes = [f"read the first of {frames} pictures"] if frames > 1 else []
        image = ImageOps.exif_transpose(image)
        if image.mode in ("P", "PA", "CMYK", "YCbCr", "HSV", "LAB"):
            image = image.convert("RGBA" if image.has_transparency_data else "RGB")
        pixels = np.asarray(image)
    if pixels.dtype == bool:
        pixels = pixels.astype(np.uint8) * 255
    stated = (0.0, 255.0) if pixels.dtype == np.uint8 else None
    return Stored(pixels, 8 * pixels.dtype.itemsize, False, stated, notes)


def _refuse_giants(height, width):
    if height * width > LARGEST:
        raise ValueError(f"{height:,} x {width:,} pixels are more than {LARGEST:,}: cut it up")
