"""Methods beside each other over seeds: scores with intervals, a sweep over k, paired tests."""

import itertools
from collections import namedtuple

import numpy as np
import pandas as pd
from scipy import stats
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
from tqdm import tqdm

from semlib.morphology import clustering
from semlib.stats import holm

# scores with an interval, and the least value of each
DRAWN = {"silhouette": -1, "nmi": 0, "ari": -1, "knn_macro": 0, "probe": 0}
# training counts from 0, and is -1 where nothing was trained; the last two: `clustering.measure`
Run = namedtuple("Run", "method training seed images scores")


def runs(methods, labels=None, *, k=6, seeds):
    """Measure every method with every seed (of k-means and of the probe's folds): list of `Run`.

    `methods` are embeddings (N, D) by name. A list holds an array for each training of a trained
    method, or for each draw of a random one; seed number i takes array i modulo their number.
    """
    jobs = []
    for name, embeddings in methods.items():
        several = isinstance(embeddings, list)
        arrays = embeddings if several else [embeddings]
        for i, seed in enumerate(seeds):
            training = i % len(arrays)
            jobs.append((name, training if several else -1, seed, arrays[training]))
    return [
        Run(*names, seed, *clustering.measure(points, labels, k=k, seed=seed))
        for *names, seed, points in tqdm(jobs, "scores", unit="run")
    ]


def scores(measured):
    """All scores of a list of `Run`: DataFrame that begins with method, training, seed."""
    names = pd.DataFrame([run[:3] for run in measured], columns=Run._fields[:3])
    return names.join(pd.DataFrame([run.scores for run in measured]))


def summary(measured, *, draws=200):
    """Mean of every score over the runs of a method, with intervals: DataFrame.

    Each interval (name_lo, name_hi for the scores in `DRAWN`) is the central 95 % over all runs and
    `draws` resamples of each one's images, shifted to have that run's score as their mean, since
    the NMI of a resample is biased upwards. Clusters, neighbours and predictions stay.
    """
    means = scores(measured).drop(columns=["training", "seed"]).groupby("method", sort=False).mean()
    for name in means.index:
        drawn = np.concatenate([_bootstrap(run, draws) for run in measured if run.method == name])
        low, high = np.percentile(drawn, [2.5, 97.5], axis=0).clip(list(DRAWN.values()), 1)
        means.loc[name, [f"{score}_lo" for score in DRAWN]] = low
        means.loc[name, [f"{score}_hi" for score in DRAWN]] = high
    return means.reset_index()


def _bootstrap(run, draws):
    images = {name: column.to_numpy() for name, column in run.images.items()}
    count = len(run.images)
    rng = np.random.default_rng(run.seed)
    drawn = []
    for _ in range(draws):
        chosen = rng.integers(0, count, count)
        drawn.append(_drawn_scores({name: column[chosen] for name, column in images.items()}))
    return np.array(drawn) - np.mean(drawn, axis=0) + _drawn_scores(images)


def _drawn_scores(images):
    truth = images["label"]
    labelled = truth >= 0
    pair = truth[labelled], images["cluster"][labelled]
    against = (normalized_mutual_info_score, adjusted_rand_score)
    scores = [score(*pair) if labelled.any() else np.nan for score in against]
    recalls = [clustering.micro_macro(truth, images[name])[1] for name in ("neighbour", "probe")]
    return [images["silhouette"].mean(), *scores, *recalls]


def in_spaces(spaces, *, draws=200):
    """`summary` and `scores` of several lists of runs, told apart by a column space."""
    spaces = [(name, measured) for name, measured in spaces.items() if measured]
    means = [summary(measured, draws=draws).assign(space=name) for name, measured in spaces]
    each = [scores(measured).assign(space=name) for name, measured in spaces]
    return pd.concat(means, ignore_index=True), pd.concat(each, ignore_index=True)


def sweep(methods, labels=None, *, ks, seeds):
    """Scores of the clustering for each number of clusters, mean over the seeds: a DataFrame."""
    lines = []
    for name, embeddings in tqdm(methods.items(), "sweep over k", unit="method"):
        arrays = embeddings if isinstance(embeddings, list) else [embeddings]
        for k, seed in itertools.product(ks, seeds):
            each = clustering.cluster_scores(arrays[seed % len(arrays)], labels, k=k, seed=seed)
            lines.append({"method": name, "k": k} | each)
    grouped = pd.DataFrame(lines).groupby(["method", "k"], sort=False)
    return grouped.agg(pd.Series.mean).reset_index()


def paired(scores, reference, names):
    """Each method of `scores` minus one reference, paired by seed, for each space: DataFrame.

    If one of the two was trained several times, the runs of a training are averaged first and the
    pairs are trainings. Columns: method, score, pairs, difference (mean, with a 95 % t-interval), p
    (t-test), p_sign (sign flips, exact up to 13 pairs), p_holm (corrected for all rows of the
    space). NaN: all pairs differ by the same.
    """
    tables = []
    for space, part in scores.groupby("space", sort=False):
        base = part[part["method"] == reference]
        if base.empty:  # the reference spans too few dimensions for this space
            continue
        lines = []
        for name, other in part[part["method"] != reference].groupby("method", sort=False):
            both = base.merge(other, on="seed", suffixes=(" of base", ""))
            trained = max("training of base", "training", key=lambda column: both[column].max())
            unit = trained if both[trained].max() >= 0 else "seed"
            means = both.groupby(unit)[[*names, *(f"{score} of base" for score in names)]].mean()
            for score in names:
                line = {"method": name, "score": score, "pairs": len(means)}
                lines.append(line | _test(means[score], means[f"{score} of base"]))
        tests = pd.DataFrame(lines)
        tables.append(tests.assign(p_holm=holm(tests["p"]), space=space))
    return pd.concat(tables)


def _test(first, second):
    first = first.to_numpy()
    second = second.to_numpy()
    gap = first - second
    names = ("difference_lo", "difference_hi", "p", "p_sign")
    if len(gap) < 2 or not np.ptp(gap) >= 1e-12:  # NaN too
        return {"difference": gap.mean()} | dict.fromkeys(names, np.nan)
    test = stats.ttest_rel(first, second)
    flipped = stats.permutation_test(
        (first, second),
        lambda a, b, axis: (a - b).mean(axis=axis),
        permutation_type="samples",  # exchanges the two of a pair
        rng=np.random.default_rng(0),
    )
    values = (*test.confidence_interval(0.95), test.pvalue, flipped.pvalue)
    return {"difference": gap.mean()} | dict(zip(names, values, strict=True))


def nulls(measured, labels, *, draws=200, seed=0):
    """NMI of every method's clusters with this seed beside that of shuffled labels: DataFrame.

    null_mean and null_q95 (95th percentile) are what these sizes give by chance; p is the share of
    shuffles, the observed labels included, that reach the NMI.
    """
    truth = clustering.codes(labels)
    labelled = truth >= 0
    rng = np.random.default_rng(seed)
    shuffles = [truth[labelled], *(rng.permutation(truth[labelled]) for _ in range(draws))]
    lines = []
    for run in [run for run in measured if run.seed == seed]:
        clusters = run.images["cluster"].to_numpy()[labelled]
        nmi, *null = (normalized_mutual_info_score(shuffle, clusters) for shuffle in shuffles)
        reached = np.array(null) >= nmi - 1e-12  # equal but for rounding counts
        chance = {"null_mean": np.mean(null), "null_q95": np.quantile(null, 0.95)}
        p = (1 + reached.sum()) / (draws + 1)
        lines.append({"method": run.method, "nmi": nmi} | chance | {"p": p})
    return pd.DataFrame(lines)
