"""Intervals and paired comparisons: the only ones of the package."""

import numpy as np
import pandas as pd
from scipy import stats

LEVEL = 0.95


def mean_interval(values):
    """Mean, low and high end of its 95 % interval by Student's t; NaN among `values` are left out.

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
    """95 % interval of a share by Wilson's score, within 0 and 1; (NaN, NaN) without cases."""
    if not count:
        return np.nan, np.nan
    interval = stats.binomtest(hits, count).proportion_ci(LEVEL, method="wilson")
    return float(interval.low), float(interval.high)


def verdict(low, high):
    """What an interval of "ours minus theirs" says: ours wins, loses or cannot be told apart."""
    if low > 0:
        return "wins"
    return "loses" if high < 0 else "cannot be told apart"


def paired(ours, theirs):
    """Mean difference of pairs with its 95 % interval by Student's t, and what it says.

    `ours` and `theirs` (N,) are of the same episodes, images or seeds in the same order; pairs with
    NaN are left out. Returns a dict: difference (mean of ours - theirs), lo, hi, verdict.
    """
    difference = np.asarray(ours, dtype=np.float64) - np.asarray(theirs, dtype=np.float64)
    mean, low, high = mean_interval(difference)
    return {"difference": mean, "lo": low, "hi": high, "verdict": verdict(low, high)}


def summarise(table, by, columns):
    """Mean and 95 % interval of columns of a table by group, in the table's order of groups.

    Returns the columns `by`, count (rows of the group) and for each of `columns` its mean,
    ``<name>_sd``, ``<name>_lo`` and ``<name>_hi``.
    """
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
    """P-values (N,) after Holm's step-down correction for many tests (Holm 1979), at most 1.

    NaN are no tests and stay.
    """
    p = np.asarray(p, dtype=np.float64)
    order = np.argsort(p)[: np.isfinite(p).sum()]
    corrected = np.full(len(p), np.nan)
    scaled = p[order] * np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(scaled), 1)
    return corrected
