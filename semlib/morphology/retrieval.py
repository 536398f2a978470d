"""The embedding as a tool: images like this one, images like no other, and whether two batches differ."""

import numpy as np
from scipy.spatial.distance import cdist
from sklearn.neighbors import NearestNeighbors


def similar(embeddings, query, *, count=5, leave_out=None):
    """Nearest embeddings of a query, nearest first.

    Parameters
    ----------
    embeddings : array (N, D)
    query : array (D,)
    count : int
        At most this many.
    leave_out : int, optional
        Row that does not count, for a query that is itself one of the rows.

    Returns
    -------
    rows : int array (count,)
    distances : float array (count,)
        Euclidean.
    """
    distances = cdist(
        np.asarray(query, dtype=np.float64)[None], np.asarray(embeddings, dtype=np.float64)
    )[0]
    rows = np.argsort(distances, kind="stable")
    rows = rows[rows != leave_out][:count]
    return rows, distances[rows]


def unusualness(embeddings, *, neighbours=5):
    """Mean distance of each embedding to its nearest others (Angiulli and Pizzuti 2002, doi 10.1007/3-540-45681-3_2).

    The mean over several keeps a pair of equal outliers from hiding each other.

    Parameters
    ----------
    embeddings : array (N, D)
    neighbours : int
        At most N - 1.

    Returns
    -------
    float array (N,)

    Raises
    ------
    ValueError
        With fewer than two embeddings.
    """
    if len(embeddings) < 2:
        raise ValueError(f"an image is unusual only among others: got {len(embeddings)}")
    model = NearestNeighbors(n_neighbors=min(neighbours, len(embeddings) - 1)).fit(embeddings)
    return model.kneighbors()[0].mean(axis=1)  # without a query no image is its own neighbour


def drift(first, second, *, draws=500, seed=0):
    """Energy distance of two batches, with a permutation test (Szekely and Rizzo 2013, doi 10.1016/j.jspi.2013.03.018).

    ``E = 2 mean|x - y| - mean|x - x'| - mean|y - y'|`` is zero only for equal distributions, in any number of
    dimensions, and has no width to choose.

    Parameters
    ----------
    first, second : array (N, D), (M, D)
    draws : int
        Permutations of the pooled batch.
    seed : int

    Returns
    -------
    dict
        energy; null_q95, its 95th percentile over permutations; p, the share of permutations (the observed order
        included) that reach it, at least 1 / (draws + 1).

    Raises
    ------
    ValueError
        If a batch has fewer than two embeddings.
    """
    sizes = len(first), len(second)
    if min(sizes) < 2:
        raise ValueError(
            f"two batches of two or more embeddings are needed, got {sizes[0]} and {sizes[1]}"
        )
    pooled = np.concatenate([first, second]).astype(np.float64)
    distances = cdist(pooled, pooled)
    weights = np.repeat([1 / sizes[0], -1 / sizes[1]], sizes)
    rng = np.random.default_rng(seed)
    orders = np.array([weights, *(rng.permutation(weights) for _ in range(draws))])
    energies = -((orders @ distances) * orders).sum(axis=1)
    reached = energies[1:] >= energies[0] * (1 - 1e-9)
    p = (1 + reached.sum()) / (draws + 1)
    return {
        "energy": float(energies[0]),
        "null_q95": float(np.quantile(energies[1:], 0.95)),
        "p": float(p),
    }
