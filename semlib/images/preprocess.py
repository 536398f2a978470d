"""From image files to one uint8 array: border crop, bicubic to a square, intensity range."""

import json
import os

import numpy as np
import pandas as pd
from PIL import Image
from tqdm import tqdm

from semlib import paths
from semlib.images import datasets, read
from semlib.workers import threads

INTENSITIES = ("full", "stretch")
LISTED = 10  # bad images that an error names


def preprocess(image, *, border=4, size=512, intensity="full"):
    """Crop the border, centre-crop to a square, resize bicubically and set the intensity range.

    Sci Rep paper, "Methods": a fixed border is cropped, images become 512 x 512, intensities are
    normalised. Width and range are not stated there. Our choice: 4 pixels, as the three rightmost
    columns of the Carinthia images are near black and would give a model something to recognise.

    Parameters
    ----------
    image : ndarray, uint8, (H, W)
    border, size : int
        Pixels cropped from each side; side of the result in pixels.
    intensity : {"full", "stretch"}
        "full" keeps the values (0 to 255; divide by 255 for [0, 1]), "stretch" maps the 1st and the
        99th percentile of the result to 0 and 255 and clips.

    Returns uint8 (size, size). An image of another type or shape, too small for the border, or
    constant, is a ValueError.
    """
    _check_options(border, size, intensity)
    image = np.asarray(image)
    if image.dtype != np.uint8 or image.ndim != 2:
        raise ValueError(f"expected a uint8 image (H, W), got {image.dtype} {image.shape}")
    square = central_square(image, border)
    if square.min() == square.max():
        raise ValueError(f"constant (all {square[0, 0]})")
    resized = Image.fromarray(square).resize((size, size), Image.Resampling.BICUBIC)
    return np.asarray(_stretched(resized) if intensity == "stretch" else resized)


def central_square(array, border):
    """The central square inside the border, for an image (H, W) and its mask alike."""
    height, width = array.shape
    side = min(height, width) - 2 * border
    if side < 1:
        raise ValueError(f"{height} x {width} pixels: a border of {border} leaves nothing")
    top = (height - side) // 2
    left = (width - side) // 2
    return array[top : top + side, left : left + side]


def _check_options(border, size, intensity):
    if border < 0 or size < 1 or intensity not in INTENSITIES:
        options = f"border {border}, size {size}, intensity {intensity!r}"
        raise ValueError(f"{options}: need border >= 0, size >= 1, intensity in {INTENSITIES}")


def _stretched(image):
    """Map the 1st to 99th percentile to 0..255; minimum to maximum where those two coincide."""
    share = np.cumsum(image.histogram()) / (image.width * image.height)
    low, high = np.searchsorted(share, (0.01, 0.99))
    if low == high:
        low, high = image.getextrema()
    table = np.clip((np.arange(256) - low) * (255 / max(high - low, 1)), 0, 255)
    return image.point(np.rint(table).astype(int).tolist())


