"""Two-dimensional views of an embedding: UMAP and t-SNE over one shared neighbour search."""

import contextlib
import warnings

import numpy as np
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors

SMALLEST = 3  # a plane needs three points


def neighbours(embeddings, *, count=91):
    """Find the exact nearest neighbours once, for UMAP and t-SNE alike.

    Parameters
    ----------
    embeddings : array (N, D)
    count : int
        Neighbours an image, itself included; cut to N. 91 serves t-SNE up to perplexity 30.

    Returns
    -------
    indices : int array (N, count)
        Each row starts with the image itself.
    distances : float array (N, count)
        Euclidean.

    Raises
    ------
    ValueError
        With fewer than three images.
    """
    if len(embeddings) < SMALLEST:
        raise ValueError(
            f"a two-dimensional view needs {SMALLEST} or more images, got {len(embeddings)}"
        )
    count = min(count, len(embeddings))
    distances, indices = (
        NearestNeighbors(n_neighbors=count - 1).fit(embeddings).kneighbors()
    )  # not the image itself
    own = np.arange(len(embeddings))[:, None]
    return np.hstack([own, indices]), np.hstack([np.zeros_like(distances[:, :1]), distances])


def umap(embeddings, shared, *, n_neighbors=15, min_dist=0.1, seed=0):
    """UMAP (arXiv 1802.03426) from shared neighbours, started from the first two principal components.

    Parameters
    ----------
    embeddings : array (N, D)
    shared : (indices, distances)
        From `neighbours`.
    n_neighbors, min_dist
        umap-learn's defaults; fewer neighbours where there are fewer images.
    seed : int
        Makes the layout repeatable (and single-threaded).

    Returns
    -------
    float32 array (N, 2)
    """
    from umap import UMAP  # takes seconds to import: only where it is used

    _keep_compiled()
    count = min(n_neighbors, shared[0].shape[1] - 1)
    start = principal_start(embeddings, spread=10)
    model = UMAP(
        n_neighbors=count, min_dist=min_dist, init=start, random_state=seed, n_jobs=1,
        precomputed_knn=(shared[0][:, :count], shared[1][:, :count]),
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", message="precomputed_knn"
        )  # no search index: no new points are asked for
        return model.fit_transform(np.asarray(embeddings, dtype=np.float32))


def _keep_compiled():
    """Let numba keep on disk what umap-learn would compile anew in each process, for several seconds."""
    from numba.core.dispatcher import Dispatcher
    from umap import layouts, umap_

    for function in [*vars(layouts).values(), *vars(umap_).values()]:
        if isinstance(function, Dispatcher) and not function.signatures:
            with contextlib.suppress(RuntimeError):  # no folder to write to
                function.enable_caching()


def tsne(embeddings, shared, *, perplexity=30, seed=0):
    """t-SNE (openTSNE) from shared neighbours, started from the first two principal components.

    The perplexity is lowered where 3 x perplexity exceeds the shared neighbours. The start follows
    Kobak and Linderman 2021, doi 10.1038/s41587-020-00809-z.

    Returns
    -------
    float array (N, 2)
    """
    from openTSNE import TSNEEmbedding
    from openTSNE.affinity import PerplexityBasedNN
    from openTSNE.nearest_neighbors import PrecomputedNeighbors

    indices, distances = shared[0][:, 1:], shared[1][:, 1:]
    perplexity = min(perplexity, indices.shape[1] / 3)
    width = min(indices.shape[1], int(3 * perplexity) or 1)
    graph = PrecomputedNeighbors(indices[:, :width], distances[:, :width])
    affinities = PerplexityBasedNN(knn_index=graph, perplexity=perplexity)
    view = TSNEEmbedding(
        principal_start(embeddings, spread=1e-4), affinities, random_state=seed, n_jobs=1
    )
    view.optimize(n_iter=250, exaggeration=12, momentum=0.5, inplace=True)
    view.optimize(n_iter=500, momentum=0.8, inplace=True)
    return np.asarray(view)


def principal_start(embeddings, *, spread):
    """First two principal components, the first scaled to the standard deviation `spread`."""
    values = np.asarray(embeddings, dtype=np.float64)
    if values.shape[1] < 2:
        values = np.hstack([values, np.zeros_like(values)])
    if (values == values[0]).all():
        raise ValueError(
            f"all {len(values)} embeddings are the same: there is no layout to compute"
        )
    scores = PCA(2, svd_solver="full").fit_transform(values)
    return (scores / scores[:, 0].std() * spread).astype(np.float32)
