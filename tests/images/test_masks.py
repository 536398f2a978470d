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
    "three classes in grey.png": labels() * np.uint8(127),
    "class 1 and void.png": np.where(X > 70, BYTE * np.uint8(255), labels()),
    "labels of 16 bits.tif": labels().astype(np.uint16) * 1000,
    "colour a class on transparent.png": np.dstack([classes(255), BYTE * 255]),
    "negative.tif": -BYTE.astype(np.int16),
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


def soft():
    small = Image.fromarray(BYTE * 255).resize((64, 64), Image.Resampling.BILINEAR)
    return np.asarray(small.resize((128, 128), Image.Resampling.BILINEAR))


@pytest.mark.parametrize(
    "name, content",
    [
        ("soft.png", soft()),  # as 395 masks of Carinthia-S are
        ("inverted.png", 255 - soft()),
        ("16 bits.tif", soft().astype(np.uint16) * 257),
        ("float.tif", soft() / 255),
        ("opacity.png", np.dstack([BYTE * 0 + 255] * 3 + [soft()])),
    ],
)
def test_grey_edges_are_split_at_128(tmp_path, name, content):
    path = tmp_path / name
    if name.endswith(".tif"):
        tifffile.imwrite(path, content)
    else:
        Image.fromarray(content).save(path)
    assert np.array_equal(masks.decide(path).marked, soft() >= 128)


@pytest.mark.parametrize("quality", [50, 75, 90, 100])
@pytest.mark.parametrize("level", [(0, 255), (255, 0)])
def test_a_mask_in_a_jpeg(tmp_path, quality, level):
    Image.fromarray(np.where(MARKED, level[1], level[0]).astype(np.uint8)).save(
        tmp_path / "mask.jpg", quality=quality
    )
    decided = masks.decide(tmp_path / "mask.jpg")
    assert np.array_equal(decided.marked, MARKED)
    assert decided.bright is (level == (0, 255))


def test_numbered_particles_are_labels(tmp_path):
    """Sixty of them in grey: more than a mask has classes, and neither edges nor a picture."""
    numbers = np.zeros((128, 128), np.uint8)
    for number in range(1, 61):
        row, column = divmod(number - 1, 8)
        numbers[16 * row + 3 : 16 * row + 9, 16 * column + 3 : 16 * column + 9] = 4 * number
    Image.fromarray(numbers).save(tmp_path / "particles.png")
    decided = masks.decide(tmp_path / "particles.png")
    assert np.array_equal(decided.marked, numbers > 0)
    assert decided.rule == "61 values: all but the background"


def write_set(place, contents):
    files = [place / f"{number}.png" for number in range(len(contents))]
    for file, content in zip(files, contents, strict=True):
        Image.fromarray(content).save(file)
    return files


def test_one_good_mask_among_others_hides_none(tmp_path):
    """In `detect` a 0/255 mask among 0/1 masks set the map on defects from .35 to .09."""
    files = write_set(tmp_path, [BYTE, BYTE * 255, BYTE])
    for mask in masks.decide_set(files, [GREY] * 3):
        assert np.array_equal(mask.marked, MARKED)
        assert not mask.doubt


def test_a_mask_that_disagrees_with_its_set_is_said(tmp_path):
    large = 255 - BYTE * 255  # a defect on 92 % of the picture, or an inverted mask
    half = np.where(X < 60, 0, 255).astype(np.uint8)  # its darker value is hardly rarer
    files = write_set(tmp_path, [BYTE * 255, BYTE * 255, large, half])
    decided = masks.decide_set(files, [None] * 4)
    assert [mask.bright for mask in decided] == [True, True, False, True]
    assert decided[2].doubt == "marks the darker value, most masks of the set the brighter"
    assert np.array_equal(decided[3].marked, half == 255)
    assert decided[3].doubt == (
        "its darker value is rarer, but the set marks the brighter; 53% of the picture is marked"
    )


def test_a_set_of_inverted_masks_marks_nothing_on_white(tmp_path):
    """Defects black on white, and white all over where there is none."""
    files = write_set(tmp_path, [255 - BYTE * 255, 255 - BYTE * 255, BYTE * 0 + 255])
    decided = masks.decide_set(files, [None] * 3, keep=False)
    assert [mask.share for mask in decided] == pytest.approx([MARKED.mean(), MARKED.mean(), 0])
    assert [mask.bright for mask in decided] == [False] * 3
    assert decided[0].marked is None
    with pytest.raises(ValueError, match="2.png: every pixel is 255"):
        masks.decide_set([files[2], *write_set(tmp_path, [BYTE])], [None] * 2)


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
    picture = read.Picture(GREY[:96], 8, bar=(0, 20))
    with pytest.raises(ValueError, match=r"picture 116 x 128 \(96 rows without its data bar\)"):
        masks.decide(tmp_path / "small.png", picture)
