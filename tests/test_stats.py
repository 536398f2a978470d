"""Intervals and paired comparisons against SciPy, published values and simple cases."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats as reference

from semlib import stats


def test_mean_interval_is_students():
    values = np.random.default_rng(0).normal(2, 1, 7)
    mean, low, high = stats.mean_interval([*values, np.nan])
    expected = reference.t.interval(0.95, 6, values.mean(), values.std(ddof=1) / np.sqrt(7))
    assert (low, high) == pytest.approx(expected)
    assert mean == pytest.approx(values.mean())


def test_mean_interval_of_one_value_and_of_none():
    mean, low, high = stats.mean_interval([3.0])
    assert mean == 3.0 and np.isnan([low, high]).all()
    assert np.isnan(stats.mean_interval([np.nan])).all()


def test_share_interval_has_wilsons_published_values():
    assert stats.share_interval(0, 10) == pytest.approx(
        (0, 0.2775), abs=1e-4
    )  # Newcombe 1998, table I
    assert stats.share_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert np.isnan(stats.share_interval(0, 0)).all()


def test_paired_says_wins_loses_or_cannot_be_told_apart():
    theirs = np.array([0.5, 0.6, 0.4, 0.55])
    noise = np.array([0.01, -0.01, 0.02, 0.0])
    assert stats.paired(theirs + 0.2 + noise, theirs)["verdict"] == "wins"
    assert stats.paired(theirs - 0.2 + noise, theirs)["verdict"] == "loses"
    assert (
        stats.paired(theirs + [0.1, -0.1, 0.1, -0.1], theirs)["verdict"] == "cannot be told apart"
    )
    single = stats.paired([0.9], [0.1])
    assert single["verdict"] == "cannot be told apart"  # one pair says nothing about chance
    assert single["difference"] == pytest.approx(0.8)


def test_summarise_keeps_the_order_of_the_groups():
    table = pd.DataFrame({"method": ["b", "b", "a"], "score": [1.0, 3.0, 5.0]})
    summary = stats.summarise(table, ["method"], ["score"])
    assert summary["method"].tolist() == ["b", "a"]
    assert summary["count"].tolist() == [2, 1]
    assert summary["score"].tolist() == [2, 5]
    assert summary["score_sd"][0] == pytest.approx(np.sqrt(2))


def test_holm_is_step_down():
    corrected = stats.holm([0.01, np.nan, 0.04, 0.03])
    assert corrected[[0, 2, 3]] == pytest.approx([0.03, 0.06, 0.06])
    assert np.isnan(corrected[1])
