"""The pictures of README and site, from a run of all notebooks: `make gallery`."""

import json

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from PIL import Image

from semlib import paths, plots, saving
from semlib.images import datasets, simulator
from semlib.saving import PALETTE
from semlib.semclip import store
from semlib.semclip.plots import HEAT
from semlib.semnr import calibrate, damage
from semlib.semnr.plots import limits

GALLERY = paths.ROOT / "figures" / "gallery"
COPIED = "dataset_examples", "fig2_umap", "table1_bars", "collapse_map", "semclip_overlays"
WIDTH = 900  # pixels of a copied picture
SHOWN = {"bridge": 1, "hole": 3, "particle": 5, "scratch": 6}  # classes of the preset semclip
UNSEEN = 100  # added to the run's seed: images that no part of the run has met
DOSE = 10  # electrons a pixel of the scan that is restored
ZOOM = 20  # pixels around the defect
CURVES = {"noisy": "0.5", "U-Net MSE": PALETTE[3], "SEMNR": PALETTE[0]}


def copy(folder, *, names=COPIED, width=WIDTH):
    """Copy pictures of a run into ``figures/gallery/``, `width` pixels wide."""
    for name in names:
        with Image.open(folder / f"{name}.png") as image:
            size = width, round(image.height * width / image.width)
            # No palette: it would drop rare colours
            small = image.convert("RGB").resize(size, Image.Resampling.LANCZOS)
        with paths.atomic(GALLERY / f"{name}.png") as temporary:
            small.save(temporary, optimize=True)


def overview(dataset="synthetic"):
    """Draw ``figures/gallery/overview.png``: the three works side by side, 1600 x 700 pixels."""
    saving.style()
    place = paths.of(dataset)
    look = {"font.size": 15, "figure.constrained_layout.use": False, "savefig.bbox": "standard"}
    with plt.rc_context(look):
        figure = plt.figure(figsize=(16, 7), dpi=100)
        columns = {"top": 0.835, "bottom": 0.085}
        _morphology(figure, {"left": 0.015, "right": 0.30} | columns, place)
        _semclip(figure, {"left": 0.375, "right": 0.64} | columns, place)
        _semnr(figure, {"left": 0.74, "right": 0.99} | columns, place)
        shots = max(_parameters(place, "07")["shots"])
        heads = [(0.015, "Clusters without labels", "Sci Rep 2026, notebooks 01 to 06: UMAP")]
        heads += [(0.355, f"Defects from {shots} shots", "SEM-CLIP, notebook 07: words and images")]
        heads += [(0.69, "Which denoiser to trust", "SEMNR, notebook 08: defects kept")]
        for x, title, below in heads:
            figure.text(x, 0.955, title, fontsize=21, weight="bold", va="center")
            figure.text(x, 0.9, below, color="0.35", va="center")
        figure.text(0.015, 0.02, "All images are synthetic.", color="0.35")
        with paths.atomic(GALLERY / "overview.png") as temporary:
            figure.savefig(temporary, dpi=100, bbox_inches=None, metadata={"Software": None})
    plt.close(figure)


def _morphology(figure, box, place):
    """UMAP of the embedding by label, below it one image of each label in the label's colour."""
    labels = datasets.labels(place.name)
    names = np.unique(labels)
    grid = figure.add_gridspec(2, len(names), height_ratios=[5, 1], wspace=0.12, hspace=0.08, **box)
    points = pd.read_csv(place.figures / "embedding_2d.csv")
    points = points[["Proposed SSL UMAP 1", "Proposed SSL UMAP 2"]].to_numpy()
    axis = figure.add_subplot(grid[0, :])
    plots.scatter(axis, points, labels, title="")
    axis.get_legend().remove()
    axis.set_frame_on(False)
    level0 = np.load(place.level(0), mmap_mode="r")
    for number, name in enumerate(names):
        axis = figure.add_subplot(grid[1, number])
        _picture(axis, level0[np.flatnonzero(labels == name)[0]])
        axis.patch.set(edgecolor=PALETTE[number], linewidth=5)
        axis.set_xlabel(f"class {name}", fontsize=13)


