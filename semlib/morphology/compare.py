"""Methods beside each other over seeds: all scores, Table 1 with intervals, a sweep over k, paired tests."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
from tqdm import tqdm

from semlib.morphology import evaluate, probe

DRAWN = {
    "silhouette": -1,
    "nmi": 0,
    "ari": -1,
    "knn_macro": 0,
    "probe": 0,
}  # scores with an interval: least value


@dataclass(frozen=True)
class Run:
    """One method with one seed; `training` counts the trainings of a method that has several, else it is -1."""

    method: str
    training: int
    seed: int
    outcome: evaluate.Outcome


def runs(methods, labels=None, *, k=6, seeds=range(5), folds=5, progress=True):
    """Measure every method with every seed (of k-means and of the folds of the probe).

    Parameters
    ----------
    methods : dict of str to array (N, D) or list of array (N, D)
        Name and embeddings; a list holds one array for each training of a method that is trained, or for each
        draw of one that is random. Run i takes array i modulo their number.
    labels : sequence (N,), optional
    k, folds : int
    seeds : sequence of int

    Returns
    -------
    list of Run

    Raises
    ------
    ValueError
        If the number of seeds is no multiple of a method's trainings, so that some would count more than others.
    """
    found = []
    with tqdm(
        total=len(methods) * len(seeds), desc="scores", unit="run", disable=not progress
    ) as bar:
        for name, embeddings in methods.items():
            several = isinstance(embeddings, list)
            if several and len(seeds) % len(embeddings):
                raise ValueError(
                    f"{name}: {len(seeds)} seeds for {len(embeddings)} embeddings: take a multiple"
                )
            for i, seed in enumerate(seeds):
                training = i % len(embeddings) if several else -1
                chosen = embeddings[training] if several else embeddings
                outcome = evaluate.measure(chosen, labels, k=k, seed=seed, folds=folds)
                found.append(Run(name, training, seed, outcome))
                bar.update()
    return found


def scores(found):
    """All scores of a list of `Run` as a DataFrame: method, training, seed, then `evaluate.all_scores`."""
    heads = [{"method": run.method, "training": run.training, "seed": run.seed} for run in found]
    return pd.DataFrame(
        [head | evaluate.scores_of(run.outcome) for head, run in zip(heads, found, strict=True)]
    )


def summary(found, *, draws=200):
    """Mean of every score over the runs of a method, with intervals.

    Each interval is the central 95 % of a two-level bootstrap: every run (seed, and training where there is one) and,
    within it, images drawn with replacement from the fixed clustering, neighbours and predictions. The draws of a run
    are shifted to have that run's score as their mean, since the NMI of a resample is biased upwards.

    Parameters
    ----------
    found : list of Run
    draws : int
        Bootstrap draws a run.

    Returns
    -------
    DataFrame
        A row for each method in order: method, the mean of each score, and name_lo, name_hi for those in `DRAWN`.
    """
    means = scores(found).drop(columns=["training", "seed"]).groupby("method", sort=False).mean()
    for name in means.index:
        drawn = np.concatenate([_bootstrap(run, draws) for run in found if run.method == name])
        low, high = np.percentile(drawn, [2.5, 97.5], axis=0).clip(list(DRAWN.values()), 1)
        means.loc[name, [f"{score}_lo" for score in DRAWN]] = low
        means.loc[name, [f"{score}_hi" for score in DRAWN]] = high
    return means.reset_index()


def table1(table):
    """Table 1 from a `summary`, with the paper's values beside ours.

    Returns
    -------
    DataFrame
        method, silhouette, silhouette_lo, silhouette_hi, nmi, nmi_lo, nmi_hi, rankme, paper_silhouette, paper_nmi:
        one row for each method of the paper that `table` holds.
    """
    names = [f"{score}{end}" for score in ("silhouette", "nmi") for end in ("", "_lo", "_hi")]
    rows = table.loc[
        table["method"].isin(evaluate.PAPER_TABLE1), ["method", *names, "rankme"]
    ].reset_index(drop=True)
    rows[["paper_silhouette", "paper_nmi"]] = [
        evaluate.PAPER_TABLE1[name] for name in rows["method"]
    ]
    return rows


def sweep(methods, labels=None, *, ks=(2, 3, 4, 6, 8, 12), seeds=range(3), progress=True):
    """Scores of the clustering for each number of clusters, mean over the seeds: DataFrame with method and k first."""
    rows = []
    for name, embeddings in tqdm(
        methods.items(), desc="sweep over k", unit="method", disable=not progress
    ):
        arrays = embeddings if isinstance(embeddings, list) else [embeddings]
        for k in ks:
            found = [
                evaluate.cluster_scores(arrays[s % len(arrays)], labels, k=k, seed=s) for s in seeds
            ]
            rows.append({"method": name, "k": k} | pd.DataFrame(found).mean().to_dict())
    return pd.DataFrame(rows)


def paired(table, reference, *, names=("silhouette", "nmi", "ari", "knn_macro", "probe")):
    """Each method minus one reference, paired by seed.

    If one of the two was trained several times, its trainings are what varies: the runs of a training are averaged
    first and the pairs are trainings; else the pairs are seeds. Both kinds of spread say nothing about other images:
    for that see the intervals of `summary`.

    Parameters
    ----------
    table : DataFrame
        From `scores`.
    reference : str
        A method of `table`.
    names : sequence of str
        Scores to compare.

    Returns
    -------
    DataFrame
        method, score, pairs, difference (mean), difference_lo and difference_hi (95 % t-interval), p (t-test),
        p_sign (sign-flip test, exact up to 13 pairs, at least 2 / 2**pairs) and p_holm, `p` corrected for all rows of
        the table (Holm 1979). NaN where the difference is the same in every pair, so that nothing is left to chance.

    Raises
    ------
    ValueError
        If `reference` is not in the table.
    """
    if reference not in set(table["method"]):
        raise ValueError(
            f"no method {reference!r} in the scores: {', '.join(table['method'].unique())}"
        )
    base = table[table["method"] == reference]
    rows = []
    for name, other in table[table["method"] != reference].groupby("method", sort=False):
        trained = max(other["training"].max(), base["training"].max()) >= 0
        for score in names:
            first, second = (_units(part, base, other, score, trained) for part in (other, base))
            rows.append(
                {"method": name, "score": score, "pairs": len(first)} | _test(first, second)
            )
    found = pd.DataFrame(rows)
    found["p_holm"] = _holm(found["p"].to_numpy())
    return found


def _units(part, base, other, score, trained):
    """Values of one method by pair: by training of whichever was trained, else by seed."""
    if not trained:
        return part.sort_values("seed")[score].to_numpy()
    leader = base if base["training"].max() >= other["training"].max() else other
    training = dict(zip(leader["seed"], leader["training"], strict=True))
    return part.groupby(part["seed"].map(training))[score].mean().to_numpy()


def _test(first, second):
    gap = first - second
    found = {
        "difference": gap.mean(),
        "difference_lo": np.nan,
        "difference_hi": np.nan,
        "p": np.nan,
        "p_sign": np.nan,
    }
    if len(gap) < 2 or not np.isfinite(gap).all() or np.ptp(gap) < 1e-12:
        return found
    test = stats.ttest_rel(first, second)
    low, high = test.confidence_interval(0.95)
    flipped = stats.permutation_test(
        (first, second), lambda a, b, axis: (a - b).mean(axis=axis), permutation_type="samples", n_resamples=9999,
        vectorized=True, rng=np.random.default_rng(0),
    )  # fmt: skip
    return found | {
        "difference_lo": low,
        "difference_hi": high,
        "p": test.pvalue,
        "p_sign": flipped.pvalue,
    }


def _holm(p):
    """Holm's step-down correction; NaN are no tests."""
    order = np.argsort(p)[: np.isfinite(p).sum()]
    corrected = np.full(len(p), np.nan)
    scaled = p[order] * np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(scaled), 1)
    return corrected


def _bootstrap(run, draws):
    """`DRAWN` scores of resamples of the images, each with the mean of the whole: array (draws, len(DRAWN))."""
    rng = np.random.default_rng(run.seed)
    images = run.outcome.images
    columns = [
        images[name].to_numpy() for name in ("silhouette", "cluster", "label", "neighbour", "probe")
    ]
    rows = [_drawn_scores(*columns)]
    for _ in range(draws):
        drawn = rng.integers(0, len(images), len(images))
        rows.append(_drawn_scores(*(column[drawn] for column in columns)))
    rows = np.array(rows)
    return rows[1:] - rows[1:].mean(axis=0) + rows[0]


def _drawn_scores(silhouettes, clusters, truth, neighbour, probed):
    known = truth >= 0
    pair = truth[known], clusters[known]
    against = (
        [normalized_mutual_info_score(*pair), adjusted_rand_score(*pair)]
        if known.any()
        else [np.nan] * 2
    )
    return [
        silhouettes.mean(),
        *against,
        probe.micro_macro(truth, neighbour)[1],
        probe.micro_macro(truth, probed)[1],
    ]
