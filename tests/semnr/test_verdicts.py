"""What the dose experiment says, on tables whose answer is known."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from semlib.semnr import verdicts

DOSES = (5, 10, 20, 40)
RECALLS = {  # by dose
    "truth": (1.0, 1.0, 1.0, 1.0),
    "noisy": (0.2, 0.4, 0.8, 1.0),
    "U-Net MSE": (0.1, 0.3, 0.7, 0.97),
    "SEMNR": (0.3, 0.6, 0.95, 0.98),
}


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    rows = []
    for image in range(12):
        for restorer, recalls in RECALLS.items():
            for dose, recall in zip(DOSES, recalls, strict=True):
                row = {"image": image, "dose": dose, "restorer": restorer, "filter": ""}
                row |= {"psnr": 30.0 - (restorer == "SEMNR") * 0.3 + 0.01 * rng.normal()}
                row |= {"fsim": 0.9, "dists": 0.2, "recall": recall + 0.005 * rng.normal()}
                rows.append(row)
    return pd.DataFrame(rows)


def test_differences_are_paired(table):
    difference = verdicts.differences(table, "SEMNR", "U-Net MSE").set_index("dose")
    assert difference.loc[10, "difference"] == pytest.approx(0.3, abs=0.01)
    assert difference.loc[10, "verdict"] == "wins" and difference.loc[10, "lo"] > 0.28


def test_dose_at_which_the_defect_is_lost(table):
    assert verdicts.losing_dose(table, "U-Net MSE") == 20
    assert verdicts.losing_dose(table, "SEMNR") == 10
    assert verdicts.losing_dose(table.assign(recall=1.0), "SEMNR") is None


def test_electrons_needed(table):
    needed = verdicts.needed(table)
    # 0.5 of the truth lies half-way between 0.4 at 10 and 0.8 at 20: a quarter of the octave
    assert needed["noisy"].mean() == pytest.approx(10 * 2**0.25, rel=0.02)
    factor = verdicts.electrons(table)
    assert factor["factor"] == pytest.approx(5 * 2 ** (2 / 3) / (10 * 2**0.5), rel=0.03)
    assert factor["lo"] < factor["factor"] < factor["hi"] < 1


def test_needed_is_censored_at_both_ends(table):
    always = verdicts.needed(table.assign(recall=1.0))
    assert (always == 5).all(axis=None)
    lost = table.assign(recall=table["recall"].where(table["restorer"] == "truth", 0.0))
    assert (verdicts.needed(lost) == 80).all(axis=None)


def test_sentences_name_losses_and_savings(table):
    said = "\n".join(verdicts.sentences(table))
    assert "U-Net MSE: loses the defect at 20 electrons a pixel and below; half of" in said
    assert "U-Net MSE shows less of the defect than its noisy input at 5 (-0.10)" in said
    assert "SEMNR shows less of the defect than its noisy input at 40 (-0.02)" in said
    assert "below; half of the defects are found from 12 electrons on." in said
    assert "trust saves" in said and "PSNR -0.3" in said
    equal = table.assign(recall=table.groupby("image")["recall"].transform("first"))
    said = "\n".join(verdicts.sentences(equal))
    assert "cannot be told apart at any dose" in said and "could be told" in said


def test_cases_are_the_largest_difference_and_the_median(table):
    change = (table["image"] == 7) & (table["dose"] == 20) & (table["restorer"] == "U-Net MSE")
    table.loc[change, "recall"] = 0.0
    cases = verdicts.cases(table)
    assert (cases["largest"]["image"], cases["largest"]["dose"]) == (7, 20)
    assert cases["largest"]["percentile"] == 100
    assert cases["largest"]["difference"] == pytest.approx(0.95, abs=0.02)
    assert 45 <= cases["median"]["percentile"] <= 55
    table.loc[change, "recall"] = 3.0  # the loser's side is a case, too
    assert verdicts.cases(table)["largest"]["difference"] < -2


def test_figure_has_a_line_for_each_restorer(table):
    figure = verdicts.curves(table)
    assert [len(axis.lines) for axis in figure.axes] == [4, 3, 3, 3]
    plt.close(figure)
