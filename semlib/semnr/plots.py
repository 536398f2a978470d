"""Pictures of the trust profile: radar, comparison and zoom, severity, disagreement, flowchart."""

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.patches import FancyBboxPatch, Patch

from semlib.plots import image_grid
from semlib.saving import PALETTE
from semlib.semnr import stress, trust, visibility

LABELS = {"psnr": "PSNR", "ssim": "SSIM", "fsim": "FSIM", "dists": "1 - DISTS", "cnr": "CNR"}
NAMES = LABELS | {"dists": "DISTS", "gcnr": "gCNR", "recall": "defect recall"}


def radar(profiles):
    """A polygon for each scaled profile (name -> dict), that of "identity" behind it in grey."""
    shown = [name for name in profiles if name != "identity"]
    columns = min(5, len(shown))
    lines = -(-len(shown) // columns)
    figure = plt.figure(figsize=(2.9 * columns, 3.0 * lines))
    for number, name in enumerate(shown, 1):
        axis = figure.add_subplot(lines, columns, number, projection="polar")
        polygon(axis, profiles[name], before=profiles["identity"])
        axis.set_title(f"{name}\narea {trust.area(profiles[name].values()):.2f}", fontsize=10)
    colours = {"restored": PALETTE[0], "noisy": "0.55"}
    handles = [Patch(color=colour, alpha=0.5, label=name) for name, colour in colours.items()]
    figure.legend(handles=handles, loc="outside lower left", ncols=2)
    return figure


def polygon(axis, scaled, before=None):
    """Draw one scaled profile on polar axes, the noisy image's in grey; NaN axes are left out."""
    kept = [name for name, value in scaled.items() if not np.isnan(value)]
    angles = np.linspace(0, 2 * np.pi, len(kept), endpoint=False)
    for values, colour, fill in ((before, "0.55", 0.12), (scaled, PALETTE[0], 0.25)):
        if values is not None:
            radii = [values[name] for name in kept]
            axis.plot([*angles, angles[0]], [*radii, radii[0]], color=colour, lw=1.5)
            axis.fill(angles, radii, color=colour, alpha=fill)
    axis.set(theta_offset=np.pi / 2, theta_direction=-1, ylim=(0, 1), xticks=angles)
    axis.set(yticks=[0.5, 1.0], yticklabels=[])
    axis.set_xticklabels([LABELS[name] for name in kept], fontsize=8)
    axis.tick_params(axis="x", pad=8)


def gallery(panels, *, width=1.9):
    """Images (title -> (H, W)) side by side on one grey scale, that of the first."""
    images = list(panels.values())
    return image_grid(images, list(panels), columns=7, width=width, limits=limits(images[0]))


def limits(image):
    """Least and largest grey value of a display that shows this image with a little room."""
    low, high = np.percentile(image, [0.1, 99.9])
    margin = max(0.1 * (high - low), 0.03)
    return low - margin, high + margin


def comparison(panels, captions, mask, *, zoom=24):
    """Whole images above, below the defect enlarged (2 `zoom` pixels a side) and once outlined.

    `panels` maps titles to images (H, W), `captions` some of them to a line below.
    """
    window = visibility.around(mask, 2 * zoom)
    top, left = (side.start for side in window)
    figure, axes = plt.subplots(2, len(panels), figsize=(2.5 * len(panels), 5.4), squeeze=False)
    low, high = limits(next(iter(panels.values())))
    for (above, below), (name, image) in zip(axes.T, panels.items(), strict=True):
        for axis, part in ((above, image), (below, image[window])):
            axis.imshow(part, vmin=low, vmax=high, interpolation="nearest")
            axis.axis("off")
        above.set_title(f"{name}\n{captions.get(name, '')}", fontsize=9)
        above.add_patch(plt.Rectangle((left, top), 2 * zoom, 2 * zoom, fill=False, ec=PALETTE[1]))
    axes[1, 0].contour(mask[window], [0.5], colors=PALETTE[1], linewidths=1)
    return figure


def severity_curves(table):
    """Each metric against severity, a line for each damage of `compare.severity`."""
    figure, axes = plt.subplots(2, 4, figsize=(13, 5.6))
    *used, empty = axes.flat
    options = {"hue": "damage", "palette": PALETTE[: table["damage"].nunique()], "errorbar": "se"}
    for axis, metric in zip(used, stress.METRICS, strict=True):
        sns.lineplot(table, x="severity", y=metric, ax=axis, legend=axis is used[-1], **options)
        unit = {"psnr": " (dB)", "dists": " (distance, 0 is best)"}.get(metric, "")
        axis.set(xlabel="severity (0 to 1)", ylabel=NAMES[metric] + unit)
    used[-1].get_legend().remove()
    empty.axis("off")
    empty.legend(*used[-1].get_legend_handles_labels(), loc="center", fontsize=9)
    return figure


def disagreement(shares):
    """Heat map of `stress.improved`: how often a metric prefers the damaged to the noisy image."""
    figure, axis = plt.subplots(figsize=(8.2, 0.5 * len(shares) + 1.6))
    shares = shares.rename(columns=NAMES).astype(float)
    bar = {"label": "share of cases called better"}
    sns.heatmap(shares, vmin=0, vmax=1, cmap="RdYlBu", annot=True, fmt=".2f", cbar_kws=bar)
    axis.set(xlabel="", ylabel="")
    axis.tick_params(axis="y", rotation=0)
    return figure


def flowchart():
    """The flowchart of `trust.verdict`, drawn from what it walks: flags above, then the rules."""
    lines = {"Flags first": trust.FLAGS, "No flag: the rules": (*trust.RULES, trust.TRUSTED)}
    figure, axes = plt.subplots(2, 1, figsize=(2.1 * len(trust.FLAGS), 8.2))
    for axis, (title, rules) in zip(axes, lines.items(), strict=True):
        axis.set_title(title, loc="left", fontsize=10)
        axis.set(xlim=(-0.5, len(trust.FLAGS) - 0.5), ylim=(-0.45, 2.5))
        axis.axis("off")
        for i, rule in enumerate(rules):
            trusted = rule is trust.TRUSTED
            _box(axis, i, 2.05, "all no" if trusted else rule.question, PALETTE[0])
            _arrow(axis, (i, 1.7), (i, 1.32), "" if trusted else "yes")
            if i + 1 < len(rules):
                _arrow(axis, (i + 0.4, 2.05), (i + 0.6, 2.05), "no")
            _box(axis, i, 1.0, rule.name, PALETTE[5] if trusted else PALETTE[3])
            _arrow(axis, (i, 0.68), (i, 0.32), "")
            _box(axis, i, 0.0, rule.next, "#777777")
    return figure


def _box(axis, x, y, text, colour):
    style = {"boxstyle": "round,pad=0.01", "fc": colour + "26", "ec": colour}
    axis.add_patch(FancyBboxPatch((x - 0.39, y - 0.3), 0.78, 0.6, **style))
    axis.text(x, y, text, ha="center", va="center", fontsize=8)


def _arrow(axis, start, end, text):
    axis.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "color": "0.3"})
    is_down = start[0] == end[0]
    x = (start[0] + end[0]) / 2 + 0.03 * is_down
    y = (start[1] + end[1]) / 2 + 0.04
    axis.text(x, y, text, fontsize=8, va="bottom", ha="left" if is_down else "center")
