"""Patterned wafers: masks, changes of the pattern, and the noise on them."""

import numpy as np
import pytest
from scipy import ndimage

from semlib.images.simulator import patterns, sample
from semlib.images.simulator.surface import grid_of


@pytest.mark.parametrize("label", patterns.FAMILIES)
@pytest.mark.parametrize("index", range(6))
def test_the_mask_is_one_small_place_or_empty(label, index):
    drawn = patterns.scene(np.random.default_rng([index, label]), label, 240)
    assert drawn.mask.any() == (label != 0)
    assert drawn.mask.mean() < 0.02
    rows, columns = np.nonzero(drawn.mask)
    assert label == 0 or max(np.ptp(rows), np.ptp(columns)) < 240 / 5
    assert drawn.height.dtype == drawn.material.dtype == np.float32
    assert drawn.caption.startswith("Synthetic SEM image")


def changed(change, kind, seed, index):
    """A pattern and its field after a change at the element `index`."""
    grid = grid_of(240)
    rng = np.random.default_rng(seed)
    pattern = patterns.draw(grid, rng, kind)
    x, y = pattern.sites[index].tolist()
    y = 0.0 if kind == patterns.LINES else y
    return grid, pattern, change(grid, rng, grid.surfaces(rng), pattern, x, y)


@pytest.mark.parametrize("name", ["protrusion", "bridge", "pinhole"])
def test_changes_of_lines_stay_within_their_mask(name):
    grid, lines, field = changed(getattr(patterns, name), patterns.LINES, 3, 2)
    mask = (field > 0) != (lines.field > 0)
    assert mask.any()
    assert ((field > 0) & mask).any() == (name != "pinhole")
    assert np.abs(grid.y + 0 * grid.x)[mask].max() < 80


def test_a_bridge_joins_two_lines():
    grid, lines, field = changed(patterns.bridge, patterns.LINES, 3, 2)
    before, after = (ndimage.label(part[grid.inside] > 0)[1] for part in (lines.field, field))
    assert after == before - 1


def test_a_missing_contact_is_missing():
    grid, holes, field = changed(patterns.missing, patterns.HOLES, 0, 5)
    assert (field <= holes.field).all()
    lost = (holes.field > 0).sum() - (field > 0).sum()
    assert 0 < lost * grid.step**2 <= 1.3 * np.pi * (holes.width / 2) ** 2


def test_edges_of_lines_are_bright_and_trenches_dark():
    for clean in sample(4, seed=0, preset="semnr", size=240, labels=[1, 1, 2, 2]).clean:
        profile = clean.astype(float).mean(0)
        assert np.percentile(profile, 98) > 1.2 * np.median(profile)
        assert np.percentile(profile, 5) < 0.85 * np.median(profile)


def test_the_noise_leaves_about_twenty_decibels():
    batch = sample(12, seed=0, preset="semnr", size=160)
    error = ((batch.images.astype(float) - batch.clean) ** 2).mean((1, 2))
    assert 19 < np.median(10 * np.log10(255**2 / error)) < 21.5
    assert np.bincount(batch.labels).tolist() == [2] * 6
