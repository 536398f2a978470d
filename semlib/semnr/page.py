"""The one-page trust profile of somebody's own images: files in, a PNG and a CSV out."""

import textwrap
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from semlib.paths import atomic
from semlib.semnr import registration, trust

ENDINGS = (".png", ".tif", ".tiff", ".jpg", ".jpeg", ".bmp")
APART = 1.0  # pixels between two images from which on the page says so; noise alone made up to 0.75
COLUMNS = ("psnr", "ssim", "fsim", "dists", "cnr", "gcnr", "recall", "area")


def read(path):
    """A grey image file of 8 or 16 bits, or of floats in [0, 1], as float32 (H, W) in [0, 1]."""
    try:
        with Image.open(path) as file:
            values = np.asarray(file)
            mode = file.mode
    except OSError as error:  # no file, no image, or a part of one
        raise ValueError(f"{path} is no image that can be read ({error})") from error
    if values.ndim != 2 or mode in ("P", "1"):
        raise ValueError(f"{path} is a colour image (mode {mode}): convert it to one grey channel")
    return values.astype(np.float32) / {"L": 255, "F": 1}.get(mode, 65535)


def read_mask(path):
    """A mask file as bool (H, W): True where it is 128 of 255 or more."""
    with Image.open(path) as file:
        return np.asarray(file.convert("L")) >= 128


def folder(place):
    """Files of one stem in ``reference/``, ``restored/``, ``noisy/``, ``mask/``: list of dict."""
    parts = {}
    for name in ("reference", "restored", "noisy", "mask"):
        files = sorted((Path(place) / name).glob("*"))
        parts[name] = {file.stem: file for file in files if file.suffix.lower() in ENDINGS}
    stems = sorted(set(parts["reference"]) & set(parts["restored"]))
    if not stems:
        raise FileNotFoundError(f"{place} needs reference/ and restored/ with equal names")
    return [{name: files.get(stem) for name, files in parts.items()} for stem in stems]


def write(reference, restored, out, *, mask=None, noisy=None):
    """Profile one restored image file and write ``<out>.png`` and ``<out>.csv``; the CSV's table.

    All are paths, `out` without ending; with a `mask` of the defect there are CNR, gCNR and recall,
    with the `noisy` image before the restoration the verdict. ValueError names a bad file.
    """
    import matplotlib.pyplot as plt

    from semlib import saving

    images = {"noisy": noisy, "restored": restored}  # read first: a bad file waits for no weights
    images = {name: read(file) for name, file in images.items() if file is not None}
    truth = trust.Reference(read(reference), mask=None if mask is None else read_mask(mask))
    profiles = {name: trust.profile(truth, image) for name, image in images.items()}
    names = pd.Index([*profiles], name="image")
    table = pd.DataFrame([*profiles.values()], names, columns=list(COLUMNS)).reset_index()
    table["verdict"] = ""
    if noisy is not None:
        verdict = trust.verdict(profiles["noisy"], profiles["restored"])
        table.loc[table["image"] == "restored", "verdict"] = verdict.name
    saving.style()
    profiles["restored"]["notes"] += apart(truth.image, images["restored"])
    files = ["/".join(Path(file).parts[-2:]) for file in (restored, reference)]
    figure = draw(truth.image, images, profiles, " against ".join(files))
    with atomic(f"{out}.png") as temporary:
        figure.savefig(temporary)
    plt.close(figure)
    with atomic(f"{out}.csv") as temporary:
        table.to_csv(temporary, index=False)
    return table


def apart(reference, restored):
    """A warning in a list, where the restored image lies beside the reference."""
    down, right = registration.displacement(restored, reference)
    if max(abs(down), abs(right)) < APART:
        return []
    return [
        f"The restored image seems to lie {down:.1f} px below and {right:.1f} px to the right of "
        "the reference: bring them together first (semlib.semnr.registration)."
    ]


def draw(reference, images, profiles, title):
    """One page about the image "restored", and "noisy" if there is one: pictures and numbers."""
    import matplotlib.pyplot as plt

    from semlib.semnr import plots

    figure = plt.figure(figsize=(11, 7.6))
    header, above, below = figure.subfigures(3, 1, height_ratios=(0.08, 1, 1))
    header.text(0.5, 0.4, title, ha="center", va="center", fontsize=12)
    axes = above.subplots(1, len(images) + 2)
    low, high = plots.limits(reference)
    error = images["restored"] - reference
    span = max(float(np.percentile(np.abs(error), 99.5)), 1e-3)
    for axis, (name, image) in zip(axes, {"reference": reference, **images}.items(), strict=False):
        axis.imshow(image, vmin=low, vmax=high)
        axis.set(title=name, xticks=[], yticks=[])
    picture = axes[-1].imshow(error, cmap="RdBu_r", vmin=-span, vmax=span)
    axes[-1].set(title="restored - reference", xticks=[], yticks=[])
    above.colorbar(picture, ax=axes[-1], location="bottom", label="grey value (0 to 1)")
    scaled = {name: profile["scaled"] for name, profile in profiles.items()}
    radar = below.add_subplot(1, 2, 1, projection="polar")
    plots.polygon(radar, scaled["restored"], scaled.get("noisy"))
    notes = profiles["restored"]["notes"]
    if "noisy" in profiles:
        verdict = trust.verdict(profiles["noisy"], profiles["restored"])
        notes = [f"Verdict: {verdict.name}. Next: {verdict.next}.", *notes]
    _numbers(below.add_subplot(1, 2, 2), profiles, notes, plots.NAMES)
    return figure


def _numbers(axis, profiles, notes, names):
    axis.axis("off")
    labels = names | {"psnr": f"{names['psnr']} (dB)", "area": "area of the polygon"}
    cells = []
    for metric, label in labels.items():
        values = [profile[metric] for profile in profiles.values()]
        cells.append([label, *("–" if np.isnan(value) else f"{value:.3f}" for value in values)])
    table = axis.table(cells, colLabels=["metric", *profiles], loc="upper center")
    table.auto_set_font_size(False)
    table.set_fontsize(9)
    table.scale(1, 1.25)
    lines = [textwrap.fill(textwrap.shorten(note, 240), 78) for note in notes]
    text = axis.text(0.02, 0.0, "\n".join(lines), fontsize=9, va="bottom", transform=axis.transAxes)
    text.set_in_layout(False)
