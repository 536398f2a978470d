"""What a caption says of a turned image is true of it."""

import numpy as np
import pytest

from semlib.images.simulator.words import position
from training.sem_vlm_turns import SIDES, retold, turned


@pytest.mark.parametrize("way", range(8))
def test_places_move_as_the_pixels_do(way):
    for (down, across), words in SIDES.items():
        mask = np.zeros((90, 90), bool)
        mask[30 * down + 40 : 30 * down + 50, 30 * across + 40 : 30 * across + 50] = True
        assert position(mask) == words
        expected = position(turned(mask, way))
        assert retold(f"a void at the {words}", way) == f"a void at the {expected}"


@pytest.mark.parametrize("way", range(8))
def test_lines_turn_as_the_pixels_do(way):
    lines = np.zeros((6, 6), bool)
    lines[:, ::2] = True  # upright
    upright = (turned(lines, way) == turned(lines, way)[:1]).all()
    assert retold("vertical lines", way) == ("vertical lines" if upright else "horizontal lines")


def test_all_ways_differ_and_the_first_leaves_all_as_it_is():
    image = np.arange(9).reshape(1, 3, 3)
    assert len({turned(image, way).tobytes() for way in range(8)}) == 8
    np.testing.assert_array_equal(turned(image, 0), image)
    caption = "leftover copper film, upper left, horizontal metal lines, on top"
    assert retold(caption, 0) == caption


def test_words_that_name_no_side_stay():
    caption = "leftover copper film on oblique lines with burnt-in text"
    assert {retold(caption, way) for way in range(8)} == {caption}
