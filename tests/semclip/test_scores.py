"""Pixel scores by hand, by scikit-learn and by a slow reference; image and class scores."""

import numpy as np
import pytest
from scipy import ndimage
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score

from semlib.semclip import scores


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def masks(rng):
    """Two square defects in each of six images, none in two."""
    masks = np.zeros((8, 28, 36), bool)
    for mask in masks[:6]:
        for top, left, side in zip(
            rng.integers(0, 20, 2), (2, 20), rng.integers(2, 8, 2), strict=True
        ):
            mask[top : top + side, left : left + side] = True
    return masks


def reference(maps, masks):
    """The same scores by scikit-learn; PRO by a loop over every threshold."""
    truth, values = masks.ravel(), maps.ravel()
    precision, recall, _ = precision_recall_curve(truth, values)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    return {
        "pAUROC": roc_auc_score(truth, values),
        "F1-max": f1.max(),
        "AP": average_precision_score(truth, values),
        "PRO": slow_pro(maps, masks),
    }


def slow_pro(maps, masks):
    regions = []
    for i, mask in enumerate(masks):
        numbered, count = ndimage.label(mask, np.ones((3, 3)))
        regions += [maps[i][numbered == number + 1] for number in range(count)]
    rates, overlaps = [0.0], [0.0]
    for threshold in np.unique(maps)[::-1]:
        rates.append((maps[~masks] >= threshold).mean())
        overlaps.append(np.mean([(values >= threshold).mean() for values in regions]))
    inside = np.array(rates) < 0.3
    rates_cut = np.append(np.array(rates)[inside], 0.3)
    overlaps_cut = np.append(np.array(overlaps)[inside], np.interp(0.3, rates, overlaps))
    return np.trapezoid(overlaps_cut, rates_cut) / 0.3


def test_a_case_computed_by_hand():
    """Twelve defect-free pixels (0.85, 0.5 and ten others), a defect of one pixel, one of two."""
    maps = np.array(
        [[[0.9, 0.1, 0.1, 0.1, 0.8], [0.1, 0.1, 0.1, 0.1, 0.3], [0.85, 0.5, 0.1, 0.1, 0.1]]]
    )
    masks = np.zeros((1, 3, 5), bool)
    masks[0, [0, 0, 1], [0, 4, 4]] = True
    scored = scores.pixels(maps, masks)
    assert scored["pAUROC"] == pytest.approx((12 + 11 + 10) / 36)
    assert scored["AP"] == pytest.approx((1 + 2 / 3 + 3 / 5) / 3)
    assert scored["F1-max"] == pytest.approx(2 * 3 / (3 + 2 + 3))
    step = 1 / 12  # the second defect's pixels are found after one and two false positives
    areas = 0.25 * (0.3 - step) / 0.3 + 0.25 * (0.3 - 2 * step) / 0.3
    assert scored["PRO"] == pytest.approx(0.5 + areas)


def test_regions_touch_at_corners_and_end_with_their_image():
    masks = np.zeros((2, 4, 4), bool)
    masks[0, 0, 0] = masks[0, 1, 1] = masks[1, 1, 1] = True
    maps = np.zeros(masks.shape)
    maps[0, 0, 0] = 1
    half_of_one_of_two = 0.25 + 0.75 * 0.3 / 2
    assert scores.pixels(maps, masks)["PRO"] == pytest.approx(half_of_one_of_two)


