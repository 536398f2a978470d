"""Line layers and their six defects: what each changes, and where."""

import numpy as np
import pytest
from scipy import ndimage

from semlib.images.simulator import layers, lines, sample
from semlib.images.simulator.surface import grid_of

SIZE = 160


def scene(label, index=0):
    return lines.scene(np.random.default_rng([index, label]), label, SIZE, layers.EVALUATION)


def layer_and_field(seed=0):
    grid = grid_of(240)
    rng = np.random.default_rng(seed)
    layer = layers.draw(rng, layers.EVALUATION, layers.EVALUATION.kinds)
    return grid, rng, layer, layer.field(*layer.frame(grid.x, grid.y))


def changed(defect, at=(0.0, 0.0), r=14.0, strength=0.7, seed=0):
    """A defect at `at`: grid, field before it, Change."""
    grid, rng, layer, field = layer_and_field(seed)
    u, v = layer.frame(grid.x, grid.y)
    site = lines.Site(grid.surfaces(rng), layer, field, at, u - at[0], v - at[1], r, strength)
    return grid, field, defect(site, rng)


def parts(grid, *fields):
    return [ndimage.label(field[grid.inside] > 0)[1] for field in fields]


@pytest.mark.parametrize("label", lines.FAMILIES)
def test_there_is_a_mask_where_there_is_a_defect(label):
    for index in range(8):
        drawn, facts = scene(label, index)
        assert drawn.mask.any() == (label != 0) == (facts.count > 0)
        assert drawn.mask.shape == (SIZE, SIZE) and drawn.mask.dtype == bool
        assert drawn.height.dtype == drawn.material.dtype == np.float32
        assert np.isfinite(drawn.height).all() and drawn.material.min() > 0
        assert facts.label == label and 0 <= facts.strength <= 1 and facts.count <= 3
        assert facts.layer == "vertical lines"


@pytest.mark.parametrize("name", ["bridge", "residue", "hole", "particle", "scratch"])
def test_a_defect_changes_nothing_far_from_its_mask(name):
    _, field, change = changed(getattr(lines, name))
    far = ndimage.distance_transform_edt(~change.footprint) > 8
    assert change.footprint.any() and far.any()
    for part in (change.field - field, change.lift + 0 * field, change.cover + 0 * field):
        assert np.abs(part[far]).max() < 1e-3


def test_a_bridge_joins_two_lines():
    layer = layer_and_field()[2]
    site = layer.nearest(0.0, 0.0, between=True)
    grid, field, change = changed(lines.bridge, site)
    before, after = parts(grid, field, change.field)
    assert before - after in (1, 3)
    assert (change.footprint == ((change.field > 0) & (field <= 0))).all()


def test_a_hole_takes_the_lines_away():
    _, field, change = changed(lines.hole)
    assert (change.field <= field).all()
    assert change.field[change.footprint].max() <= 0
    assert layers.EVALUATION.void[0] <= change.tint <= layers.EVALUATION.void[1]


def test_residue_and_particles_lie_on_top():
    for defect in (lines.residue, lines.particle):
        _, _, change = changed(defect)
        assert change.lift[change.footprint].min() >= 0 and change.lift.max() > 1
    assert changed(lines.residue, strength=0.0)[2].tint > layers.EVALUATION.low[1]


def test_lines_give_way_to_what_is_buried_but_none_is_lost():
    grid, field, change = changed(lines.infilm, r=30.0)
    before, after = parts(grid, field, change.field)
    assert before == after
    moved = (change.field > 0) != (field > 0)
    distance = np.hypot(grid.x, grid.y)
    assert 0 < distance[moved].max() < 75
    assert change.lift.argmax() == distance.argmin()


def test_a_scratch_is_long_and_thin():
    for seed in range(4):
        _, _, change = changed(lines.scratch, r=3.0, seed=seed)
        rows, columns = np.nonzero(change.footprint)
        length = np.hypot(np.ptp(rows), np.ptp(columns))
        assert length > 8 * change.footprint.sum() / length


def test_position_and_size_of_defects_vary_over_the_field():
    masks = [scene(5, index)[0].mask for index in range(40)]
    centres = np.array([ndimage.center_of_mass(mask) for mask in masks]) / SIZE
    assert (centres.min(0) < 0.25).all() and (centres.max(0) > 0.75).all()
    areas = [mask.sum() for mask in masks]
    assert max(areas) > 4 * min(areas)


@pytest.mark.parametrize("label", [1, 2, 3, 4, 5, 6])
def test_defects_stand_out_of_the_lines_at_240_pixels(label):
    """Smoothed deviation from the median of each column, in the mask and in the mask moved away."""
    batch = sample(12, seed=1, preset="semclip", size=240, labels=[label] * 12)
    within = []
    away = []
    for image, mask in zip(batch.images.astype(np.float32), batch.masks, strict=True):
        deviation = ndimage.gaussian_filter(image - np.median(image, 0), 1.5) ** 2
        within.append(deviation[mask].mean())
        away.append(deviation[np.roll(mask, (80, 80), (0, 1))].mean())
    assert np.median(within) > 2 * np.median(away)


def test_layers_have_their_pitch():
    grid, _, layer, field = layer_and_field(3)
    starts = np.flatnonzero(np.diff((field[grid.n // 2] > 0).astype(int)) == 1)
    assert np.diff(starts).mean() * grid.step == pytest.approx(layer.pitch, rel=0.03)
