import numpy as np
import pandas as pd
import pytest

from semlib.morphology import scoreboard, table1

pytestmark = pytest.mark.slow  # what all its tests share takes a second


@pytest.fixture
def measured(blobs):
    """Three methods over two seeds, one of them trained twice."""
    points, labels = blobs
    rng = np.random.default_rng(1)
    methods = {"GLCM": rng.normal(size=(100, 2)), "noise, 1-D": rng.normal(size=(100, 1))}
    methods["Proposed SSL"] = [points, points]
    return scoreboard.runs(methods, labels, k=3, seeds=range(2))


def test_table1_columns_intervals_and_paper_values(measured):
    table = table1.table1(scoreboard.summary(measured, draws=20))
    names = ["silhouette", "silhouette_lo", "silhouette_hi", "nmi", "nmi_lo", "nmi_hi"]
    assert list(table.columns) == ["method", *names, "rankme", "paper_silhouette", "paper_nmi"]
    assert table["method"].tolist() == ["GLCM", "Proposed SSL"]
    assert (table["silhouette_lo"] <= table["silhouette"]).all()
    assert (table["silhouette"] <= table["silhouette_hi"]).all()
    assert table["paper_nmi"].tolist() == [0.287785, 0.203185]
    assert table["nmi"].iloc[1] == pytest.approx(1)
    shown = table1.table1_shown(table)
    assert shown["NMI"].iloc[1] == "1.000 [1.000, 1.000]" and len(shown.columns) == 6


def test_controls_by_space_and_what_they_say(measured):
    spaces = {"as it is": measured, "none": []}
    table, each = scoreboard.in_spaces(spaces, draws=5)
    assert set(table["space"]) == set(each["space"]) == {"as it is"} and len(each) == 6
    assert table1.controls_shown(table)["1-NN macro"].iloc[-1] == "1.000 [1.000, 1.000]"
    lines = table1.remarks(table, 100, 4)
    assert "on 100 points" in lines[0] and "out of 4" in lines[0]
    assert lines[1] == "Above the noise: Proposed SSL."
    assert any(line.startswith("Highest ARI, as it is: Proposed SSL 1.000") for line in lines)
    paired = scoreboard.paired(each, "Proposed SSL", ["nmi", "ari"])
    shown = table1.paired_shown(paired)
    assert paired["method"].tolist() == ["GLCM"] * 2 + ["noise, 1-D"] * 2
    assert len(shown) == 4 and (paired["difference"] < 0).all()


def test_nulls_are_of_the_first_seed(measured, blobs):
    nulls = scoreboard.nulls(measured, blobs[1], seed=0)
    assert nulls["method"].tolist() == ["GLCM", "noise, 1-D", "Proposed SSL"]
    assert nulls["p"].iloc[-1] == pytest.approx(1 / 201)


def test_correlations_by_training():
    history = pd.DataFrame(
        {"training": list("aaabbb"), "rankme": [1, 2, 3] * 2, "nmi": [0.1, 0.2, 0.9, 3, 2, 1]}
    )
    assert table1.correlations(history, ["nmi"])["nmi"].tolist() == pytest.approx([1, -1])
