"""One grey range and one crop for the files of a profile."""

import numpy as np
import pytest
import tifffile
from PIL import Image

from semlib.semnr import inputs, metrics


@pytest.fixture
def scene():
    """Grey levels 0 to 255 of a reference, a noisy scan and a restoration, uint8 (96, 112)."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:96, :112]
    clean = 90 + 50 * np.sin(x / 7) + 30 * (y > 50)
    noisy = clean + rng.normal(0, 20, clean.shape)
    images = {"reference": clean, "noisy": noisy, "restored": 0.6 * clean + 0.4 * noisy}
    return {name: np.uint8(np.clip(np.rint(image), 0, 255)) for name, image in images.items()}


def saved(folder, images, suffix="tif", **tags):
    files = {}
    for name, image in images.items():
        files[name] = folder / f"{name}.{suffix}"
        if suffix == "tif":
            tifffile.imwrite(files[name], image, **tags)
        else:
            Image.fromarray(image).save(files[name])
    return files


def psnr(folder, images, suffix="tif", **tags):
    """PSNR of the restored image, and what is said of the range."""
    given = inputs.load(**saved(folder, images, suffix, **tags))
    return metrics.psnr(given.images["reference"], given.images["restored"]), given.range


def each(images, function):
    return {name: function(image) for name, image in images.items()}


def test_bytes_stay_what_they_are(tmp_path, scene):
    given = inputs.load(**saved(tmp_path, scene, "png"))
    assert given.range == "0 to 255, as stated" and given.crop == "nothing cut, no data bar"
    for name, image in given.images.items():
        assert image.dtype == np.float32 and (image == scene[name] / np.float32(255)).all()
    assert given.mask is None and given.notes == []


COPIES = {  # the same pictures as other programs keep them, and white
    "10 bits": (lambda x: np.uint16(np.rint(x * (1023 / 255))), 1023),
    "12 bits": (lambda x: np.uint16(np.rint(x * (4095 / 255))), 4095),
    "14 bits": (lambda x: np.uint16(np.rint(x * (16383 / 255))), 16383),
    "16 bits": (lambda x: x.astype(np.uint16) * 257, 65535),
    "signed": (lambda x: np.int32(np.rint(x * (4095 / 255))), 4095),
    "bytes in 16": (lambda x: x.astype(np.uint16), 255),
    "floats": (lambda x: np.float32(x / 255), 1),
    "doubles": (lambda x: x / 255, 1),
    "float counts": (lambda x: x.astype(np.float32), 255),
}


@pytest.mark.parametrize("copy", COPIES)
def test_every_depth_gives_the_psnr_of_8_bits(copy, tmp_path, scene):
    """12-bit counts gave 46 instead of 22 dB; 8-bit with 16-bit files gave nonsense."""
    expected = metrics.psnr(scene["reference"] / 255, scene["restored"] / 255)
    convert, white = COPIES[copy]
    copied = each(scene, convert)
    value, said = psnr(tmp_path, copied)
    assert value == pytest.approx(expected, abs=0.02) and said.startswith(f"0 to {white}, ")
    value, said = psnr(tmp_path, scene | {"restored": copied["restored"]})
    assert value == pytest.approx(expected, abs=0.05)
    assert f"restored 0 to {white}, where their means agree best" in said
    value, _ = psnr(tmp_path, copied | {"restored": scene["restored"]})
    assert value == pytest.approx(expected, abs=0.05)


def test_three_depths_two_of_them_in_one_container(tmp_path, scene):
    expected = metrics.psnr(scene["reference"] / 255, scene["restored"] / 255)
    counts = each(scene, COPIES["12 bits"][0])
    full = {"restored": COPIES["16 bits"][0](scene["restored"])}
    for reference in (scene, counts):
        value, said = psnr(tmp_path, reference | {"noisy": counts["noisy"]} | full)
        assert value == pytest.approx(expected, abs=0.05)
        assert "noisy 0 to 4095, restored 0 to 65535, where" in said


def test_a_blank_image_of_another_depth_is_kept_for_its_flag(tmp_path, scene):
    given = inputs.load(**saved(tmp_path, scene | {"restored": np.zeros((96, 112), np.uint16)}))
    assert not given.images["restored"].any() and given.images["noisy"].max() > 0.5


def test_hot_pixels_do_not_set_the_range(tmp_path, scene):
    counts = each(scene, lambda x: np.uint16(np.rint(x * (4095 / 255))))
    before, _ = psnr(tmp_path, counts)
    for image in counts.values():
        image[3, 5] = 65535
    value, said = psnr(tmp_path, counts)
    assert "0 to 4095" in said and value == pytest.approx(before, abs=0.05)


def test_a_range_that_files_state(tmp_path, scene):
    dark = each(scene, lambda x: np.uint16(x * 2))  # at most 510: nine bits of a 12-bit detector
    tags = [(341, "H", 1, 4095, False)]  # SMaxSampleValue
    value, said = psnr(tmp_path, dark, extratags=tags)
    exact = metrics.psnr(dark["reference"] / 4095, dark["restored"] / 4095)
    assert said == "0 to 4095, as stated" and value == pytest.approx(exact, abs=1e-3)
    files = saved(tmp_path, dark, extratags=tags)
    tifffile.imwrite(files["restored"], dark["restored"])  # a program that keeps no tags
    given = inputs.load(**files)
    value = metrics.psnr(given.images["reference"], given.images["restored"])
    assert value == pytest.approx(exact, abs=1e-3)


def test_floats_beyond_one_go_by_quantiles_of_all(tmp_path, scene):
    odd = each(scene, lambda x: np.float32(x / 60 - 2))
    _, said = psnr(tmp_path, odd)
    assert said.endswith("by quantiles of all images")
    shifted = psnr(tmp_path, each(odd, lambda x: 3 * x + 7))[0]
    assert psnr(tmp_path, odd)[0] == pytest.approx(shifted, abs=1e-3)
    overshot = each(scene, lambda x: np.float32((x - 128.0) / 250 + 0.5))
    assert psnr(tmp_path, overshot)[1].startswith("0 to 1, the least")


@pytest.mark.parametrize("wrong", [lambda x: x / 60.0 - 2, lambda x: np.uint16(x // 60)])
def test_ranges_that_fit_no_common_scale_are_refused(wrong, tmp_path, scene):
    files = saved(tmp_path, scene | {"restored": wrong(scene["restored"])})
    with pytest.raises(ValueError, match=r"no grey range fits .*restored.tif \(.* and the others"):
        inputs.load(**files)


def with_bar(image, rows=12):
    """A data bar below: constant, with a drawn line, as instruments do."""
    bar = np.full((rows, image.shape[1]), 10, np.uint8)
    bar[4:7, 5:40:3] = 250
    return np.vstack([image, bar])


def test_all_lose_the_bar_that_one_has(tmp_path, scene):
    barred = each(scene, with_bar)
    barred["restored"][96:] = np.random.default_rng(1).integers(0, 60, (12, 112))  # bar restored
    mask = np.zeros((108, 112), np.uint8)
    mask[40:50, 60:70] = 255
    files = saved(tmp_path, barred | {"mask": mask}, "png")
    given = inputs.load(**files)
    assert given.crop == "0 rows above and 12 below cut from all images"
    assert {image.shape for image in given.images.values()} == {(96, 112)} == {given.mask.shape}
    assert given.mask.sum() == 100 and given.mask[40:50, 60:70].all()
    assert (given.images["noisy"] == scene["noisy"] / np.float32(255)).all()
    told = inputs.load(**files, bar=(2, 20))
    assert told.images["restored"].shape == told.mask.shape == (86, 112)
    assert inputs.load(**files, bar="none").images["restored"].shape == (108, 112)


def test_the_width_of_a_pixel_is_that_of_any_file(tmp_path, scene):
    files = saved(tmp_path, scene, "png")
    assert inputs.load(**files).pixel_nm is None
    (tmp_path / "noisy.txt").write_text("[SemImageFile]\nPixelSize=2.5\nDataSize=112x96\n")
    assert inputs.load(**files).pixel_nm == 2.5


def test_files_that_do_not_fit_are_named(tmp_path, scene):
    files = saved(tmp_path, scene, "png")

    def refused(said, **changed):
        with pytest.raises((ValueError, FileNotFoundError), match=said):
            inputs.load(**files | changed)

    def mask(levels):
        Image.fromarray(np.uint8(levels)).save(tmp_path / "mask.png")
        return tmp_path / "mask.png"

    refused("reference and noisy are one file, .*e.png", noisy=tmp_path / "." / "reference.png")
    refused("mask.png has 90 x 112 pixels, its picture 96 x 112", mask=mask(np.eye(90, 112)))
    refused("mask.png marks nothing", mask=mask(np.zeros((96, 112))))
    refused("mask.png: every pixel is 255", mask=mask(np.full((96, 112), 255)))
    refused("no such image file", restored=tmp_path / "none.png")
    small = saved(tmp_path, {"small": scene["restored"][:90]}, "png")["small"]
    refused("small.png has 90 x 112 pixels, .*reference.png 96 x 112", restored=small)
    broken = np.where(scene["noisy"] > 200, np.nan, scene["noisy"] / 255)
    refused("numbers are not finite", noisy=saved(tmp_path, {"nan": broken})["nan"])


def test_too_many_pixels(tmp_path, scene, monkeypatch):
    monkeypatch.setattr(inputs, "LARGEST", 10_000)
    with pytest.raises(ValueError, match="reference.png: more than 10,000 pixels"):
        inputs.load(**saved(tmp_path, scene, "png"))
