"""The limit of the texture rule: what its command says, by the rule that it states."""

import pandas as pd

from semlib.semnr import dists, grain
from training import grain_limit


def test_the_lowest_limit_that_keeps_the_specificity():
    own = [0.1] * 94 + [0.503] + [0.9] * 5
    table = pd.DataFrame({"grain": [*own, 0.505, 2.0], "severity": [0.0] * 100 + [0.3, 1.0]})
    limit = grain_limit.choose(table)
    assert limit == 0.51
    shares = grain_limit.alarms(table.assign(base="TV", dose=40), limit).set_index("severity")
    assert shares["alarm"].to_dict() == {0.0: 0.05, 0.3: 0.0, 1.0: 1.0}


def test_outputs_and_textured_ones_are_measured(monkeypatch):
    monkeypatch.setattr(dists, "unavailable", lambda: "left out of this test")
    table = grain_limit.measure(1, size=96, doses=(40,), restorers=["Gaussian", "SEMNR"])
    grains = table.pivot(index="base", columns="severity", values="grain")
    assert grains.shape == (2, 4) and (grains[1.0] > grains[0.0]).all()


def test_the_package_uses_the_limit_that_was_measured():
    assert set(pd.read_csv(grain_limit.FILE)["limit"]) == {grain.LIMIT}