def preprocess_dataset(dataset, *, border=4, size=512, intensity="full", skip_bad=False):
    """Write ``level0.npy``, uint8 (N, size, size): row i is row i of `datasets.load_manifest`.

    Images are written one after the other, so memory stays flat for any number of them. Those that
    cannot be used are an error that names the first ten, and nothing is written; with `skip_bad`
    they are left out and listed, with the reason, in ``skipped.csv``. How it was made stands in
    ``level0.json``, see `settings`.
    """
    options = {"border": border, "size": size, "intensity": intensity}
    _check_options(**options)  # one message, not one an image
    place = paths.of(dataset)
    table = datasets.load_manifest(dataset)

    def work(row):
        try:
            levels, _ = read.listed(place.raw, row)
            stated = getattr(row, "pixel_nm", "")  # of own images alone
            return preprocess(levels, **options), "", _pixel_nm(stated, levels, options)
        except (ValueError, OSError) as error:
            named = row.path in str(error)
            return None, str(error) if named else f"{place.raw / row.path}: {error}", 0

    with paths.atomic(place.level(0)) as temporary:
        # Pillow works outside Python's lock, for which each thread waits at times: two a core
        results = threads(work, list(table.itertuples()), 2 * os.cpu_count())
        table["reason"], pixel_nm = _write(temporary, results, len(table), size)
        bad = table[table["reason"] != ""]
        if len(bad) and (not skip_bad or len(bad) == len(table)):
            advice = "repair or remove them, or leave them out with `-p skip_bad true`"
            title = f"{len(bad)} of {len(table)} images cannot be used: "
            more = [f"and {len(bad) - LISTED} more"] if len(bad) > LISTED else []
            title += "no image is left" if skip_bad else advice
            raise ValueError(f"{title}:\n  " + ";\n  ".join([*bad["reason"][:LISTED], *more]))
        if len(bad):
            _leave_out(place, bad)
        # first away, last written: it never lies beside pixels of other settings
        place.level0_json.unlink(missing_ok=True)
    rule = table["range"].iloc[0] if "range" in table else "stated"
    made = options | {"range": rule, "pixel_nm": pixel_nm}
    paths.write_text(place.level0_json, json.dumps(made))
    return place.level(0)


def settings(dataset):
    """How ``level0.npy`` was made: a dict of border, size, intensity, range and pixel_nm.

    range is the rule of the grey levels ("stated" or "quantiles", see `lot.describe`), pixel_nm the
    width of each row's pixels in nm, 0 where it is unknown.
    """
    file = paths.of(dataset).level0_json
    if not file.exists():
        raise FileNotFoundError(f"{file} is missing, how images were read: run notebook 02 again")
    return json.loads(file.read_text())


def like(path, dataset, *, bar="auto"):
    """Read any image file as `preprocess_dataset` read those of a data set: uint8 (size, size).

    `bar` is that of `read.image`. What was cut or assumed is printed. Returns also the width of a
    pixel in nm, 0 where it is unknown.
    """
    made = settings(dataset)
    options = {name: made[name] for name in ("border", "size", "intensity")}
    picture = read.image(path, bar=bar)
    notes = list(picture.notes)
    if picture.stated is None and made["range"] == "stated":
        notes.append("grey range by quantiles, as the file states none; the data set's files do")
    for note in notes:
        print(f"{path}: {note}")
    levels = picture.uint8(by_quantiles=made["range"] == "quantiles")
    stated = (picture.facts or {}).get("pixel_nm")
    return preprocess(levels, **options), _pixel_nm(stated, levels, options)


def _pixel_nm(stated, levels, options):
    """Width in nm of a pixel after preprocessing; 0 where the instrument does not state it."""
    side = min(levels.shape) - 2 * options["border"]
    return float(stated or 0) * side / options["size"]


def _write(path, results, count, size):
    """Write the good images as a .npy file, row by row.

    Returns one reason (or "") for each image and the widths of the pixels of the good ones.
    """
    header = {"descr": "|u1", "fortran_order": False, "shape": (count, size, size)}
    reasons = []
    pixel_nm = []
    with open(path, "wb") as file, tqdm(results, "preprocessing", count, unit="image") as bar:
        np.lib.format.write_array_header_1_0(file, header)
        for image, reason, width in bar:
            reasons.append(reason)
            if image is not None:
                file.write(image)
                pixel_nm.append(width)
        # how many are good is known only now; NumPy pads headers to one length, whatever the number
        file.seek(0)
        header["shape"] = (len(pixel_nm), size, size)
        np.lib.format.write_array_header_1_0(file, header)
    return reasons, pixel_nm


def _leave_out(place, bad):
    """Add bad images to skipped.csv, which `datasets.load_manifest` takes off the manifest."""
    if place.skipped.exists():
        before = pd.read_csv(place.skipped, dtype=str, keep_default_na=False)
        bad = pd.concat([before, bad.astype(str)])
    paths.write_text(place.skipped, bad.to_csv(index=False, lineterminator="\n"))
    tqdm.write(f"{len(bad)} images left out, listed in {place.skipped}")
