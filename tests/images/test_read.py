"""Picture files of every kind: what was written comes back within the rule, or a clear error."""

import io

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from semlib.images import decode, read

Y, X = np.mgrid[:128, :128]
GREY = ((X + Y) // 2).astype(np.uint8)  # levels 0 to 127


def counts(scale=8, offset=2000):
    """The picture as a detector of 16 bits counts it."""
    return (offset + scale * GREY.astype(np.uint16)).astype(np.uint16)


def correlation(one, other):
    return np.corrcoef(one.ravel().astype(float), other.ravel().astype(float))[0, 1]


@st.composite
def tiffs(draw):
    """A picture and the ways in which a program may store it as TIFF."""
    kinds = ("u1", "u2", "u4", "i2", "i4", "f2", "f4", "f8")
    dtype = draw(st.sampled_from(kinds))
    shape = draw(st.tuples(st.integers(2, 40), st.integers(2, 40)))
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    picture = rng.integers(0, 250, shape).astype(dtype)
    options = {
        "byteorder": draw(st.sampled_from("<>")),
        "bigtiff": draw(st.booleans()),
        "compression": draw(st.sampled_from([None, "lzw", "zlib"])),
        "photometric": draw(st.sampled_from(["minisblack", "miniswhite"])),
    }
    if draw(st.booleans()):
        options["tile"] = (16, 16)
    return picture, options


@settings(max_examples=150, deadline=None, derandomize=True)
@given(tiffs())
def test_what_was_written_as_tiff_is_read(stored):
    picture, options = stored
    file = io.BytesIO()
    tifffile.imwrite(file, picture, **options)
    read_back = _from_bytes(file.getvalue())
    if options["photometric"] == "minisblack":
        assert np.array_equal(read_back.pixels, picture)
    elif picture.dtype.kind == "u":
        assert np.array_equal(read_back.pixels, np.iinfo(picture.dtype).max - picture)
    else:
        assert correlation(read_back.pixels, picture) == pytest.approx(-1)


def _from_bytes(content, name="picture.tif"):
    """Read a picture through a file in memory's stead: the reader takes paths."""
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        return read.image(path)


@pytest.mark.parametrize("ending", ["png", "bmp", "tif"])
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "LA"])
def test_grey_in_any_mode(tmp_path, mode, ending):
    if mode == "LA" and ending == "bmp":
        pytest.skip("BMP has no mode LA")
    path = tmp_path / f"picture.{ending}"
    Image.fromarray(GREY).convert(mode).save(path)
    assert np.array_equal(read.image(path).pixels, GREY)


def test_grey_in_a_colour_jpeg(tmp_path):
    path = tmp_path / "picture.jpg"
    Image.fromarray(GREY).convert("RGB").save(path, quality=90)
    assert np.abs(read.image(path).pixels.astype(int) - GREY).max() <= 3


def test_a_coloured_picture_is_refused(tmp_path):
    colours = np.stack([GREY] * 3, -1)
    colours[:64, :, 0] = 255
    Image.fromarray(colours).save(tmp_path / "marked.png")
    with pytest.raises(ValueError, match="marked.png: 50.0% of the pixels are coloured"):
        read.image(tmp_path / "marked.png")


def test_orientation_of_exif_and_tiff(tmp_path):
    exif = Image.Exif()
    exif[274] = 6  # the camera was turned: rows are columns
    Image.fromarray(GREY).save(tmp_path / "turned.png", exif=exif)
    tifffile.imwrite(tmp_path / "turned.tif", GREY, extratags=[(274, "H", 1, 6, True)])
    for name in ("turned.png", "turned.tif"):
        assert np.array_equal(read.image(tmp_path / name).pixels, np.rot90(GREY, -1))


def test_the_largest_page_behind_a_thumbnail(tmp_path):
    path = tmp_path / "pages.tif"
    tifffile.imwrite(path, GREY[::4, ::4], subfiletype=1)
    tifffile.imwrite(path, GREY, append=True)
    picture = read.image(path)
    assert np.array_equal(picture.pixels, GREY)
    assert "page 2 of 2" in picture.notes[0]


