"""CNR, gCNR and recall: known answers, what they ignore, bad regions."""

import numpy as np
import pytest

from semlib.semnr import metrics

SIZE = 200


@pytest.fixture
def halves():
    signal = np.zeros((SIZE, SIZE), bool)
    signal[:, : SIZE // 2] = True
    return signal, ~signal


def two_levels(halves, difference, sigma=0.05, seed=0):
    noise = np.random.default_rng(seed).normal(0, sigma, (SIZE, SIZE))
    return np.float32(np.clip(0.4 + difference * halves[0] + noise, 0, 1))


def test_cnr_of_known_levels(halves):
    assert metrics.cnr(two_levels(halves, 0.1), *halves) == pytest.approx(2, rel=0.02)


def test_gcnr_of_two_gaussians(halves):
    """Two Gaussians d sigma apart overlap by 2 Phi(-d / 2): 0.3173 at d = 2."""
    assert metrics.gcnr(two_levels(halves, 0.1), *halves) == pytest.approx(1 - 0.3173, abs=0.02)


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


def test_gain_and_offset_change_neither(halves):
    image = two_levels(halves, 0.1)
    other = 0.5 * image + 0.2
    for metric in (metrics.cnr, metrics.gcnr):
        assert metric(np.float32(other), *halves) == pytest.approx(metric(image, *halves), rel=1e-3)


def test_constant_background(halves):
    assert metrics.cnr(np.float32(0.5 * halves[0]), *halves) == float("inf")
    assert metrics.cnr(np.zeros((SIZE, SIZE), np.float32), *halves) == 0


def test_recall_of_a_bright_and_of_an_erased_defect(lines, noisy):
    image, mask = lines
    golden = np.where(mask, 0.45, image).astype(np.float32)
    assert metrics.recall(image, mask, golden=golden) > 0.9
    assert metrics.recall(golden, mask, golden=golden) == 0
    assert metrics.recall(golden, mask) < metrics.recall(image, mask)


def test_recall_on_noise_is_about_the_false_positive_rate():
    mask = np.zeros((256, 256), bool)
    mask[60:200, 60:200] = True
    noise = np.random.default_rng(0).uniform(0, 1, mask.shape).astype(np.float32)
    for fpr in (0.01, 0.1):
        assert metrics.recall(
            noise, mask, golden=np.full(mask.shape, 0.5, np.float32), fpr=fpr
        ) == pytest.approx(fpr, rel=0.25)


def test_regions_keep_a_guard_band():
    mask = np.zeros((64, 64), bool)
    mask[30:34, 30:34] = True
    signal, background = metrics.regions(mask, guard=3, width=5)
    assert (signal == mask).all()
    assert not background[27:37, 30:34].any() and background[32, 38] and background[32, 41]
    assert not background[32, 43]


@pytest.mark.parametrize(
    ("mask", "said"),
    [(np.zeros((9, 9)), "empty"), (np.ones((9, 9)), "covers the whole"), (np.eye(9) < 1, "guard")],
)
def test_bad_masks(mask, said):
    with pytest.raises(ValueError, match=said):
        metrics.regions(mask)


def test_bad_regions(halves):
    image = two_levels(halves, 0.1)
    with pytest.raises(ValueError, match="share"):
        metrics.cnr(image, halves[0], halves[0])
    with pytest.raises(ValueError, match="signal has shape"):
        metrics.gcnr(image, halves[0][:50], halves[1])
    with pytest.raises(ValueError, match="fpr=0"):
        metrics.recall(image, halves[0], fpr=0)


def test_a_batch_gives_one_value_an_image(halves):
    batch = np.stack([two_levels(halves, d) for d in (0, 0.1)])
    assert metrics.cnr(batch, *halves) == pytest.approx(
        [metrics.cnr(image, *halves) for image in batch]
    )
    assert metrics.recall(batch, halves[0]).shape == (2,)
