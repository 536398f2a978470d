"""From the bytes of an image file to its numbers: TIFF by tifffile, all others by Pillow."""

import contextlib
import logging
import math
import os
from dataclasses import dataclass

import numpy as np
import tifffile
from PIL import Image, ImageOps
from tifffile import COMPRESSION, EXTRASAMPLE, PHOTOMETRIC

# A file that claims more numbers is refused, so that a small file cannot fill memory. Pillow's own
# limit lies below a stitched mosaic, and its message speaks of attacks.
LARGEST = 2**30
Image.MAX_IMAGE_PIXELS = None
logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # errors below say what matters
FORMATS = ("PNG", "JPEG", "BMP")  # some others that Pillow opens start programs


@dataclass(frozen=True)
class Stored:
    """What a file holds, before anybody decides what it means."""

    pixels: np.ndarray  # (H, W) or (H, W, channels: L A, R G B or R G B A), upright
    bits: int  # of each number, 12 for packed 12-bit data
    inverted: bool  # whether the file says that its least number is white (MinIsWhite)
    stated: tuple | None  # least and greatest number by tags or bits; None: a container is known
    notes: list  # what was chosen or left out


def stored(path):
    """Read the numbers of an image file.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is empty, cut short, no image, or larger than `LARGEST`; names the file.
    """
    if not os.path.isfile(path):
        raise FileNotFoundError(f"{path}: no such image file")
    try:
        return _from_tiff(path) if _is_tiff(path) else _from_pillow(path)
    except Exception as error:  # damaged files raise whatever the decoder stumbles over
        raise ValueError(
            f"{path}: not a readable image ({os.path.getsize(path):,} bytes): "
            f"{str(error) or type(error).__name__}; open it in the program that wrote it and save "
            "it, or a part of it, as grey PNG or plain TIFF"
        ) from error


def states_range(path):
    """Whether a file states the range of its numbers, from its header alone; True if unreadable."""
    with contextlib.suppress(Exception):  # what is wrong with it is said when it is read
        if _is_tiff(path):
            with tifffile.TiffFile(path) as tiff:
                return _stated(_largest_page(tiff)[0]) is not None
        with Image.open(path, formats=FORMATS) as image:
            return not _has_16_bits(image)
    return True


def _is_tiff(path):
    with open(path, "rb") as file:
        return file.read(4) in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def _from_tiff(path):
    with tifffile.TiffFile(path) as tiff:
        page, notes = _largest_page(tiff)
        _refuse_giants(page.shape)
        _refuse_giants(page.chunks)  # of a small picture a tile can be large
        if not _is_whole(page, tiff.filehandle.size):
            raise ValueError("the file is cut short")
        pixels = _channels_last(page, notes)
    pixels = _bytes_of_bits(_upright(pixels, _tag(page, "Orientation")))
    inverted = page.photometric == PHOTOMETRIC.MINISWHITE
    bits = 8 if page.dtype == bool else _bits(page)
    return Stored(pixels, bits, inverted, _stated(page), notes)


def _is_whole(page, size):
    """Whether a file of so many bytes holds all strips or tiles; tifffile fills missing ones up."""
    counts = page.databytecounts
    if page.compression == COMPRESSION.NONE and 8 * sum(counts) < page.size * _bits(page):
        return False
    spans = zip(page.dataoffsets, counts, strict=True)
    is_held = [0 < count <= size - start for start, count in spans]
    return len(is_held) == math.prod(page.chunked) and all(is_held)


def _largest_page(tiff):
    """The largest picture that is no thumbnail, and a note where there are others."""
    pages = [inner for page in tiff.pages for inner in (page, *(page.pages or ()))]
    pages = [page for page in pages if type(page.imagewidth) is type(page.imagelength) is int]
    full = [page for page in pages if not page.is_reduced] or pages
    if not full:
        raise ValueError("the TIFF file holds no picture")
    page = max(full, key=lambda page: page.imagelength * page.imagewidth)
    same = sum(other.shape == page.shape for other in full)
    which = f"the first of {same} equally large pictures" if same > 1 else "the largest"
    if page.is_reduced:
        which = "a thumbnail, as the file says"
    elif len(pages) == 1:
        return page, []
    return page, [f"read page {pages.index(page) + 1} of {len(pages)}, {which}"]


