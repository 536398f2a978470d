import re

import numpy as np
import pytest

from semlib.images import captions, lines, simulate


def patch(rows, columns, size=90):
    mask = np.zeros((size, size), bool)
    mask[slice(*rows), slice(*columns)] = True
    return mask


@pytest.mark.parametrize(
    ("rows", "columns", "words"),
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
def test_positions(rows, columns, words):
    assert captions.position(patch(rows, columns)) == words


def test_extent_is_the_longest_side():
    assert captions.extent(patch((10, 19), (40, 85))) == pytest.approx(0.5)


@pytest.fixture(scope="module")
def training():
    return simulate.sample(210, seed=2, preset="semvlm", size=64)


def test_what_varied_captions_say_is_true(training):
    placed = 0
    for label, mask, caption in zip(
        training.labels, training.masks, training.captions, strict=True
    ):
        assert any(
            name in caption or captions.plural(name) in caption for name in captions.NAMES[label]
        )
        place = re.search(
            r"\b(upper left|upper right|lower left|lower right|top|bottom|left|right|centre)\b",
            caption,
        )
        if label == 0:
            assert not place and not mask.any()
        elif place and "on top" not in caption:
            placed += 1
            assert place[0] == captions.position(mask)
        if re.search(r"\b(small|tiny)\b", caption):
            assert captions.extent(mask) < captions.SMALL
        if re.search(r"\b(large|big)\b", caption):
            assert captions.extent(mask) > captions.LARGE
    assert placed > 40


def test_captions_vary_and_leave_facts_out(training):
    assert len(set(training.captions)) > 150
    for label in lines.FAMILIES:
        own = [c for c, k in zip(training.captions, training.labels, strict=True) if k == label]
        assert sum(any(name in c for c in own) for name in captions.NAMES[label]) >= 4
    with_text = np.mean(["text" in c for c in training.captions])
    assert 0.05 < with_text < 0.2


def test_names_belong_to_one_class_each():
    names = [name for names in captions.NAMES.values() for name in names]
    assert len(set(names)) == len(names)


def test_a_plain_caption_says_all():
    facts = lines.Facts(5, 2, 0.5, "vertical lines")
    sentence = captions.plain(facts, "particle", patch((0, 9), (0, 9)), True)
    assert sentence == (
        "Synthetic SEM image of vertical lines: 2 x particle, upper left, extent 0.10 of the field, with burnt-in text."
    )
    assert captions.plain(
        lines.Facts(0, 0, 0.5, "film"), "", patch((0, 0), (0, 0)), False
    ).endswith("film: no defect.")


@pytest.mark.parametrize(
    ("one", "more"),
    [
        ("void", "voids"),
        ("scratch", "scratches"),
        ("scrape across the pattern", "scrapes across the pattern"),
    ],
)
def test_plurals(one, more):
    assert captions.plural(one) == more
