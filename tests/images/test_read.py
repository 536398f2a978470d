"""Reading images and masks of every kind, and files that are none."""

import numpy as np
import pytest
import tifffile
from PIL import Image

from semlib.images import read


def noise(shape, seed=0):
    return np.random.default_rng(seed).integers(20, 200, shape, dtype=np.uint8)


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.tiff"])
def test_8_bit_grey_is_returned_as_it_is(tmp_path, name):
    Image.fromarray(noise((20, 30))).save(tmp_path / name)
    image = read.image(tmp_path / name)
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image, noise((20, 30)))


@pytest.mark.parametrize("channels", [3, 4])
def test_colour_becomes_luminance(tmp_path, channels):
    colour = noise((20, 30, channels))
    Image.fromarray(colour).save(tmp_path / "a.png")
    luminance = colour[..., :3] @ np.array([0.299, 0.587, 0.114])
    assert np.abs(read.image(tmp_path / "a.png") - luminance).max() <= 1


def test_grey_written_as_colour_stays_the_same(tmp_path):
    for mode in ("RGB", "RGBA", "LA", "P"):
        Image.fromarray(noise((20, 30))).convert(mode).save(tmp_path / "a.png")
        np.testing.assert_array_equal(read.image(tmp_path / "a.png"), noise((20, 30)), err_msg=mode)


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_16_bit_is_scaled_from_its_own_range(tmp_path, name):
    deep = np.array([[1000, 1001], [3000, 5000]], dtype=np.uint16)
    Image.fromarray(deep).save(tmp_path / name)
    assert read.image(tmp_path / name).tolist() == [[0, 0], [128, 255]]


@pytest.mark.parametrize("dtype", [">u2", "<u2", "int32", "float32"])
def test_deep_tiffs_written_by_another_library(tmp_path, dtype):
    deep = np.linspace(-3 if dtype == "float32" else 7, 4000, 600).reshape(20, 30).astype(dtype)
    tifffile.imwrite(tmp_path / "a.tif", deep, byteorder=">" if dtype == ">u2" else "<")
    low = float(deep.min())
    high = float(deep.max())
    expected = np.rint((deep.astype(float) - low) * (255 / (high - low)))
    np.testing.assert_array_equal(read.image(tmp_path / "a.tif"), expected)


def test_16_bit_colour_is_read_by_its_high_bytes(tmp_path):
    deep = np.repeat(noise((20, 30))[..., None].astype(np.uint16) * 256 + 9, 3, axis=2)
    tifffile.imwrite(tmp_path / "a.tif", deep, photometric="rgb")
    np.testing.assert_array_equal(read.image(tmp_path / "a.tif"), noise((20, 30)))


def spoil(file, how):
    Image.fromarray(noise((64, 64))).save(file)
    content = file.read_bytes()
    file.write_bytes(
        {"empty": b"", "text": b"no image", "truncated": content[: len(content) // 2]}[how]
    )


@pytest.mark.parametrize("how", ["empty", "text", "truncated"])
@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif"])
def test_an_unreadable_image_is_named(tmp_path, name, how):
    spoil(tmp_path / name, how)
    with pytest.raises(ValueError, match=r"a\.\w+: not a readable image \([\d,]+ bytes\)") as error:
        read.image(tmp_path / name)
    assert str(tmp_path) in str(error.value)


def test_values_that_are_not_finite_are_an_error(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.array([[0, np.nan]], dtype=np.float32))
    with pytest.raises(ValueError, match=r"a\.tif.*not finite"):
        read.image(tmp_path / "a.tif")


def test_a_missing_image_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"gone\.png"):
        read.image(tmp_path / "gone.png")


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_masks_of_every_mode_are_cut_at_128(tmp_path, mode):
    soft = np.array([[0, 60, 127, 128], [200, 255, 1, 129]], dtype=np.uint8)
    Image.fromarray(soft).convert(mode).save(tmp_path / "mask.png")
    mask = read.mask(tmp_path / "mask.png")
    assert mask.dtype == bool
    np.testing.assert_array_equal(mask, soft >= 128)


def test_a_bad_mask_is_named(tmp_path):
    Image.fromarray(np.zeros((64, 64), np.uint8)).save(tmp_path / "mask.png")
    (tmp_path / "mask.png").write_bytes((tmp_path / "mask.png").read_bytes()[:60])
    with pytest.raises(ValueError, match=r"mask\.png: not a readable mask"):
        read.mask(tmp_path / "mask.png")


def test_a_mask_has_the_size_of_its_image(tmp_path):
    Image.fromarray(noise((20, 30))).save(tmp_path / "mask.png")
    assert read.mask(tmp_path / "mask.png", np.zeros((20, 30))).shape == (20, 30)
    with pytest.raises(ValueError, match=r"mask\.png has \(20, 30\) pixels, its image \(30, 20\)"):
        read.mask(tmp_path / "mask.png", np.zeros((30, 20)))


def test_the_reason_instead_of_an_error(tmp_path):
    (tmp_path / "empty.png").touch()
    image, reason = read.try_image(tmp_path / "empty.png")
    assert image is None and "empty.png" in reason
    Image.fromarray(noise((20, 30))).save(tmp_path / "good.png")
    image, reason = read.try_image(tmp_path / "good.png")
    np.testing.assert_array_equal(image, noise((20, 30)))
    assert reason == ""
