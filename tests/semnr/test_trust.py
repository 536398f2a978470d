"""Profile, area, conflict rules and flowchart."""

import numpy as np
import pytest

from semlib.semnr import damage, dists, fsim, metrics, trust, visibility

CALM = {"psnr": 25.0, "ssim": 0.8, "fsim": 0.9, "dists": 0.1, "cnr": 2.0, "area": 0.5}
CALM |= {"recall": 0.8, "defect": 0.9, "faults": {}}
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
        ({"psnr": -0.4, "fsim": -0.05}, [], "no conflict"),
        ({"ssim": 0.01, "dists": 0.1, "area": -0.1}, [TEXTURE], TEXTURE),
        ({"ssim": 0.2, "dists": 0.1}, [], "no conflict"),
        ({"psnr": 3, "cnr": -1}, [CONTRAST], CONTRAST),
        ({"psnr": -0.6, "cnr": -1}, [], "PSNR fell"),
        ({"psnr": 3, "fsim": -0.05, "ssim": -0.06}, [SMOOTH], "SSIM fell"),
        ({"psnr": 3, "fsim": -0.05, "recall": -0.5}, [SMOOTH], "recall collapse"),
        ({"recall": -0.35}, [], "no conflict"),
        ({"recall": -0.5, "defect": -0.7}, [], "defect erased"),
        ({"defect": -0.5}, [], "no conflict"),
        ({"psnr": 3, "fsim": -0.1, "cnr": -1, "dists": 0.1}, [SMOOTH, TEXTURE, CONTRAST], SMOOTH),
        ({"area": -0.1}, [], "no gain"),
        ({"psnr": 3, "dists": np.nan, "cnr": np.nan}, [], "no conflict"),  # missing metrics
    ],
)
def test_rules_and_the_first_yes_of_the_flowchart(moved, fired, verdict):
    assert trust.conflicts(CALM, after(**moved)) == fired
    rule = trust.verdict(CALM, after(**moved))
    assert rule.name == verdict and rule.next


def test_flags_come_first_and_say_how_much():
    turned = after(psnr=-3, recall=-0.7) | {"faults": {"inverted": "its correlation is -1.00"}}
    raised = trust.flags(CALM, turned)
    assert list(raised) == ["inverted", "recall collapse", "PSNR fell"]
    assert raised["recall collapse"] == "80% of the defect was found, 10% is"
    assert raised["PSNR fell"] == "by 3.00 dB" and trust.verdict(CALM, turned).name == "inverted"
    assert {flag.name for flag in trust.FLAGS} > set(raised)


def test_without_the_noisy_image_only_the_restored_one_is_judged():
    assert trust.verdict(None, CALM) is trust.UNJUDGED
    erased = after(psnr=-9, defect=-0.8)
    assert list(trust.flags(None, erased)) == ["defect erased"]
    assert trust.verdict(None, erased).name == "defect erased"


def test_a_defect_that_noise_hides_already_is_not_called_erased():
    hidden = CALM | {"defect": 0.4, "recall": 0.1}
    assert trust.flags(hidden, hidden | {"defect": 0.2, "recall": 0.0}) == {}


@pytest.mark.slow
def test_grain_that_the_noise_does_not_explain_is_a_flag_before_the_scores(lines, noisy):
    invented = after(psnr=-3) | {"grain": 1.2}
    assert list(trust.flags(CALM, invented)) == ["invented texture", "PSNR fell"]
    assert trust.flags(CALM, after() | {"grain": np.nan}) == {}  # without a noisy image
    image, mask = lines
    reference = trust.Reference(image, mask=mask)
    scan = (image + noisy) / 2
    for amount, flagged in {0.0: False, 1.0: True}.items():
        restored = damage.apply("hallucinated texture", image, amount, seed=0)
        grain = trust.profile(reference, restored, noisy=scan)["grain"]
        assert ("invented texture" in trust.flags(CALM, after() | {"grain": grain})) == flagged


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


def test_a_blank_image_has_nothing_of_the_defect(lines, without_weights):
    image, mask = lines
    reference = trust.Reference(image, mask=mask)
    for level in (0.0, 0.5, 1.0):  # greys beside the wafer's, which are no contrast
        blank = trust.profile(reference, np.full_like(image, level))
        assert blank["defect"] == 0
    assert trust.profile(reference, 1 - image)["defect"] == 0
    assert trust.profile(reference, image)["defect"] == pytest.approx(1)


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
