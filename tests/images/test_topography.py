import numpy as np
import pytest
from scipy import fft

from semlib.images import defects, topography
from semlib.images.measure import DOCUMENTED_MASKS, statistics
from semlib.images.surface import dimples, grid, self_affine, self_affine_transfer, white


def scene(label, index=0, size=128):
    return topography.scene(np.random.default_rng([index, label]), label, size)


def test_rough_surfaces_have_the_stated_spectrum():
    g = grid(128)
    power = 0
    for k in range(40):
        surface = self_affine(g, white(g, np.random.default_rng(k)), 20.0)
        power = power + np.abs(fft.rfft2(surface)) ** 2 / 40 / g.n**2
    expected = self_affine_transfer(128, 20.0, 0.7) ** 2
    frequency = np.hypot(g.fx, g.fy)
    for low, high in [(0, 0.01), (0.01, 0.03), (0.03, 0.1)]:
        band = (frequency >= low) & (frequency < high)
        assert power[band].mean() == pytest.approx(expected[band].mean(), rel=0.2)
    assert self_affine(g, white(g, np.random.default_rng(0)), 5.0).std() == pytest.approx(
        1, abs=0.15
    )


def test_dimples_go_down():
    g = grid(128)
    pits = dimples(g, np.random.default_rng(0), 30, 6.0, 0.5)
    assert -3 < pits.min() < -0.3
    assert pits.max() < 0.01


@pytest.mark.parametrize("size", [64, 100, 480])
def test_the_field_of_view_does_not_depend_on_the_size(size):
    g = grid(size)
    assert g.x[0, g.inside[1]][[0, -1]] == pytest.approx([-240 + g.step / 2, 240 - g.step / 2])
    assert g.size * g.step == pytest.approx(480)


@pytest.mark.parametrize("label", defects.FAMILIES)
def test_masks_and_captions_belong_to_the_label(label):
    drawn = scene(label)
    assert drawn.mask.shape == (128, 128)
    assert drawn.mask.any() == (label != 6)
    assert drawn.height.dtype == drawn.material.dtype == np.float32
    assert drawn.caption.startswith("Synthetic SEM image") and drawn.caption.endswith(".")
    assert ("no visible defect" in drawn.caption) == (label == 6)


@pytest.mark.parametrize("label", [3, 4])
def test_the_mask_is_where_the_defect_stands_out_of_the_film(label):
    g = grid(128)
    defect = defects.DEFECTS[label](g, np.random.default_rng(1), white(g, np.random.default_rng(2)))
    np.testing.assert_array_equal(defect.footprint, defect.relief > 0)


@pytest.mark.parametrize("label", [2, 5])
def test_cracks_and_pits_go_down(label):
    g = grid(128)
    defect = defects.DEFECTS[label](g, np.random.default_rng(1), white(g, np.random.default_rng(2)))
    assert defect.relief[defect.footprint].mean() < -1
    assert defect.relief[~defect.footprint].min() >= 0


@pytest.mark.slow
def test_mask_statistics_follow_the_documented_ones():
    n, size = 80, 240
    labels = np.repeat(list(DOCUMENTED_MASKS), n)
    masks = [scene(label, index, size).mask for label in DOCUMENTED_MASKS for index in range(n)]
    measured = statistics(np.zeros((len(masks), size, size), np.uint8), masks, labels)["masks"]
    scale = 480 / size
    for label, documented in DOCUMENTED_MASKS.items():
        found = measured[label]
        assert found["mean"] == pytest.approx(documented["mean"], rel=0.25), label
        assert found["median"] == pytest.approx(documented["median"], rel=0.25), label
        assert found["parts"] == pytest.approx(documented["parts"], rel=0.2), label
        assert found["width"] * scale == pytest.approx(documented["width"], rel=0.15), label
        assert found["height"] * scale == pytest.approx(documented["height"], rel=0.15), label
