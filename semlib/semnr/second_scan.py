"""A slower scan or a second frame of the same places: what a restored picture is judged by."""

from pathlib import Path

import numpy as np

from semlib.images import read
from semlib.semnr import inputs
from semlib.semnr import page as trust_page
from semlib.semnr.registration import register


def partners(files, reference):
    """The second scan of each of the files (name -> path): name -> path.

    `reference` is a file for one picture, or a folder with files of the same names, whatever their
    endings. ValueError names what is missing.
    """
    reference = Path(reference)
    if not reference.exists():
        raise FileNotFoundError(f"{reference}: no such file or folder of references")
    if reference.is_file():
        if len(files) > 1:
            raise ValueError(f"{reference} is one file for {len(files)} pictures: name a folder")
        return dict.fromkeys(files, reference)
    found = {
        path.relative_to(reference).with_suffix("").as_posix(): path
        for path in sorted(reference.rglob("*"))
        if path.suffix.lower() in read.SUFFIXES
    }
    if missing := sorted(set(files) - set(found)):
        shown = ", ".join(missing[:5])
        raise ValueError(f"{reference} lacks a file for {len(missing)} pictures: {shown}")
    return {name: found[name] for name in files}


def page(partner, file, picture, restored, out):
    """Write the trust page of a restored image as ``<out>.png`` and ``<out>.csv``; the PNG's path.

    The second scan is moved onto the first, and all go onto one grey scale: that of the first.
    `restored` is float32 (h, w) in [0, 1] over the span of `picture`, which was read from `file`.
    """
    second = read.image(partner)
    if second.shape != picture.shape:
        raise ValueError(
            f"{partner} has {second.shape[0]} x {second.shape[1]} pixels without its data bar, "
            f"{file} {picture.shape[0]} x {picture.shape[1]}"
        )
    span = picture.span()
    # numbers of one type mean the same in both files; else each goes by its own range
    span_of_second = span if second.pixels.dtype == picture.pixels.dtype else second.span()
    noisy = read.scaled(picture.pixels, span).astype(np.float32)
    slow = read.scaled(second.pixels, span_of_second).astype(np.float32)
    noisy, slow, *_ = register(noisy, slow)
    margin = (restored.shape[1] - noisy.shape[1]) // 2
    restored = restored[margin:-margin, margin:-margin]
    images = {"reference": slow, "noisy": noisy, "restored": restored}
    said = "{:g} to {:g}".format(*span)
    crop = f"{margin} pixels all around, as the second scan was registered"
    nanometres = (picture.facts or {}).get("pixel_nm")
    given = inputs.Inputs(images, None, said, crop, nanometres, [*picture.notes])
    names = ["/".join(path.parts[-2:]) for path in (file, partner)]
    trust_page.of(given, "{} restored, against {}".format(*names), out)
    return out.with_name(f"{out.name}.png")
