"""Methods beside each other over seeds: scores with intervals, a sweep over k, paired tests."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
from tqdm import tqdm

from semlib.morphology import clustering
from semlib.stats import holm

# scores with an interval, and the least value of each
DRAWN = {"silhouette": -1, "nmi": 0, "ari": -1, "knn_macro": 0, "probe": 0}


@dataclass(frozen=True)
class Run:
    """One method with one seed; `training` counts the trainings of a trained method, else is -1."""

    method: str
    training: int
    seed: int
    outcome: clustering.Outcome


def runs(methods, labels=None, *, k=6, seeds=range(5), folds=5, progress=True):
    """Measure every method with every seed (of k-means and of the probe's folds): list of `Run`.

    `methods` are embeddings (N, D) by name. A list holds an array for each training of a trained
    method, or for each draw of a random one; seed number i takes array i modulo their number, so
    that each must count alike.
    """
    measured = []
    options = {"desc": "scores", "unit": "run", "disable": not progress}
    with tqdm(total=len(methods) * len(seeds), **options) as bar:
        for name, embeddings in methods.items():
            several = isinstance(embeddings, list)
            if several and len(seeds) % len(embeddings):
                counts = f"{len(seeds)} seeds for {len(embeddings)} embeddings"
                raise ValueError(f"{name}: {counts}: take a multiple")
            for i, seed in enumerate(seeds):
                training = i % len(embeddings) if several else -1
                points = embeddings[training] if several else embeddings
                outcome = clustering.measure(points, labels, k=k, seed=seed, folds=folds)
                measured.append(Run(name, training, seed, outcome))
                bar.update()
    return measured


def scores(measured):
    """All scores of a list of `Run`: DataFrame of method, training, seed and `all_scores`."""
    return pd.DataFrame(
        {"method": run.method, "training": run.training, "seed": run.seed}
        | clustering.scores_of(run.outcome)
        for run in measured
    )


def summary(measured, *, draws=200):
    """Mean of every score over the runs of a method, with intervals: DataFrame.

    Each interval (name_lo, name_hi for the scores in `DRAWN`) is the central 95 % of a two-level
    bootstrap: every run (seed, and training where there is one) and, within it, `draws` times
    images drawn with replacement from the fixed clustering, neighbours and predictions. The draws
    of a run are shifted to have that run's score as their mean, since the NMI of a resample is
    biased upwards.
    """
    table = scores(measured).drop(columns=["training", "seed"])
    means = table.groupby("method", sort=False).mean()
    for name in means.index:
        drawn = np.concatenate([_bootstrap(run, draws) for run in measured if run.method == name])
        low, high = np.percentile(drawn, [2.5, 97.5], axis=0).clip(list(DRAWN.values()), 1)
        means.loc[name, [f"{score}_lo" for score in DRAWN]] = low
        means.loc[name, [f"{score}_hi" for score in DRAWN]] = high
    return means.reset_index()


def in_spaces(spaces, *, draws=200):
    """`summary` and `scores` of several lists of runs, told apart by a column space."""
    spaces = {name: measured for name, measured in spaces.items() if measured}
    means = [summary(runs, draws=draws).assign(space=name) for name, runs in spaces.items()]
    each = [scores(runs).assign(space=name) for name, runs in spaces.items()]
    return pd.concat(means, ignore_index=True), pd.concat(each, ignore_index=True)


def sweep(methods, labels=None, *, ks=(2, 3, 4, 6, 8, 12), seeds=range(3), progress=True):
    """Scores of the clustering for each number of clusters, mean over the seeds: a DataFrame."""
    lines = []
    options = {"desc": "sweep over k", "unit": "method", "disable": not progress}
    for name, embeddings in tqdm(methods.items(), **options):
        arrays = embeddings if isinstance(embeddings, list) else [embeddings]
        for k in ks:
            each = pd.DataFrame(
                clustering.cluster_scores(arrays[seed % len(arrays)], labels, k=k, seed=seed)
                for seed in seeds
            )
            lines.append({"method": name, "k": k} | each.mean().to_dict())
    return pd.DataFrame(lines)


def paired(table, reference, *, names=tuple(DRAWN)):
    """Each method of `scores` minus one reference, paired by seed: DataFrame.

    If one of the two was trained several times, its trainings are what varies: the runs of a
    training are averaged first and the pairs are trainings. Neither says anything about other
    images: for that see the intervals of `summary`. Columns: method, score, pairs, difference
    (mean), difference_lo and difference_hi (95 % t-interval), p (t-test), p_sign (sign-flip test,
    exact up to 13 pairs, at least 2 / 2**pairs) and p_holm, corrected for all rows. NaN where all
    pairs differ by the same.
    """
    if reference not in set(table["method"]):
        methods = ", ".join(table["method"].unique())
        raise ValueError(f"no method {reference!r} in the scores: {methods}")
    base = table[table["method"] == reference]
    lines = []
    for name, other in table[table["method"] != reference].groupby("method", sort=False):
        for score in names:
            first, second = (_units(part, base, other, score) for part in (other, base))
            line = {"method": name, "score": score, "pairs": len(first)}
            lines.append(line | _test(first, second))
    tests = pd.DataFrame(lines)
    return tests.assign(p_holm=holm(tests["p"]))


def permutation_null(clusters, labels, *, draws=200, seed=0):
    """NMI of a clustering (N,) beside that of the same clusters with shuffled labels: dict.

    Shuffling keeps the sizes of clusters and classes: null_mean and null_q95 (95th percentile) are
    what these give by chance. p is the share of shuffles, the observed labels included, that reach
    the NMI.
    """
    truth = clustering.codes(labels)
    labelled = truth >= 0
    if not labelled.any():
        raise ValueError("the null of the NMI needs labels: none of the images has one")
    truth = truth[labelled]
    clusters = np.asarray(clusters)[labelled]
    rng = np.random.default_rng(seed)
    shuffles = (rng.permutation(truth) for _ in range(draws))
    null = np.array([normalized_mutual_info_score(shuffle, clusters) for shuffle in shuffles])
    value = float(normalized_mutual_info_score(truth, clusters))
    p = (1 + (null >= value - 1e-12).sum()) / (draws + 1)  # equal but for rounding counts
    return {"nmi": value, "null_mean": null.mean(), "null_q95": np.quantile(null, 0.95), "p": p}


def _units(part, base, other, score):
    """Values of one method by pair: by training of whichever was trained, else by seed."""
    leader = base if base["training"].max() >= other["training"].max() else other
    if leader["training"].max() < 0:
        return part.sort_values("seed")[score].to_numpy()
    training = dict(zip(leader["seed"], leader["training"], strict=True))
    return part.groupby(part["seed"].map(training))[score].mean().to_numpy()


def _test(first, second):
    gap = first - second
    names = ("difference_lo", "difference_hi", "p", "p_sign")
    if len(gap) < 2 or not np.isfinite(gap).all() or np.ptp(gap) < 1e-12:
        return {"difference": gap.mean()} | dict.fromkeys(names, np.nan)
    test = stats.ttest_rel(first, second)
    flipped = stats.permutation_test(
        (first, second),
        lambda a, b, axis: (a - b).mean(axis=axis),
        permutation_type="samples",  # exchanges the two of a pair
        vectorized=True,
        rng=np.random.default_rng(0),
    )
    values = (*test.confidence_interval(0.95), test.pvalue, flipped.pvalue)
    return {"difference": gap.mean()} | dict(zip(names, values, strict=True))


def _bootstrap(run, draws):
    """`DRAWN` scores of resamples of the images, shifted to the whole's: (draws, len(DRAWN))."""
    images = {name: column.to_numpy() for name, column in run.outcome.images.items()}
    count = len(run.outcome.images)
    rng = np.random.default_rng(run.seed)
    drawn = []
    for _ in range(draws):
        chosen = rng.integers(0, count, count)
        drawn.append(_drawn_scores({name: column[chosen] for name, column in images.items()}))
    return np.array(drawn) - np.mean(drawn, axis=0) + _drawn_scores(images)


def _drawn_scores(images):
    truth = images["label"]
    labelled = truth >= 0
    nmi = ari = np.nan
    if labelled.any():
        pair = truth[labelled], images["cluster"][labelled]
        nmi = normalized_mutual_info_score(*pair)
        ari = adjusted_rand_score(*pair)
    neighbour = clustering.micro_macro(truth, images["neighbour"])[1]
    probe = clustering.micro_macro(truth, images["probe"])[1]
    return [images["silhouette"].mean(), nmi, ari, neighbour, probe]
