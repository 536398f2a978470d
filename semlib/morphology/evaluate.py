"""k-means on embeddings, and every score of the result: those of Table 1 and those that a referee asks for."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.cluster import KMeans
from sklearn.metrics import (
    adjusted_mutual_info_score,
    adjusted_rand_score,
    homogeneity_completeness_v_measure,
    normalized_mutual_info_score,
    silhouette_samples,
)

from semlib.morphology import probe
from semlib.morphology.loss import normalised_std, rankme

PAPER_TABLE1 = {  # Sci Rep 2026, Table 1: silhouette, NMI
    "GLCM": (0.428901, 0.287785),
    "LBP": (0.312685, 0.289118),
    "Wavelet": (0.449926, 0.210032),
    "PCA (raw pixels)": (0.222131, 0.281617),
    "Proposed SSL": (0.501581, 0.203185),
}
BASELINES = {
    "GLCM": "glcm",
    "LBP": "lbp",
    "Wavelet": "wavelet",
    "PCA (raw pixels)": "pca",
}  # name: file in features/


@dataclass(frozen=True)
class Outcome:
    """What one embedding and one clustering of it gave.

    `images` has a row for each image: silhouette, cluster, and as codes (-1: none) label, neighbour and probe, where
    the last two are the labels that 1-NN and linear probe gave it. `whole` holds the scores that belong to no image.
    """

    images: pd.DataFrame
    whole: dict


def standardise(features):
    """Bring each column of (N, D) to mean 0 and standard deviation 1; a constant column becomes 0."""
    features = np.asarray(features, dtype=np.float64)
    spread = features.std(axis=0)
    return (features - features.mean(axis=0)) / np.where(
        spread > 1e-12 * np.abs(features).max(), spread, np.inf
    )


def cluster(embeddings, *, k=6, seed=0):
    """k-means with ten starts (Sci Rep section 3.4).

    Parameters
    ----------
    embeddings : array (N, D)
    k : int
        Number of clusters; the paper takes the number of classes, 6.
    seed : int

    Returns
    -------
    int array (N,)

    Raises
    ------
    ValueError
        If k is below 2, if there are not more images than clusters or fewer than k different embeddings, or if
        a value is not finite.
    """
    return fit_clusters(embeddings, k=k, seed=seed).labels_


def fit_clusters(embeddings, *, k=6, seed=0):
    """The k-means model of `cluster`, which assigns further embeddings with ``predict``."""
    embeddings = np.asarray(embeddings, dtype=np.float64)
    if not np.isfinite(embeddings).all():
        raise ValueError(
            f"{(~np.isfinite(embeddings)).any(axis=1).sum()} embeddings hold NaN or infinity: train anew"
        )
    if not 2 <= k < len(embeddings):
        raise ValueError(
            f"k = {k} clusters need k >= 2 and more than {k} images, got {len(embeddings)}: set k"
        )
    different = len(np.unique(embeddings, axis=0))
    if different < k:
        raise ValueError(
            f"{different} different embeddings among {len(embeddings)} images cannot form {k} clusters"
        )
    return KMeans(k, n_init=10, random_state=seed).fit(embeddings)


def cluster_scores(embeddings, labels=None, *, k=6, seed=0):
    """Cluster the embeddings and score the result; labels serve only afterwards.

    Parameters
    ----------
    embeddings : array (N, D)
    labels : sequence (N,), optional
        Images labelled "" or NaN count in no score against labels; without any label these scores are NaN.
    k, seed : int
        See `cluster`.

    Returns
    -------
    dict
        silhouette (mean over images, -1 to 1), macro_silhouette (mean over clusters of the mean
        over their images, arXiv 2401.05831), rankme (1 to min(N, D)); nmi (arithmetic
        normalisation, 0 to 1), ami and ari (0 expected by chance, at most 1), homogeneity and completeness
        (0 to 1); v_measure, their harmonic mean (Rosenberg and Hirschberg 2007), is the same number as nmi.
    """
    embeddings, images = _clustered(embeddings, labels, k, seed)
    return _cluster_scores(images) | {"rankme": rankme(embeddings)}


def all_scores(embeddings, labels=None, *, k=6, seed=0, folds=5):
    """`cluster_scores` and what the embedding holds without clustering.

    Returns
    -------
    dict
        Also knn_micro and knn_macro (leave-one-out 1-NN, see `probe.nearest_neighbour`), probe (balanced accuracy of
        `probe.linear_probe` over `folds`), embedding_std (`loss.normalised_std`) and uniformity (`probe.uniformity`).
    """
    return scores_of(measure(embeddings, labels, k=k, seed=seed, folds=folds))


def measure(embeddings, labels=None, *, k=6, seed=0, folds=5):
    """Cluster the embeddings, ask 1-NN and probe for each image: the `Outcome` that `all_scores` sums up."""
    embeddings, images = _clustered(embeddings, labels, k, seed)
    known = images["label"].where(images["label"] >= 0)
    images["neighbour"] = probe.nearest_neighbour(embeddings, known)
    images["probe"] = probe.linear_probe(embeddings, known, folds=folds, seed=seed)
    whole = {"rankme": rankme(embeddings), "embedding_std": normalised_std(embeddings)}
    return Outcome(images, whole | {"uniformity": probe.uniformity(embeddings)})


def scores_of(outcome):
    """All scores of an `Outcome`, see `all_scores`."""
    truth = outcome.images["label"].to_numpy()
    micro, macro = probe.micro_macro(truth, outcome.images["neighbour"].to_numpy())
    probed = probe.micro_macro(truth, outcome.images["probe"].to_numpy())[1]
    found = _cluster_scores(outcome.images) | {
        "knn_micro": micro,
        "knn_macro": macro,
        "probe": probed,
    }
    return found | outcome.whole


def permutation_null(clusters, labels, *, draws=200, seed=0):
    """NMI of a clustering beside that of the same clusters with shuffled labels.

    Shuffling keeps the sizes of clusters and classes, so the null holds what NMI gives for these sizes by chance.

    Parameters
    ----------
    clusters : int array (N,)
    labels : sequence (N,)
        Images without label are left out.
    draws, seed : int

    Returns
    -------
    dict
        nmi, null_mean, null_q95 (95th percentile) and p, the share of shuffles (the observed one included) that reach
        the NMI; at least 1 / (draws + 1).

    Raises
    ------
    ValueError
        Without any label.
    """
    known = probe.codes(labels)
    if (known < 0).all():
        raise ValueError("the null of the NMI needs labels: none of the images has one")
    clusters, known = np.asarray(clusters)[known >= 0], known[known >= 0]
    rng = np.random.default_rng(seed)
    null = np.array(
        [normalized_mutual_info_score(rng.permutation(known), clusters) for _ in range(draws)]
    )
    value = float(normalized_mutual_info_score(known, clusters))
    p = (1 + (null >= value - 1e-12).sum()) / (draws + 1)
    return {"nmi": value, "null_mean": null.mean(), "null_q95": np.quantile(null, 0.95), "p": p}


def _clustered(embeddings, labels, k, seed):
    """The embeddings as float64, and a DataFrame with silhouette, cluster and label code of each image."""
    embeddings = np.asarray(embeddings, dtype=np.float64)
    assigned = cluster(embeddings, k=k, seed=seed)
    if labels is not None and len(labels) != len(embeddings):
        raise ValueError(f"{len(labels)} labels for {len(embeddings)} embeddings")
    known = np.full(len(embeddings), -1) if labels is None else probe.codes(labels)
    columns = {
        "silhouette": silhouette_samples(embeddings, assigned),
        "cluster": assigned,
        "label": known,
    }
    return embeddings, pd.DataFrame(columns)


def _cluster_scores(images):
    found = {"silhouette": float(images["silhouette"].mean())}
    found["macro_silhouette"] = float(images.groupby("cluster")["silhouette"].mean().mean())
    names = ("nmi", "ami", "ari", "homogeneity", "completeness", "v_measure")
    known = images[images["label"] >= 0]
    if known.empty:
        return found | dict.fromkeys(names, np.nan)
    pair = known["label"].to_numpy(), known["cluster"].to_numpy()
    values = [
        normalized_mutual_info_score(*pair),
        adjusted_mutual_info_score(*pair),
        adjusted_rand_score(*pair),
    ]
    return found | dict(
        zip(names, map(float, [*values, *homogeneity_completeness_v_measure(*pair)]), strict=True)
    )
