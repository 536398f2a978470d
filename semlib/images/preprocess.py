"""From image files to one uint8 array: decode, border crop, bicubic to a square, intensity range."""

import os

import numpy as np
import pandas as pd
from PIL import Image
from tqdm import tqdm

from semlib import paths
from semlib.images import datasets
from semlib.images.resize import bicubic
from semlib.workers import threads

INTENSITIES = ("full", "stretch")
LISTED = 10


def decode(path):
    """Read an image file as uint8 (H, W).

    Colour becomes luminance (ITU-R 601, alpha ignored; 16-bit colour by its high bytes). Grey of
    more than 8 bits (16-bit, 32-bit, float) is scaled linearly from the image's own minimum and
    maximum to 0 and 255, since detectors rarely fill 16 bits. Of a TIFF stack the first image counts.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is empty, truncated or no image; the message names it.
    """
    try:
        with Image.open(path) as image:
            deep = image.mode in ("I", "F") or image.mode.startswith("I;16")
            return _to_8bit(np.asarray(image)) if deep else np.array(image.convert("L"))
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: no such image") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        size = os.path.getsize(path)
        raise ValueError(f"{path}: not a readable image ({size:,} bytes): {error}") from error


def try_decode(path):
    """Decode an image file: (uint8 (H, W), ""), or (None, the reason) where `decode` raises an error."""
    try:
        return decode(path), ""
    except (ValueError, OSError) as error:
        return None, str(error)


def _to_8bit(values):
    low, high = float(values.min()), float(values.max())
    if not np.isfinite(high - low):
        raise ValueError("some values are not finite")
    scale = 255 / (high - low) if high > low else 0
    return np.rint((values - low) * scale).astype(np.uint8)


def preprocess(image, *, border=4, size=512, intensity="full"):
    """Crop the border, centre-crop to a square, resize bicubically and set the intensity range.

    Sci Rep paper, "Methods": a fixed border is cropped, images become 512x512, intensities are
    normalised. Width and range are not stated there. Here 4 pixels go, as the three rightmost
    columns of the Carinthia images are near black and would give a model something to recognise.

    Parameters
    ----------
    image : ndarray, uint8, (H, W)
    border : int
        Pixels cropped from each side.
    size : int
        Side of the result in pixels.
    intensity : {"full", "stretch"}
        "full" keeps the values (0 to 255; divide by 255 for [0, 1]), "stretch" maps the 1st and the
        99th percentile of the result to 0 and 255 and clips.

    Returns
    -------
    ndarray, uint8, (size, size)

    Raises
    ------
    ValueError
        If the image is not uint8 (H, W), too small for the border, or constant.
    """
    _check_options(border, size, intensity)
    image = np.asarray(image)
    if image.dtype != np.uint8 or image.ndim != 2:
        raise ValueError(f"expected a uint8 image (H, W), got {image.dtype} {image.shape}")
    height, width = image.shape
    side = min(height, width) - 2 * border
    if side < 1:
        raise ValueError(f"{height} x {width} pixels: a border of {border} leaves nothing")
    top, left = (height - side) // 2, (width - side) // 2
    square = image[top : top + side, left : left + side]
    if square.min() == square.max():
        raise ValueError(f"constant (all {square[0, 0]})")
    resized = bicubic(square, size)
    return np.asarray(_stretch(Image.fromarray(resized))) if intensity == "stretch" else resized


def _check_options(border, size, intensity):
    if intensity not in INTENSITIES:
        raise ValueError(f"intensity {intensity!r}: use one of {', '.join(INTENSITIES)}")
    if border < 0 or size < 1:
        raise ValueError(f"border {border} and size {size}: expected border >= 0 and size >= 1")


def _stretch(image):
    """Map the 1st to 99th percentile to 0..255; minimum to maximum where those two coincide."""
    share = np.cumsum(image.histogram()) / (image.width * image.height)
    low, high = np.searchsorted(share, (0.01, 0.99))
    if low == high:
        low, high = image.getextrema()
    table = np.clip((np.arange(256) - low) * (255 / max(high - low, 1)), 0, 255)
    return image.point(np.rint(table).astype(int).tolist())


def preprocess_dataset(
    dataset, *, border=4, size=512, intensity="full", skip_bad=False, workers=None
):
    """Write ``level0.npy``, uint8 (N, size, size): row i is row i of `datasets.load_manifest`.

    Files are decoded by threads (Pillow works outside Python's lock) and written one after the
    other, so memory stays flat for any number of images.

    Parameters
    ----------
    dataset : str or Path
    border, size, intensity
        See `preprocess`.
    skip_bad : bool
        Leave out images that cannot be used and list them, with the reason, in ``skipped.csv``.
        Otherwise they are an error, and nothing is written.
    workers : int, optional
        Number of threads; by default two per core, as each waits for Python's lock at times.

    Returns
    -------
    Path
        ``level0.npy``.

    Raises
    ------
    ValueError
        Naming the bad images (the first ten), or if no image is left.
    """
    _check_options(border, size, intensity)
    where = paths.of(dataset)
    table = datasets.load_manifest(dataset)

    def work(path):
        try:
            return preprocess(
                decode(where.raw / path), border=border, size=size, intensity=intensity
            ), ""
        except (ValueError, OSError) as error:
            reason = str(error)
            return None, reason if str(path) in reason else f"{where.raw / path}: {reason}"

    with paths.atomic(where.level(0)) as temporary:
        reasons = _write(
            temporary,
            threads(work, list(table["path"]), workers or 2 * os.cpu_count()),
            len(table),
            size,
        )
        bad = table.assign(reason=reasons)[[bool(reason) for reason in reasons]]
        if len(bad) and (not skip_bad or len(bad) == len(table)):
            raise ValueError(_listing(bad["reason"], len(table), skip_bad))
        if len(bad):
            _leave_out(where, bad)
    return where.level(0)


def _write(path, results, n, size):
    """Write the good images as a .npy file, row by row; return one reason (or "") per image."""
    reasons = []
    with (
        open(path, "wb") as file,
        tqdm(results, total=n, unit="image", desc="preprocessing") as bar,
    ):
        write_header(file, (n, size, size))
        for image, reason in bar:
            reasons.append(reason)
            if image is not None:
                file.write(image)
        file.seek(0)
        write_header(file, (reasons.count(""), size, size))
    return reasons


def write_header(file, shape):
    """The .npy header of uint8 `shape`; NumPy pads it such that its length does not depend on the number of images."""
    np.lib.format.write_array_header_1_0(
        file, {"descr": "|u1", "fortran_order": False, "shape": shape}
    )


def _listing(reasons, n, skip_bad):
    lines = [f"  {reason}" for reason in reasons[:LISTED]]
    if len(reasons) > LISTED:
        lines.append(f"  and {len(reasons) - LISTED} more")
    advice = (
        "no image is left"
        if skip_bad
        else "repair or remove them, or leave them out with skip_bad=True"
    )
    return "\n".join([f"{len(reasons)} of {n} images cannot be used: {advice}", *lines])


def _leave_out(where, bad):
    """List bad images in skipped.csv, which `datasets.load_manifest` takes off the manifest."""
    earlier = datasets.skipped(where)
    if earlier.exists():
        bad = pd.concat([pd.read_csv(earlier, dtype=str, keep_default_na=False), bad.astype(str)])
    with paths.atomic(earlier) as temporary:
        bad.to_csv(temporary, index=False, lineterminator="\n")
    tqdm.write(f"{len(bad)} images left out, listed in {earlier}")
