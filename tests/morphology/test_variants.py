import numpy as np
import pandas as pd
import pytest

from semlib.morphology import features, recipes, variants


@pytest.fixture(scope="module")
def simulated():
    return {name: variants.simulated(name, 72, size=32) for name in variants.SETS}


@pytest.mark.slow
def test_sets_differ_in_seed_and_microscope(simulated):
    selection, labels = simulated["selection"]
    report, others = simulated["report"]
    assert [level.shape for level in selection] == [(72, 32, 32), (72, 16, 16), (72, 8, 8)]
    assert np.bincount(labels)[1:].tolist() == np.bincount(others)[1:].tolist() == [12] * 6
    assert not np.array_equal(labels, others)
    assert report[0].mean() > selection[0].mean() + 5
    with pytest.raises(ValueError, match="'test'"):
        variants.simulated("test", 72)


@pytest.mark.slow
def test_one_row_a_method_and_seed_and_finished_ones_are_kept(simulated, tmp_path):
    levels, labels = simulated["selection"]
    names = ["paper", "ours"]
    runs = variants.train_all(levels, labels, tmp_path, seeds=range(2), epochs=1, names=names)
    trained = runs[runs["method"].isin(names)]
    assert (
        len(trained) == 4
        and (trained["seconds"] > 0).all()
        and trained[variants.SCORES].notna().all().all()
    )
    assert set(features.BASELINES) <= set(runs["method"])
    again = variants.train_all(levels, labels, tmp_path, seeds=range(2), epochs=1, names=names)
    pd.testing.assert_frame_equal(again, runs)
    table = variants.summary(runs)
    assert (table["seeds"] == 2).all() and table["method"].tolist() == list(
        dict.fromkeys(runs["method"])
    )
    ours = runs[runs["method"] == "ours"]["nmi"]
    row = table.set_index("method").loc["ours"]
    assert row["nmi"] == pytest.approx(ours.mean()) and row["nmi_sd"] == pytest.approx(
        np.ptp(ours) / 2
    )
    verdicts = variants.verdicts(table.assign(set="selection"))
    assert verdicts["score"].tolist() == [*variants.BEAT, "silhouette_5"]


def test_verdict_takes_the_best_rival_and_for_silhouettes_the_paper():
    rows = [
        {"method": name, **dict.fromkeys(variants.SCORES, 0.2)}
        for name in [*features.BASELINES, "paper", "ours"]
    ]
    rows[1] |= {"nmi": 0.5, "silhouette_5": 0.9}
    rows[-1]["ari"] = 0.4
    rows.append({"method": "paper with readout", **dict.fromkeys(variants.SCORES, 0.99)})
    verdicts = variants.verdicts(pd.DataFrame(rows).assign(set="x")).set_index("score")
    assert (
        verdicts.loc["nmi", "best_method"] == rows[1]["method"]
        and verdicts.loc["nmi", "best"] == 0.5
    )
    assert verdicts.loc["silhouette_5", "best"] == 0.2, "the paper's recipe alone"
    assert verdicts["better"].to_dict() == {name: name == "ari" for name in verdicts.index}


def test_every_candidate_is_another_recipe_with_its_reason():
    assert len(set(variants.VARIANTS.values())) == len(variants.VARIANTS)
    assert list(variants.WHY) == list(variants.VARIANTS) and all(variants.WHY.values())
    assert variants.VARIANTS["paper"] == recipes.METHODS["paper"]
    assert variants.VARIANTS["ours"] == recipes.METHODS["ours"]


def test_the_stored_comparison_has_every_candidate_on_both_sets():
    table = variants.stored()
    for _, part in table.groupby("set"):
        assert set(variants.VARIANTS) | set(features.BASELINES) <= set(part["method"])
        assert part[variants.SCORES].notna().all().all() and (part["seeds"] >= 3).all()
        assert set(variants.verdicts(part)["score"]) == {*variants.BEAT, "silhouette_5"}
    assert set(table["set"]) == set(variants.SETS)
