"""The one-page trust profile of somebody's own images: files in, a PNG and a CSV out."""

import textwrap
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from semlib import paths
from semlib.images.read import SUFFIXES
from semlib.semnr import inputs, trust

COLUMNS = ("psnr", "ssim", "fsim", "dists", "cnr", "gcnr", "recall", "area")
WORDS = ("range", "crop", "flags", "notes")  # columns of text, the same on the page


def folder(place):
    """Files of one stem in ``reference/``, ``restored/``, ``noisy/``, ``mask/``: list of dict."""
    parts = {}
    for name in ("reference", "restored", "noisy", "mask"):
        files = sorted((Path(place) / name).glob("*"))
        parts[name] = {file.stem: file for file in files if file.suffix.lower() in SUFFIXES}
    stems = sorted(set(parts["reference"]) & set(parts["restored"]))
    if not stems:
        raise FileNotFoundError(f"{place} needs reference/ and restored/ with equal names")
    return [{name: files.get(stem) for name, files in parts.items()} for stem in stems]


def write_example(place, images):
    """Images in [0, 1] by part ("reference", ...) as 8-bit files of one stem, as `folder` reads."""
    for name, image in images.items():
        with paths.atomic(Path(place, name, "synthetic-example.png")) as temporary:
            Image.fromarray(np.uint8(np.rint(255 * image))).save(temporary)


def write(reference, restored, out, *, mask=None, noisy=None, bar="auto"):
    """Profile one restored image file and write ``<out>.png`` and ``<out>.csv``; the CSV's table.

    All are paths, `out` without ending; with a `mask` of the defect there are CNR, gCNR and recall,
    with the `noisy` image before the restoration the verdict. `bar` is that of `inputs.load`, which
    names a bad file in a ValueError.
    """
    paths.check_writable(Path(out).parent, "name another place with --out")
    given = inputs.load(reference, restored, noisy=noisy, mask=mask, bar=bar)
    files = ["/".join(Path(file).parts[-2:]) for file in (restored, reference)]
    return of(given, " against ".join(files), out)


def of(given, title, out):
    """The same for images that are read already: `given` is an `inputs.Inputs`."""
    import matplotlib.pyplot as plt

    from semlib import saving

    truth = trust.Reference(given.images["reference"], mask=given.mask)
    images = {name: image for name, image in given.images.items() if name != "reference"}
    profiles = {"noisy": trust.profile(truth, images["noisy"])} if "noisy" in images else {}
    profiles["restored"] = trust.profile(truth, images["restored"], noisy=images.get("noisy"))
    raised = trust.flags(profiles.get("noisy"), profiles["restored"])
    notes = [f"{name}: {sentence}" for name, sentence in raised.items()]
    for name, sentence in profiles.get("noisy", {}).get("faults", {}).items():
        notes.append(f"the noisy image is {name}{', too' * (name in raised)}: {sentence}")
    notes += [*given.notes, *profiles["restored"]["notes"]]
    names = pd.Index([*profiles], name="image")
    table = pd.DataFrame([*profiles.values()], names, columns=list(COLUMNS))
    table = table.assign(verdict="", range=given.range, crop=given.crop, flags="")
    verdict = trust.verdict(profiles.get("noisy"), profiles["restored"])
    table.loc["restored", ["verdict", "flags"]] = verdict.name, "; ".join(raised)
    table = table.assign(notes="; ".join(notes)).reset_index()
    saving.style()
    lines = [f"Grey range: {given.range}. Crop: {given.crop}.", *notes]
    figure = draw(truth.image, images, profiles, title, notes=lines, pixel_nm=given.pixel_nm)
    with paths.atomic(f"{out}.png") as temporary:
        figure.savefig(temporary)
    plt.close(figure)
    paths.write_text(f"{out}.csv", table.to_csv(index=False))
    return table


def draw(reference, images, profiles, title, *, notes=(), pixel_nm=None):
    """One page about the image "restored", and "noisy" if there is one: pictures and numbers.

    `notes` are lines below them, `pixel_nm` the width of a pixel in nm for scale bars.
    """
    import matplotlib.pyplot as plt

    from semlib.plots import scale_bar
    from semlib.semnr import plots

    verdict = trust.verdict(profiles.get("noisy"), profiles["restored"])
    lines = [f"Verdict: {verdict.name}. Next: {verdict.next}.".replace("\n", " "), *notes]
    lines = [line for note in lines for line in textwrap.wrap(textwrap.shorten(note, 500), 150)]
    heights = (0.6, 3.5, 3.5, 0.3 + 0.17 * len(lines))  # inches
    figure = plt.figure(figsize=(11, sum(heights)))
    header, above, below, foot = figure.subfigures(4, 1, height_ratios=heights)
    words = {"va": "center", "parse_math": False}
    header.text(0.5, 0.4, textwrap.fill(title, 100), ha="center", fontsize=12, **words)
    foot.text(0.03, 0.5, "\n".join(lines), fontsize=9, **words)
    axes = above.subplots(1, len(images) + 2)
    low, high = plots.limits(reference)
    error = images["restored"] - reference
    span = max(float(np.percentile(np.abs(error), 99.5)), 1e-3)
    for axis, (name, image) in zip(axes, {"reference": reference, **images}.items(), strict=False):
        axis.imshow(image, vmin=low, vmax=high)
        axis.set(title=name, xticks=[], yticks=[])
        scale_bar(axis, pixel_nm)
    picture = axes[-1].imshow(error, cmap="RdBu_r", vmin=-span, vmax=span)
    axes[-1].set(title="restored - reference", xticks=[], yticks=[])
    above.colorbar(picture, ax=axes[-1], location="bottom", label="grey value (0 to 1)")
    scaled = {name: profile["scaled"] for name, profile in profiles.items()}
    radar = below.add_subplot(1, 2, 1, projection="polar")
    plots.polygon(radar, scaled["restored"], scaled.get("noisy"))
    _numbers(below.add_subplot(1, 2, 2), profiles, plots.NAMES)
    return figure


def _numbers(axis, profiles, names):
    axis.axis("off")
    labels = names | {"psnr": f"{names['psnr']} (dB)", "area": "area of the polygon"}
    cells = []
    for metric, label in labels.items():
        values = [profile[metric] for profile in profiles.values()]
        cells.append([label, *("–" if np.isnan(value) else f"{value:.3f}" for value in values)])
    table = axis.table(cells, colLabels=["metric", *profiles], loc="center")
    table.auto_set_font_size(False)
    table.set_fontsize(9)
    table.scale(1, 1.25)
