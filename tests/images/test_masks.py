"""What a mask file means, for each way in which labelling tools write one."""

import numpy as np
import pytest
import tifffile
from PIL import Image

from semlib.images import masks, read

Y, X = np.mgrid[:128, :128]
MARKED = (X - 64) ** 2 + (Y - 64) ** 2 < 400  # 7.6 % of the picture
BYTE = MARKED.astype(np.uint8)
GREY = ((X + Y) // 2).astype(np.uint8)


def palette():
    image = Image.fromarray(BYTE).convert("P")
    image.putpalette([0, 0, 0, 128, 0, 0] + [0] * 750)
    return image


def classes(background):
    """Two classes in colour on one background."""
    colours = np.full((128, 128, 3), background, np.uint8)
    colours[MARKED] = (255, 0, 0)
    colours[60:70, 60:70] = (0, 255, 0)
    return colours


def labels():
    numbers = BYTE.copy()
    numbers[60:70, 60:70] = 2
    return numbers


STYLES = {
    "0 and 255.png": BYTE * 255,
    "0 and 1.png": BYTE,
    "inverted.png": 255 - BYTE * 255,
    "one bit.png": Image.fromarray(MARKED),
    "boolean.tif": MARKED,
    "16 bits of 1.tif": BYTE.astype(np.uint16),
    "16 bits.tif": BYTE.astype(np.uint16) * 65535,
    "float.tif": BYTE.astype(np.float32),
    "white is 0.tif": (BYTE * 255, {"photometric": "miniswhite"}),
    "red.png": np.stack([BYTE * 255, BYTE * 0, BYTE * 0], -1),
    "palette.png": palette(),
    "grey as colour.png": np.stack([BYTE * 255] * 3, -1),
    "opacity.png": np.stack([BYTE * 0 + 200] * 3 + [BYTE * 255], -1),
    "opaque everywhere.png": np.stack([BYTE * 255] * 3 + [BYTE * 0 + 255], -1),
    "labels.png": labels(),
    "colour a class.png": classes(0),
    "colour a class on white.png": classes(255),
}


@pytest.mark.parametrize("name", STYLES)
def test_every_style_gives_the_mask(tmp_path, name):
    content = STYLES[name]
    options = {}
    if isinstance(content, tuple):
        content, options = content
    path = tmp_path / name
    if isinstance(content, Image.Image):
        content.save(path)
    elif name.endswith(".tif"):
        tifffile.imwrite(path, content, **options)
    else:
        Image.fromarray(content).save(path)
    decided = masks.decide(path, GREY)
    assert np.array_equal(decided.marked, MARKED)
    assert decided.rule
    assert not decided.doubt
    assert np.array_equal(read.mask(path, GREY), MARKED)


def test_grey_edges_are_split_at_128(tmp_path):
    """As 395 masks of Carinthia-S have them."""
    small = Image.fromarray(BYTE * 255).resize((64, 64), Image.Resampling.BILINEAR)
    soft = np.asarray(small.resize((128, 128), Image.Resampling.BILINEAR))
    Image.fromarray(soft).save(tmp_path / "soft.png")
    assert np.array_equal(masks.decide(tmp_path / "soft.png").marked, soft >= 128)


def test_which_value_is_marked_can_be_told(tmp_path):
    """A defect on more than half of the picture: by itself the rarer value would be taken."""
    Image.fromarray(255 - BYTE * 255).save(tmp_path / "large.png")
    told = masks.decide(tmp_path / "large.png", bright=True)
    assert np.array_equal(told.marked, ~MARKED)
    assert told.doubt == "92% of the picture is marked"


def test_an_empty_mask_marks_nothing(tmp_path):
    Image.fromarray(BYTE * 0).save(tmp_path / "empty.png")
    assert not masks.decide(tmp_path / "empty.png").marked.any()


@pytest.mark.parametrize(
    "content, message",
    [
        (BYTE * 0 + 255, "every pixel is 255, so all or nothing may be marked"),
        (GREY, "128 values .* as a picture has"),
        (labels() + 5, "labels 5, 6, 7 without 0"),
    ],
)
def test_what_stays_ambiguous_is_refused(tmp_path, content, message):
    Image.fromarray(content).save(tmp_path / "unclear.png")
    with pytest.raises(ValueError, match=f"unclear.png.*{message}"):
        masks.decide(tmp_path / "unclear.png")


def test_a_mask_of_another_size_names_both(tmp_path):
    Image.fromarray(BYTE).save(tmp_path / "small.png")
    with pytest.raises(ValueError, match="128 x 128 pixels, its picture 96 x 128"):
        masks.decide(tmp_path / "small.png", GREY[:96])
