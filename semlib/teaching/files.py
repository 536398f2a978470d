"""The files of a run as the exercises need them, and small steps that several of them share."""

import numpy as np
import pandas as pd


def table(where, name):
    """A table of the run with full precision."""
    return pd.read_csv(where.figures / f"{name}.csv")


def labels(where):
    """The labels of the labelled images."""
    found = pd.read_csv(where.manifest, dtype=str, keep_default_na=False)["label"]
    if not found.ne("").any():
        raise ValueError(f"this exercise needs labels, and {where.manifest} has none")
    return found[found.ne("")]


def corner_std(level, side):
    """Standard deviation of the upper left `side` x `side` pixels, mean over images."""
    return np.mean([image[:side, :side].std() for image in level])


def history(where, seed):
    """Epoch by epoch, of the paper's recipe."""
    return pd.read_csv(where.ssl(seed) / "history.csv")


def embeddings(where, seed):
    """Of the paper's recipe, (N, 128)."""
    return np.load(where.ssl(seed) / "embeddings.npy").astype(float)


def centred(where, seed):
    """The embeddings minus their mean."""
    found = embeddings(where, seed)
    return found - found.mean(axis=0)


def as_it_is(where):
    """The rows of the controls without equal dimensions, by method."""
    rows = table(where, "table1_controls")
    return rows[rows["space"] == "as it is"].set_index("method")


def most_shots(where, name):
    """The rows of a table at its largest K."""
    rows = table(where, name)
    return rows[rows["k"] == rows["k"].max()]


def denoisers(where):
    """The profile on noisy input, by denoiser."""
    rows = table(where, "semnr_profile")
    return rows[rows["input"] == "noisy"].set_index("denoiser")


def kmeans(points, seed):
    """Cluster of each point, k = 6."""
    from sklearn.cluster import KMeans

    return KMeans(6, n_init=10, random_state=seed).fit_predict(points)


def nearest(points):
    """Index of the nearest other point of each point."""
    from sklearn.neighbors import NearestNeighbors

    return NearestNeighbors(n_neighbors=1).fit(points).kneighbors(return_distance=False)[:, 0]


def most(values):
    """All names that reach the maximum."""
    return set(values.index[values == values.max()])


def least(values):
    return most(-values)
