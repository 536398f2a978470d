"""How results look and where they go: one figure style, tables as CSV, Markdown and LaTeX, and where data come from."""

import inspect
import textwrap

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from PIL import Image

from semlib import paths
from semlib.paths import atomic

# Okabe and Ito's colours, told apart with any colour vision; brown and violet for the tenth and eleventh method
PALETTE = [
    "#0072B2", "#E69F00", "#999999", "#D55E00", "#CC79A7", "#009E73", "#56B4E9", "#F0E442", "#000000",
    "#8C510A", "#6A3D9A",
]  # fmt: skip
STYLE = {
    "figure.dpi": 100, "savefig.dpi": 150, "savefig.bbox": "tight", "figure.constrained_layout.use": True,
    "font.size": 10, "axes.titlesize": 11, "axes.spines.top": False, "axes.spines.right": False,
    "axes.grid": False, "image.cmap": "gray", "legend.frameon": False, "svg.hashsalt": "semlib", "svg.fonttype": "none",
}  # fmt: skip


def style():
    """Switch matplotlib to the style of the suite."""
    plt.rcParams.update(STYLE)
    plt.rcParams["axes.prop_cycle"] = plt.cycler(color=PALETTE)


def source(dataset):
    """Say in a few words where the images come from; every caption and figure carries it."""
    names = {
        "synthetic": "synthetic images (semlib simulator, not Carinthia)",
        "carinthia": "Carinthia (Zenodo 10715190, CC BY 4.0)",
        "carinthia-s": "Carinthia-S (Zenodo 16895427, CC BY 4.0)",
    }
    return names.get(str(dataset), f"own images ({paths.of(dataset).raw.name})")


def save_figure(figure, dataset, name, *, stamp=True, data=None):
    """Write a figure as PNG and SVG into ``figures/<dataset>/``, stamped with where its data come from.

    Parameters
    ----------
    figure : matplotlib Figure
    dataset : str
    name : str
        File name without ending, such as "fig2_umap".
    stamp : bool
        False for a drawing that shows no data.
    data : str, optional
        Where the data come from, when that is not the data set.

    Returns
    -------
    Path
        The PNG.
    """
    if stamp:
        figure.text(
            0.995, -0.005, data or source(dataset), ha="right", va="top", fontsize=7, color="0.35"
        )
    origin = {"Source": data or source(dataset)} if stamp else {}
    quick = {"compress_level": 3}  # noisy images get as small as with 6, in a third of the time
    formats = {
        "svg": {"metadata": {"Date": None}},
        "png": {"metadata": {"Software": None} | origin, "pil_kwargs": quick},
    }
    figure.draw_without_rendering()  # lays it out, once for all drawings: each would else do so before it draws
    with plt.rc_context({"figure.constrained_layout.use": False}):
        figure.set_layout_engine(None)
        box = figure.get_tightbbox().padded(plt.rcParams["savefig.pad_inches"])
        for ending, options in formats.items():
            path = paths.of(dataset).figures / f"{name}.{ending}"
            with atomic(path) as temporary:
                figure.savefig(temporary, bbox_inches=box, **options)
    return path


def save_table(table, dataset, name, caption, *, digits=3, csv=None, data=None):
    """Write a table as CSV (full precision), Markdown and LaTeX into ``figures/<dataset>/``.

    Parameters
    ----------
    table : DataFrame
    dataset : str
    name : str
        File name without ending, such as "table1".
    caption : str
        One sentence; the data source is added to it.
    digits : int
        Decimals in Markdown and LaTeX.
    csv : DataFrame, optional
        What the CSV holds, where it is more than the table for readers.
    data : str, optional
        Where the data come from, when that is not the data set.

    Returns
    -------
    DataFrame
        What a reader sees: numbers as text with `digits` decimals, a dash where there is none.
    """
    caption = f"{caption} Data: {data or source(dataset)}."
    shown = table.apply(lambda column: column.map(lambda value: _text(value, digits)))
    folder = paths.of(dataset).figures
    with atomic(folder / f"{name}.csv") as temporary:
        (table if csv is None else csv).to_csv(temporary, index=False)
    with atomic(folder / f"{name}.md") as temporary:
        temporary.write_text(f"{_markdown(shown)}\n\n{caption}\n", encoding="utf-8")
    with atomic(folder / f"{name}.tex") as temporary:
        temporary.write_text(_latex(shown, caption, name), encoding="utf-8")
    return shown


def gallery(dataset, names, *, width=900):
    """Copy figures of a run into ``figures/gallery/``, at the size of the README: `width` pixels."""
    for name in names:
        with Image.open(paths.of(dataset).figures / f"{name}.png") as image:
            size = width, round(image.height * width / image.width)
            small = image.convert("RGB").resize(
                size, Image.Resampling.LANCZOS
            )  # no palette: rare colours would go
        with atomic(paths.figures_root() / "gallery" / f"{name}.png") as temporary:
            small.save(temporary, optimize=True)


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


def _markdown(shown):
    rows = [list(shown.columns), ["---"] * shown.shape[1], *shown.to_numpy().tolist()]
    return "\n".join(
        "| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |" for row in rows
    )


def _latex(shown, caption, name):
    def line(cells):
        return " & ".join(_escape(str(cell)) for cell in cells) + r" \\"

    body = "\n".join(line(row) for row in shown.to_numpy().tolist())
    return (
        textwrap.dedent(r"""
        \begin{{table}}
        \caption{{{caption}}}\label{{tab:{name}}}
        \begin{{tabular}}{{{columns}}}
        \toprule
        {head}
        \midrule
        {body}
        \bottomrule
        \end{{tabular}}
        \end{{table}}
        """)
        .lstrip()
        .format(  # fmt: skip
            caption=_escape(caption),
            name=name,
            columns="l" * shown.shape[1],
            head=line(shown.columns),
            body=body,
        )
    )


def _escape(text):
    for mark in "&%_#$":
        text = text.replace(mark, f"\\{mark}")
    return text.replace("–", "--")
