"""Simulated natural worlds: seeded, of useful contrast, defects where their masks are."""

import numpy as np
import pytest

from training import flaws, textures

SIZE = 96


def generator(*seed):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("world", textures.WORLDS)
def test_a_world_is_seeded_and_has_contrast(world):
    first = textures.image(generator(1), SIZE, world)
    assert first.shape == (SIZE, SIZE)
    assert first.dtype == np.uint8
    assert np.array_equal(first, textures.image(generator(1), SIZE, world))
    assert not np.array_equal(first, textures.image(generator(2), SIZE, world))
    assert first.std() > 4
    assert np.mean((first == 0) | (first == 255)) < 0.2


@pytest.mark.parametrize("defect", flaws.DEFECTS)
def test_a_defect_changes_the_picture_where_its_mask_is(defect):
    stronger = 0
    for seed in range(6):
        changed, plain, mask = textures.image(generator(seed), SIZE, None, defect)
        assert mask.shape == (SIZE, SIZE)
        assert mask.dtype == bool
        assert 0 < mask.sum() < mask.size / 2
        difference = np.abs(changed.astype(float) - plain)
        stronger += difference[mask].mean() > 3 * difference[~mask].mean()
        assert np.median(difference[~mask]) <= 2
    assert stronger >= 5
