"""Picture files of every kind: what was written comes back within the rule, or a clear error."""

import io
import itertools
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from semlib.images import decode, read
from tests.images import own_files

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
    kinds = ("u1", "u2", "u4", "i1", "i2", "i4", "f2", "f4", "f8")
    dtype = draw(st.sampled_from(kinds))
    shape = draw(st.tuples(st.integers(2, 40), st.integers(2, 40)))
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    picture = rng.integers(0, 125, shape).astype(dtype)
    options = {
        "byteorder": draw(st.sampled_from("<>")),
        "bigtiff": draw(st.booleans()),
        "compression": draw(st.sampled_from([None, "lzw", "zlib", "zstd", "packbits"])),
        "photometric": draw(st.sampled_from(["minisblack", "miniswhite"])),
    }
    if draw(st.booleans()):
        options["tile"] = (16, 16)
    elif draw(st.booleans()):
        options["rowsperstrip"] = 3
    if draw(st.booleans()):
        planes = draw(st.sampled_from([0, -1]))
        options |= {"photometric": "rgb", "planarconfig": ["separate", "contig"][planes]}
        return picture, np.stack([picture] * 3, planes), options
    return picture, picture, options


@pytest.mark.slow
@settings(max_examples=200, deadline=None, derandomize=True)
@given(tiffs())
def test_what_was_written_as_tiff_is_read(tmp_path_factory, tiff):
    picture, stored, options = tiff
    path = tmp_path_factory.mktemp("tiff") / "picture.tif"
    tifffile.imwrite(path, stored, **options)
    pixels = read.image(path).pixels
    if options["photometric"] != "miniswhite":
        assert np.array_equal(pixels, picture)
    elif picture.dtype.kind == "u":
        assert np.array_equal(pixels, np.iinfo(picture.dtype).max - picture)
    else:
        assert np.array_equal(pixels.max() - pixels, picture - picture.min())


DEPTHS = {  # how the numbers of a file come from levels 0 to 255, and options of `imwrite`
    "8 bits": (lambda levels: levels, {}),
    "12 bits packed": (lambda levels: levels.astype(np.uint16) * 16, {"bitspersample": 12}),
    "counts": (own_files.counts, {"compression": "zlib", "predictor": True}),
    "white is 0": (lambda levels: 65535 - own_files.counts(levels), {"photometric": "miniswhite"}),
    "float": (lambda levels: levels / np.float32(255), {"tile": (64, 64)}),
}


@st.composite
def lots(draw):
    """One scan in a file of any size, depth, bar, and its mask in any style."""
    shape = draw(st.tuples(st.integers(240, 300), st.integers(240, 300)))
    bar = draw(st.sampled_from([*own_files.BARS, None]))
    rows = draw(st.integers(24, 32)) if bar else 0
    styles = st.sampled_from(own_files.MASKS)
    return shape, draw(st.sampled_from(list(DEPTHS))), bar, rows, draw(st.booleans()), draw(styles)


