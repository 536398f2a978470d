"""Profile, area, conflict rules and flowchart."""

import numpy as np
import pytest

from semlib.semnr import dists, fsim, metrics, trust, visibility

CALM = {"psnr": 25.0, "ssim": 0.8, "fsim": 0.9, "dists": 0.1, "cnr": 2.0, "area": 0.5}
SMOOTH, TEXTURE, CONTRAST = "over-smoothing", "texture drift", "contrast loss"


def after(**moved):
    """A profile that differs from CALM; the polygon grows unless said otherwise."""
    return CALM | {"area": 0.6} | {name: CALM[name] + change for name, change in moved.items()}


@pytest.mark.parametrize(
    ("moved", "fired", "verdict"),
    [
        ({}, [], "no conflict"),
        ({"psnr": 3, "fsim": 0.05, "cnr": 1}, [], "no conflict"),
        ({"psnr": 3, "fsim": -0.05}, [SMOOTH], SMOOTH),
        ({"psnr": -3, "fsim": -0.05}, [], "no conflict"),
        ({"ssim": 0.01, "dists": 0.1, "area": -0.1}, [TEXTURE], TEXTURE),
        ({"ssim": 0.2, "dists": 0.1}, [], "no conflict"),
        ({"psnr": 3, "cnr": -1}, [CONTRAST], CONTRAST),
        ({"psnr": 3, "fsim": -0.1, "cnr": -1, "dists": 0.1}, [SMOOTH, TEXTURE, CONTRAST], SMOOTH),
        ({"area": -0.1}, [], "no gain"),
        ({"psnr": 3, "dists": np.nan, "cnr": np.nan}, [], "no conflict"),  # missing metrics
    ],
)
def test_rules_and_the_first_yes_of_the_flowchart(moved, fired, verdict):
    assert trust.conflicts(CALM, after(**moved)) == fired
    rule = trust.verdict(CALM, after(**moved))
    assert rule.name == verdict and rule.next


def test_thresholds_are_parameters():
    restored = after(psnr=0.3, fsim=-0.001)
    assert trust.conflicts(CALM, restored) == []
    assert trust.fired(trust.changes(CALM, restored), psnr_up=0.2, fsim_down=0.0)[SMOOTH]


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
    reference = trust.Reference(image, mask=mask)
    perfect, bad = (trust.profile(reference, candidate) for candidate in (image, noisy))
    best = [perfect["scaled"][axis] for axis in ("psnr", "ssim", "fsim", "dists")]
    assert best == pytest.approx([1] * 4, abs=1e-3)
    assert 0 < bad["area"] < perfect["area"] <= 1 and bad["notes"] == []
    assert bad["scaled"]["dists"] == pytest.approx(1 - bad["dists"])
    assert bad["scaled"]["psnr"] == pytest.approx((bad["psnr"] - 10) / 30)
    assert bad["scaled"]["cnr"] == pytest.approx(bad["cnr"] / 5)


def test_profile_without_mask_and_weights(lines, noisy, without_weights):
    profile = trust.profile(trust.Reference(lines[0]), noisy)
    assert np.isnan(profile["cnr"]) and np.isnan(profile["recall"])
    assert np.isnan(profile["scaled"]["dists"]) and profile["area"] > 0 and profile["fsim"] < 1
    about_dists, about_mask = profile["notes"]
    assert "DISTS is not available" in about_dists and "no network" in about_dists
    assert "mask" in about_mask


def test_bad_references(lines):
    image, mask = lines
    for given, options, said in [
        (np.stack([image] * 2), {}, "one image"),
        (image, {"mask": np.zeros_like(mask)}, "empty"),
        (image, {"mask": np.ones_like(mask)}, "covers the whole"),
    ]:
        with pytest.raises(ValueError, match=said):
            trust.Reference(given, **options)
