"""Surfaces with a stated spectrum, and films with defects of the documented sizes."""

import numpy as np
import pytest
from scipy import fft

from semlib.images.measure import DOCUMENTED_MASKS, mask_table
from semlib.images.simulator import defects, film
from semlib.images.simulator.surface import grid_of, self_affine_transfer


def scene(label, index=0, size=128):
    return film.scene(np.random.default_rng([index, label]), label, size)


def defect_of(label, grid):
    rough = grid.surfaces(np.random.default_rng(2))
    return defects.DEFECTS[label](grid, np.random.default_rng(1), rough)


def test_rough_surfaces_have_the_stated_spectrum():
    grid = grid_of(128)
    power = 0
    for seed in range(40):
        surface = grid.surfaces(np.random.default_rng(seed))(20.0)
        power = power + np.abs(fft.rfft2(surface)) ** 2 / 40 / grid.n**2
    expected = self_affine_transfer(128, 20.0, 0.7) ** 2
    frequency = np.hypot(grid.fx, grid.fy)
    for low, high in [(0, 0.01), (0.01, 0.03), (0.03, 0.1)]:
        band = (frequency >= low) & (frequency < high)
        assert power[band].mean() == pytest.approx(expected[band].mean(), rel=0.2)
    assert grid.surfaces(np.random.default_rng(0))(5.0).std() == pytest.approx(1, abs=0.15)


def test_dimples_go_down():
    pits = film.dimples(grid_of(128), np.random.default_rng(0), 30, 6.0, 0.5)
    assert -3 < pits.min() < -0.3
    assert pits.max() < 0.01


@pytest.mark.parametrize("size", [64, 100, 480])
def test_the_field_of_view_does_not_depend_on_the_size(size):
    grid = grid_of(size)
    edges = grid.x[0, grid.inside[1]][[0, -1]]
    assert edges == pytest.approx([-240 + grid.step / 2, 240 - grid.step / 2])
    assert grid.size * grid.step == pytest.approx(480)


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
    defect = defect_of(label, grid_of(128))
    np.testing.assert_array_equal(defect.footprint, defect.relief > 0)


@pytest.mark.parametrize("label", [2, 5])
def test_cracks_and_pits_go_down(label):
    defect = defect_of(label, grid_of(128))
    assert defect.relief[defect.footprint].mean() < -1
    assert defect.relief[~defect.footprint].min() >= 0


@pytest.mark.slow
def test_mask_statistics_follow_the_documented_ones():
    n = 80
    size = 240
    labels = np.repeat(list(DOCUMENTED_MASKS), n)
    masks = [scene(label, index, size).mask for label in DOCUMENTED_MASKS for index in range(n)]
    table = mask_table(masks, labels.tolist())
    scale = {"width": 480 / size, "height": 480 / size}
    tolerance = {"mean": 0.25, "median": 0.25, "parts": 0.2, "width": 0.15, "height": 0.15}
    assert len(table) == 25
    for _, row in table.iterrows():
        name = row["mask statistic"]
        expected = pytest.approx(row["documented (Carinthia)"], rel=tolerance[name])
        assert row["measured"] * scale.get(name, 1) == expected, (row["class"], name)
