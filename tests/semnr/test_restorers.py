"""Rules on real restorers: the same damage on what they return, thresholds from other seeds."""

import numpy as np
import pandas as pd
import pytest

from semlib.semnr import damage, restorers, stress


@pytest.fixture(scope="module")
def scenes():
    return damage.scenes(2, seed=60, size=96)


@pytest.mark.slow
def test_a_table_that_the_rules_take(scenes, without_weights):
    clean = scenes.clean / np.float32(255)
    options = {"bases": ("Gaussian", "U-Net MSE"), "severities": (1.0,), "doses": (40,)}
    table = restorers.evaluate(clean, scenes.masks, **options)
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
            "grain": [*np.linspace(0, 0.95, 20), *np.linspace(0.5, 1.4, 10)],
        }
    )
    alarms = restorers.alarms(table, 0.9025).set_index("stress")
    assert alarms.loc[stress.HONEST, "share"] == pytest.approx(0.05)
    assert alarms.loc["hallucinated texture", "share"] == pytest.approx(0.5)
    assert alarms.loc["hallucinated texture", "alarm"].startswith("0.500 [")
    assert (alarms["share_lo"] < alarms["share"]).all() and (
        alarms["share"] < alarms["share_hi"]
    ).all()
