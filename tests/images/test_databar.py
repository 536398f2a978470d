"""Data bars of several styles at noisy pictures: the whole bar, and none where there is none."""

import itertools

import numpy as np
import pytest

from semlib.images import databar
from semlib.images.simulator import presets, sample
from tests.conftest import real_sem
from tests.images.own_files import BARS, scan, with_bar


@pytest.mark.parametrize("style", BARS)
@pytest.mark.parametrize("height", [24, 36, 60])
def test_the_bar_is_found_at_either_edge(style, height):
    below = with_bar(scan(), style, height)
    above = with_bar(scan(), style, height, above=True)
    assert databar.rows(below)[:2] == (0, height)
    assert databar.rows(above)[:2] == (height, 0)
    assert f"{height} rows below" in databar.rows(below)[2]


@pytest.mark.parametrize("style", BARS)
@pytest.mark.parametrize("quality", [75, 85, 95])
def test_the_bar_is_found_in_a_jpeg(style, quality):
    top, bottom, _ = databar.rows(with_bar(scan(), style, 40, quality=quality))
    assert top == 0
    assert bottom == pytest.approx(40, abs=1)  # a frame of one row blurs into the picture


@pytest.mark.slow
@pytest.mark.parametrize(
    "preset, size, rate", [("carinthia", 480, 1), ("semnr", 480, 1), ("semnr", 240, 0.95)]
)
def test_bars_under_simulated_pictures(preset, size, rate):
    """Of all styles, heights, edges and JPEG qualities this share is found within two rows.

    At 480 pixels all; at 240, where letters fill the bar and ring in JPEG, 19 of 20.
    """
    hits = []
    for picture in sample(2, seed=1, preset=preset, size=size).images:
        for style, height, above, quality in itertools.product(
            BARS, (size // 18, size // 12, size // 8), (False, True), (None, 75, 85, 95)
        ):
            whole = with_bar(picture, style, height, above=above, quality=quality)
            bars = (height, 0) if above else (0, height)
            hits.append(np.abs(np.subtract(databar.rows(whole)[:2], bars)).max() <= 2)
    assert np.mean(hits) >= rate


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["carinthia", "semnr", "semclip"])
def test_no_bar_in_simulated_pictures(preset):
    """But in those into which "semclip" burns text, on a ground as in a bar."""
    for size, count in ((128, 60), (240, 24)):
        batch = sample(count, seed=size, preset=preset, size=size)
        for number, picture in enumerate(batch.images):
            if preset != "semclip" or not presets.has_text(size, number, int(batch.labels[number])):
                assert databar.rows(picture) == (0, 0, ""), (size, number)


def test_what_the_instrument_states_comes_first():
    picture = np.concatenate([scan(), scan(1)[:40]])
    assert databar.rows(picture, {"maker": "TESCAN", "bar": 40})[:2] == (0, 40)
    assert databar.rows(picture, {"maker": "JEOL", "rows": 480})[:2] == (0, 40)
    assert databar.rows(picture, {"maker": "JEOL", "rows": 520})[:2] == (0, 0)


@pytest.mark.parametrize(
    "picture",
    [
        scan(),
        scan(mean=0),  # black film: half of the pixels are 0
        np.zeros((480, 480), np.uint8),
        np.repeat(np.arange(24, dtype=np.uint8)[:, None] % 2 * 100 + 50, 480, 1).repeat(20, 0),
    ],
    ids=["film", "dark film", "constant", "lines without noise"],
)
def test_no_bar_is_found_where_there_is_none(picture):
    assert databar.rows(picture) == (0, 0, "")


@pytest.mark.slow
def test_real_pictures_have_a_bar_only_where_the_microscope_drew_one():
    from semlib.images import read

    folder = real_sem()
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in read.SUFFIXES and "mask" not in path.stem:
            expected = (0, 30) if path.parent.name == "kriss" else (0, 0)
            assert read.image(path).bar == expected, path.name


@pytest.mark.parametrize(
    "text, value",
    [("auto", "auto"), ("None", "none"), ("0,60", (0, 60)), (" 5 , 0 ", (5, 0)), ((2, 7), (2, 7))],
)
def test_how_a_bar_is_told(text, value):
    assert databar.option(text) == value


@pytest.mark.parametrize("text", ["", "60", "0,60,1", "-1,5", "0;60", "off", 60, (1, -2)])
def test_a_bar_told_wrongly_is_named(text):
    with pytest.raises(ValueError, match="use auto, none, or the rows .* such as 0,60"):
        databar.option(text)
