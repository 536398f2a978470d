import numpy as np
import pytest

from semlib.images import presets, simulate, text


@pytest.mark.parametrize("corner", [(4, 4), (4, 106), (106, 4), (106, 106)])
@pytest.mark.parametrize("seed", range(6))
def test_an_overlay_keeps_clear_of_a_small_defect(seed, corner):
    mask = np.zeros((120, 120), bool)
    mask[corner[0] : corner[0] + 10, corner[1] : corner[1] + 10] = True
    marks = text.overlay(np.random.default_rng(seed), 120, mask)
    assert not (marks.covered & mask).any()
    assert 30 < marks.covered.sum() < 0.35 * 120**2


def test_an_overlay_changes_only_what_it_covers():
    marks = text.overlay(np.random.default_rng(0), 120, np.zeros((120, 120), bool))
    image = marks.on(np.full((120, 120), 77, np.uint8))
    assert (image[~marks.covered] == 77).all()
    assert image.max() >= 200


def test_text_is_burnt_in_where_it_is_said_and_nowhere_in_the_mask(monkeypatch):
    labels = [0, 1, 2, 3, 4, 5, 6] * 6
    batch = simulate.sample(42, seed=3, preset="semclip", size=96, labels=labels)
    monkeypatch.setattr(text, "SHARE", 0.0)
    without = simulate.sample(42, seed=3, preset="semclip", size=96, labels=labels)
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
