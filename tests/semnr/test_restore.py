"""Own pictures restored: depth, range, data bar, pixel size, resume, trust page, errors."""

import shutil

import numpy as np
import pandas as pd
import pytest
import tifffile
from click.testing import CliRunner
from PIL import Image

from semlib.__main__ import main
from semlib.images import read
from semlib.semnr import denoise, metrics, restore, second_scan, spread


@pytest.fixture
def folder(tmp_path, lines, noisy, monkeypatch):
    """An 8-bit PNG and a 16-bit TIFF that uses a small part of its range; no uncertainty."""
    monkeypatch.setattr(spread, "is_there", lambda _: False)
    place = tmp_path / "scans"
    place.mkdir()
    Image.fromarray(np.uint8(np.rint(255 * noisy))).save(place / "eight.png")
    numbers = np.uint16(np.rint(1000 + 3000 * noisy))
    tifffile.imwrite(place / "sixteen.tif", numbers, resolution=(2e6, 2e6), resolutionunit=3)
    return place


def test_depth_range_and_pixel_size_stay_and_noise_goes(folder, tmp_path, lines):
    table = restore.run(folder, tmp_path / "out", method="mse")
    assert list(table["file"]) == ["eight.png", "sixteen.tif"]
    eight = read.image(tmp_path / "out" / "eight.png").pixels
    sixteen = read.image(tmp_path / "out" / "sixteen.tif").pixels
    assert (eight.dtype, sixteen.dtype) == (np.uint8, np.uint16)
    before = read.image(folder / "eight.png").pixels / np.float32(255)
    gain = metrics.psnr(lines[0], eight / np.float32(255)) - metrics.psnr(lines[0], before)
    assert gain > 3
    back = (sixteen - 1000.0) / 3000  # grey levels that 8 bits would round to 12 numbers
    assert metrics.psnr(lines[0], np.float32(back.clip(0, 1))) > metrics.psnr(lines[0], before) + 3
    assert len(np.unique(sixteen)) > 256
    with tifffile.TiffFile(tmp_path / "out" / "sixteen.tif") as file:
        assert file.pages[0].get_resolution() == pytest.approx((2e6, 2e6))


def test_the_data_bar_is_copied(tmp_path, noisy):
    scan = np.uint8(np.rint(255 * noisy))
    bar = np.zeros((12, scan.shape[1]), np.uint8)
    bar[4:8, 5:9] = 255
    file = tmp_path / "scan.png"
    Image.fromarray(np.vstack([scan, bar])).save(file)
    assert read.image(file).bar == (0, 12)
    restore.run(file, tmp_path / "out", method="mse")
    whole = read.image(tmp_path / "out" / "scan.png", bar="none").pixels
    assert (whole[-12:] == bar).all() and (whole[:-12] != scan).mean() > 0.5


def test_twelve_bits_stay_within_their_range_and_say_so(tmp_path, noisy):
    file = tmp_path / "scan.tif"
    numbers = np.uint16(np.rint(4095 * np.clip(2 * noisy, 0, 1)))
    tags = [(280, "H", 1, 0, True), (281, "H", 1, 4095, True)]
    tifffile.imwrite(file, numbers, extratags=tags)
    restore.run(file, tmp_path / "out", method="mse")
    picture = read.image(tmp_path / "out" / "scan.tif")
    assert picture.stated == (0, 4095) and picture.pixels.max() <= 4095


def test_a_second_run_does_only_what_changed(folder, tmp_path, monkeypatch):
    out = tmp_path / "out"
    first = restore.run(folder, out, method="mse")
    seen = []
    inner = restore.tiles.restore
    monkeypatch.setattr(restore.tiles, "restore", lambda *a: seen.append(1) or inner(*a))
    again = restore.run(folder, out, method="mse")
    assert seen == [] and list(again["key"]) == list(first["key"])
    (out / "eight.png").unlink()  # lost
    restore.run(folder, out, method="mse")
    assert len(seen) == 1
    Image.fromarray(np.full((40, 40), 9, np.uint8) + np.eye(40, dtype=np.uint8)).save(
        folder / "eight.png"
    )
    restore.run(folder, out, method="mse")
    assert len(seen) == 2
    restore.run(folder, out, method="semnr")
    assert len(seen) == 4


def test_weights_of_another_name_change_nothing(folder, tmp_path, monkeypatch):
    models = tmp_path / "models"
    shutil.copytree(denoise.MODELS, models)
    monkeypatch.setattr(denoise, "MODELS", models)
    first = restore.run(folder, tmp_path / "out", method="mse")
    (models / "mse-x.safetensors").write_bytes(b"another one")
    again = restore.run(folder, tmp_path / "out", method="mse")
    assert list(again["key"]) == list(first["key"])


