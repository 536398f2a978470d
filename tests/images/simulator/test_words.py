"""Captions that tell the truth, and burnt-in text that hides no defect."""

import numpy as np
import pytest

from semlib.images.simulator import lines, presets, sample, words


def patch(top, left, height=10, width=10, size=90):
    mask = np.zeros((size, size), bool)
    mask[top : top + height, left : left + width] = True
    return mask


@pytest.mark.parametrize(
    ("top", "left", "place"),
    [
        (0, 0, "upper left"),
        (0, 40, "top"),
        (5, 80, "upper right"),
        (40, 0, "left"),
        (40, 40, "centre"),
        (40, 70, "right"),
        (80, 10, "lower left"),
        (80, 40, "bottom"),
        (89, 89, "lower right"),
    ],
)
def test_positions(top, left, place):
    assert words.position(patch(top, left)) == place


def test_extent_is_the_longest_side():
    assert words.extent(patch(10, 40, 9, 45)) == pytest.approx(0.5)


def test_a_plain_caption_says_all():
    facts = lines.Facts(5, 2, 0.5, "vertical lines")
    assert words.plain_caption(None, facts, patch(0, 0, 9, 9), True) == (
        "Synthetic SEM image of vertical lines: 2 x particle, upper left, "
        "extent 0.10 of the field, with burnt-in text."
    )
    clean = lines.Facts(0, 0, 0.5, "film")
    sentence = words.plain_caption(None, clean, patch(0, 0, 0, 0), False)
    assert sentence.endswith("film: no defect.")


@pytest.mark.parametrize("corner", [(4, 4), (4, 106), (106, 4), (106, 106)])
@pytest.mark.parametrize("seed", range(6))
def test_an_overlay_keeps_clear_of_a_small_defect(seed, corner):
    mask = patch(*corner, size=120)
    grey, covered = words.overlay(np.random.default_rng(seed), 120, mask)
    assert not (covered & mask).any()
    assert 30 < covered.sum() < 0.35 * 120**2
    assert grey[covered].max() >= 200


@pytest.mark.slow
def test_text_is_burnt_in_where_it_is_said_and_nowhere_in_the_mask(monkeypatch):
    labels = [0, 1, 2, 3, 4, 5, 6] * 6
    batch = sample(42, seed=3, preset="semclip", size=96, labels=labels)
    monkeypatch.setattr(words, "TEXT_SHARE", 0.0)
    without = sample(42, seed=3, preset="semclip", size=96, labels=labels)
    monkeypatch.undo()
    written = [presets.has_text(3, i, label) for i, label in enumerate(labels)]
    assert 3 <= sum(written) <= 15
    for i, has_text in enumerate(written):
        differs = batch.images[i] != without.images[i]
        assert differs.any() == has_text == ("burnt-in text" in batch.captions[i])
        assert not (differs & batch.masks[i]).any()
        assert batch.masks[i].any() == (labels[i] != 0)
        assert not (batch.masks[i] & ~without.masks[i]).any()


def test_about_a_fifth_of_each_class_has_text():
    for label in range(7):
        share = np.mean([presets.has_text(0, i, label) for i in range(400)])
        assert 0.14 < share < 0.26
