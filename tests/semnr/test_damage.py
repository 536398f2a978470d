"""Degradations and stress tests: seeded, graded, in range; the defect that disappears."""

import numpy as np
import pytest

from semlib.semnr import damage, metrics, visibility


@pytest.mark.parametrize("name", [*damage.DEGRADATIONS, *damage.STRESSES])
def test_seeded_graded_and_in_range(name, lines):
    image, mask = lines
    damaged = [damage.apply(name, image, s, seed=[3, 1], mask=mask) for s in (0, 0.3, 0.6, 1)]
    errors = [np.square(one - image).mean() for one in damaged]
    assert errors[0] == 0 and errors == sorted(errors) and len(set(errors)) == 4
    again = damage.apply(name, image, 0.6, seed=[3, 1], mask=mask)
    assert again.dtype == np.float32 and (again == damaged[2]).all()
    assert min(one.min() for one in damaged) >= 0 and max(one.max() for one in damaged) <= 1
    if name in ("dose", "gaussian", "jitter", "correlated noise", "hallucinated texture"):
        assert (damage.apply(name, image, 0.6, seed=4) != damaged[2]).any()


def test_correlated_noise_has_the_documented_statistics():
    flat = np.full((400, 400), 0.5, np.float32)
    noise = damage.apply("correlated noise", flat, 1.0, seed=0)[:, 50:] - 0.5
    assert noise.std() == pytest.approx(0.15, rel=0.03)
    along = np.corrcoef(noise[:, :-1].ravel(), noise[:, 1:].ravel())[0, 1]
    across = np.corrcoef(noise[:-1].ravel(), noise[1:].ravel())[0, 1]
    assert (along, across) == pytest.approx((0.8, 0), abs=0.02)


def test_contrast_loss_leaves_a_fifth_and_cnr_does_not_notice(lines):
    image, mask = lines
    flat = damage.apply("contrast loss", image, 1.0, seed=0)
    assert flat.std() == pytest.approx(0.2 * image.std(), rel=1e-3)
    regions = visibility.regions(mask)
    assert metrics.cnr(flat, *regions) == pytest.approx(metrics.cnr(image, *regions), rel=1e-3)


def test_without_defect_finds_the_pattern_below(lines):
    """On lines that repeat along y the defect-free image is known."""
    image, mask = lines
    restored = damage.without_defect(image, mask)
    far = ~np.isin(np.arange(96), np.arange(38, 63))
    assert (restored[far] == image[far]).all()
    beside = image[20:30].mean(0)
    assert np.abs(restored[50] - beside).max() < 0.05 < np.abs(image[50] - beside).max()


def test_erased_defect_is_not_found(lines):
    image, mask = lines
    erased = damage.apply("defect erased", image, 1.0, seed=0, mask=mask)
    golden = damage.without_defect(image, mask)
    assert visibility.recall(erased, mask, golden) < 0.1
    assert visibility.recall(image, mask, golden) > 0.9


def test_acquire_has_more_noise_at_a_lower_dose():
    flat = np.full((96, 112), 0.4, np.float32)
    errors = [np.std(damage.acquire(flat, seed=0, dose=dose)) for dose in (400, 100, 25)]
    assert errors[1] / errors[0] == pytest.approx(2, rel=0.1) and errors[2] > 1.8 * errors[1]


def test_bad_input(lines):
    image, mask = lines
    for name, severity, given, said in [
        ("blur", 1.5, mask, "severity=1.5"),
        ("defect erased", 0.5, None, "mask has shape"),
        ("defect erased", 0.5, np.zeros_like(mask), "empty"),
    ]:
        with pytest.raises(ValueError, match=said):
            damage.apply(name, image, severity, seed=0, mask=given)
    with pytest.raises(ValueError, match="no piece without a defect"):
        damage.without_defect(image, np.pad(np.ones((90, 106), bool), 3))
