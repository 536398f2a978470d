"""Costs by hand: annotation, alarms, missed defects, break-even."""

import numpy as np
import pandas as pd
import pytest

from semlib.semclip import cost

FAB = cost.Assumptions(
    images=1000,
    defective=0.1,
    label_minutes=1,
    mask_minutes=2,
    look_minutes=1,
    missed_minutes=10,
    eye_missed=0.2,
)


def decided(method, supervision, k, false, missed, seeds=2):
    row = {"method": method, "supervision": supervision, "k": k, "seconds": 3.0}
    row |= {"false alarms": false, "missed": missed}
    return pd.DataFrame([row | {"seed": seed} for seed in range(seeds)])


def test_annotation_is_what_the_supervision_needs():
    minutes = {name: cost.annotation(name, 5, 7, FAB) for name in ("none", "normals", "labels")}
    assert minutes == {"none": 0, "normals": 5, "labels": 35}
    assert cost.annotation("labels + masks", 5, 7, FAB) == 35 + 5 * 6 * 2
    assert cost.annotation("masks", 5, 7, FAB) == 5 + 5 * 6 * 2


def test_totals_by_hand():
    table = cost.table(decided("a", "labels", 2, 0.5, 0.25), 3, FAB)
    assert table["false_per_1000"].item() == pytest.approx(450)
    assert table["missed_per_1000"].item() == pytest.approx(25)
    # six labels; all alarms, 450 false and 75 true; 25 missed
    assert table["total_minutes"].item() == pytest.approx(6 + 525 + 250)
    assert table["by_eye_minutes"].item() == pytest.approx(1000 + 20 * 10)
    assert table["seconds"].item() == 3 and np.isnan(table["unet_10x_minutes"].item())


def test_intervals_stay_within_what_there_is():
    parts = [decided("a", "labels", 2, false, missed, 1) for false, missed in ((0, 1), (0.1, 0.2))]
    table = pd.concat([part.assign(seed=i) for i, part in enumerate(parts)])
    costs = cost.table(table, 3, FAB).iloc[0]
    assert costs["false_per_1000_lo"] == 0 and costs["missed_per_1000_hi"] == 100
    assert 0 < costs["false_per_1000_hi"] <= 900 and costs["missed_per_1000_lo"] == 0


def test_break_even_and_the_unet_with_ten_times_the_masks():
    parts = [decided("a", "labels", 1, 0.9, 0.9), decided("a", "labels", 10, 0.0, 0.0)]
    parts += [decided("U-Net", "masks", k, 1.0, 1.0) for k in (1, 10)]
    table = cost.table(pd.concat(parts), 3, FAB)
    least = cost.break_even(table).set_index("method")["break-even K"]
    assert least["a"] == 10 and np.isnan(least["U-Net"])
    ten = table[(table["method"] == "U-Net") & (table["k"] == 10)]["total_minutes"].item()
    assert (table.loc[table["k"] == 1, "unet_10x_minutes"] == ten).all()
    assert table.loc[table["k"] == 10, "unet_10x_minutes"].isna().all()


@pytest.mark.parametrize("wrong", [{"images": 0}, {"defective": 1.5}, {"mask_minutes": -1}])
def test_assumptions_out_of_range(wrong):
    with pytest.raises(ValueError, match="an assumption is out of its range"):
        cost.Assumptions(**wrong)
