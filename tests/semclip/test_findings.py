"""Means with intervals, comparisons at equal supervision, the ablation, published claims."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from semlib.semclip import findings, pixels
from semlib.semclip.model import SemClip


def scored(method, supervision, values, k=5, metric="iAUROC"):
    head = {"method": method, "supervision": supervision, "k": k}
    return pd.DataFrame([head | {"seed": seed, metric: value} for seed, value in enumerate(values)])


@pytest.fixture
def table():
    return pd.concat(
        [
            scored("SEM-CLIP", "labels + masks", [0.9, 0.92, 0.94]),
            scored("SEM-CLIP, labels only", "labels", [0.7, 0.72, 0.74]),
            scored("SEM-CLIP, zero-shot", "none", [0.6, 0.6, 0.6]),
            scored("probe", "labels", [0.8, 0.83, 0.85]),
            scored("WinCLIP", "none", [0.5, 0.5, 0.5]),
            scored("PatchCore", "normals", [0.85, 0.95, 0.9]),
            scored("lacking", "labels", [np.nan] * 3),
            scored("probe", "labels", [0.1, 0.1, 0.1], k=1),
        ]
    )


def test_mean_standard_deviation_and_interval():
    values = [0.5, 0.6, 0.8, 0.7, 0.65]
    table = [scored("b", "none", values), scored("b", "none", [0.9, np.nan, 0.8], k=10)]
    summary = findings.summarise(pd.concat([*table, scored("a", "none", [0.4], k=2)]))
    heads = ["method", "supervision", "k", "episodes"]
    assert list(summary) == [*heads, "iAUROC", "iAUROC_sd", "iAUROC_lo", "iAUROC_hi"]
    groups = summary[["method", "k", "episodes"]].to_numpy().tolist()
    assert groups == [["b", 5, 5], ["b", 10, 3], ["a", 2, 1]]
    assert summary["iAUROC"].tolist() == pytest.approx([0.65, 0.85, 0.4])
    expected = stats.t.interval(0.95, 4, np.mean(values), stats.sem(values))
    assert summary.loc[0, ["iAUROC_lo", "iAUROC_hi"]].tolist() == pytest.approx(expected)
    shown = findings.readable(summary, ["method"], ["iAUROC"])
    assert shown["iAUROC"][0] == f"0.650 [{expected[0]:.3f}, {expected[1]:.3f}]"


def test_each_competitor_meets_the_variant_of_its_supervision(table):
    compared = findings.against(table, ["iAUROC"], 5).set_index("competitor")
    assert compared["ours"].to_dict() == {
        "probe": "SEM-CLIP, labels only",
        "WinCLIP": "SEM-CLIP, zero-shot",
        "PatchCore": "SEM-CLIP",
    }
    assert compared["equal_supervision"].tolist() == [True, True, False]
    assert compared["verdict"].tolist() == ["loses", "wins", "cannot be told apart"]
    assert compared["difference"].tolist() == pytest.approx([-0.32 / 3, 0.1, 0.02])


def test_the_difference_is_judged_within_episodes_however_much_they_differ():
    ours = np.array([0.2, 0.4, 0.6, 0.8])
    table = [scored("SEM-CLIP", "labels + masks", ours)]
    for name, shift in {"weaker": [-0.05, -0.06] * 2, "like": [0.05, -0.06, -0.05, 0.06]}.items():
        table.append(scored(name, "masks", (ours + shift)[::-1]).assign(seed=[3, 2, 1, 0]))
    compared = findings.against(pd.concat(table), ["iAUROC"], 5).set_index("competitor")
    assert compared["verdict"].to_dict() == {"weaker": "wins", "like": "cannot be told apart"}
    assert compared["difference"].tolist() == pytest.approx([0.055, 0])
    assert (compared["lo"] <= compared["difference"]).all()


def test_one_episode_tells_nothing_apart(table):
    compared = findings.against(table[table["seed"] == 0], ["iAUROC"], 5)
    assert set(compared["verdict"]) == {"cannot be told apart"} and compared["lo"].isna().all()


def test_the_table_has_one_row_a_competitor(table):
    value = table["iAUROC"]
    areas = table.assign(pAUROC=value, **{"F1-max": value})
    shown = findings.comparison(areas, table.assign(accuracy=value, F1=value), 5)
    assert list(shown["competitor"]) == ["probe", "WinCLIP", "PatchCore"]
    assert shown.loc[1, ["iAUROC", "F1"]].tolist() == ["+0.100 [+0.100, +0.100] wins"] * 2


def test_pixels_meet_the_methods_that_see_masks_in_rows_of_their_own(table):
    ours = scored(pixels.NAME, "labels + masks", [0.95, 0.96, 0.99])
    value = pd.concat([table, ours, scored("forest", "labels + masks", [0.9, 0.91, 0.94])])
    areas = value.assign(pAUROC=value["iAUROC"], **{"F1-max": value["iAUROC"]})
    some = value.assign(accuracy=value["iAUROC"], F1=value["iAUROC"])
    shown = findings.comparison(areas, some, 5).set_index(["ours", "competitor"])
    assert set(shown.loc[pixels.NAME].index) == {"SEM-CLIP", "forest"}
    assert ("SEM-CLIP", pixels.NAME) in shown.index
    assert shown.loc[(pixels.NAME, "forest"), "pAUROC"] == "+0.050 [+0.050, +0.050] wins"


def test_ablation_gains_are_paired_by_hand():
    def part(columns, full, without):
        values = {"SEM-CLIP": full, "x": without}
        scores = [scored(name, "labels", some, k=2) for name, some in values.items()]
        table = pd.concat(scores)
        return table.assign(**dict.fromkeys(columns, table["iAUROC"]))

    areas = part(["pAUROC", "F1-max"], [0.8, 0.9], [0.7, 0.85])
    scores = part(["accuracy", "F1"], [0.5, 0.6], [0.6, 0.6]).drop(columns="iAUROC")
    table = findings.ablation(areas, scores)
    shown = findings.readable(table, ["variant"], ["F1"], gains=True)
    assert list(shown) == ["variant", "F1", "F1: full minus this"]
    table = table.set_index("variant")
    assert table.loc["x", "iAUROC gain"] == pytest.approx(0.075)
    assert table.loc["x", "accuracy gain"] == pytest.approx(-0.05)
    assert table.loc["full", "pAUROC gain"] == 0
    assert table.loc["full", "F1-max"] == pytest.approx(0.85)


def test_published_claims_carry_their_source_and_status():
    claims = findings.published()
    assert set(claims["status"]) == {"published, unverified, private data"}
    wide = claims.pivot(index="source", columns="metric", values="difference").round(3)
    wide = wide[["iAUROC", "pAUROC", "F1-max"]]
    paper = wide.index.str.contains("2502.14884")
    assert wide[paper].to_numpy().tolist() == [[0.02, 0.013, 0.211]]
    assert wide[~paper].to_numpy().tolist() == [[0.013, 0.004, 0.015]]
    assert set(claims["k"]) == {10} and set(claims["method"]) == {"PromptAD"}


def test_text_is_compared_with_the_same_image_without_it(spots, spots_backbone, spots_prompts):
    images, names, masks = spots(6)
    model = SemClip(spots_backbone, spots_prompts, steps=2).fit(images, names, masks)
    written = np.where(masks, 255, images).astype(np.uint8)
    table, maps = findings.text_alarm(model, images, written, masks)
    assert table["tuning"].tolist() == ["before", "after"]
    tuned, plain = model.predict(written), model.predict(images)
    assert np.array_equal(maps["after"], tuned.anomaly_maps)
    after = table.iloc[1]
    assert after["map on text"] == pytest.approx(tuned.anomaly_maps[masks].mean())
    assert after["score without text"] == pytest.approx(model.anomaly_scores(plain).mean())
    raised = model.anomaly_scores(tuned) > model.anomaly_scores(plain)
    assert after["raised in"] == pytest.approx(raised.mean())
