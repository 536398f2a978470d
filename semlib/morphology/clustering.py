"""k-means on embeddings and every score of it, and what an embedding holds without clustering."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn import metrics
from sklearn.cluster import KMeans
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from semlib.morphology.loss import normalised_std, rankme, uniformity
from semlib.morphology.search import neighbours

AGAINST_LABELS = {
    "nmi": metrics.normalized_mutual_info_score,
    "ami": metrics.adjusted_mutual_info_score,
    "ari": metrics.adjusted_rand_score,
    "homogeneity": metrics.homogeneity_score,
    "completeness": metrics.completeness_score,
    "v_measure": metrics.v_measure_score,
}


@dataclass(frozen=True)
class Outcome:
    """One embedding and one clustering of it.

    `images` has a row for each image: silhouette, cluster, and as codes (-1: none) label, neighbour
    and probe, the labels that 1-NN and linear probe gave it. `whole` holds the scores of no image.
    """

    images: pd.DataFrame
    whole: dict


def standardise(features):
    """Each column of (N, D) at mean 0 and standard deviation 1; a constant column becomes 0."""
    features = np.asarray(features, dtype=np.float64)
    spread = features.std(axis=0)
    varies = spread > 1e-12 * np.abs(features).max()  # less is rounding
    return (features - features.mean(axis=0)) / np.where(varies, spread, np.inf)


def fit_clusters(embeddings, *, k=6, seed=0):
    """The k-means model of embeddings (N, D), ten starts; k = 6 as the paper has it (section 3.4).

    Raises ValueError if there are not more images than clusters, fewer than k different embeddings,
    or values that are not finite.
    """
    embeddings = np.asarray(embeddings, dtype=np.float64)
    count = len(embeddings)
    bad = (~np.isfinite(embeddings)).any(axis=1).sum()
    if bad:
        raise ValueError(f"{bad} embeddings hold NaN or infinity: train anew")
    if not 2 <= k < count:
        raise ValueError(f"k = {k} clusters need k >= 2 and more than {k} images, got {count}")
    different = len(np.unique(embeddings, axis=0))
    if different < k:
        raise ValueError(
            f"{different} different embeddings among {count} images cannot form {k} clusters"
        )
    return KMeans(k, n_init=10, random_state=seed).fit(embeddings)


def cluster_scores(embeddings, labels=None, *, k=6, seed=0):
    """Cluster the embeddings (N, D) and score the result; labels (N,) serve only afterwards.

    Images labelled "" or NaN count in no score against labels; without any label these are NaN.

    Returns
    -------
    dict
        silhouette (mean over images, -1 to 1), macro_silhouette (mean over clusters of the mean
        over their images, arXiv 2401.05831), rankme (1 to min(N, D)); against labels nmi,
        homogeneity, completeness (0 to 1), ami, ari (0 by chance, at most 1) and v_measure, which
        equals nmi (Rosenberg and Hirschberg 2007).
    """
    images = _clustered(embeddings, labels, k, seed)
    return _cluster_scores(images) | {"rankme": rankme(embeddings)}


def measure(embeddings, labels=None, *, k=6, seed=0, folds=5):
    """Cluster the embeddings, ask 1-NN and probe for each image: an `Outcome`."""
    embeddings = np.asarray(embeddings, dtype=np.float64)
    images = _clustered(embeddings, labels, k, seed)
    truth = images["label"].where(images["label"] >= 0)  # NaN: no label
    images["neighbour"] = nearest_neighbour(embeddings, truth)
    images["probe"] = linear_probe(embeddings, truth, folds=folds, seed=seed)
    whole = {
        "rankme": rankme(embeddings),
        "embedding_std": normalised_std(embeddings),
        "uniformity": uniformity(embeddings),
    }
    return Outcome(images, whole)


def scores_of(outcome):
    """All scores of an `Outcome`: dict."""
    images = outcome.images
    truth = images["label"].to_numpy()
    micro, macro = micro_macro(truth, images["neighbour"].to_numpy())
    probed = micro_macro(truth, images["probe"].to_numpy())[1]
    labelled = {"knn_micro": micro, "knn_macro": macro, "probe": probed}
    return _cluster_scores(images) | labelled | outcome.whole


def all_scores(embeddings, labels=None, *, k=6, seed=0, folds=5):
    """`cluster_scores`, and what the embedding holds without clustering: dict.

    That is knn_micro and knn_macro (`nearest_neighbour`), probe (balanced accuracy of
    `linear_probe`), embedding_std and uniformity (see `loss`).
    """
    return scores_of(measure(embeddings, labels, k=k, seed=seed, folds=folds))


def codes(labels):
    """Labels as whole numbers 0, 1, ... in order of appearance; -1 for "" and NaN."""
    return pd.factorize(pd.Series(labels).replace("", np.nan))[0]


def too_few(labels, smallest):
    """Labels that fewer than `smallest` images carry, with their counts: dict."""
    counts = pd.Series(labels).replace("", np.nan).value_counts()
    return counts[counts < smallest].sort_index().to_dict()


def nearest_neighbour(embeddings, labels):
    """Label code of each image's nearest other image, (N,): leave-one-out 1-NN, Euclidean.

    Cover and Hart 1967, doi 10.1109/TIT.1967.1053964. Images without label, and those whose label
    no other image carries, are neither asked (-1) nor offered as neighbours.
    """
    embeddings = np.asarray(embeddings)

    def predict(truth, chosen):
        indices, _ = neighbours(embeddings[chosen], 1)
        return truth[indices[:, 0]]

    return _of_frequent(labels, 2, predict)


def linear_probe(embeddings, labels, *, folds=5, seed=0):
    """Label code of each image, (N,), by logistic regression trained on the other folds.

    Our choices: stratified folds; columns standardised on the training folds; classes weighted
    alike, as their counts differ by orders of magnitude; C = 1. Classes of fewer than `folds`
    images are left out (-1): `too_few` names them.
    """
    embeddings = np.asarray(embeddings, dtype=np.float64)
    regression = LogisticRegression(class_weight="balanced", max_iter=500)
    model = make_pipeline(StandardScaler(), regression)
    splits = StratifiedKFold(folds, shuffle=True, random_state=seed)

    def predict(truth, chosen):
        return cross_val_predict(model, embeddings[chosen], truth, cv=splits)

    return _of_frequent(labels, folds, predict)


def micro_macro(truth, predicted):
    """Accuracy over images and over classes, of those with ``predicted >= 0``; NaN without any."""
    asked = predicted >= 0
    if not asked.any():
        return np.nan, np.nan
    hit = (truth == predicted)[asked]
    truth = truth[asked]
    counts = np.bincount(truth)
    recalls = np.bincount(truth, weights=hit)[counts > 0] / counts[counts > 0]
    return float(hit.mean()), float(recalls.mean())


def _of_frequent(labels, smallest, predict):
    """``predict(truth, chosen)`` for images of classes that are not too small, -1 elsewhere."""
    truth = codes(labels)
    counts = np.bincount(truth[truth >= 0], minlength=1)
    chosen = np.flatnonzero((truth >= 0) & (counts[truth] >= smallest))
    predicted = np.full(len(truth), -1)
    if len(np.unique(truth[chosen])) > 1:
        predicted[chosen] = predict(truth[chosen], chosen)
    return predicted


def _clustered(embeddings, labels, k, seed):
    """DataFrame with silhouette, cluster and label code of each image."""
    embeddings = np.asarray(embeddings, dtype=np.float64)
    if labels is not None and len(labels) != len(embeddings):
        raise ValueError(f"{len(labels)} labels for {len(embeddings)} embeddings")
    clusters = fit_clusters(embeddings, k=k, seed=seed).labels_
    truth = np.full(len(embeddings), -1) if labels is None else codes(labels)
    silhouette = metrics.silhouette_samples(embeddings, clusters)
    return pd.DataFrame({"silhouette": silhouette, "cluster": clusters, "label": truth})


def _cluster_scores(images):
    silhouettes = images["silhouette"]
    by_cluster = images.groupby("cluster")["silhouette"].mean()
    scores = {"silhouette": float(silhouettes.mean()), "macro_silhouette": float(by_cluster.mean())}
    labelled = images[images["label"] >= 0]
    if labelled.empty:
        return scores | dict.fromkeys(AGAINST_LABELS, np.nan)
    pair = labelled["label"].to_numpy(), labelled["cluster"].to_numpy()
    return scores | {name: float(score(*pair)) for name, score in AGAINST_LABELS.items()}
