"""How results look and where they go: the figure style, tables, and the source of the data."""

import inspect
import re

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from semlib import paths
from semlib.images.download import ARCHIVES
from semlib.paths import atomic

# Okabe and Ito's colours, told apart with any colour vision; brown and violet for two more methods
PALETTE = ["#0072B2", "#E69F00", "#999999", "#D55E00", "#CC79A7", "#009E73", "#56B4E9", "#F0E442"]
PALETTE += ["#000000", "#8C510A", "#6A3D9A"]
STYLE = {
    "figure.dpi": 100,
    "savefig.dpi": 150,
    "savefig.bbox": "tight",
    "figure.constrained_layout.use": True,
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": False,
    "axes.prop_cycle": plt.cycler(color=PALETTE),
    "image.cmap": "gray",
    "legend.frameon": False,
    "svg.hashsalt": "semlib",  # the same ids in each run, so that a seed gives the same bytes
    "svg.fonttype": "none",
}


def style():
    """Switch matplotlib to the style of the suite."""
    plt.rcParams.update(STYLE)


def source(dataset):
    """Say in a few words where the images come from; every caption and figure carries it."""
    if str(dataset) == "synthetic":
        return "synthetic images (semlib simulator, not Carinthia)"
    if str(dataset) in ARCHIVES:
        return ARCHIVES[str(dataset)].source
    return f"own images ({paths.of(dataset).raw.name})"


def save_figure(figure, dataset, name, *, stamp=True, data=None):
    """Write a figure as PNG and SVG into ``figures/<dataset>/``; returns the path of the PNG.

    Parameters
    ----------
    name : file name without ending, such as "fig2_umap"
    stamp : whether to say below it where its data come from; False for a drawing without data
    data : where the data come from, when that is not the data set
    """
    origin = data or source(dataset)
    if stamp:
        figure.text(0.995, -0.005, origin, ha="right", va="top", fontsize=7, color="0.35")
    png = {"metadata": {"Software": None} | ({"Source": origin} if stamp else {})}
    # Noisy images get as small with compression 3 as with 6, in a third of the time
    png["pil_kwargs"] = {"compress_level": 3}
    # One layout for both files: each savefig would else compute it anew before it draws
    figure.draw_without_rendering()
    with plt.rc_context({"figure.constrained_layout.use": False}):
        figure.set_layout_engine(None)
        box = figure.get_tightbbox().padded(plt.rcParams["savefig.pad_inches"])
        for ending, options in ("svg", {"metadata": {"Date": None}}), ("png", png):
            path = paths.of(dataset).figures / f"{name}.{ending}"
            with atomic(path) as temporary:
                figure.savefig(temporary, bbox_inches=box, **options)
    return path


def save_table(table, dataset, name, caption, *, digits=3, csv=None, data=None):
    """Write a table as CSV (full precision), Markdown and LaTeX into ``figures/<dataset>/``.

    Returns what a reader sees: numbers as text, a dash where there is none.

    Parameters
    ----------
    name, data : as in `save_figure`
    caption : one sentence; the source of the data is added to it
    digits : decimals in Markdown and LaTeX
    csv : DataFrame for the CSV, where that is more than the table for readers
    """
    caption = f"{caption} Data: {data or source(dataset)}."
    shown = table.apply(lambda column: column.map(lambda value: _text(value, digits)))
    file = paths.of(dataset).figures / name
    paths.write_text(file.with_suffix(".csv"), (table if csv is None else csv).to_csv(index=False))
    paths.write_text(file.with_suffix(".md"), f"{markdown(shown)}\n\n{caption}\n")
    unique = shown.reset_index(drop=True)  # which pandas needs for LaTeX
    escaped = re.sub(r"([&%_#$])", r"\\\1", caption)  # pandas escapes cells only
    latex = unique.to_latex(index=False, escape=True, caption=escaped, label=f"tab:{name}")
    paths.write_text(file.with_suffix(".tex"), latex)
    return shown


def markdown(table):
    """A table of texts as Markdown."""
    texts = table.astype(str).replace(r"\|", r"\\|", regex=True)
    return texts.to_markdown(index=False, tablefmt="pipe", disable_numparse=True)


def code(*objects):
    """The source of functions or classes, coloured, for a notebook that shows its method."""
    from IPython.display import Code

    return Code("\n\n".join(inspect.getsource(one) for one in objects), language="python")


def with_interval(table, name):
    """Join the columns name, name_lo and name_hi to texts such as "0.451 [0.402, 0.488]".

    A single value has no interval and stands alone; a dash where there is none.
    """
    texts = []
    for value, low, high in zip(*(table[name + end] for end in ("", "_lo", "_hi")), strict=True):
        interval = f" [{low:.3f}, {high:.3f}]" if np.isfinite(low) else ""
        texts.append(f"{value:.3f}{interval}" if np.isfinite(value) else "–")
    return texts


def _text(value, digits):
    if isinstance(value, (float, np.floating)):
        return f"{value:.{digits}f}" if np.isfinite(value) else "–"
    return "–" if value is None or value is pd.NA else str(value)
