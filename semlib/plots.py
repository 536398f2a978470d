"""Pictures that several notebooks draw: image grids, views by group, scores, Figure 1."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.font_manager import FontProperties
from matplotlib.offsetbox import AnnotationBbox, OffsetImage
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from mpl_toolkits.axes_grid1.anchored_artists import AnchoredSizeBar

from semlib.saving import PALETTE

MARKERS = "osD^vPX*<>ph"
# Legends at the right of an axis
_BESIDE = {"loc": "center left", "bbox_to_anchor": (1, 0.5), "fontsize": 8}
_CORNER = {"loc": "upper left", "bbox_to_anchor": (1, 1), "fontsize": 8}


def image_grid(images, titles, *, masks=None, columns=6, width=1.8, limits=None, pixel_nm=None):
    """Show images in rows, each with its title and, where given, the outline of its mask.

    Parameters
    ----------
    images : sequence of array (H, W), of any sizes
    titles : sequence of str
    masks : sequence of bool array (H, W) or None
    columns, width : images in a row, inches an image
    limits : values that are black and white; without them each uint8 image has its own range
    pixel_nm : sequence of the width of a pixel in nm, for scale bars; 0, "" or None: unknown
    """
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    size = columns * width, rows * (width + 0.4)
    figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for i, (axis, image, title) in enumerate(zip(axes.flat, images, titles, strict=False)):
        # Frames and borders do not count for an image's own range
        low, high = limits or _range(image, min(image.shape) // 20)
        axis.imshow(image, vmin=low, vmax=high, interpolation="nearest" if limits else None)
        axis.set_title(title, fontsize=8)
        if masks is not None and masks[i] is not None and masks[i].any():
            axis.contour(masks[i], [0.5], colors=PALETTE[1], linewidths=0.8)
        if pixel_nm is not None:
            scale_bar(axis, pixel_nm[i])
    return figure


def _range(image, margin=0):
    """Grey range of an image without a margin; never empty."""
    inside = image[margin : len(image) - margin, margin : image.shape[1] - margin]
    low, high = np.percentile(inside, [0.2, 99.8])
    return low, max(high, low + 1)


def length(nanometres):
    """A length in words, in nm or µm, to three digits."""
    number, unit = (nanometres / 1000, "µm") if nanometres >= 1000 else (nanometres, "nm")
    return f"{float(f'{number:.3g}'):g} {unit}"


def scatter(axis, points, groups, *, title):
    """Draw points (N, 2) by group, largest group first so that small classes lie on top.

    `groups` has a label or cluster for each point; the legend gives the counts.
    """
    groups = np.asarray(groups)
    values, counts = np.unique(groups, return_counts=True)
    handles = [None] * len(values)
    for i in np.argsort(-counts, kind="stable"):
        rare = {"s": 36, "alpha": 1, "linewidths": 0.5, "edgecolors": "black"}
        common = {"s": 18, "alpha": 0.65, "linewidths": 0}
        look = rare if counts[i] < 0.1 * len(groups) else common
        handles[i] = axis.scatter(*points[groups == values[i]].T, **_kind(i), **look)
    names = [f"{value} ({count})" for value, count in zip(values, counts, strict=True)]
    axis.legend(handles, names, handletextpad=0.2, **_CORNER)
    axis.set(title=title, xticks=[], yticks=[])


def _kind(i):
    """Marker and colour of the i-th group."""
    return {"marker": MARKERS[i % len(MARKERS)], "color": PALETTE[i % len(PALETTE)]}


def label_and_cluster(points, labels, clusters, *, title, view):
    """One view twice: coloured by label (where there are labels) and by k-means cluster."""
    groups = {"label": labels, "k-means cluster": clusters}
    groups = {name: values for name, values in groups.items() if values is not None}
    figure, axes = plt.subplots(1, len(groups), figsize=(5.6 * len(groups), 4.2), squeeze=False)
    for axis, (name, values) in zip(axes[0], groups.items(), strict=True):
        scatter(axis, points, values, title=f"{title}: {view} by {name}")
        axis.set(xlabel=f"{view} 1", ylabel=f"{view} 2")
    return figure


def thumbnails(points, images, *, title, seed=0):
    """A view with the images themselves at some of its points, as many as fit without overlap."""
    figure, axis = plt.subplots(figsize=(9, 7))
    axis.scatter(*points.T, s=6, c="0.8", linewidths=0)
    apart = np.ptp(points, axis=0) * [0.07, 0.09]
    taken = []
    for i in np.random.default_rng(seed).permutation(len(points)):
        if all((np.abs(points[i] - points[j]) > apart).any() for j in taken):
            taken.append(i)
            low, high = _range(images[i])
            grey = np.clip((images[i] - low) / (high - low), 0, 1)
            shown = OffsetImage(grey, zoom=36 / len(grey), cmap="gray")
            axis.add_artist(AnnotationBbox(shown, points[i], pad=0.05, bboxprops={"lw": 0.5}))
    axis.set(title=title, xticks=[], yticks=[])
    return figure


def table1_bars(table):
    """Table 1 as bars: silhouette and NMI with intervals, the paper's values as diamonds."""
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.6), sharey=True)
    heights = np.arange(len(table))[::-1]
    bars = {"height": 0.6, "color": PALETTE[0], "label": "ours"}
    bars |= {"error_kw": {"lw": 1, "capsize": 3}}
    paper = {"marker": "D", "color": PALETTE[3], "zorder": 3, "label": "paper (Carinthia)"}
    titles = {"silhouette": "silhouette score", "nmi": "NMI"}
    for axis, (name, title) in zip(axes, titles.items(), strict=True):
        ends = table[[f"{name}_lo", f"{name}_hi"]].to_numpy()
        axis.barh(heights, table[name], xerr=np.abs(ends - table[[name]].to_numpy()).T, **bars)
        axis.scatter(table[f"paper_{name}"], heights, **paper)
        left = min(0, axis.get_xlim()[0])
        axis.set(yticks=heights, yticklabels=table["method"], xlabel=title, xlim=(left, None))
    axes[1].legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def collapse_map(table):
    """Silhouette against RankMe and against 1-NN accuracy, a marker for each method and space.

    `table` has method, space, silhouette, rankme, knn_macro; markers of the first space are filled.
    """
    figure, axes = plt.subplots(1, 2, figsize=(11, 4.6), sharey=True)
    names = list(table["method"].unique())
    spaces = list(table["space"].unique())
    for _, row in table.iterrows():
        kind = _kind(names.index(row["method"]))
        colour = kind.pop("color")
        filled = row["space"] == spaces[0]
        look = {"s": 70, "alpha": 0.9, "edgecolors": colour} | kind
        look["facecolors"] = colour if filled else "none"
        axes[0].scatter(row["rankme"], row["silhouette"], **look)
        label = row["method"] if filled else None
        axes[1].scatter(row["knn_macro"], row["silhouette"], label=label, **look)
    axes[0].set(xscale="log", xlabel="RankMe: effective number of dimensions", ylabel="silhouette")
    axes[0].xaxis.set_major_formatter("{x:g}")
    axes[1].set(xlabel="1-NN accuracy, mean over classes")
    if table["knn_macro"].isna().all():
        axes[1].text(0.5, 0.5, "no labels", transform=axes[1].transAxes, ha="center")
    kinds = zip(("filled", "open"), spaces, strict=False)
    title = ", ".join(f"{kind}: {space}" for kind, space in kinds)
    axes[1].legend(title=title, title_fontsize=8, **_BESIDE)
    return figure