@pytest.mark.slow
@pytest.mark.parametrize("levels", [2, 7, 300, 65_536])
def test_exact_on_quantised_maps(rng, masks, levels):
    maps = rng.integers(0, levels, masks.shape) / (levels - 1)
    maps[masks] = np.sqrt(maps[masks]).round(2)
    expected = reference(maps, masks)
    assert scores.pixels(maps, masks) == pytest.approx(expected, abs=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("spread", [1.0, 30.0], ids=["normal", "over many decades"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_agrees_with_scikit_learn(rng, masks, spread, dtype):
    maps = rng.normal(size=masks.shape) + masks
    maps = (maps if spread == 1 else np.exp(spread * (maps - maps.max()))).astype(dtype)
    assert scores.pixels(maps, masks) == pytest.approx(reference(maps, masks), abs=1e-4)


def test_the_quick_ranking_agrees_with_the_sorted_one(rng, masks, monkeypatch):
    maps = rng.normal(size=masks.shape) + masks
    quick = scores.pixels(maps, masks)
    monkeypatch.setattr(scores, "TOLERANCE", -1)
    assert scores.pixels(maps, masks) == pytest.approx(quick, abs=1e-4)


def test_order_alone_counts(rng, masks):
    maps = rng.integers(0, 255, masks.shape)
    scored = scores.pixels(maps, masks)
    assert scores.pixels(maps / 1000 - 3, masks) == pytest.approx(scored)
    assert scores.pixels(maps.astype(np.float16), masks) == scored


def test_perfect_useless_and_inverted_maps(masks):
    assert list(scores.pixels(masks.astype(float), masks).values()) == pytest.approx([1] * 4)
    inverted = scores.pixels(~masks, masks)
    assert inverted["pAUROC"] == pytest.approx(0) and inverted["PRO"] == 0
    constant = scores.pixels(np.full(masks.shape, 0.3), masks)
    assert constant["pAUROC"] == pytest.approx(0.5) and constant["PRO"] == pytest.approx(0.15)
    assert constant["AP"] == pytest.approx(masks.mean())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda maps, masks: (np.where(maps > 0.99, np.nan, maps), masks), "NaN"),
        (lambda maps, masks: (maps, masks & False), "pixels are defect-free"),
        (lambda maps, masks: (maps, masks | True), "pixels are defective"),
    ],
)
def test_bad_maps(rng, masks, change, message):
    with pytest.raises(ValueError, match=message):
        scores.pixels(*change(rng.random(masks.shape), masks))


@pytest.mark.parametrize(
    ("values", "is_defective", "message"),
    [
        ([0.1, 0.2], [True, True], "all 2 images are defective"),
        ([0.1, 0.2], [False, False], "all 2 images are defect-free"),
        ([0.1, np.nan], [False, True], "NaN"),
    ],
)
def test_bad_image_scores(values, is_defective, message):
    with pytest.raises(ValueError, match=message):
        scores.image_auroc(values, is_defective)


def test_image_auroc_by_hand():
    assert scores.image_auroc([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1]) == 0.75


def test_classification_by_hand():
    """Class 0: three of four right; class 1: both right; class 2: its only image is called 1."""
    predicted, labels = [0, 0, 0, 1, 1, 1, 1], [0, 0, 0, 0, 1, 1, 2]
    scored = scores.classification(np.eye(4)[predicted], labels)
    assert list(scored) == list(scores.CLASSIFICATION)
    assert scored["accuracy"] == pytest.approx(5 / 7)
    assert scored["balanced accuracy"] == scored["recall"] == pytest.approx((3 / 4 + 1 + 0) / 3)
    assert scored["precision"] == pytest.approx((1 + 1 / 2 + 0) / 3)
    assert scored["F1"] == pytest.approx((6 / 7 + 2 / 3 + 0) / 3)


def test_bad_probabilities():
    with pytest.raises(ValueError, match="NaN"):
        scores.classification(np.full((3, 3), np.nan), [0, 1, 2])


def test_a_threshold_of_one_half_judges_the_other():
    """Halves are every other image of a kind; what separates one half may fail on the other."""
    defect = np.array([False] * 4 + [True] * 4)
    values = np.array([0.1, 0.2, 0.2, 0.1, 0.8, 0.9, 0.9, 0.8])
    assert scores.alarms(values, defect) == {"false alarms": 0, "missed": 0}
    shifted = values + np.array([0, 5, 0, 5, 0, 5, 0, 5])  # every other image is brighter
    assert scores.alarms(shifted, defect) == {"false alarms": 0.5, "missed": 0.5}


def test_one_defective_image_fixes_no_threshold_for_another():
    shares = scores.alarms(np.array([0.1, 0.2, 0.9]), np.array([False, False, True]))
    assert np.isnan(shares["false alarms"]) and np.isnan(shares["missed"])
