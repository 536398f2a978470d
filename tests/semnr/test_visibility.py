"""CNR, gCNR and recall: known answers, what they ignore, bad regions."""

import numpy as np
import pytest

from semlib.semnr import metrics, visibility

SIZE = 200
SIGNAL = np.arange(SIZE * SIZE).reshape(SIZE, SIZE) % SIZE < SIZE // 2  # the left half
HALVES = (SIGNAL, ~SIGNAL)


def two_levels(difference):
    noise = np.random.default_rng(0).normal(0, 0.05, (SIZE, SIZE))
    return np.float32(np.clip(0.4 + difference * SIGNAL + noise, 0, 1))


def test_known_levels():
    """Two Gaussians d sigma apart overlap by 2 Phi(-d / 2): 0.3173 at d = 2."""
    image = two_levels(0.1)
    assert metrics.cnr(image, *HALVES) == pytest.approx(2, rel=0.02)
    assert metrics.gcnr(image, *HALVES) == pytest.approx(1 - 0.3173, abs=0.02)


def test_gcnr_of_equal_and_of_separate_levels():
    assert metrics.gcnr(two_levels(0.0), *HALVES) < 0.12
    assert metrics.gcnr(two_levels(0.5), *HALVES) == pytest.approx(1, abs=1e-3)


def test_constant_regions():
    assert metrics.cnr(np.float32(0.5 * SIGNAL), *HALVES) == float("inf")
    assert metrics.cnr(np.zeros((SIZE, SIZE), np.float32), *HALVES) == 0
    assert metrics.gcnr(np.full((SIZE, SIZE), 0.5, np.float32), *HALVES) == 0


def test_compression_of_the_background_fools_cnr_but_not_gcnr():
    image = two_levels(0.1)
    median = np.median(image[~SIGNAL])
    squeezed = np.where(image < median, median - 0.05 * (median - image), image).astype(np.float32)
    assert metrics.cnr(squeezed, *HALVES) > 1.15 * metrics.cnr(image, *HALVES)
    assert metrics.gcnr(squeezed, *HALVES) == pytest.approx(metrics.gcnr(image, *HALVES), abs=0.03)


@pytest.mark.parametrize("metric", [metrics.cnr, metrics.gcnr])
def test_gain_offset_and_batches_change_nothing(metric):
    image = two_levels(0.1)
    other = np.float32(0.5 * image + 0.2)
    assert metric(other, *HALVES) == pytest.approx(metric(image, *HALVES), rel=1e-3)
    batch = metric(np.stack([image, other]), *HALVES)
    assert batch.tolist() == [metric(image, *HALVES), metric(other, *HALVES)]


def test_recall_of_a_bright_and_of_an_erased_defect(lines):
    image, mask = lines
    golden = np.where(mask, 0.45, image).astype(np.float32)
    assert visibility.recall(image, mask, golden) > 0.9
    assert visibility.recall(golden, mask, golden) == 0


def test_recall_on_noise_is_about_the_false_positive_rate():
    mask = np.zeros((256, 256), bool)
    mask[60:200, 60:200] = True
    noise = np.random.default_rng(0).uniform(0, 1, mask.shape).astype(np.float32)
    recall = visibility.recall(noise, mask, np.full(mask.shape, 0.5, np.float32))
    assert recall == pytest.approx(visibility.FALSE_ALARMS, rel=0.25)


def test_regions_keep_a_guard_band():
    mask = np.zeros((64, 64), bool)
    mask[30:34, 30:34] = True
    signal, background = visibility.regions(mask)
    assert (signal == mask).all()
    assert not background[27:37, 30:34].any()
    assert background[32, [37, 48]].all() and not background[32, [36, 49]].any()


def test_bad_masks_and_regions():
    with pytest.raises(ValueError, match="guard"):
        visibility.regions(np.eye(9) < 1)
    with pytest.raises(ValueError, match="share"):
        metrics.cnr(two_levels(0.1), SIGNAL, SIGNAL)
    with pytest.raises(ValueError, match="signal has shape"):
        metrics.gcnr(two_levels(0.1), SIGNAL[:50], ~SIGNAL)
