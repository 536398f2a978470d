"""Pictures of SEM-CLIP: anomaly maps, confusion matrices, scores against shots, attention, text."""

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.ticker import LogFormatter
from sklearn.metrics import confusion_matrix

from semlib.plots import MARKERS
from semlib.saving import PALETTE
from semlib.semclip.study import FULL

HEAT = "viridis"  # read with any colour vision
MARGIN = 0.06  # of a score above and below the means


def overlays(images, masks, maps, names):
    """A row for each image (H, W): the image, its mask, and each method's map, mask outlined.

    `maps` are (n, H, W) by method. Values of two methods are not comparable: each has its own
    colour scale, from the 1st to the 99.9th percentile of its maps shown here.
    """
    figure, axes = _table(images, names, ["image", "mask", *maps], 1.5)
    for i, (image, mask) in enumerate(zip(images, masks, strict=True)):
        axes[i, 1].imshow(mask, vmin=0, vmax=1)
        for axis, values in zip(axes[i, 2:], maps.values(), strict=True):
            _heat(axis, image, values[i], np.percentile(values, [1, 99.9]), mask)
    return figure


def confusions(labels, predicted, classes):
    """Confusion matrices side by side, as shares of each true class; labels (n,) by method."""
    side = 0.46 * len(classes) + 0.4
    size = side * len(predicted) + 1.4, side + 1.2
    figure, axes = plt.subplots(1, len(predicted), figsize=size, squeeze=False, sharey=True)
    look = {"annot": True, "fmt": ".2f", "annot_kws": {"fontsize": 7}, "cmap": "Blues"}
    look |= {"vmin": 0, "vmax": 1, "square": True, "cbar": False}
    for axis, (name, guesses) in zip(axes[0], predicted.items(), strict=True):
        shares = confusion_matrix(labels, guesses, labels=range(len(classes)), normalize="true")
        sns.heatmap(shares, xticklabels=classes, yticklabels=classes, ax=axis, **look)
        axis.set_title(f"{name}\naccuracy {np.mean(labels == guesses):.2f}", fontsize=10)
        axis.tick_params(axis="x", rotation=90)
        axis.tick_params(axis="y", rotation=0)
    figure.supxlabel("predicted class")
    figure.supylabel("true class (rows sum to 1)")
    return figure


def shot_curves(summary, metrics, *, columns=3):
    """Score against shots a class: a panel for each metric, a line with 95 % intervals a method.

    SEM-CLIP is black, no supervision a horizontal line. A panel holds all means; where an interval
    is wider, it is cut. Takes `findings.summarise`.
    """
    methods = sorted(summary["method"].unique(), key=lambda name: name != FULL)  # ours first
    supervision = summary.groupby("method")["supervision"].first()
    looks = _looks(methods)
    shots = sorted(summary["k"].unique())
    rows = -(-len(metrics) // columns)  # rounded up
    size = 3.1 * columns + 2.8, 2.9 * rows
    figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=False)
    for axis, metric in zip(axes.flat, metrics, strict=True):
        for i, (name, part) in enumerate(summary.groupby("method", sort=False)):
            mean = part.set_index("k").reindex(shots)[[metric, f"{metric}_lo", f"{metric}_hi"]]
            if supervision[name] == "none" and mean[metric].notna().any():
                looks[name]["marker"] = None
                axis.axhline(mean[metric].mean(), **looks[name])
                continue
            places = np.arange(len(shots)) + (i - (len(methods) - 1) / 2) * 0.04
            spans = mean.iloc[:, 1:].sub(mean[metric], axis=0).abs().to_numpy().T
            drawn = axis.errorbar(places, mean[metric], spans, elinewidth=0.9, **looks[name])
            drawn[2][0].set_alpha(1 if name == FULL else 0.4)  # the intervals
        axis.set(title=metric, xlabel="shots a class", xticks=range(len(shots)), xticklabels=shots)
        axis.grid(axis="y", color="0.9", lw=0.6)
        axis.locator_params(axis="y", nbins=6)
        low, high = summary[metric].min() - MARGIN, summary[metric].max() + MARGIN
        axis.set_ylim(max(low, -0.02), min(high, 1.02))
    names = [f"{name}: {supervision[name]}" for name in methods]
    handles = [plt.Line2D([], [], **looks[name]) for name in methods]
    figure.legend(handles, names, loc="outside right upper", title="method: supervision")
    return figure


def cross_domain(table, score):
    """A matrix for each method: learnt on the world of a row, tested on that of a column.

    Takes `cross_domain.evaluate`; all panels share one colour scale, 0 to 1.
    """
    methods = table["method"].unique()
    worlds = table["fit"].unique()
    side = 0.62 * len(worlds) + 0.3
    size = side * len(methods) + 2.2, side + 1.4
    figure, axes = plt.subplots(1, len(methods), figsize=size, squeeze=False, sharey=True)
    look = {"annot": True, "fmt": ".2f", "annot_kws": {"fontsize": 8}, "cmap": "cividis"}
    look |= {"vmin": 0, "vmax": 1, "square": True, "cbar": False}
    for axis, method in zip(axes[0], methods, strict=True):
        wide = table[table["method"] == method].pivot(index="fit", columns="test", values=score)
        sns.heatmap(wide.loc[worlds, worlds], ax=axis, **look)
        axis.set(xlabel="", ylabel="")
        axis.set_title(method.replace(" + ", " +\n"), fontsize=9)
        axis.tick_params(axis="x", rotation=90)
        axis.tick_params(axis="y", rotation=0)
    figure.supylabel("learnt on")
    figure.supxlabel(f"tested on ({score})")
    return figure


