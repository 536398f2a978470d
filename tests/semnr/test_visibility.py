"""CNR, gCNR and recall: known answers, what they ignore, bad regions."""

import numpy as np
import pytest

from semlib.semnr import metrics, visibility

SIZE = 200


@pytest.fixture
def halves():
    signal = np.zeros((SIZE, SIZE), bool)
    signal[:, : SIZE // 2] = True
    return signal, ~signal


def two_levels(halves, difference):
    noise = np.random.default_rng(0).normal(0, 0.05, (SIZE, SIZE))
    return np.float32(np.clip(0.4 + difference * halves[0] + noise, 0, 1))


def test_known_levels(halves):
    """Two Gaussians d sigma apart overlap by 2 Phi(-d / 2): 0.3173 at d = 2."""
    image = two_levels(halves, 0.1)
    assert metrics.cnr(image, *halves) == pytest.approx(2, rel=0.02)
    assert metrics.gcnr(image, *halves) == pytest.approx(1 - 0.3173, abs=0.02)


def test_gcnr_of_equal_and_of_separate_levels(halves):
    assert metrics.gcnr(two_levels(halves, 0.0), *halves) < 0.12
    assert metrics.gcnr(two_levels(halves, 0.5), *halves) == pytest.approx(1, abs=1e-3)
    assert metrics.gcnr(np.full((SIZE, SIZE), 0.5, np.float32), *halves) == 0


def test_compression_of_the_background_fools_cnr_but_not_gcnr(halves):
    image = two_levels(halves, 0.1)
    median = np.median(image[halves[1]])
    squeezed = np.where(image < median, median - 0.05 * (median - image), image).astype(np.float32)
    assert metrics.cnr(squeezed, *halves) > 1.15 * metrics.cnr(image, *halves)
    assert metrics.gcnr(squeezed, *halves) == pytest.approx(metrics.gcnr(image, *halves), abs=0.03)


@pytest.mark.parametrize("metric", [metrics.cnr, metrics.gcnr])
def test_gain_offset_and_batches_change_nothing(metric, halves):
    image = two_levels(halves, 0.1)
    other = np.float32(0.5 * image + 0.2)
    assert metric(other, *halves) == pytest.approx(metric(image, *halves), rel=1e-3)
    batch = metric(np.stack([image, other]), *halves)
    assert batch.tolist() == [metric(image, *halves), metric(other, *halves)]


def test_constant_background(halves):
    assert metrics.cnr(np.float32(0.5 * halves[0]), *halves) == float("inf")
    assert metrics.cnr(np.zeros((SIZE, SIZE), np.float32), *halves) == 0


def test_recall_of_a_bright_and_of_an_erased_defect(lines):
    image, mask = lines
    golden = np.where(mask, 0.45, image).astype(np.float32)
    assert visibility.recall(image, mask, golden) > 0.9
    assert visibility.recall(golden, mask, golden) == 0


def test_recall_on_noise_is_about_the_false_positive_rate():
    mask = np.zeros((256, 256), bool)
    mask[60:200, 60:200] = True
    noise = np.random.default_rng(0).uniform(0, 1, mask.shape).astype(np.float32)
    golden = np.full(mask.shape, 0.5, np.float32)
    expected = pytest.approx(visibility.FALSE_ALARMS, rel=0.25)
    assert visibility.recall(noise, mask, golden) == expected


def test_regions_keep_a_guard_band():
    mask = np.zeros((64, 64), bool)
    mask[30:34, 30:34] = True
    signal, background = visibility.regions(mask)
    assert (signal == mask).all()
    assert not background[27:37, 30:34].any()
    assert background[32, [37, 48]].all() and not background[32, [36, 49]].any()


@pytest.mark.parametrize(
    ("mask", "said"),
    [(np.zeros((9, 9)), "empty"), (np.ones((9, 9)), "covers the whole"), (np.eye(9) < 1, "guard")],
)
def test_bad_masks(mask, said):
    with pytest.raises(ValueError, match=said):
        visibility.regions(mask)


def test_bad_regions(halves):
    image = two_levels(halves, 0.1)
    with pytest.raises(ValueError, match="share"):
        metrics.cnr(image, halves[0], halves[0])
    with pytest.raises(ValueError, match="signal has shape"):
        metrics.gcnr(image, halves[0][:50], halves[1])