def _channels_last(page, notes):
    """Numbers of a page, (H, W) or (H, W, channels): grey or red, green and blue, and opacity."""
    pixels = page.asarray()
    if page.axes.startswith("S") and pixels.ndim == 3:
        pixels = np.moveaxis(pixels, 0, -1)  # planes stored one after the other
    if pixels.ndim not in (2, 3):
        raise ValueError(f"{pixels.ndim} axes ({page.axes}): expected rows, columns, colours")
    if page.photometric == PHOTOMETRIC.PALETTE:
        colours = np.moveaxis(page.colormap[:, pixels], 0, -1)
        # Colour maps count to 65,535, those of some old programs to 255
        return (colours >> 8 if page.colormap.max() > 255 else colours).astype(np.uint8)
    is_jpeg = page.photometric == PHOTOMETRIC.YCBCR and page.compression == COMPRESSION.JPEG
    if page.photometric == PHOTOMETRIC.RGB or is_jpeg:
        return pixels
    if page.photometric not in (PHOTOMETRIC.MINISBLACK, PHOTOMETRIC.MINISWHITE):
        raise ValueError(f"its colours are {page.photometric.name}, not grey or RGB")
    if pixels.ndim == 2:
        return pixels
    count = pixels.shape[-1]
    if count == 2 and page.extrasamples and page.extrasamples[0] != EXTRASAMPLE.UNSPECIFIED:
        return pixels  # grey and its opacity
    notes += [f"read the first of {count} channels"] * (count > 1)
    return pixels[..., 0]


def _upright(pixels, orientation):
    """Undo the orientation that a tag states (TIFF 6.0, page 36)."""
    if orientation in (5, 6, 7, 8):  # columns are stored as rows
        pixels = pixels.swapaxes(0, 1)
    down = -1 if orientation in (3, 4, 7, 8) else 1
    right = -1 if orientation in (2, 3, 6, 7) else 1
    return pixels[::down, ::right]


def _stated(page):
    """Least and greatest number, where the file says more than the type of its numbers.

    A tag counts only as the range of a detector, 0 to 2^n - 1: many programs write the extremes of
    the very picture, which a hot pixel sets, or the 255 of an 8-bit copy.
    """
    if page.dtype is None or page.dtype.kind not in "bu":
        return None
    bits = _bits(page)
    if bits <= 8:
        return 0.0, 255.0 if bits == 1 else 2.0**bits - 1  # one bit is read as 0 and 255
    if bits not in (16, 32, 64):  # packed; detectors rarely fill a whole data type
        return 0.0, 2.0**bits - 1
    low = np.min(_tag(page, "SMinSampleValue", _tag(page, "MinSampleValue", 0)))
    high = np.max(_tag(page, "SMaxSampleValue", _tag(page, "MaxSampleValue", 0)))
    detector = [2**n - 1 for n in range(9, bits)]
    return (0.0, float(high)) if low == 0 and high in detector else None


def _tag(page, name, default=None):
    tag = page.tags.get(name)
    return default if tag is None else tag.value


def _bits(page):
    return int(np.max(page.bitspersample))


def _from_pillow(path):
    with Image.open(path, formats=FORMATS) as image:
        _refuse_giants((image.height, image.width))
        frames = getattr(image, "n_frames", 1)
        notes = [f"read the first of {frames} pictures"] if frames > 1 else []
        if _has_16_bits(image) and not image.mode.startswith("I"):  # of which Pillow keeps 8
            import imagecodecs

            pixels = imagecodecs.imread(path, "png")
        else:
            image = ImageOps.exif_transpose(image)
            if image.mode in ("P", "PA", "CMYK", "YCbCr", "HSV", "LAB"):
                image = image.convert("RGBA" if image.has_transparency_data else "RGB")
            pixels = np.asarray(image)
    pixels = _bytes_of_bits(pixels)
    stated = (0.0, 255.0) if pixels.dtype == np.uint8 else None
    return Stored(pixels, 8 * pixels.dtype.itemsize, False, stated, notes)


def _bytes_of_bits(pixels):
    return pixels.astype(np.uint8) * 255 if pixels.dtype == bool else pixels


def _has_16_bits(image):
    return any(str(tile.args).endswith(";16B") for tile in image.tile)


def _refuse_giants(shape):
    # a damaged tag holds several numbers, and a tuple times a number is a longer tuple
    if not all(isinstance(length, int) for length in shape):
        raise ValueError("its header has no plain size")
    if math.prod(shape) > LARGEST:
        size = " x ".join(f"{length:,}" for length in shape)
        raise ValueError(f"{size} numbers are more than {LARGEST:,}, the most that is read")
