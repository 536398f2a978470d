"""Data bars of several styles at noisy pictures: the whole bar, and none where there is none."""

import io

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from semlib.images import databar
from tests.conftest import real_sem

STYLES = {
    "white on black": (0, 255, False),
    "black on white": (255, 0, False),
    "white on grey": (128, 255, False),
    "framed": (0, 255, True),
    "framed black on white": (255, 0, True),
}


def scan(seed=0, shape=(480, 480), mean=98):
    """A film with a defect as a slow scan shows it: little noise."""
    rng = np.random.default_rng(seed)
    picture = rng.normal(mean, 2.3, shape)
    picture[200:240, 220:260] += 40
    return picture.clip(0, 255).round().astype(np.uint8)


def bar(style, height, width=480):
    ground, ink, frame = STYLES[style]
    image = Image.new("L", (width, height), ground)
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(size=max(8, height // 3))
    draw.text((5, 2), "HV 10.00 kV | mag 50 000 x | WD 4.1 mm | det TLD", ink, font)
    draw.text((5, height // 2), "1 um   2026-01-01 10:21  lot 7", ink, font)
    draw.line((width * 0.6, height * 0.7, width * 0.85, height * 0.7), ink, 3)
    if frame:
        draw.rectangle((0, 0, width - 1, height - 1), outline=ink)
    return np.asarray(image)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("height", [24, 36, 60])
def test_the_bar_is_found_at_either_edge(style, height):
    below = np.concatenate([scan(), bar(style, height)])
    above = np.concatenate([bar(style, height), scan()])
    assert databar.rows(below)[:2] == (0, height)
    assert databar.rows(above)[:2] == (height, 0)
    assert f"{height} rows below" in databar.rows(below)[2]


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("quality", [80, 95])
def test_the_bar_is_found_in_a_jpeg(style, quality):
    file = io.BytesIO()
    Image.fromarray(np.concatenate([scan(), bar(style, 40)])).save(file, "JPEG", quality=quality)
    top, bottom, _ = databar.rows(np.asarray(Image.open(file)))
    assert top == 0
    assert bottom == pytest.approx(40, abs=1)  # a frame of one row blurs into the picture


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
