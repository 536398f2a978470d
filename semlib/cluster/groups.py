"""k-means over shards: a start from a sample, then mini-batches; and a silhouette from samples, with its error."""

import json
from dataclasses import dataclass

import numpy as np
from numpy.lib.format import open_memmap
from sklearn.cluster import MiniBatchKMeans
from sklearn.metrics import silhouette_score
from sklearn.preprocessing import StandardScaler
from tqdm import tqdm

from semlib.cluster.shards import Shards
from semlib.morphology import clustering
from semlib.paths import atomic


@dataclass(frozen=True)
class Groups:
    """A fitted mini-batch k-means and, where the columns were standardised, their scaler."""

    model: MiniBatchKMeans
    scaler: StandardScaler | None

    def prepare(self, values):
        """The rows without NaN as float64, standardised like those of the fit, and which rows they are."""
        good = np.isfinite(values).all(axis=1)
        return _scaled(np.asarray(values[good], np.float64), self.scaler), good

    def predict(self, values):
        """Cluster of each row (n,), int16; -1 for rows with NaN."""
        rows, good = self.prepare(values)
        found = np.full(len(values), -1, np.int16)
        if len(rows):
            found[good] = self.model.predict(rows)
        return found


def fit(shards, *, k=6, standardise=False, sample=10_000, passes=1, seed=0, progress=True):
    """Cluster embeddings or features that do not fit into memory.

    The k-means of the notebooks (`semlib.morphology.clustering.fit_clusters`, ten starts) on a sample gives the centres
    from which mini-batch k-means (Sculley 2010, doi 10.1145/1772690.1772862; scikit-learn) goes on, a shard a step.
    Sample, one pass and shards as batches are our choice.

    Parameters
    ----------
    shards : Shards
        Rows (n, D); rows with NaN are left out.
    k : int
    standardise : bool
        Bring each column to mean 0 and standard deviation 1, as notebook 05 does for the baselines.
    sample : int
        Rows for the start.
    passes : int
        How often every shard is used, each time in another order.
    seed : int

    Returns
    -------
    Groups
    """
    scaler = _scaler(shards, progress) if standardise else None
    rng = np.random.default_rng(seed)
    start = clustering.fit_clusters(
        _scaled(draw(shards, sample, rng)[1], scaler), k=k, seed=seed
    ).cluster_centers_
    groups = Groups(
        MiniBatchKMeans(k, init=start, n_init=1, reassignment_ratio=0, random_state=seed), scaler
    )
    order = np.concatenate([rng.permutation(shards.chunks) for _ in range(passes)])
    for index in tqdm(order, desc="mini-batch k-means", unit="shard", disable=not progress):
        rows, _ = groups.prepare(shards.load(index))
        if len(rows):
            groups.model.partial_fit(rows)
    return groups


def silhouette(shards, groups, *, draws=10, sample=1000, seed=0):
    """Mean silhouette of all images, estimated from disjoint random samples.

    Each sample gives the mean silhouette within itself; the estimate is their mean and its standard error their
    standard deviation / sqrt(draws). Distances to a cluster are means over the sample's part of it, so clusters of
    which a sample holds few images make it slightly too low.

    Parameters
    ----------
    shards : Shards
    groups : Groups
    draws, sample : int
        Number and size of the samples; both shrink where there are fewer rows.
    seed : int

    Returns
    -------
    dict
        silhouette (-1 to 1), error (one standard error), draws, sample.

    Raises
    ------
    ValueError
        If there are too few rows for two samples.
    """
    rng = np.random.default_rng(seed)
    values = draw(shards, draws * sample, rng)[1]
    sample = min(sample, len(values) // draws)
    if sample < 2 * groups.model.n_clusters:
        raise ValueError(
            f"{len(values)} usable rows are too few for {draws} samples; use clustering.cluster_scores"
        )
    rows = _scaled(rng.permutation(values)[: draws * sample], groups.scaler)
    found = groups.model.predict(rows)
    parts = zip(np.split(rows, draws), np.split(found, draws), strict=True)
    each = [silhouette_score(part, labels) if np.ptp(labels) else 0.0 for part, labels in parts]
    error = float(np.std(each, ddof=1) / np.sqrt(draws))
    return {"silhouette": float(np.mean(each)), "error": error, "draws": draws, "sample": sample}


def draw(shards, count, rng):
    """Row numbers, ascending, and values (float64) of a random sample, rows with NaN left out."""
    rows = np.sort(rng.choice(shards.rows, min(count, shards.rows), replace=False))
    values = np.asarray(shards.take(rows), np.float64)
    good = np.isfinite(values).all(axis=1)
    return rows[good], values[good]


def write(folder, *, k=6, standardise=False, seed=0, progress=True):
    """Cluster a complete stage: ``clusters.npy`` (N,) int16, ``centres.npy`` and ``clusters.json`` in its folder.

    Returns
    -------
    dict
        What ``clusters.json`` holds: k, seed, standardise, size of each cluster and the values of `silhouette`.
    """
    shards = Shards(folder)
    groups = fit(shards, k=k, standardise=standardise, seed=seed, progress=progress)
    sizes = np.zeros(k, int)
    with atomic(shards.folder / "clusters.npy") as temporary:
        labels = open_memmap(temporary, "w+", np.int16, (shards.rows,))
        for index, values in enumerate(
            tqdm(shards, total=shards.chunks, desc="assign", disable=not progress)
        ):
            found = labels[index * shards.chunk :][: len(values)] = groups.predict(values)
            sizes += np.bincount(found[found >= 0], minlength=k)
        labels.flush()
    with atomic(shards.folder / "centres.npy") as temporary:
        np.save(temporary, groups.model.cluster_centers_)
    summary = {"k": k, "seed": seed, "standardise": standardise, "sizes": sizes.tolist()}
    summary |= silhouette(shards, groups, seed=seed)
    with atomic(shards.folder / "clusters.json") as temporary:
        temporary.write_text(json.dumps(summary, indent=1))
    return summary


def _scaler(shards, progress):
    scaler = StandardScaler()
    for values in tqdm(
        shards, total=shards.chunks, desc="mean and deviation", unit="shard", disable=not progress
    ):
        good = values[np.isfinite(values).all(axis=1)]
        if len(good):
            scaler.partial_fit(np.asarray(good, np.float64))
    return scaler


def _scaled(values, scaler):
    return scaler.transform(values) if scaler and len(values) else values