def _semclip(figure, box, place):
    """Three images that the fitted model has not seen, their masks and its anomaly maps."""
    seed = _parameters(place, "07")["seed"] + UNSEEN
    labels = list(SHOWN.values())
    batch = simulator.sample(len(labels), seed=seed, preset="semclip", size=240, labels=labels)
    anomaly = store.load(place.data / "semclip" / "model").predict(batch.images).anomaly_maps
    grid = figure.add_gridspec(len(labels), 3, wspace=0.04, hspace=0.04, **box)
    for row, name in enumerate(SHOWN):
        image, mask, values = batch.images[row], batch.masks[row], anomaly[row]
        axes = [figure.add_subplot(grid[row, column]) for column in range(3)]
        _picture(axes[0], image)
        axes[0].set_ylabel(name)
        _picture(axes[1], mask)
        _picture(axes[2], values, cmap=HEAT, vmin=0, vmax=anomaly.max())
        axes[2].contour(mask, [0.5], colors="white", linewidths=1)
        for axis, title in zip(axes, ("image", "mask", "anomaly map"), strict=True):
            axis.set_title(title if row == 0 else "", fontsize=15)


def _semnr(figure, box, place):
    """A defect, its noisy scan and two restorations; below, recall of defects against dose."""
    grid = figure.add_gridspec(2, 4, height_ratios=[1, 3.4], wspace=0.05, hspace=0.08, **box)
    given = _parameters(place, "08")
    scene = damage.scenes(1, seed=given["seed"] + 100, size=given["size"])
    truth = scene.clean[0] / np.float32(255)
    noisy = damage.acquire(truth, seed=[given["seed"], 0], dose=DOSE)
    panels = {"truth": truth, "noisy": noisy}
    panels |= {name: calibrate.calibrated(name, noisy) for name in ("U-Net MSE", "SEMNR")}
    middle = np.argwhere(scene.masks[0]).mean(0).astype(int)
    top, left = np.clip(middle - ZOOM, 0, given["size"] - 2 * ZOOM)
    low, high = limits(truth)
    for column, (name, image) in enumerate(panels.items()):
        axis = figure.add_subplot(grid[0, column])
        _picture(axis, image[top : top + 2 * ZOOM, left : left + 2 * ZOOM], vmin=low, vmax=high)
        axis.set_title(name, fontsize=13, color=CURVES.get(name, "black"))
    axis = figure.add_subplot(grid[1, :])
    table = pd.read_csv(place.figures / "semnr_dose.csv")
    for name, colour in CURVES.items():
        part = table[table["restorer"] == name]
        axis.plot(part["dose"], part["recall"], "o-", color=colour, lw=2.5)
        axis.fill_between(
            part["dose"], part["recall_lo"], part["recall_hi"], color=colour, alpha=0.1
        )
    axis.axvline(DOSE, color="0.6", ls=":", lw=1.5)
    axis.text(DOSE * 1.08, 0.02, "scan above", color="0.4", fontsize=13)
    axis.set(xscale="log", xlabel="electrons a pixel", ylabel="recall of the defect", ylim=(0, 1))
    axis.set_xticks(table["dose"].unique(), labels=table["dose"].unique(), fontsize=13)
    axis.minorticks_off()


def _picture(axis, image, **look):
    axis.imshow(image, **look)
    axis.set(xticks=[], yticks=[])
    for spine in axis.spines.values():
        spine.set_visible(False)


def _parameters(place, number):
    """What the notebook of this number was run with."""
    notebooks = json.loads(place.run_json.read_text(encoding="utf-8"))["notebooks"]
    return next(book["parameters"] for name, book in notebooks.items() if name.startswith(number))
