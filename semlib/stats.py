"""Intervals and paired comparisons: the only ones of the package."""

import numpy as np
from scipy import stats

LEVEL = 0.95
VERDICTS = ("wins", "loses", "cannot be told apart")


def mean_interval(values):
    """Mean with its 95 % interval by Student's t.

    Parameters
    ----------
    values : sequence of float
        NaN are left out.

    Returns
    -------
    mean, low, high : float
        The interval of one value is NaN, and so is all of none. It is not cut to the range of a score.
    """
    values = np.asarray(values, dtype=np.float64)
    values = values[np.isfinite(values)]
    if not len(values):
        return np.nan, np.nan, np.nan
    mean = float(values.mean())
    if len(values) < 2:
        return mean, np.nan, np.nan
    half = float(stats.t.ppf((1 + LEVEL) / 2, len(values) - 1) * stats.sem(values))
    return mean, mean - half, mean + half


def share_interval(hits, count):
    """95 % interval of a share by Wilson's score, which stays within 0 and 1; (NaN, NaN) without cases."""
    if not count:
        return np.nan, np.nan
    interval = stats.binomtest(hits, count).proportion_ci(LEVEL, method="wilson")
    return float(interval.low), float(interval.high)


def verdict(low, high):
    """What an interval of "ours minus theirs" says; see `VERDICTS`."""
    if low > 0:
        return VERDICTS[0]
    if high < 0:
        return VERDICTS[1]
    return VERDICTS[2]


def paired(ours, theirs):
    """Mean difference of pairs with its 95 % interval by Student's t, and what it says.

    Parameters
    ----------
    ours, theirs : sequence of float (N,)
        Of the same episodes, images or seeds in the same order; pairs with NaN are left out.

    Returns
    -------
    dict
        difference (mean of ours - theirs), lo, hi, verdict.
    """
    difference = np.asarray(ours, dtype=np.float64) - np.asarray(theirs, dtype=np.float64)
    mean, low, high = mean_interval(difference)
    return {"difference": mean, "lo": low, "hi": high, "verdict": verdict(low, high)}


def summarise(table, by, columns):
    """Mean and 95 % interval of columns by group.

    Parameters
    ----------
    table : DataFrame
    by : sequence of str
        Columns that name a group; groups keep the order of the table.
    columns : sequence of str

    Returns
    -------
    DataFrame
        The columns `by`, count (rows of the group) and for each of `columns` its mean, ``<name>_sd``,
        ``<name>_lo`` and ``<name>_hi``.
    """
    import pandas as pd

    summaries = []
    for key, group in table.groupby(list(by), sort=False):
        summary = dict(zip(by, key, strict=True)) | {"count": len(group)}
        for name in columns:
            mean, low, high = mean_interval(group[name])
            summary |= {name: mean, f"{name}_sd": group[name].std()}
            summary |= {f"{name}_lo": low, f"{name}_hi": high}
        summaries.append(summary)
    return pd.DataFrame(summaries)


def holm(p):
    """Holm's step-down correction of p-values for many tests (Holm 1979); NaN are no tests.

    Parameters
    ----------
    p : array (N,)

    Returns
    -------
    array (N,)
        At most 1, in the order of `p`.
    """
    p = np.asarray(p, dtype=np.float64)
    order = np.argsort(p)[: np.isfinite(p).sum()]
    corrected = np.full(len(p), np.nan)
    scaled = p[order] * np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(scaled), 1)
    return corrected
