"""One page about one restoration, as a figure."""

import textwrap

import matplotlib.pyplot as plt
import numpy as np

from semlib.semnr import plots


def page(reference, restored, found, *, before=None, noisy=None, said=None, title="Trust profile"):
    """One page about one restoration: images, difference, radar, numbers, verdict.

    Parameters
    ----------
    reference, restored : float array (H, W), in [0, 1]
    found : dict
        Profile of `restored`; `before` that of the noisy image.
    noisy : float array (H, W), optional
    said : str, optional
        The verdict, in words.
    title : str

    Returns
    -------
    matplotlib Figure
    """
    figure = plt.figure(figsize=(11, 7.6))
    header, above, below = figure.subfigures(3, 1, height_ratios=(0.08, 1, 1))
    header.text(0.5, 0.4, title, ha="center", va="center", fontsize=12)
    images = {"reference": reference, "noisy": noisy, "restored": restored}
    shown = {name: image for name, image in images.items() if image is not None}
    axes = above.subplots(1, len(shown) + 1)
    low, high = plots.limits(reference)
    for axis, (name, image) in zip(axes, shown.items(), strict=False):
        axis.imshow(image, vmin=low, vmax=high)
        axis.set(title=name, xticks=[], yticks=[])
    error = restored - reference
    span = max(float(np.percentile(np.abs(error), 99.5)), 1e-3)
    picture = axes[-1].imshow(error, cmap="RdBu_r", vmin=-span, vmax=span)
    axes[-1].set(title="restored - reference", xticks=[], yticks=[])
    above.colorbar(picture, ax=axes[-1], location="bottom", label="grey value (0 to 1)")
    grid = below.add_gridspec(1, 2)
    plots.polygon(
        below.add_subplot(grid[0], projection="polar"), found["scaled"], before and before["scaled"]
    )
    _numbers(below.add_subplot(grid[1]), found, before, said)
    return figure


def _numbers(axis, found, before, said):
    axis.axis("off")
    rows = [
        [
            plots.NAMES[name] + (" (dB)" if name == "psnr" else ""),
            *(_number(profile[name]) for profile in (before, found) if profile),
        ]
        for name in plots.NAMES
    ]
    rows.append(
        [
            "area of the polygon",
            *(f"{profile['area']:.3f}" for profile in (before, found) if profile),
        ]
    )
    columns = ["metric", *(["noisy"] if before else []), "restored"]
    table = axis.table(
        rows, colLabels=columns, loc="upper center", cellLoc="center", edges="horizontal"
    )
    table.auto_set_font_size(False)
    table.set_fontsize(9)
    table.scale(1, 1.25)
    lines = [
        textwrap.fill(textwrap.shorten(line, 240), 78)
        for line in ([said] if said else []) + found["notes"]
    ]
    text = axis.text(0.02, 0.0, "\n".join(lines), fontsize=9, va="bottom", transform=axis.transAxes)
    text.set_in_layout(False)


def _number(value):
    return "–" if np.isnan(value) else f"{value:.3f}"
