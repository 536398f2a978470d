"""The one-page profile from files, and the command line."""

import re

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from PIL import Image

from semlib.__main__ import main
from semlib.semnr import page


@pytest.fixture
def files(tmp_path, lines, noisy):
    image, mask = lines
    arrays = {"reference": image, "restored": 0.5 * (image + noisy), "noisy": noisy}
    for name, values in arrays.items():
        Image.fromarray(np.uint8(np.rint(255 * values))).save(tmp_path / f"{name}.png")
    Image.fromarray(np.uint8(255 * mask)).save(tmp_path / "mask.png")
    return tmp_path


def call(*arguments):
    return CliRunner().invoke(main, ["profile", *map(str, arguments)])


@pytest.mark.slow
def test_command_line_writes_a_png_and_a_csv(files, with_weights):
    out = files / "result"
    extra = ("--mask", files / "mask.png", "--noisy", files / "noisy.png", "--out", out)
    result = call(files / "reference.png", files / "restored.png", *extra)
    assert result.exit_code == 0, result.output
    table = pd.read_csv(f"{out}.csv").set_index("image")
    half_the_noise = table.loc["noisy", "psnr"] + 20 * np.log10(2)
    assert table.loc["restored", "psnr"] == pytest.approx(half_the_noise, abs=0.3)
    assert table.loc["restored", "verdict"] == "no conflict"
    with Image.open(f"{out}.png") as picture:
        assert min(picture.size) > 500


def test_the_page_says_that_images_lie_apart(files, without_weights):
    truth, restored = (page.read(files / f"{name}.png") for name in ("reference", "restored"))
    assert page.apart(truth, restored) == []
    (said,) = page.apart(truth, np.roll(restored, (3, -2), (0, 1)))
    assert re.search(r"[12]\.\d px below and -[12]\.\d px to the right", said)


@pytest.mark.slow
def test_without_mask_and_weights(files, without_weights, monkeypatch):
    monkeypatch.chdir(files)
    result = call("reference.png", "restored.png")
    assert result.exit_code == 0, result.output
    row = pd.read_csv(files / "restored_profile.csv").iloc[0]
    assert np.isnan(row["dists"]) and np.isnan(row["cnr"]) and row["fsim"] < 1


def test_sixteen_bits_and_floats_have_the_same_scale(tmp_path):
    values = np.linspace(0, 1, 64 * 64, dtype=np.float32).reshape(64, 64)
    Image.fromarray(np.uint16(65535 * values)).save(tmp_path / "16.png")
    Image.fromarray(values).save(tmp_path / "f.tif")
    assert np.abs(page.read(tmp_path / "16.png") - values).max() < 1e-4
    assert (page.read(tmp_path / "f.tif") == values).all()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: Image.new("RGB", (64, 64)).save(path), "colour"),
        (lambda path: Image.new("L", (64, 60)).save(path), "shapes differ"),
        (lambda path: path.write_bytes(b"no image"), "no image"),
        (lambda path: None, "No such file"),
    ],
)
def test_bad_files_are_one_line(files, make, said, without_weights):
    bad = files / "bad.png"
    make(bad)
    result = call(files / "reference.png", bad)
    assert result.exit_code == 2 and said in result.output and len(result.output.splitlines()) == 1
    assert not list(files.glob("*profile*"))


def test_folder_of_equal_names(tmp_path):
    for part in ("reference", "restored"):
        (tmp_path / part).mkdir()
        Image.new("L", (64, 64)).save(tmp_path / part / "a.png")
    (files,) = page.folder(tmp_path)
    assert files["reference"].name == "a.png" and files["mask"] is None
    with pytest.raises(FileNotFoundError, match="reference/ and restored/"):
        page.folder(tmp_path / "reference")
