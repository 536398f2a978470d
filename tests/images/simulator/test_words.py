"""Captions that tell the truth, and burnt-in text that hides no defect."""

import re

import numpy as np
import pytest

from semlib.images.simulator import lines, presets, sample, words

PLACE = r"\b(upper left|upper right|lower left|lower right|top|bottom|left|right|centre)\b"


def patch(rows, columns, size=90):
    mask = np.zeros((size, size), bool)
    mask[slice(*rows), slice(*columns)] = True
    return mask


@pytest.mark.parametrize(
    ("rows", "columns", "place"),
    [
        ((0, 10), (0, 10), "upper left"),
        ((0, 10), (40, 50), "top"),
        ((5, 15), (80, 90), "upper right"),
        ((40, 50), (0, 5), "left"),
        ((40, 50), (40, 50), "centre"),
        ((40, 50), (70, 80), "right"),
        ((80, 90), (10, 20), "lower left"),
        ((80, 90), (40, 50), "bottom"),
        ((89, 90), (89, 90), "lower right"),
    ],
)
def test_positions(rows, columns, place):
    assert words.position(patch(rows, columns)) == place


def test_extent_is_the_longest_side():
    assert words.extent(patch((10, 19), (40, 85))) == pytest.approx(0.5)


@pytest.fixture(scope="module")
def training():
    return sample(210, seed=2, preset="semvlm", size=64)


def test_what_varied_captions_say_is_true(training):
    placed = 0
    for label, mask, caption in zip(
        training.labels, training.masks, training.captions, strict=True
    ):
        names = words.names_of(label)
        assert any(name in caption or words.plural(name) in caption for name in names)
        place = re.search(PLACE, caption)
        if label == 0:
            assert not place and not mask.any()
        elif place and "on top" not in caption:
            placed += 1
            assert place[0] == words.position(mask)
        if re.search(r"\b(small|tiny)\b", caption):
            assert words.extent(mask) < words.SMALL
        if re.search(r"\b(large|big)\b", caption):
            assert words.extent(mask) > words.LARGE
    assert placed > 40


def test_captions_vary_and_leave_facts_out(training):
    assert len(set(training.captions)) > 150
    for label in lines.FAMILIES:
        own = [c for c, k in zip(training.captions, training.labels, strict=True) if k == label]
        assert sum(any(name in c for c in own) for name in words.names_of(label)) >= 4
    with_text = np.mean(["text" in c for c in training.captions])
    assert 0.05 < with_text < 0.2


def test_names_belong_to_one_class_each():
    names = [name for label in words.NAMES for name in words.names_of(label)]
    assert len(set(names)) == len(names)


def test_a_plain_caption_says_all():
    facts = lines.Facts(5, 2, 0.5, "vertical lines")
    assert words.plain_caption(facts, "particle", patch((0, 9), (0, 9)), True) == (
        "Synthetic SEM image of vertical lines: 2 x particle, upper left, "
        "extent 0.10 of the field, with burnt-in text."
    )
    clean = lines.Facts(0, 0, 0.5, "film")
    sentence = words.plain_caption(clean, "", patch((0, 0), (0, 0)), False)
    assert sentence.endswith("film: no defect.")


@pytest.mark.parametrize(
    ("one", "more"),
    [
        ("void", "voids"),
        ("scratch", "scratches"),
        ("scrape across the pattern", "scrapes across the pattern"),
    ],
)
def test_plurals(one, more):
    assert words.plural(one) == more


@pytest.mark.parametrize("corner", [(4, 4), (4, 106), (106, 4), (106, 106)])
@pytest.mark.parametrize("seed", range(6))
def test_an_overlay_keeps_clear_of_a_small_defect(seed, corner):
    mask = np.zeros((120, 120), bool)
    mask[corner[0] : corner[0] + 10, corner[1] : corner[1] + 10] = True
    marks = words.overlay(np.random.default_rng(seed), 120, mask)
    assert not (marks.covered & mask).any()
    assert 30 < marks.covered.sum() < 0.35 * 120**2


def test_an_overlay_changes_only_what_it_covers():
    marks = words.overlay(np.random.default_rng(0), 120, np.zeros((120, 120), bool))
    image = marks.on(np.full((120, 120), 77, np.uint8))
    assert (image[~marks.covered] == 77).all()
    assert image.max() >= 200


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
