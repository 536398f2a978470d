"""From the rows of all episodes to what a reader sees: means with intervals, paired comparisons, published claims."""

import numpy as np
import pandas as pd
from scipy import stats

KEYS = ["method", "supervision", "k", "seed"]
VERDICTS = ("wins", "loses", "cannot be told apart")
STATUS = "published, unverified, private data"
PUBLISHED = {  # gains over PromptAD at 10 shots, percentage points: iAUROC, pAUROC, F1-max
    "SEM-CLIP paper (arXiv 2502.14884, ICCAD 2024)": (2.0, 1.3, 21.1),
    "document 002, a second account of the paper": (1.3, 0.4, 1.5),
}


def summarise(table):
    """Mean, standard deviation and 95 % t-interval over the episode seeds.

    The test set is fixed, so that the interval covers the choice of the shots, not that of the test images.

    Parameters
    ----------
    table : DataFrame
        method, supervision, k, seed and metrics, as `runs.evaluate` returns it.

    Returns
    -------
    DataFrame
        method, supervision, k, episodes and for each metric ``<metric>``, ``_sd``, ``_lo``, ``_hi`` (not cut to 0
        to 1), groups in the order of the table. NaN are left out; sd and interval of one value are NaN.
    """
    rows = []
    for key, part in table.groupby(KEYS[:3], sort=False):
        row = dict(zip(KEYS, key, strict=False)) | {"episodes": len(part)}
        for metric in table.columns.drop(KEYS):
            mean, low, high = mean_interval(part[metric])
            row |= {
                metric: mean,
                f"{metric}_sd": part[metric].std(),
                f"{metric}_lo": low,
                f"{metric}_hi": high,
            }
        rows.append(row)
    return pd.DataFrame(rows)


def mean_interval(values):
    """Mean with its 95 % interval by Student's t; NaN are left out, the interval of one value is NaN."""
    values = np.asarray(values, float)
    values = values[np.isfinite(values)]
    if len(values) < 2:
        return (float(values.mean()) if len(values) else float("nan")), float("nan"), float("nan")
    half = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return float(values.mean()), float(values.mean() - half), float(values.mean() + half)


def compare(table, reference="SEM-CLIP"):
    """Paired comparison of one method with each other one on the same episodes.

    Parameters
    ----------
    table : DataFrame
        As for `summarise`.
    reference : str
        The method that wins or loses.

    Returns
    -------
    DataFrame
        method (the competitor), supervision, equal_supervision, k, metric, episodes, difference (mean of reference -
        competitor), lo, hi (95 % t-interval, no correction for many comparisons), verdict: the reference "wins" or
        "loses" where the interval excludes 0, else they "cannot be told apart". A metric that one of the two lacks
        has no row.

    Raises
    ------
    ValueError
        If the reference is not in the table or a competitor ran on other episodes.
    """
    known = list(table["method"].unique())
    if reference not in known:
        raise ValueError(f"no method {reference!r} in the table, which has {known}")
    ours = table[table["method"] == reference].set_index(["k", "seed"])
    rows = []
    for name, other in table[table["method"] != reference].groupby("method", sort=False):
        theirs = other.set_index(["k", "seed"])
        if set(theirs.index) != set(ours.index):
            differing = sorted(set(theirs.index) ^ set(ours.index))
            raise ValueError(
                f"{name} and {reference} ran on different episodes (k, seed): {differing}"
            )
        supervision = theirs["supervision"].iloc[0]
        head = {"method": name, "supervision": supervision}
        head["equal_supervision"] = bool(supervision == ours["supervision"].iloc[0])
        for metric in table.columns.drop(KEYS):
            for k, difference in (
                (ours[metric] - theirs[metric]).dropna().groupby(level="k", sort=False)
            ):
                rows.append(
                    head
                    | {"k": k, "metric": metric, "episodes": len(difference)}
                    | _judged(difference)
                )
    return pd.DataFrame(rows)


def _judged(difference):
    mean, low, high = mean_interval(difference)
    verdict = VERDICTS[0] if low > 0 else VERDICTS[1] if high < 0 else VERDICTS[2]
    return {"difference": mean, "lo": low, "hi": high, "verdict": verdict}


def published():
    """What is published of SEM-CLIP's gains over PromptAD at 10 shots; the two accounts differ, neither is verified.

    Returns
    -------
    DataFrame
        source, method (the competitor), k, metric, difference (0 to 1 like our own), status.
    """
    return pd.DataFrame(
        {
            "source": source,
            "method": "PromptAD",
            "k": 10,
            "metric": metric,
            "difference": gain / 100,
            "status": STATUS,
        }
        for source, gains in PUBLISHED.items()
        for metric, gain in zip(("iAUROC", "pAUROC", "F1-max"), gains, strict=True)
    )
