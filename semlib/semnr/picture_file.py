"""Restored numbers back into a file of the kind they came from: depth, data bar, pixel size."""

import numpy as np
import tifffile
from PIL import Image

from semlib.images import read
from semlib.paths import atomic

TIFF = (".tif", ".tiff")
NM_PER_CM = 1e7


def write(target, source, picture, numbers):
    """Write numbers (h, w) in place of those of a `read.Picture` that was read from `source`.

    They are rounded to the picture's type and kept within its range; the data bar is the source's.
    """
    dtype = picture.pixels.dtype
    if dtype.kind in "ui":
        limits = np.iinfo(dtype)
        low, high = picture.stated or (limits.min, limits.max)
        numbers = np.rint(numbers).clip(low, high)
    numbers = numbers.astype(dtype)
    top, bottom = picture.bar
    if top + bottom:
        whole = read.image(source, bar="none").pixels.copy()
        whole[top : len(whole) - bottom] = numbers
        numbers = whole
    _save(target, source, picture, numbers)


def write_floats(target, source, picture, numbers):
    """Write numbers (h, w) that are no picture as float32 TIFF; the data bar becomes 0."""
    top, bottom = picture.bar
    _save(target, source, picture, np.pad(numbers.astype(np.float32), ((top, bottom), (0, 0))))


def _save(target, source, picture, pixels):
    with atomic(target) as temporary:
        if target.suffix.lower() in TIFF:
            tifffile.imwrite(temporary, pixels, **_tags(source, picture, pixels.dtype))
        else:
            with Image.open(source) as image:
                dpi = image.info.get("dpi")
            Image.fromarray(pixels).save(temporary, **({"dpi": dpi} if dpi else {}))


def _tags(source, picture, dtype):
    """What a TIFF file says beside its numbers: pixel size, and their range where it was stated."""
    tags = {"photometric": "minisblack", "metadata": None}
    if nanometres := (picture.facts or {}).get("pixel_nm"):
        tags["resolution"] = (NM_PER_CM / nanometres, NM_PER_CM / nanometres)
        tags["resolutionunit"] = "CENTIMETER"
    elif source.suffix.lower() in TIFF:
        with tifffile.TiffFile(source) as file:
            page = file.pages[0]
            if "XResolution" in page.tags and "YResolution" in page.tags:
                tags["resolution"] = page.get_resolution()
                tags["resolutionunit"] = page.resolutionunit
    if picture.stated and dtype == np.uint16:  # MinSampleValue and MaxSampleValue, for `decode`
        low, high = (int(end) for end in picture.stated)
        tags["extratags"] = [(280, "H", 1, low, True), (281, "H", 1, high, True)]
    return tags
