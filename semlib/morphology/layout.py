"""Two-dimensional views of an embedding: UMAP and t-SNE from the same start."""

import contextlib
import warnings

import numpy as np
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits

from semlib.morphology.search import neighbours


def umap(embeddings, *, n_neighbors=15, min_dist=0.1, seed=0):
    """UMAP (arXiv 1802.03426) from the first two principal components: float32 (N, 2).

    `n_neighbors` and `min_dist` are umap-learn's defaults; the seed makes the layout repeatable.
    """
    from umap import UMAP  # takes seconds to import: only where it is used

    start = principal_start(embeddings, spread=10)
    _keep_compiled()
    count = min(n_neighbors, len(embeddings) - 1)
    # the neighbours are given: UMAP's own search compiles itself for 20 seconds in each process
    indices, distances = neighbours(embeddings, count)
    itself = np.arange(len(indices))[:, None]  # UMAP wants each image before its nearest others
    indices = np.hstack([itself, indices])[:, :count]
    distances = np.hstack([np.zeros_like(distances[:, :1]), distances])[:, :count]
    options = {"n_neighbors": count, "min_dist": min_dist, "random_state": seed, "n_jobs": 1}
    model = UMAP(init=start, precomputed_knn=(indices, distances), **options)
    with warnings.catch_warnings():
        # it cannot place new points without a search index, and none are asked for
        warnings.filterwarnings("ignore", message="precomputed_knn")
        return model.fit_transform(np.asarray(embeddings, dtype=np.float32))


def tsne(embeddings, *, perplexity=30, seed=0):
    """t-SNE (Barnes-Hut, scikit-learn) from the first two principal components: float32 (N, 2).

    The start follows Kobak and Linderman 2021, doi 10.1038/s41587-020-00809-z. The perplexity is
    lowered to a third of the other images where there are few.
    """
    start = principal_start(embeddings, spread=1e-4)
    perplexity = min(perplexity, (len(embeddings) - 1) / 3)
    model = TSNE(perplexity=perplexity, init=start, random_state=seed)
    with threadpool_limits(1):  # threads add up in any order, and t-SNE magnifies the last digit
        return model.fit_transform(np.asarray(embeddings, dtype=np.float32))


def principal_start(embeddings, *, spread):
    """First two principal components, the first scaled to the standard deviation `spread`."""
    values = np.asarray(embeddings, dtype=np.float64)
    if len(values) < 3:
        raise ValueError(f"a two-dimensional view needs 3 or more images, got {len(values)}")
    scores = PCA(2, svd_solver="full").fit_transform(values)
    return (scores / scores[:, 0].std() * spread).astype(np.float32)


def _keep_compiled():
    """Let numba keep on disk what umap-learn would compile anew in each process, for seconds."""
    from numba.core.dispatcher import Dispatcher
    from umap import layouts, umap_

    for function in [*vars(layouts).values(), *vars(umap_).values()]:
        if isinstance(function, Dispatcher) and not function.signatures:
            with contextlib.suppress(RuntimeError):  # no folder to write to
                function.enable_caching()
