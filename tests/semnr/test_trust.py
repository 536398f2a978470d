"""Profile, area, conflict rules and flowchart."""

import numpy as np
import pytest

from semlib.semnr import dists, fsim, metrics, trust, visibility

CALM = {"psnr": 25.0, "ssim": 0.8, "fsim": 0.9, "dists": 0.1, "cnr": 2.0, "area": 0.5}


def after(**moved):
    """A profile that differs from CALM; the polygon grows unless said otherwise."""
    return CALM | {"area": 0.6} | {name: CALM[name] + change for name, change in moved.items()}


@pytest.mark.parametrize(
    ("moved", "expected"),
    [
        ({}, []),
        ({"psnr": 3, "fsim": 0.05, "cnr": 1}, []),
        ({"psnr": 3, "fsim": -0.05}, ["over-smoothing"]),
        ({"psnr": -3, "fsim": -0.05}, []),
        ({"ssim": 0.01, "dists": 0.1}, ["texture drift"]),
        ({"ssim": 0.2, "dists": 0.1}, []),
        ({"psnr": 3, "cnr": -1}, ["contrast loss"]),
        (
            {"psnr": 3, "fsim": -0.1, "cnr": -1, "dists": 0.1},
            ["over-smoothing", "texture drift", "contrast loss"],
        ),
    ],
)
def test_rules(moved, expected):
    assert trust.conflicts(CALM, after(**moved)) == expected


def test_thresholds_are_parameters():
    restored = after(psnr=0.3, fsim=-0.001)
    assert trust.conflicts(CALM, restored) == []
    assert trust.conflicts(CALM, restored, psnr_up=0.2, fsim_down=0.0) == ["over-smoothing"]
    with pytest.raises(ValueError, match="unknown threshold"):
        trust.conflicts(CALM, restored, psnr=1)
    with pytest.raises(ValueError, match="not negative"):
        trust.conflicts(CALM, restored, psnr_up=-1)


def test_a_missing_metric_fires_no_rule():
    assert trust.conflicts(CALM | {"dists": np.nan, "cnr": np.nan}, after(psnr=3)) == []


@pytest.mark.parametrize(
    ("moved", "name"),
    [
        ({"psnr": 3, "fsim": -0.1, "cnr": -1}, "over-smoothing"),
        ({"dists": 0.1, "area": -0.1}, "texture drift"),
        ({"psnr": 3, "cnr": -1}, "contrast loss"),
        ({"area": -0.1}, "no gain"),
        ({"psnr": 3}, "no conflict"),
    ],
)
def test_the_flowchart_stops_at_the_first_yes(moved, name):
    rule = trust.verdict(CALM, after(**moved))
    assert rule.name == name and rule.next


def test_area_of_known_polygons():
    assert trust.area([1] * 5) == 1
    assert trust.area([0.5] * 5) == pytest.approx(0.25)
    assert trust.area([1, 0, 1, 0]) == 0
    assert trust.area([1, np.nan, 1, 1]) == 1
    assert np.isnan(trust.area([1, 1, np.nan]))


def test_reference_gives_the_same_values(lines, noisy, with_weights):
    image, mask = lines
    reference = trust.Reference(image, mask=mask)
    scores = reference.scores(noisy)
    for metric in (metrics.psnr, metrics.ssim, fsim.fsim, dists.dists):
        assert scores[metric.__name__] == pytest.approx(metric(image, noisy), abs=1e-6)
    regions = visibility.regions(mask)
    assert scores["cnr"] == metrics.cnr(noisy, *regions)
    assert scores["gcnr"] == metrics.gcnr(noisy, *regions)
    assert scores["recall"] == visibility.recall(noisy, mask, reference.golden)


def test_profile_of_the_truth_and_of_noise(lines, noisy, with_weights):
    image, mask = lines
    perfect, bad = (trust.profile(image, candidate, mask=mask) for candidate in (image, noisy))
    assert [perfect["scaled"][axis] for axis in ("psnr", "ssim", "fsim", "dists")] == pytest.approx(
        [1] * 4, abs=1e-3
    )
    assert 0 < bad["area"] < perfect["area"] <= 1 and bad["notes"] == []
    assert bad["scaled"]["dists"] == pytest.approx(1 - bad["dists"])
    assert bad["scaled"]["psnr"] == pytest.approx((bad["psnr"] - 10) / 30)
    assert bad["scaled"]["cnr"] == pytest.approx(bad["cnr"] / 5)


def test_profile_with_regions_instead_of_a_mask(lines, noisy, with_weights):
    image, mask = lines
    ring = np.roll(mask, 20, 0)
    profile = trust.profile(image, noisy, signal=mask, background=ring)
    assert profile["cnr"] > 0 and np.isnan(profile["recall"])


def test_profile_without_weights_and_mask_says_so(lines, noisy, without_weights):
    profile = trust.profile(lines[0], noisy)
    assert np.isnan(profile["scaled"]["dists"]) and profile["area"] > 0
    assert "DISTS is not available" in profile["notes"][0] and "mask" in profile["notes"][1]
    assert "no network" in profile["notes"][0] and profile["fsim"] < 1


def test_bad_references(lines):
    with pytest.raises(ValueError, match="one image"):
        trust.Reference(np.stack([lines[0]] * 2))
    with pytest.raises(ValueError, match="belong together"):
        trust.Reference(lines[0], signal=lines[1])
    with pytest.raises(ValueError, match="empty"):
        trust.profile(lines[0], lines[0], mask=np.zeros_like(lines[1]))
    with pytest.raises(ValueError, match="covers the whole"):
        trust.profile(lines[0], lines[0], mask=np.ones_like(lines[1]))