@pytest.mark.slow
@settings(max_examples=120, deadline=None, derandomize=True)
@given(lots())
def test_picture_and_mask_come_back_whatever_the_file(tmp_path_factory, lot):
    shape, depth, bar, rows, above, style = lot
    place = tmp_path_factory.mktemp("lot")
    scan = own_files.scan(rows, shape)
    convert, options = DEPTHS[depth]
    whole = own_files.with_bar(scan, bar, rows, above=above) if bar else scan
    tifffile.imwrite(place / "a.tif", convert(whole), **options)
    marked = np.zeros(shape, bool)
    marked[200:240, 220:260] = True
    edges = (rows, 0) if above else (0, rows)
    mask = own_files.write_mask(place / "a_mask", np.pad(marked, (edges, (0, 0))), style)
    picture = read.image(place / "a.tif")
    assert picture.bar == edges
    assert picture.full_shape == whole.shape
    assert np.array_equal(read.mask(mask, picture), marked)
    if depth == "white is 0":
        assert np.array_equal(picture.pixels, own_files.counts(scan))
    else:
        assert np.array_equal(picture.pixels, convert(scan))
    plain = read.Picture(scan, 8, (0, 255)).uint8(by_quantiles=True).astype(int)
    assert np.abs(picture.uint8(by_quantiles=True) - plain).max() <= 1


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


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_of_exif_and_tiff(tmp_path, orientation):
    """TIFF 6.0, page 36: where row 0 and column 0 of the file belong."""
    picture = GREY[:96]
    rows_are_columns = orientation > 4
    stored = picture.T if rows_are_columns else picture
    flips = {1: (1, 1), 2: (1, -1), 3: (-1, -1), 4: (-1, 1)}
    flips |= {5: (1, 1), 6: (-1, 1), 7: (-1, -1), 8: (1, -1)}
    down, right = flips[orientation]
    stored = stored[::down, ::right]
    exif = Image.Exif()
    exif[274] = orientation
    for ending in ("png", "jpg"):
        Image.fromarray(stored).save(tmp_path / f"a.{ending}", exif=exif, quality=100)
    tifffile.imwrite(tmp_path / "a.tif", stored, extratags=[(274, "H", 1, orientation, True)])
    for ending in ("png", "tif", "jpg"):
        pixels = read.image(tmp_path / f"a.{ending}").pixels
        assert pixels.shape == picture.shape, ending
        assert np.abs(pixels.astype(int) - picture).max() <= 2 * (ending == "jpg"), ending


def write_pages(path, *pages, inner=0):
    """Pages as (picture, whether it is a thumbnail); the last `inner` in a SubIFD of the first."""
    with tifffile.TiffWriter(path) as tiff:
        for number, (picture, is_thumbnail) in enumerate(pages):
            sub = {"subifds": inner} if inner and not number else {}
            tiff.write(picture, subfiletype=int(is_thumbnail), metadata=None, **sub)


@pytest.mark.parametrize(
    "pages, inner, note",
    [
        ([(GREY[::4, ::4], True), (GREY, False)], 0, "page 2 of 2, the largest"),
        ([(GREY[::4, ::4], True), (GREY, False)], 1, "page 2 of 2, the largest"),
        ([(GREY, False), (GREY[::4, ::4], True)], 1, "page 1 of 2, the largest"),
        ([(GREY, False), (np.tile(GREY, (2, 2)), True)], 0, "page 1 of 2, the largest"),
        ([(GREY, False), (255 - GREY, False)], 0, "the first of 2 equally large pictures"),
        ([(GREY, True)], 0, "page 1 of 1, a thumbnail, as the file says"),
    ],
)
def test_which_page_is_the_picture(tmp_path, pages, inner, note):
    write_pages(tmp_path / "pages.tif", *pages, inner=inner)
    picture = read.image(tmp_path / "pages.tif")
    assert np.array_equal(picture.pixels, GREY)
    assert note in picture.notes[0]


