"""Comparisons at equal supervision, the ablation's table, patches of masks."""

import numpy as np
import pandas as pd
import pytest

from semlib.semclip import results


def rows(method, supervision, values, k=5):
    return [
        {"method": method, "supervision": supervision, "k": k, "seed": seed, "iAUROC": value}
        for seed, value in enumerate(values)
    ]


@pytest.fixture
def table():
    return pd.DataFrame(
        rows("SEM-CLIP", "labels + masks", [0.9, 0.92, 0.94])
        + rows("SEM-CLIP, labels only", "labels", [0.7, 0.72, 0.74])
        + rows("SEM-CLIP, zero-shot", "none", [0.6, 0.6, 0.6])
        + rows("probe", "labels", [0.8, 0.83, 0.85])
        + rows("WinCLIP", "none", [0.5, 0.5, 0.5])
        + rows("PatchCore", "normals", [0.85, 0.95, 0.9])
        + rows("probe", "labels", [0.1, 0.1, 0.1], k=1)
    )


def test_each_competitor_meets_the_variant_of_its_supervision(table):
    found = pd.concat(results.against(table, ["iAUROC"], 5)).set_index("method")
    assert found["ours"].to_dict() == {
        "probe": "SEM-CLIP, labels only",
        "WinCLIP": "SEM-CLIP, zero-shot",
        "PatchCore": "SEM-CLIP",
    }
    assert found["equal_supervision"].to_dict() == {
        "probe": True,
        "WinCLIP": True,
        "PatchCore": False,
    }
    assert found["verdict"].to_dict() == {
        "probe": "loses",
        "WinCLIP": "wins",
        "PatchCore": "cannot be told apart",
    }


def test_the_table_has_one_row_a_competitor(table):
    shown = results.as_table(results.against(table, ["iAUROC"], 5))
    assert list(shown["competitor"]) == ["probe", "WinCLIP", "PatchCore"]
    assert shown.loc[1, "iAUROC"] == "+0.100 [+0.100, +0.100] wins"


def test_ablation_gains_are_paired_by_hand():
    def part(columns, full, without):
        heads = [
            {"method": m, "supervision": "labels", "k": 2, "seed": s}
            for m in ("full", "x")
            for s in (0, 1)
        ]
        return pd.DataFrame(
            [
                head | dict.fromkeys(columns, v)
                for head, v in zip(heads, [*full, *without], strict=True)
            ]
        )

    areas = part(["iAUROC", "pAUROC", "F1-max"], [0.8, 0.9], [0.7, 0.85])
    scores = part(["accuracy", "F1"], [0.5, 0.6], [0.6, 0.6])
    found = results.ablation(areas, scores).set_index("variant")
    assert found.loc["x", "iAUROC gain"] == pytest.approx(0.075)
    assert found.loc["x", "accuracy gain"] == pytest.approx(-0.05)
    assert found.loc["full", "pAUROC gain"] == 0
    assert found.loc["full", "F1-max"] == pytest.approx(0.85)


def test_the_patch_that_holds_most_of_a_mask():
    mask = np.zeros((32, 48), bool)
    mask[15:20, 30:40] = True  # rows 16 to 19 lie in the second row of patches
    assert results.patch_of(mask, (2, 3)) == 5