def test_one_hot_pixel_does_not_set_the_range(tmp_path):
    plain = counts()
    hot = counts()
    hot[3, 5] = 65535
    tifffile.imwrite(tmp_path / "plain.tif", plain)
    tifffile.imwrite(tmp_path / "hot.tif", hot)
    levels = [read.image(tmp_path / name).uint8() for name in ("plain.tif", "hot.tif")]
    assert len(np.unique(levels[1])) > 120  # of 128; between extremes it were 10
    cold = hot < 65535
    assert np.abs(levels[0].astype(int) - levels[1])[cold].max() <= 1


def test_copies_of_any_depth_have_the_same_grey_levels(tmp_path):
    """In a lot where one file does not state its range all go by quantiles."""
    assert read.all_state_range([]) is True
    Image.fromarray(GREY).save(tmp_path / "8.png")
    tifffile.imwrite(tmp_path / "16.tif", GREY.astype(np.uint16) * 257)
    tifffile.imwrite(tmp_path / "counts.tif", counts())
    tifffile.imwrite(tmp_path / "white.tif", 65535 - counts(), photometric="miniswhite")
    tifffile.imwrite(tmp_path / "float.tif", GREY / 127)
    files = sorted(tmp_path.iterdir())
    assert not read.all_state_range(files)
    assert read.all_state_range(files[2:3]) == (files[2].name == "8.png")
    pictures = [read.image(file) for file in files]
    levels = [picture.uint8(by_quantiles=True).astype(int) for picture in pictures]
    for other in levels[1:]:
        assert np.abs(other - levels[0]).max() <= 1


def test_stated_limits_and_packed_bits_set_the_range(tmp_path):
    limits = [(340, "H", 1, 0, True), (341, "H", 1, 4095, True)]
    tifffile.imwrite(tmp_path / "stated.tif", counts(16, 0), extratags=limits)
    tifffile.imwrite(tmp_path / "packed.tif", counts(16, 0), bitspersample=12)
    for name in ("stated.tif", "packed.tif"):
        picture = read.image(tmp_path / name)
        assert picture.span() == (0, 4095)
        assert np.abs(picture.uint8().astype(int) - GREY).max() <= 1


def test_numbers_that_are_not_finite_are_refused(tmp_path):
    values = GREY / 255
    values[0, 0] = np.nan
    tifffile.imwrite(tmp_path / "nan.tif", values)
    with pytest.raises(ValueError, match="nan.tif: 1 numbers are not finite"):
        read.image(tmp_path / "nan.tif")


def test_a_file_that_claims_too_many_pixels_is_refused(tmp_path, monkeypatch):
    Image.fromarray(GREY).save(tmp_path / "a.png")
    tifffile.imwrite(tmp_path / "a.tif", GREY)
    monkeypatch.setattr(decode, "LARGEST", 1000)
    for name in ("a.png", "a.tif"):
        with pytest.raises(ValueError, match=rf"{name}.*more than 1,000"):
            read.image(tmp_path / name)


@pytest.mark.parametrize("content", [b"", b"no picture", b"II*\0", b"\x89PNG\r\n\x1a\n"])
def test_what_is_no_picture_is_named(tmp_path, content):
    path = tmp_path / "broken.png"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="broken.png: not a readable image"):
        read.image(path)
    with pytest.raises(FileNotFoundError, match="gone.png"):
        read.image(tmp_path / "gone.png")


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["png", "tif", "jpg", "bmp"])
def test_damaged_files_give_a_picture_or_one_clear_error(tmp_path, ending):
    """2,500 files of each kind with bytes changed or cut off: a grey picture or a ValueError."""
    rng = np.random.default_rng(0)
    path = tmp_path / f"picture.{ending}"
    Image.fromarray(GREY[:24, :32]).save(path)
    whole = np.frombuffer(path.read_bytes(), np.uint8)
    for _ in range(2500):
        damaged = whole.copy()
        places = rng.integers(0, len(whole), rng.integers(1, 8))
        damaged[places] = rng.integers(0, 256, len(places))
        path.write_bytes(damaged[: rng.integers(1, len(whole) + 1)].tobytes())
        try:
            picture = read.image(path)
        except ValueError as error:
            assert str(path) in str(error)
        else:
            assert picture.pixels.ndim == 2
            assert picture.uint8().dtype == np.uint8
