"""k-means, the scores of Table 1, and intervals over seeds and images."""

import numpy as np
import pandas as pd
from sklearn.cluster import KMeans
from sklearn.metrics import (
    adjusted_mutual_info_score,
    adjusted_rand_score,
    normalized_mutual_info_score,
    silhouette_samples,
)
from tqdm import tqdm

from semlib.morphology.loss import rankme

PAPER_TABLE1 = {  # Sci Rep 2026, Table 1: silhouette, NMI
    "GLCM": (0.428901, 0.287785),
    "LBP": (0.312685, 0.289118),
    "Wavelet": (0.449926, 0.210032),
    "PCA (raw pixels)": (0.222131, 0.281617),
    "Proposed SSL": (0.501581, 0.203185),
}
BASELINES = {"GLCM": "glcm", "LBP": "lbp", "Wavelet": "wavelet", "PCA (raw pixels)": "pca"}  # name: file in features/


def standardise(features):
    """Bring each column of (N, D) to mean 0 and standard deviation 1; a constant column becomes 0."""
    features = np.asarray(features, dtype=np.float64)
    spread = features.std(axis=0)
    return (features - features.mean(axis=0)) / np.where(spread > 1e-12 * np.abs(features).max(), spread, np.inf)


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
    embeddings = np.asarray(embeddings, dtype=np.float64)
    if not np.isfinite(embeddings).all():
        raise ValueError(f"{(~np.isfinite(embeddings)).any(axis=1).sum()} embeddings hold NaN or infinity: train anew")
    if not 2 <= k < len(embeddings):
        raise ValueError(f"k = {k} clusters need k >= 2 and more than {k} images, got {len(embeddings)}: set k")
    different = len(np.unique(embeddings, axis=0))
    if different < k:
        raise ValueError(f"{different} different embeddings among {len(embeddings)} images cannot form {k} clusters")
    return KMeans(k, n_init=10, random_state=seed).fit_predict(embeddings)


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
        normalisation, 0 to 1), ami and ari (0 expected by chance, at most 1).
    """
    return _scores(_clustered(embeddings, labels, k, seed))


def table1(methods, labels=None, *, k=6, seeds=range(5), draws=200, progress=True):
    """Score every method over seeds, with intervals.

    Each interval is the central 95 % of a two-level bootstrap: every seed's k-means (and, for the SSL, every
    seed's training) and, within it, images drawn with replacement from the fixed clustering. The draws of a seed are
    shifted to have that seed's score as their mean, since the NMI of a resample is biased upwards.

    Parameters
    ----------
    methods : dict of str to array (N, D) or list of array (N, D)
        Name and embeddings; a list holds one array a seed (a method that is trained).
    labels : sequence (N,), optional
    k : int
    seeds : sequence of int
    draws : int
        Bootstrap draws a seed.

    Returns
    -------
    DataFrame
        method, silhouette, silhouette_lo, silhouette_hi, nmi, nmi_lo, nmi_hi, rankme, paper_silhouette, paper_nmi.
        The middle values are means over the seeds.
    """
    seeds = list(seeds)
    rows = []
    for name, embeddings in tqdm(methods.items(), desc="Table 1", unit="method", disable=not progress):
        per_seed = embeddings if isinstance(embeddings, list) else [embeddings] * len(seeds)
        if len(per_seed) != len(seeds):
            raise ValueError(f"{name}: {len(per_seed)} embeddings for {len(seeds)} seeds")
        runs = [_clustered(e, labels, k, seed) for e, seed in zip(per_seed, seeds, strict=True)]
        means = pd.DataFrame([_scores(run) for run in runs]).mean()
        drawn = np.concatenate([_bootstrap(run, draws, seed) for run, seed in zip(runs, seeds, strict=True)])
        low, high = np.percentile(drawn, [2.5, 97.5], axis=0).clip([-1, 0], 1)
        paper = PAPER_TABLE1.get(name, (np.nan, np.nan))
        rows.append(
            {"method": name, "silhouette": means["silhouette"], "silhouette_lo": low[0], "silhouette_hi": high[0]}
            | {"nmi": means["nmi"], "nmi_lo": low[1], "nmi_hi": high[1], "rankme": means["rankme"]}
            | {"paper_silhouette": paper[0], "paper_nmi": paper[1]}
        )
    return pd.DataFrame(rows)


def _clustered(embeddings, labels, k, seed):
    embeddings = np.asarray(embeddings, dtype=np.float64)
    assigned = cluster(embeddings, k=k, seed=seed)
    if labels is not None and len(labels) != len(embeddings):
        raise ValueError(f"{len(labels)} labels for {len(embeddings)} embeddings")
    codes = None if labels is None else pd.factorize(pd.Series(labels).replace("", np.nan))[0]  # -1: no label
    silhouettes = silhouette_samples(embeddings, assigned)
    return {"silhouettes": silhouettes, "clusters": assigned, "labels": codes, "rankme": rankme(embeddings)}


def _scores(run):
    silhouettes, clusters = run["silhouettes"], run["clusters"]
    means = [silhouettes[clusters == c].mean() for c in np.unique(clusters)]
    found = {"silhouette": float(silhouettes.mean()), "macro_silhouette": float(np.mean(means))}
    against = {"nmi": normalized_mutual_info_score, "ami": adjusted_mutual_info_score, "ari": adjusted_rand_score}
    found |= {name: _agreement(score, run["labels"], clusters) for name, score in against.items()}
    return found | {"rankme": run["rankme"]}


def _agreement(score, codes, clusters):
    if codes is None or (codes < 0).all():
        return np.nan
    return float(score(codes[codes >= 0], clusters[codes >= 0]))


def _bootstrap(run, draws, seed):
    """Silhouette and NMI of `draws` resamples of the images, each with the mean of the whole: array (draws, 2)."""
    rng = np.random.default_rng(seed)
    silhouettes, clusters, codes = run["silhouettes"], run["clusters"], run["labels"]
    rows = []
    for _ in range(draws):
        drawn = rng.integers(0, len(clusters), len(clusters))
        chosen = None if codes is None else codes[drawn]
        rows.append((silhouettes[drawn].mean(), _agreement(normalized_mutual_info_score, chosen, clusters[drawn])))
    rows = np.array(rows)
    whole = silhouettes.mean(), _agreement(normalized_mutual_info_score, codes, clusters)
    return rows - rows.mean(axis=0) + whole