def curves(table, x, panels, *, by="method"):
    """Lines over the whole numbers of column `x`, one for each group of column `by`.

    There is a panel for each score in `panels`: its column, and what its axis is called.
    """
    figure, axes = plt.subplots(1, len(panels), figsize=(3.6 * len(panels), 3.4), squeeze=False)
    for axis, (column, label) in zip(axes[0], panels.items(), strict=True):
        for i, (name, part) in enumerate(table.groupby(by, sort=False)):
            axis.plot(part[x], part[column], label=str(name), ms=4, lw=1.2, **_kind(i))
        axis.set(xlabel=x, ylabel=label)
        axis.xaxis.get_major_locator().set_params(integer=True)
    axes[0, -1].legend(**_BESIDE)
    return figure


def heat(table, values):
    """Numbers between 0 and 1 by change and method as colours, a panel for each column: title."""
    import seaborn  # here, as most notebooks would wait a second for it in vain

    figure, axes = plt.subplots(1, len(values), figsize=(6 * len(values), 4), squeeze=False)
    look = {"vmin": 0, "vmax": 1, "cmap": "cividis", "annot": True, "annot_kws": {"size": 9}}
    for axis, (name, title) in zip(axes[0], values.items(), strict=True):
        wide = table.pivot(index="change", columns="method", values=name)
        wide = wide.loc[table["change"].unique(), table["method"].unique()]
        seaborn.heatmap(wide, ax=axis, cbar=axis is axes[0, -1], fmt=".2f", **look)
        axis.set(title=title, xlabel="", ylabel="")
        axis.tick_params(length=0)
        plt.setp(axis.get_xticklabels(), rotation=30, ha="right")
    for axis in axes[0, 1:]:
        axis.set_yticklabels([])
    return figure


