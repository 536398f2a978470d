"""The experiment on the rules: rates, thresholds from the other half, lost defects."""

import numpy as np
import pandas as pd
import pytest

from semlib.semnr import damage, dists, grain, stress

pytestmark = pytest.mark.slow  # what all its tests share takes a second


@pytest.fixture(scope="module")
def table():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dists, "unavailable", lambda: "left out of this test")
        batch = damage.scenes(4, seed=3, size=96)
        return stress.evaluate(batch.clean / np.float32(255), batch.masks, severities=(1.0,))


def test_a_row_for_each_case_and_two_halves(table):
    assert len(table) == 4 * 9
    halves = table.groupby("half")["image"].unique().map(set).to_dict()
    assert halves == {"choose": {0, 2}, "judge": {1, 3}}
    honest = table[table["stress"] == stress.HONEST]
    assert (honest["d_psnr"] > 4).all() and (honest["d_fsim"] > 0).all()


def test_rates_are_those_of_the_rows(table):
    thresholds = stress.choose(table)
    judged = stress.judge(table, thresholds).set_index("rule")
    blur = table[table["stress"] == "blur"]
    chosen = thresholds["over-smoothing"]
    up = blur["d_psnr"] >= chosen["psnr_up"]
    down = blur["d_fsim"] <= -chosen["fsim_down"]
    rates = judged.loc["over-smoothing"]
    assert rates["sensitivity"] == (up & down).mean()
    assert rates["sensitivity_n"] == 4 and rates["elsewhere_n"] == 20
    assert rates["sensitivity_lo"] <= rates["sensitivity"] <= rates["sensitivity_hi"]


def test_choose_finds_a_threshold_that_separates():
    honest = pd.DataFrame({"stress": stress.HONEST, "d_psnr": 5.0, "d_fsim": [0.1, 0.2]})
    bad = pd.DataFrame({"stress": "blur", "d_psnr": [3.0, 4.0], "d_fsim": -0.008})
    table = pd.concat([honest, bad]).assign(d_ssim=0.0, d_dists=0.0, d_cnr=0.0)
    pair = stress.choose(table)["over-smoothing"]
    assert stress.rule_fires(table, "over-smoothing", pair).tolist() == [False, False, True, True]


def test_gain_rules_beat_chance_on_clear_damage(table):
    rules = stress.gain_rules(table).set_index("target")
    clear = rules.loc[["blur", "contrast loss", "defect erased"]]
    assert (clear[["sensitivity", "specificity"]] == 1).all(axis=None)


def test_improved_and_summary_agree(table):
    shares = stress.improved(table)
    assert shares.loc[stress.HONEST, "psnr"] == 1 and np.isnan(shares.loc["blur", "dists"])
    blur = stress.summary(table).set_index("stress").loc["blur"]
    assert blur["better_psnr"] == shares.loc["blur", "psnr"]
    assert blur["d_psnr_lo"] < blur["d_psnr"] < blur["d_psnr_hi"]


def test_lost_defects_are_counted():
    cases = {"stress": "x", "recall": [0.0, 0.0, 0.8, 0.0], "before_recall": [0.9, 0.9, 0.9, 0.1]}
    counts = stress.lost_defects(pd.DataFrame(cases | {"d_psnr": [1, -1, 1, 1]})).iloc[0]
    assert counts.tolist() == ["x", 3, 2, 1]


def test_rules_and_alarms_on_what_restorers_return(without_weights):
    batch = damage.scenes(2, seed=60, size=96)
    options = {"restorers": ("Gaussian", "U-Net MSE"), "severities": (1.0,)}
    table = stress.evaluate(batch.clean / np.float32(255), batch.masks, **options)
    assert len(table) == 2 * 2 * (1 + len(damage.STRESSES))
    own = table[table["stress"] == stress.HONEST].set_index(["image", "base"])["grain"]
    textured = table[table["stress"] == "hallucinated texture"]
    assert (textured.set_index(["image", "base"])["grain"] > own).all()
    both = pd.concat([table.assign(half="choose"), table.assign(half="judge")], ignore_index=True)
    rules = stress.all_rules(both).set_index("rule")
    assert rules.loc["grain >", "sensitivity"] == rules.loc["grain >", "specificity"] == 1
    assert set(rules.index[rules["kind"] == "article"]) == set(stress.RULES)


def test_alarms_on_a_known_table():
    table = pd.DataFrame(
        {
            "base": "TV",
            "stress": [stress.HONEST] * 20 + ["hallucinated texture"] * 10,
            "severity": [0.0] * 20 + [1.0] * 10,
            "grain": grain.LIMIT + np.array([-0.1] * 19 + [0.1] + [-0.3] * 5 + [0.6] * 5),
        }
    )
    alarms = stress.alarms(table).set_index("stress")
    assert alarms.loc[stress.HONEST, "share"] == pytest.approx(0.05)
    assert alarms.loc["hallucinated texture", "share"] == 0.5
    assert alarms.loc["hallucinated texture", "alarm"].startswith("0.500 [")
    assert (alarms["share_lo"] < alarms["share"]).all() and (
        alarms["share"] < alarms["share_hi"]
    ).all()
