"""The one-page trust profile of somebody's own images: files in, a PNG and a CSV out."""

from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, UnidentifiedImageError

from semlib.paths import atomic
from semlib.semnr import registration, trust

ENDINGS = (".png", ".tif", ".tiff", ".jpg", ".jpeg", ".bmp")
APART = 1.0  # pixels between two images from which on the page says so; noise and jitter alone made up to 0.75
COLUMNS = ("psnr", "ssim", "fsim", "dists", "cnr", "gcnr", "recall", "area")


def read(path):
    """A grey image file of 8 or 16 bits, or of floats in [0, 1], as float32 (H, W) in [0, 1].

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is no image, or a colour image.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist")
    try:
        with Image.open(path) as file:
            values, mode = np.asarray(file), file.mode
    except (UnidentifiedImageError, OSError) as error:
        raise ValueError(f"{path} is no image that can be read ({error})") from error
    if values.ndim != 2 or mode in ("P", "1"):
        raise ValueError(f"{path} is a colour image (mode {mode}): convert it to one grey channel")
    scale = {"L": 255, "F": 1}.get(mode, 65535)
    return values.astype(np.float32) / scale


def read_mask(path):
    """A mask file as bool (H, W): 128 and more is marked in 8 bits, everything but 0 in others."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist")
    with Image.open(path) as file:
        return np.asarray(file.convert("L")) >= 128 if file.mode != "1" else np.asarray(file)


def write(reference, restored, out, *, mask=None, noisy=None):
    """Profile one restored image file and write ``<out>.png`` and ``<out>.csv``.

    Parameters
    ----------
    reference, restored : path of an image file
        Grey, of one size.
    out : path without ending
    mask, noisy : path, optional
        The defect (for CNR, gCNR and recall) and the image before the restoration (for conflicts and the verdict).

    Returns
    -------
    DataFrame
        One row for the restored image, one for the noisy one if given; written as the CSV.

    Raises
    ------
    FileNotFoundError, ValueError
        For files that are missing, are no grey images, or do not fit together.
    """
    import matplotlib.pyplot as plt

    from semlib import saving
    from semlib.semnr import sheet

    known = trust.prepare(read(reference), mask=None if mask is None else read_mask(mask))
    images = {"noisy": noisy, "restored": restored}
    images = {name: read(path) for name, path in images.items() if path is not None}
    found = {name: trust.profile(known, image) for name, image in images.items()}
    found["restored"]["notes"] += _apart(known.image, images["restored"])
    before = found.get("noisy")
    judged = trust.verdict(before, found["restored"]) if before else None
    table = pd.DataFrame(
        [{"image": name} | {c: p[c] for c in COLUMNS} for name, p in found.items()]
    )
    table["verdict"] = [judged.flag if judged and name == "restored" else "" for name in found]
    saving.style()
    figure = sheet.page(
        known.image, images["restored"], found["restored"], before=before, noisy=images.get("noisy"),
        said=judged and f"Verdict: {judged.flag}. Next: {judged.next}.",
        title=" against ".join(_told_apart(Path(restored), Path(reference))),
    )  # fmt: skip
    out = Path(out)
    with atomic(out.with_name(f"{out.name}.png")) as temporary:
        figure.savefig(temporary)
    plt.close(figure)
    with atomic(out.with_name(f"{out.name}.csv")) as temporary:
        table.to_csv(temporary, index=False)
    return table


def _told_apart(one, other):
    """Names of two files, with their folders where the names alone are the same."""
    return [
        path.name if one.name != other.name else f"{path.parent.name}/{path.name}"
        for path in (one, other)
    ]


def _apart(reference, restored):
    """A warning in a list, where the restored image lies beside the reference."""
    down, right = registration.displacement(restored, reference)
    if max(abs(down), abs(right)) < APART:
        return []
    where = f"{abs(down):.1f} px {'below' if down > 0 else 'above'}, {abs(right):.1f} px to the "
    where += "right" if right > 0 else "left"
    return [
        f"The restored image seems to lie beside the reference ({where}, by phase correlation): bring them together "
        "first, or the numbers measure the drift (semlib.semnr.registration)."
    ]


def folder(place):
    """Triples of a folder with ``reference/``, ``noisy/`` and ``restored/`` (and ``mask/``): files of equal stem.

    Returns
    -------
    list of dict
        reference, restored, noisy, mask: path or None.

    Raises
    ------
    FileNotFoundError
        If ``reference/`` or ``restored/`` is missing, or no file of one has a namesake in the other.
    """
    place = Path(place)
    parts = {name: _stems(place / name) for name in ("reference", "restored", "noisy", "mask")}
    stems = sorted(set(parts["reference"]) & set(parts["restored"]))
    if not stems:
        raise FileNotFoundError(
            f"{place} needs reference/ and restored/ with images of equal names, and has none"
        )
    return [{name: files.get(stem) for name, files in parts.items()} for stem in stems]


def _stems(place):
    return {file.stem: file for file in sorted(place.glob("*")) if file.suffix.lower() in ENDINGS}