def architecture(size=512):
    """Figure 1: preprocessing, pyramid, encoder, projection head and loss, in the sizes in use."""
    figure, axis = plt.subplots(figsize=(11, 4.4))
    axis.set(xlim=(0, 11), ylim=(0, 4.4))
    axis.axis("off")
    image = "SEM image\n480 x 480\nborder crop,\nbicubic resize,\nrange [0, 1]"
    encoder = "encoder $f_\\theta$ (shared)\nconv 32-64-128,\npool, linear 128"
    loss = "loss\n$-\\cos(p^{(a)},$\n$\\mathrm{sg}\\ z^{(b)})$\nmean over\n$a \\neq b$"
    boxes = [(0.75, 2.2, 1.2, 1.5, image, PALETTE[2])]  # x, y, width, height, text, colour
    arrows = []
    for k, y in enumerate((3.5, 2.2, 0.9)):
        boxes.append((2.6, y, 1.1, 0.8, f"L{k}\n{size >> k} x {size >> k}", PALETTE[6]))
        boxes.append((4.75, y, 1.9, 0.8, encoder, PALETTE[0]))
        boxes.append((6.85, y, 1.0, 0.8, f"$z^{{({k})}}$\n128", PALETTE[5]))
        boxes.append((8.55, y, 1.25, 0.8, f"projection\nhead $g$: $p^{{({k})}}$", PALETTE[1]))
        arrows.append(((1.37, 2.2), (2.02, y)))
        arrows += [((x, y), (end, y)) for x, end in ((3.18, 3.77), (5.73, 6.32), (7.38, 7.9))]
        arrows.append(((9.2, y), (9.72, 2.2 + 0.35 * (1 - k))))
    boxes.append((10.3, 2.2, 1.15, 1.5, loss, PALETTE[3]))
    for x, y, width, height, text, colour in boxes:
        look = {"boxstyle": "round,pad=0.03", "fc": colour + "33", "ec": colour}
        axis.add_patch(FancyBboxPatch((x - width / 2, y - height / 2), width, height, **look))
        axis.text(x, y, text, ha="center", va="center", fontsize=8.5)
    for start, end in arrows:
        look = {"arrowstyle": "-|>", "mutation_scale": 10, "color": "0.3", "lw": 1}
        axis.add_patch(FancyArrowPatch(start, end, **look))
    target = "embedding;\ntarget: stop-gradient (sg)"
    use = "after training: $z^{(0)}$ of every image -> k-means, silhouette, NMI, UMAP, t-SNE"
    axis.text(2.6, 4.25, "area downsampling", ha="center", fontsize=9)
    axis.text(6.85, 4.25, target, ha="center", va="center", fontsize=9)
    axis.text(6.85, 0.2, use, ha="center", fontsize=9)
    return figure


def scale_bar(axes, pixel_nm):
    """Draw a scale bar on a shown image whose pixel is `pixel_nm` wide, if known; see `scale`."""
    width = abs(np.subtract(*axes.get_xlim()))  # pixels
    if not (size := scale(width, pixel_nm)):
        return
    pixels, label = size
    look = {"fontproperties": FontProperties(size=7), "color": "white", "frameon": True}
    look |= {"size_vertical": width / 80, "pad": 0.3, "sep": 3}
    bar = AnchoredSizeBar(axes.transData, pixels, label, "lower right", **look)
    bar.patch.set(facecolor="black", alpha=0.6, edgecolor="none")
    axes.add_artist(bar)


def scale(width, pixel_nm):
    """Pixels and label of a scale bar for a picture of `width` pixels; None for an unknown size.

    Its length is 1, 2 or 5 times a power of ten nanometres, at most a quarter of the width.
    """
    if not pixel_nm or not 0 < float(pixel_nm) < np.inf:
        return None
    wanted = width * float(pixel_nm) / 4
    power = 10.0 ** np.floor(np.log10(wanted))
    round_length = power * max((step for step in (1, 2, 5) if step * power <= wanted), default=1)
    return round_length / float(pixel_nm), length(round_length)
