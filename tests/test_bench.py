import json

import numpy as np
import pytest

from semlib import bench, paths


def case(difference):
    return lambda: bench.Case("sum", "loop", lambda: np.zeros(3), lambda: np.full(3, difference), "images", 3, 1e-3)


@pytest.mark.parametrize(("difference", "code"), [(0, 0), (1e-4, 0), (0.1, 1)])
def test_a_fast_path_with_other_values_fails_the_bench(monkeypatch, capsys, difference, code):
    monkeypatch.setattr(bench, "STAGES", [case(difference)])
    assert bench.main() == code
    assert ("DIFFER" in capsys.readouterr().out) == bool(code)
    stage = json.loads((paths.figures_root() / "bench.json").read_text())["stages"][0]
    assert stage["equal"] == (code == 0) and stage["ours_seconds"] >= 0
