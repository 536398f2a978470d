import numpy as np
import pandas as pd
import pytest

from semlib.morphology import features, recipes, variants


@pytest.mark.slow
def test_sets_differ_in_seed_and_microscope():
    (selection, labels), (report, others) = (simulate(72) for simulate in variants.SETS.values())
    assert np.bincount(labels)[1:].tolist() == np.bincount(others)[1:].tolist() == [12] * 6
    assert not np.array_equal(labels, others)
    assert report.mean() > selection.mean() + 5


@pytest.mark.slow
def test_study_has_a_row_a_set_and_method_and_keeps_finished_trainings(tmp_path, monkeypatch):
    options = {"size": 32, "names": ["paper", "ours"], "seeds": range(2), "epochs": 1}
    table = variants.study(tmp_path, 72, **options)
    methods = ["GLCM", "LBP", "Wavelet", "GLCM with readout", "Wavelet with readout"]
    methods += ["PCA (raw pixels)", "paper", "ours"]
    assert table["method"].tolist() == 2 * methods and (table["seeds"] == 2).all()
    assert table["set"].tolist() == ["selection"] * 8 + ["report"] * 8
    assert table[variants.SCORES].notna().all().all()
    assert (table["seconds"] > 0).tolist() == 2 * ([False] * 6 + [True] * 2)
    monkeypatch.setattr(variants, "best_device", lambda: "another")  # in this process: quicker
    pd.testing.assert_frame_equal(variants.study(tmp_path, 72, **options), table)
    assert variants.verdicts(table)["score"].tolist() == 2 * [*variants.BEAT, "silhouette_5"]


def test_summary_by_hand():
    runs = pd.DataFrame({name: [0.1, 0.4] for name in variants.SCORES})
    row = variants.summary(runs.assign(set="x", method="ours", seconds=2, why="y")).iloc[0]
    assert row["nmi"] == pytest.approx(0.25) and row["nmi_sd"] == pytest.approx(0.15)
    assert row[["set", "method", "seeds", "seconds", "why"]].tolist() == ["x", "ours", 2, 2, "y"]


def test_verdict_takes_the_best_rival_and_for_silhouettes_the_paper():
    rows = [
        {"method": name, **dict.fromkeys(variants.SCORES, 0.2)}
        for name in [*features.BASELINES, "paper", "ours"]
    ]
    rows[1] |= {"nmi": 0.5, "silhouette_5": 0.9}
    rows[-1]["ari"] = 0.4
    rows.append({"method": "paper with readout", **dict.fromkeys(variants.SCORES, 0.99)})
    verdicts = variants.verdicts(pd.DataFrame(rows).assign(set="x")).set_index("score")
    assert verdicts.loc["nmi", ["best_method", "best"]].tolist() == [rows[1]["method"], 0.5]
    assert verdicts.loc["silhouette_5", "best"] == 0.2, "the paper's recipe alone"
    assert verdicts["better"].to_dict() == {name: name == "ari" for name in verdicts.index}


def test_every_candidate_is_another_recipe_with_its_reason():
    assert len(set(variants.VARIANTS.values())) == len(variants.VARIANTS)
    assert list(variants.WHY) == list(variants.VARIANTS) and all(variants.WHY.values())
    assert variants.VARIANTS["paper"] == recipes.METHODS["paper"]
    assert variants.VARIANTS["ours"] == recipes.METHODS["ours"]


def test_the_stored_comparison_has_every_candidate_on_both_sets():
    table = pd.read_csv(variants.STORED)
    for _, part in table.groupby("set"):
        assert set(variants.VARIANTS) | set(features.BASELINES) <= set(part["method"])
        assert part[variants.SCORES].notna().all().all() and (part["seeds"] >= 3).all()
        assert set(variants.verdicts(part)["score"]) == {*variants.BEAT, "silhouette_5"}
    assert set(table["set"]) == set(variants.SETS)