def test_palettes_count_to_65535_or_255(tmp_path):
    for most in (65535, 255):
        colours = np.tile(np.arange(256, dtype=np.uint16) * (most // 255), (3, 1))
        path = tmp_path / f"{most}.tif"
        tifffile.imwrite(path, GREY, photometric="palette", colormap=colours)
        assert np.array_equal(read.image(path).pixels, GREY)


@pytest.mark.parametrize("bits", [2, 4])
@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
def test_few_bits_fill_the_range(tmp_path, bits, photometric):
    most = 2**bits - 1
    small = GREY // 8 % (most + 1)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, small, bitspersample=bits, photometric=photometric)
    levels = read.image(path).uint8()
    expected = small if photometric == "minisblack" else most - small
    assert np.array_equal(levels, expected * (255 // most))


def deep_png(path, pixels):
    """A PNG of 16 bits with channels, which Pillow cannot write."""
    from imagecodecs import png_encode

    path.write_bytes(png_encode(pixels))


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_png_of_16_bits_keeps_all_of_them(tmp_path, channels):
    """Pillow leaves 8 bits of coloured ones: five levels of 128."""
    opacity = [np.full_like(counts(), 65535)] * (channels % 2 == 0)
    planes = [counts()] * (channels - len(opacity)) + opacity
    deep_png(tmp_path / "a.png", np.squeeze(np.stack(planes, -1)))
    picture = read.image(tmp_path / "a.png")
    assert np.array_equal(picture.pixels, counts())
    assert not read.all_state_range([tmp_path / "a.png"])


def test_one_bit_and_boolean_pictures_are_black_and_white(tmp_path):
    marked = GREY > 50
    Image.fromarray(marked).save(tmp_path / "a.png")
    Image.fromarray(marked).save(tmp_path / "a.bmp")
    Image.fromarray(marked).save(tmp_path / "fax.tif", compression="group4")
    tifffile.imwrite(tmp_path / "a.tif", marked, photometric="minisblack")
    for name in ("a.png", "a.bmp", "fax.tif", "a.tif"):
        assert np.array_equal(read.image(tmp_path / name).uint8(), marked * np.uint8(255)), name


def test_channels_that_are_no_colours(tmp_path):
    two = np.stack([GREY, GREY[::-1]], -1)
    options = {"photometric": "minisblack", "planarconfig": "contig"}
    tifffile.imwrite(tmp_path / "detectors.tif", two, **options)
    picture = read.image(tmp_path / "detectors.tif")
    assert np.array_equal(picture.pixels, GREY)
    assert picture.notes == ("read the first of 2 channels",)
    Image.fromarray(GREY).convert("CMYK").save(tmp_path / "print.tif")
    with pytest.raises(ValueError, match="print.tif.*its colours are SEPARATED, not grey or RGB"):
        read.image(tmp_path / "print.tif")


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


def test_a_bar_and_a_scale_bar_in_white_do_not_set_the_range(tmp_path):
    """Drawn at 65,535 over counts of 2,000 to 3,016: between extremes 5 levels were left."""
    plain = read.Picture(counts()[:116], 16).uint8().astype(int)
    for ground, ink in ((65535, 0), (0, 65535), (40000, 65535)):
        pixels = counts()
        pixels[116:] = ground
        pixels[119:124, 10:60] = ink
        pixels[60:64, 20:80] = 65535
        tifffile.imwrite(tmp_path / "a.tif", pixels)
        picture = read.image(tmp_path / "a.tif")
        assert picture.bar == (0, 12)
        scan = picture.pixels < 65535
        assert np.abs(picture.uint8() - plain)[scan].max() <= 1
        assert (picture.uint8()[~scan] == 255).all()


def test_white_is_0_at_any_depth(tmp_path):
    """16 bits were read as a negative, 8 bits right."""
    for name, pixels in {
        "8": 255 - GREY,
        "16": 65535 - counts(),
        "32": 2**32 - 1 - counts().astype(np.uint32),
        "signed": -counts().astype(np.int16),
        "float": 1 - GREY / 255,
    }.items():
        tifffile.imwrite(tmp_path / f"{name}.tif", pixels, photometric="miniswhite")
        levels = read.image(tmp_path / f"{name}.tif").uint8(by_quantiles=True)
        expected = read.Picture(counts(), 16).uint8().astype(int)
        assert np.abs(levels - expected).max() <= 1, name


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


def limits(low, high):
    """Tags SMinSampleValue and SMaxSampleValue."""
    return [(340, "H", 1, low, True), (341, "H", 1, high, True)]


def test_stated_limits_and_packed_bits_set_the_range(tmp_path):
    tifffile.imwrite(tmp_path / "stated.tif", counts(16, 0), extratags=limits(0, 4095))
    tifffile.imwrite(tmp_path / "packed.tif", counts(16, 0), bitspersample=12)
    for name in ("stated.tif", "packed.tif"):
        picture = read.image(tmp_path / name)
        assert picture.span() == (0, 4095)
        assert np.abs(picture.uint8().astype(int) - GREY).max() <= 1
    white = {"photometric": "miniswhite", "extratags": limits(0, 4095)}
    tifffile.imwrite(tmp_path / "white.tif", 4095 - counts(16, 0), **white)
    assert np.abs(read.image(tmp_path / "white.tif").uint8().astype(int) - GREY).max() <= 1


@pytest.mark.parametrize("low, high", [(0, 255), (2000, 65535), (2000, 3016), (0, 65535)])
def test_limits_that_are_no_detector_s_are_not_believed(tmp_path, low, high):
    """Extremes of the very picture, which one hot pixel sets, or those of an 8-bit copy."""
    pixels = counts()
    pixels[3, 5] = 65535
    tifffile.imwrite(tmp_path / "a.tif", pixels, extratags=limits(low, high))
    picture = read.image(tmp_path / "a.tif")
    assert picture.stated is None
    assert len(np.unique(picture.uint8())) > 120


def test_numbers_beyond_the_stated_ones_are_said(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", counts(), extratags=limits(0, 2047))
    picture = read.image(tmp_path / "a.tif")
    assert picture.stated is None
    assert picture.notes == ("states numbers up to 2047, but they go up to 3016",)


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


def test_bombs_are_refused_before_they_are_unpacked(tmp_path):
    """60,000 x 60,000 pixels claimed by files of some hundred bytes."""
    png = io.BytesIO()
    Image.fromarray(GREY).save(png, "PNG")
    header = struct.pack(">II", 60_000, 60_000) + png.getvalue()[24:29]
    check = struct.pack(">I", zlib.crc32(b"IHDR" + header))
    bomb = png.getvalue()[:16] + header + check + png.getvalue()[33:]
    (tmp_path / "a.png").write_bytes(bomb)
    black = np.zeros((16, 16), np.uint8)
    tiled = {"compression": "zlib", "tile": (16, 16)}
    tifffile.imwrite(tmp_path / "a.tif", black, **tiled)
    tifffile.imwrite(tmp_path / "tile.tif", black, **tiled)
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+") as tiff:
        for name in ("ImageWidth", "ImageLength"):
            tiff.pages[0].tags[name].overwrite(60_000)
    with tifffile.TiffFile(tmp_path / "tile.tif", mode="r+") as tiff:
        for name in ("TileWidth", "TileLength"):
            tiff.pages[0].tags[name].overwrite(60_000)
    tracemalloc.start()
    for name in ("a.png", "a.tif", "tile.tif"):
        with pytest.raises(ValueError, match=rf"{name}.*60,000 x 60,000 .*the most that is read"):
            read.image(tmp_path / name)
    assert tracemalloc.get_traced_memory()[1] < 2**26
    tracemalloc.stop()


def test_a_tile_of_many_lengths_is_refused_at_once(tmp_path, within):
    """A damaged count made one number out of 201, and they were multiplied for half a minute."""
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((16, 16), np.uint8), compression="zlib", tile=(16, 16))
    with tifffile.TiffFile(path, mode="r+") as tiff:
        tiff.pages[0].tags["TileWidth"].overwrite(8_000_000)
        tiff.pages[0].tags["TileLength"].overwrite(tuple(range(16, 217)))
    with within(1, "the header"), pytest.raises(ValueError, match="a.tif.*no plain size"):
        read.image(path)


def test_a_tiff_that_lacks_strips_is_refused(tmp_path):
    """tifffile fills what is missing with black."""
    for name, options in {
        "plain": {},
        "strips": {"rowsperstrip": 8, "compression": "zlib"},
    }.items():
        path = tmp_path / f"{name}.tif"
        tifffile.imwrite(path, GREY, **options)
        with tifffile.TiffFile(path, mode="r+") as tiff:
            tiff.pages[0].tags["ImageLength"].overwrite(200)
        with pytest.raises(ValueError, match=f"{name}.tif.*the file is cut short"):
            read.image(path)


def test_no_other_program_is_started(tmp_path):
    """Pillow hands PostScript to Ghostscript, whatever the file is called."""
    path = tmp_path / "a.png"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n")
    with pytest.raises(ValueError, match="a.png: not a readable image.*cannot identify"):
        read.image(path)


def kinds_of_files(place):
    """Bytes of small pictures, one of each kind that is read."""
    picture = GREY[:24, :40]
    deep = own_files.counts(picture)
    grey = np.tile(np.arange(256, dtype=np.uint16) * 257, (3, 1))
    zeiss = own_files.tag(34118, own_files.HEADERS["Zeiss"])
    maker = own_files.HEADERS["Thermo Fisher"].format(width=40, height=20)
    for mode, ending in itertools.product(("L", "RGB", "P"), ("png", "jpg", "bmp")):
        if (mode, ending) != ("P", "jpg"):
            Image.fromarray(picture).convert(mode).save(place / f"{mode}.{ending}")
    Image.fromarray(deep).save(place / "deep.png")
    for number, (pixels, options) in enumerate(
        [
            (picture, {"extratags": [zeiss]}),
            (picture, {"extratags": [own_files.tag(34682, maker)]}),
            (picture, {"photometric": "palette", "colormap": grey}),
            (picture, {"compression": "jpeg"}),
            (picture > 50, {"compression": "packbits"}),
            (deep, {"compression": "zlib", "predictor": True}),
            (deep, {"compression": "lzw", "tile": (16, 16)}),
            (deep, {"bitspersample": 12, "photometric": "miniswhite"}),
            (deep, {"bigtiff": True, "byteorder": ">"}),
            (deep.astype(np.float32), {"compression": "zstd"}),
            (np.stack([picture] * 3), {"photometric": "rgb", "planarconfig": "separate"}),
        ]
    ):
        tifffile.imwrite(place / f"{number}.tif", pixels, **options)
    write_pages(place / "pages.tif", (picture[::2, ::2], True), (picture, False), inner=1)
    return [file.read_bytes() for file in sorted(place.iterdir())]


def damaged(content, rng):
    """A file with bytes changed, often in its header, put in or cut off."""
    content = np.frombuffer(content, np.uint8).copy()
    how = rng.integers(4)
    if how == 0:
        return content[: rng.integers(len(content))].tobytes()
    places = rng.integers(0, len(content) if how == 1 else min(len(content), 200), 4)
    content[places] = rng.choice([0, 1, 127, 128, 255, rng.integers(256)], 4)
    if how == 3:
        content = np.insert(content, rng.integers(len(content)), rng.integers(0, 256, 3))
    return content.tobytes()


def shapes_that_headers_state(path):
    """Heights and widths of the pictures in a file, either way round."""
    if path.read_bytes()[:2] in (b"II", b"MM"):
        with tifffile.TiffFile(path) as tiff:
            pages = [inner for page in tiff.pages for inner in (page, *(page.pages or ()))]
            shapes = [(page.imagelength, page.imagewidth) for page in pages]
    else:
        with Image.open(path) as image:
            shapes = [image.size[::-1]]
    return shapes + [shape[::-1] for shape in shapes]


@pytest.mark.slow
def test_damaged_files_give_a_picture_or_one_clear_error(tmp_path, within, monkeypatch):
    """10,000 files: the picture of the header's size, or a ValueError, in two seconds of work."""
    (tmp_path / "whole").mkdir()
    kinds = kinds_of_files(tmp_path / "whole")
    rng = np.random.default_rng(0)
    path = tmp_path / "picture.tif"
    path.touch()
    monkeypatch.setattr(decode, "LARGEST", 2**20)
    pictures = 0
    for number in range(10_000):
        with open(path, "r+b") as file:  # to empty it first takes some file systems long
            file.write(damaged(kinds[number % len(kinds)], rng))
            file.truncate()
        with within(2, f"file {number}"):
            try:
                picture = read.image(path)
            except ValueError as error:
                assert str(path) in str(error)
                continue
            assert picture.uint8().dtype == np.uint8
        assert picture.full_shape in shapes_that_headers_state(path), number
        pictures += 1
    assert 1_000 < pictures < 9_000
