"""Means and intervals against scipy, paired comparison with known outcome, published claims."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from semlib.semclip import tables


def rows(method, values, supervision="masks", k=1, metric="AP"):
    head = {"method": method, "supervision": supervision, "k": k}
    return pd.DataFrame([head | {"seed": seed, metric: value} for seed, value in enumerate(values)])


def test_mean_standard_deviation_and_interval():
    values = [0.5, 0.6, 0.8, 0.7, 0.65]
    table = pd.concat(
        [rows("b", values), rows("b", [0.9, np.nan, 0.8], k=10), rows("a", [0.4], k=2)]
    )
    found = tables.summarise(table)
    assert list(found) == [
        "method",
        "supervision",
        "k",
        "episodes",
        "AP",
        "AP_sd",
        "AP_lo",
        "AP_hi",
    ]
    assert found[["method", "k", "episodes"]].to_numpy().tolist() == [
        ["b", 1, 5],
        ["b", 10, 3],
        ["a", 2, 1],
    ]
    assert found["AP"].tolist() == pytest.approx([0.65, 0.85, 0.4])
    assert found["AP_sd"][0] == pytest.approx(np.std(values, ddof=1))
    expected = stats.t.interval(0.95, 4, np.mean(values), stats.sem(values))
    assert found.loc[0, ["AP_lo", "AP_hi"]].tolist() == pytest.approx(expected)
    assert found.loc[2, ["AP_sd", "AP_lo", "AP_hi"]].isna().all()


def test_equal_values_have_an_interval_of_no_width():
    assert tables.mean_interval([0.5, 0.5, 0.5]) == (0.5, 0.5, 0.5)
    assert np.isnan(tables.mean_interval([np.nan])).all()


def test_paired_comparison():
    """The difference is judged within episodes, however much the episodes differ."""
    ours = np.array([0.2, 0.4, 0.6, 0.8])
    table = pd.concat(
        [
            rows("SEM-CLIP", ours),
            rows("weaker", ours - [0.05, 0.06, 0.05, 0.06]),
            rows("stronger", ours + [0.05, 0.06, 0.05, 0.06], "normals"),
            rows("like", ours + [0.05, -0.06, -0.05, 0.06]),
            rows("same", ours),
            rows("lacking", [np.nan] * 4),
        ]
    )
    found = tables.compare(table).set_index("method")
    assert found["verdict"].to_dict() == {
        "weaker": "wins", "stronger": "loses", "like": "cannot be told apart", "same": "cannot be told apart",
    }  # fmt: skip
    assert found["difference"].tolist() == pytest.approx([0.055, -0.055, 0, 0])
    assert found["equal_supervision"].to_dict() == {
        "weaker": True,
        "stronger": False,
        "like": True,
        "same": True,
    }
    assert (found["lo"] <= found["difference"]).all() and (found["difference"] <= found["hi"]).all()


def test_comparison_of_each_number_of_shots_and_metric():
    def both(name, low, high):
        few, many = (
            rows(name, values, k=k).assign(PRO=0.5) for k, values in ((1, low), (10, high))
        )
        return pd.concat([few, many])

    table = pd.concat(
        [both("SEM-CLIP", [0.5, 0.6], [0.9, 0.8]), both("U-Net", [0.9, 1.0], [0.5, 0.4])]
    )
    found = tables.compare(table).set_index(["metric", "k"])
    assert found["verdict"]["AP"].tolist() == ["loses", "wins"]
    assert found["verdict"]["PRO"].tolist() == ["cannot be told apart"] * 2


def test_one_episode_tells_nothing_apart():
    found = tables.compare(pd.concat([rows("SEM-CLIP", [0.9]), rows("other", [0.1])]))
    assert found["verdict"].tolist() == ["cannot be told apart"] and found["lo"].isna().all()


def test_bad_comparisons():
    with pytest.raises(ValueError, match="no method 'SEM-CLIP'"):
        tables.compare(rows("a", [0.5]))
    with pytest.raises(ValueError, match=r"different episodes \(k, seed\): \[\(1, 1\)\]"):
        tables.compare(pd.concat([rows("SEM-CLIP", [0.5, 0.6]), rows("a", [0.5])]))


def test_published_claims_carry_their_source_and_status():
    found = tables.published()
    assert set(found["status"]) == {"published, unverified, private data"}
    wide = found.pivot(index="source", columns="metric", values="difference").round(3)
    paper = wide.index.str.contains("2502.14884")
    assert wide[paper].loc[:, ["iAUROC", "pAUROC", "F1-max"]].to_numpy().tolist() == [
        [0.02, 0.013, 0.211]
    ]
    assert wide[~paper].loc[:, ["iAUROC", "pAUROC", "F1-max"]].to_numpy().tolist() == [
        [0.013, 0.004, 0.015]
    ]
    assert set(found["k"]) == {10} and set(found["method"]) == {"PromptAD"}