def costs(table):
    """Hours of people against shots, a line a method, beside inspection by eye: `cost.table`.

    Dots on a line are shots at which the method costs less than the eye; diamonds are a U-Net with
    ten times the masks, where it was run.
    """
    methods = sorted(table["method"].unique(), key=lambda name: name != FULL)
    looks = _looks(methods)
    shots = sorted(table["k"].unique())
    figure, axis = plt.subplots(figsize=(8.6, 4.2))
    lines = []
    for name in methods:
        look = looks[name] | {"marker": ""}
        some = table[table["method"] == name].set_index("k").reindex(shots)
        hours = some["total_minutes"] / 60
        lines += axis.plot(range(len(shots)), hours, **look)
        cheaper = np.flatnonzero(some["total_minutes"] < some["by_eye_minutes"])
        axis.plot(cheaper, hours.iloc[cheaper], "o", color=look["color"], ms=4)
    ten = table.groupby("k")["unet_10x_minutes"].first().reindex(shots) / 60
    diamonds = axis.plot(range(len(shots)), ten, "D", color="0.35", ms=6, mfc="none")
    eye = axis.axhline(table["by_eye_minutes"].iloc[0] / 60, color="0.35", ls="--", lw=1.2)
    axis.set(xlabel="shots a class", ylabel="hours of people", xticks=range(len(shots)))
    axis.set_xticklabels(shots)
    axis.set_yscale("log")
    axis.yaxis.set_major_formatter(LogFormatter())  # 40 and not 4 x 10^1
    axis.yaxis.set_minor_formatter(LogFormatter())
    axis.grid(axis="y", color="0.9", lw=0.6)
    names = [*methods, "inspection by eye", "U-Net, 10 times the masks"]
    figure.legend([*lines, eye, *diamonds], names, loc="outside right upper", fontsize=8)
    return figure


def _looks(methods):
    """Colour, marker and line of each method; line styles tell repeats of a colour apart."""
    colours = [colour for colour in PALETTE if colour not in ("#000000", "#F0E442")]
    looks = {}
    for i, name in enumerate(name for name in methods if name != FULL):
        look = {"color": colours[i % len(colours)], "marker": MARKERS[(i + 1) % len(MARKERS)]}
        looks[name] = look | {"ms": 4, "lw": 1.1, "ls": ("-", "--", ":")[i // len(colours) % 3]}
    return looks | {FULL: {"color": "black", "marker": "o", "ms": 5.5, "lw": 2.2, "zorder": 5}}


def attention(images, original, vv, grid, names):
    """A row for each image: the image, and where each path looks.

    `original` and `vv` (n, P) are weights of the patches on the `grid`, shown as multiples of the
    even weight 1 / P, every panel on its own scale up to the largest, which is written below it.
    """
    figure, axes = _table(images, names, ["image", "original path", "V-V path"], 2.0)
    for i, image in enumerate(images):
        for axis, weights in zip(axes[i, 1:], (original[i], vv[i]), strict=True):
            even = weights.reshape(grid) / weights.mean()
            _heat(axis, image, even, (0, even.max()))
            axis.set_xlabel(f"up to {even.max():.1f} times even", fontsize=8)
    return figure


def false_alarms(images, text, before, after, count=3):
    """A row for each of the first images with burnt-in text: its map before and after tuning.

    All maps are on one colour scale; below each stands its mean on the text and elsewhere.
    """
    images, text, before, after = (part[:count] for part in (images, text, before, after))
    names = ["defect-free"] * len(images)
    figure, axes = _table(images, names, ["image", "before tuning", "after tuning"], 2.2)
    limits = min(before.min(), after.min()), max(before.max(), after.max())
    for i, image in enumerate(images):
        for axis, values in zip(axes[i, 1:], (before[i], after[i]), strict=True):
            drawn = _heat(axis, image, values, limits, text[i])
            means = values[text[i]].mean(), values[~text[i]].mean()
            axis.set_xlabel("text {:.2f}, elsewhere {:.2f}".format(*means), fontsize=8)
    figure.colorbar(drawn, ax=axes, shrink=0.7, label="anomaly")
    return figure


def _table(images, names, titles, width):
    """Axes (rows, columns) without ticks: images in the first column, names to the left."""
    size = width * len(titles) + 0.4, width * len(names) + 0.4
    plain = {"xticks": [], "yticks": [], "frame_on": False}
    figure, axes = plt.subplots(
        len(names), len(titles), figsize=size, squeeze=False, subplot_kw=plain
    )
    for axis, image, name in zip(axes[:, 0], images, names, strict=True):
        axis.imshow(image)
        axis.set_ylabel(name, fontsize=9)
    for axis, title in zip(axes[0], titles, strict=True):
        axis.set_title(title, fontsize=9)
    return figure, axes


def _heat(axis, image, values, limits, mask=None):
    """The image, the values in colour over it (a coarser map fills it), and the mask's outline."""
    height, width = image.shape
    axis.imshow(image)
    frame = -0.5, width - 0.5, height - 0.5, -0.5
    look = {"cmap": HEAT, "alpha": 0.65, "vmin": limits[0], "vmax": limits[1], "extent": frame}
    drawn = axis.imshow(values, **look)
    if mask is not None and mask.any():
        axis.contour(mask, [0.5], colors=PALETTE[3], linewidths=0.6)
    return drawn
