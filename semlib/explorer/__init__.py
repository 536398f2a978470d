"""The explorer: one HTML file, or a cell in JupyterLab, in which an embedding is looked at image by image."""

import html

import numpy as np
import pandas as pd
from bokeh.embed import file_html
from bokeh.resources import INLINE

from semlib import paths
from semlib.explorer.page import build
from semlib.images import datasets
from semlib.morphology import search
from semlib.paths import atomic
from semlib.saving import source

__all__ = ["build", "widget", "write"]
_PAGE = """{% block preamble %}<meta name="viewport" content="width=device-width, initial-scale=1">{% endblock %}"""


def write(dataset, *, seed=0, neighbours=8):
    """Write ``figures/<dataset>/explorer.html`` from what notebooks 01 to 06 left on disk.

    Parameters
    ----------
    dataset : str or path
    seed : int
        Training of notebook 04.
    neighbours : int
        Images shown for a clicked one.

    Returns
    -------
    Path

    Raises
    ------
    FileNotFoundError
        If a notebook has not run.
    ValueError
        If the files are of different runs.
    """
    where = paths.of(dataset)
    page = file_html(
        _of(dataset, seed, neighbours), INLINE, f"Explorer: {where.name}", template=_PAGE
    )
    with atomic(where.figures / "explorer.html") as temporary:
        temporary.write_text(page, encoding="utf-8")
    return where.figures / "explorer.html"


def widget(dataset, *, height=1000):
    """The written page as the output of a JupyterLab cell; a frame of its own, so that no extension is needed."""
    from IPython.display import HTML

    page = html.escape((paths.of(dataset).figures / "explorer.html").read_text(encoding="utf-8"))
    return HTML(
        f'<div><iframe srcdoc="{page}" width="100%" height="{height}" style="border: 0"></iframe></div>'
    )


def _of(dataset, seed, neighbours):
    where = paths.of(dataset)
    if not (where.figures / "embedding_2d.csv").exists():
        raise FileNotFoundError(f"{where.figures / 'embedding_2d.csv'} is missing: run notebook 06")
    table = pd.read_csv(
        where.figures / "embedding_2d.csv", dtype={"image_id": str}
    )  # "007" is a name, not a number
    manifest = datasets.load_manifest(dataset)
    images, spaces = np.load(where.level(0), mmap_mode="r"), search.methods(dataset, seed)
    spaces["Proposed SSL"] = spaces["Proposed SSL"][0]
    sizes = {len(table), len(manifest), len(images), *map(len, spaces.values())}
    if len(sizes) > 1 or table["image_id"].tolist() != manifest["image_id"].tolist():
        raise ValueError(
            f"{where.figures / 'embedding_2d.csv'} shows other images than the data: run notebook 06"
        )
    views = {
        (name, view): table[[f"{name} {view} 1", f"{name} {view} 2"]].to_numpy()
        for view in ("UMAP", "t-SNE")
        for name in spaces
    }
    groups = {f"cluster: {name}": table[f"{name} cluster"].to_numpy() for name in spaces}
    labels = datasets.labels(dataset)
    ids = manifest["image_id"].str[:12].tolist()
    return build(
        images,
        views,
        spaces,
        groups,
        ids=ids,
        labels=labels,
        neighbours=neighbours,
        note=source(dataset),
    )
