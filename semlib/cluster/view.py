"""A two-dimensional view of a sample of the shards; of a large one with approximate nearest neighbours."""

from pathlib import Path

import numpy as np
import pandas as pd

from semlib.cluster.groups import draw
from semlib.cluster.shards import Shards
from semlib.morphology import layout
from semlib.paths import atomic

EXACT = (
    20_000  # images up to which all distances take less time than compiling the approximate search
)


def neighbours(embeddings, *, count=15, seed=0):
    """Approximate nearest neighbours by descent (pynndescent; Dong 2011, doi 10.1145/1963405.1963487).

    Takes the place of `semlib.morphology.search.neighbours` where N^2 distances are too many.

    Parameters
    ----------
    embeddings : array (N, D)
    count : int
        Neighbours an image, itself included; cut to N.
    seed : int

    Returns
    -------
    indices : int array (N, count)
        Each row starts with the image itself.
    distances : float array (N, count)
        Euclidean.
    """
    from pynndescent import NNDescent  # compiles for seconds: only where it is used

    count = min(count, len(embeddings))
    values = np.asarray(embeddings, np.float32)
    indices, distances = NNDescent(values, n_neighbors=count, random_state=seed).neighbor_graph
    own = np.arange(len(values))[:, None]
    distances = np.where(indices == own, -1, distances)  # itself first, also among equal embeddings
    distances[(distances != -1).all(axis=1), -1] = -1
    order = np.argsort(distances, axis=1, kind="stable")
    indices, distances = (
        np.take_along_axis(indices, order, 1),
        np.take_along_axis(distances, order, 1),
    )
    indices[:, :1], distances[:, 0] = own, 0
    return indices, distances


def write(folder, *, sample=20_000, n_neighbors=15, min_dist=0.1, seed=0):
    """UMAP of a random sample of a complete stage as ``umap.csv`` in its folder.

    Parameters
    ----------
    folder : path
        Of a run's stage, with ``clusters.npy`` if `semlib.cluster.groups.write` has run.
    sample : int
        Images in the view; memory and time follow it, not the number of images. More than `EXACT` take approximate
        neighbours.
    n_neighbors, min_dist, seed
        See `semlib.morphology.layout.umap`.

    Returns
    -------
    DataFrame
        row (in the manifest), x, y and, where known, cluster.
    """
    shards = Shards(folder)
    rows, values = draw(shards, sample, np.random.default_rng(seed))
    if len(values) > EXACT:
        shared = neighbours(values, count=n_neighbors + 1, seed=seed)
    else:
        shared = None
    points = layout.umap(values, shared, n_neighbors=n_neighbors, min_dist=min_dist, seed=seed)
    table = pd.DataFrame({"row": rows, "x": points[:, 0], "y": points[:, 1]})
    clusters = Path(folder) / "clusters.npy"
    if clusters.exists():
        table["cluster"] = np.load(clusters, mmap_mode="r")[rows]
    with atomic(shards.folder / "umap.csv") as temporary:
        table.to_csv(temporary, index=False)
    return table