def test_an_interrupted_run_keeps_what_is_done(folder, tmp_path, monkeypatch):
    out = tmp_path / "out"
    restore.run(folder, out, method="mse")
    (out / "eight.png").unlink()

    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(restore.tiles, "restore", interrupted)
        restore.run(folder, out, method="mse")
    seen = []
    inner = restore.tiles.restore
    monkeypatch.setattr(restore.tiles, "restore", lambda *a: seen.append(1) or inner(*a))
    assert len(restore.run(folder, out, method="mse")) == 2 and len(seen) == 1


def test_uncertainty_where_the_network_has_one(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(spread, "is_there", lambda _: True)
    tenth = np.float32(0.1)  # of the range, everywhere
    monkeypatch.setattr(spread, "half_width", lambda _, image, restored: 0 * image + tenth)
    table = restore.run(folder, tmp_path / "out", method="mse")
    assert list(table["uncertainty"]) == ["uncertainty/eight.tif", "uncertainty/sixteen.tif"]
    width = tifffile.imread(tmp_path / "out" / "uncertainty" / "eight.tif")
    assert width == pytest.approx(25.5, rel=1e-3)
    low, high = read.image(folder / "sixteen.tif").span()
    width = tifffile.imread(tmp_path / "out" / "uncertainty" / "sixteen.tif")
    assert width == pytest.approx((high - low) / 10, rel=1e-3)


def test_without_a_network_of_the_spread_there_is_no_uncertainty(folder, tmp_path):
    table = restore.run(folder, tmp_path / "out", method="mse")
    assert table["uncertainty"].isna().all() and not (tmp_path / "out" / "uncertainty").exists()


def test_what_cannot_be_restored_is_named_and_the_rest_goes_on(folder, tmp_path):
    (folder / "broken.png").write_bytes(b"no picture")
    tifffile.imwrite(folder / "flat.tif", np.full((40, 40), 7, np.uint16))
    table = restore.run(folder, tmp_path / "out", method="mse")
    assert list(table["file"]) == ["eight.png", "sixteen.tif"]
    skipped = pd.read_csv(tmp_path / "out" / "skipped.csv")
    assert list(skipped["file"]) == ["broken.png", "flat.tif"]


@pytest.mark.slow
def test_a_second_scan_gives_a_trust_page(tmp_path, lines, noisy, without_weights):
    for name, image in {"fast": noisy, "slow": lines[0]}.items():
        (tmp_path / name).mkdir()
        Image.fromarray(np.uint8(np.rint(255 * image))).save(tmp_path / name / "field.png")
    out = tmp_path / "out"
    table = restore.run(tmp_path / "fast", out, method="mse", reference=tmp_path / "slow")
    assert table["trust"][0] == "trust/field.png" and (out / "trust/field.png").is_file()
    page = pd.read_csv(out / "trust" / "field.csv").set_index("image")
    assert page.loc["restored", "psnr"] > page.loc["noisy", "psnr"] + 3
    assert page.loc["restored", "verdict"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"method": "magic"}, "no network called 'magic' is here: use one of mse, n2n"),
        ({"reference": "empty"}, "lacks a file for 2 pictures: eight, sixteen"),
        ({"reference": "nowhere"}, "no such file or folder of references"),
        ({"out": "scans"}, "holds the pictures themselves"),
    ],
)
def test_bad_input(folder, tmp_path, options, said):
    (tmp_path / "empty").mkdir()
    options = {"method": "mse", "out": "out"} | options
    for name in {"reference", "out"} & set(options):
        options[name] = tmp_path / options[name]
    with pytest.raises((ValueError, FileNotFoundError), match=said):
        restore.run(folder, **options)


def test_one_reference_for_many_pictures_is_refused(tmp_path):
    one = tmp_path / "one.png"
    one.write_bytes(b"")
    with pytest.raises(ValueError, match="one file for 2 pictures"):
        second_scan.partners({"a": one, "b": one}, one)


def test_command(folder, tmp_path):
    arguments = ["denoise", str(folder), "--out", str(tmp_path / "out"), "--method", "mse"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0 and "2 images restored" in result.output
    result = CliRunner().invoke(main, ["denoise", "nowhere", "--out", str(tmp_path / "out")])
    assert result.exit_code == 2 and "error: nowhere: no such file or folder" in result.output
