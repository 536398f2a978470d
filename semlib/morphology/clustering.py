"""k-means on embeddings and every score of it, and what an embedding holds without clustering."""

import numpy as np
import pandas as pd
from sklearn import metrics
from sklearn.cluster import KMeans
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from semlib.morphology.loss import normalised_std, rankme, uniformity
from semlib.morphology.search import neighbours

FEW = 2000  # images: up to here one thread clusters
AGAINST_LABELS = {
    "nmi": metrics.normalized_mutual_info_score,
    "ami": metrics.adjusted_mutual_info_score,
    "ari": metrics.adjusted_rand_score,
    "homogeneity": metrics.homogeneity_score,
    "completeness": metrics.completeness_score,
    "v_measure": metrics.v_measure_score,
}


def standardise(features):
    """Each column of (N, D) at mean 0 and standard deviation 1; a constant column becomes 0."""
    features = np.asarray(features, dtype=np.float64)
    spread = features.std(axis=0)
    varies = spread > 1e-12 * np.abs(features).max()  # less is rounding
    return (features - features.mean(axis=0)) / np.where(varies, spread, np.inf)


def fit_clusters(embeddings, *, k=6, seed=0):
    """k-means of embeddings (N, D), ten starts; k = 6 as the paper has it (section 3.4)."""
    embeddings = np.asarray(embeddings, dtype=np.float64)
    different = len(np.unique(embeddings, axis=0))
    if not 2 <= k < len(embeddings) or different < k:
        count = f"{len(embeddings)} images with {different} different embeddings"
        raise ValueError(f"k = {k} clusters cannot be formed of {count}")
    # threads wait for each other after every pass: on a busy machine that took fifty times as long
    with threadpool_limits(1 if len(embeddings) <= FEW else None, "openmp"):
        return KMeans(k, n_init=10, random_state=seed).fit(embeddings)


def cluster_scores(embeddings, labels=None, *, k=6, seed=0):
    """Cluster the embeddings (N, D) and score the result; labels (N,) serve only afterwards.

    Images labelled "" or NaN count in no score against labels; without any label these are NaN.
    Returns a dict: silhouette (mean over images), macro_silhouette (over clusters of the mean over
    their images, arXiv 2401.05831), rankme; against labels nmi, homogeneity, completeness, ami, ari
    and v_measure, which equals nmi (Rosenberg and Hirschberg 2007).
    """
    _, scores = _clustered(embeddings, labels, k, seed)
    return scores | {"rankme": rankme(embeddings)}


def measure(embeddings, labels=None, *, k=6, seed=0):
    """`cluster_scores`, and what the embedding holds without clustering.

    Returns a DataFrame with a row for each image (silhouette, cluster, and as codes, -1 for none,
    its label and those that `nearest_neighbour` and `linear_probe` gave it) and the scores, a dict:
    also knn_micro; knn_macro and probe, balanced accuracies; `loss`'s embedding_std and uniformity.
    """
    images, scores = _clustered(embeddings, labels, k, seed)
    truth = images["label"].where(images["label"] >= 0)  # NaN: no label
    images["neighbour"] = nearest_neighbour(embeddings, truth)
    images["probe"] = linear_probe(embeddings, truth, seed=seed)
    scores["knn_micro"], scores["knn_macro"] = micro_macro(images["label"], images["neighbour"])
    scores["probe"] = micro_macro(images["label"], images["probe"])[1]
    scores["rankme"] = rankme(embeddings)
    scores["embedding_std"] = normalised_std(embeddings)
    scores["uniformity"] = uniformity(embeddings)
    return images, scores


def _clustered(embeddings, labels, k, seed):
    embeddings = np.asarray(embeddings, dtype=np.float64)
    clusters = fit_clusters(embeddings, k=k, seed=seed).labels_
    silhouettes = metrics.silhouette_samples(embeddings, clusters)
    truth = -1 if labels is None else codes(labels)
    images = pd.DataFrame({"silhouette": silhouettes, "cluster": clusters, "label": truth})
    by_cluster = images.groupby("cluster")["silhouette"].mean()
    scores = {"silhouette": images["silhouette"].mean(), "macro_silhouette": by_cluster.mean()}
    labelled = images[images["label"] >= 0]
    pair = labelled["label"].to_numpy(), labelled["cluster"].to_numpy()
    for name, score in AGAINST_LABELS.items():
        scores[name] = score(*pair) if len(labelled) else np.nan
    return images, {name: float(score) for name, score in scores.items()}  # for JSON


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
    truth, asked = _asked(labels, 2)
    predicted = np.full(len(truth), -1)
    if asked.any():
        indices, _ = neighbours(np.asarray(embeddings)[asked], 1)
        predicted[asked] = truth[asked][indices[:, 0]]
    return predicted


def linear_probe(embeddings, labels, *, folds=5, seed=0):
    """Label code of each image, (N,), by logistic regression trained on the other folds.

    Our choices: stratified folds; columns standardised on the training folds; classes weighted
    alike, as their counts differ by orders of magnitude; C = 1. Classes of fewer than `folds`
    images are left out (-1): `too_few` names them.
    """
    truth, asked = _asked(labels, folds)
    predicted = np.full(len(truth), -1)
    if asked.any():
        regression = LogisticRegression(class_weight="balanced", max_iter=500)
        model = make_pipeline(StandardScaler(), regression)
        splits = StratifiedKFold(folds, shuffle=True, random_state=seed)
        points = np.asarray(embeddings, dtype=np.float64)[asked]
        predicted[asked] = cross_val_predict(model, points, truth[asked], cv=splits)
    return predicted


def micro_macro(truth, predicted):
    """Accuracy over images and over classes, of those with ``predicted >= 0``; NaN without any."""
    truth = np.asarray(truth)
    predicted = np.asarray(predicted)
    asked = predicted >= 0
    if not asked.any():
        return np.nan, np.nan
    hit = (truth == predicted)[asked]
    counts = np.bincount(truth[asked])
    recalls = np.bincount(truth[asked], weights=hit)[counts > 0] / counts[counts > 0]
    return float(hit.mean()), float(recalls.mean())


def _asked(labels, smallest):
    """Label codes, and whether each image is of a class that is not too small, if there are two."""
    truth = codes(labels)
    counts = np.bincount(truth[truth >= 0], minlength=1)
    asked = (truth >= 0) & (counts[truth] >= smallest)
    return truth, asked & (len(np.unique(truth[asked])) > 1)
