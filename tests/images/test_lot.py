"""A lot that mixes depths, polarities, bars and masks: one way of reading, in the manifest."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from semlib import paths
from semlib.images import datasets, preprocess, read
from tests.images import own_files
from tests.images.own_files import bar, scan


@pytest.fixture
def lot(tmp_path):
    """Eight scans of one kind as four programs write them, each with the mask of its defect."""
    place = tmp_path / "lot"
    place.mkdir()
    for number in range(8):
        picture = scan(number)
        mask = np.zeros(picture.shape, np.uint8)
        mask[200:240, 220:260] = 1
        counts = picture.astype(np.uint16) * 16 + 100
        if number % 4 == 0:
            Image.fromarray(np.concatenate([picture, bar("framed", 40)])).save(
                place / f"{number}.png"
            )
            mask = np.concatenate([mask, np.zeros((40, 480), np.uint8)])
        elif number % 4 == 1:
            tifffile.imwrite(place / f"{number}.tif", counts)
        elif number % 4 == 2:
            tifffile.imwrite(place / f"{number}.tif", 65535 - counts, photometric="miniswhite")
        else:
            tifffile.imwrite(place / f"{number}.tif", picture / 255)
        Image.fromarray(mask * (255 if number % 2 else 1)).save(place / f"{number}_mask.png")
    return place


def test_all_pictures_of_a_lot_have_one_range_and_no_bar(lot, capsys):
    datasets.manifest(lot)
    said = capsys.readouterr().err
    assert "8 images, 0 labels, 8 masks" in said
    assert "grey range: by quantiles for all images" in said
    assert "2 images: a data bar was cut by its look: 40 rows below" in said
    assert "2 images: MinIsWhite" in said
    preprocess.preprocess_dataset(lot, size=64)
    levels = np.load(paths.of(lot).level(0)).astype(float)
    assert np.ptp(levels.mean(axis=(1, 2))) < 2
    assert np.ptp(levels.std(axis=(1, 2))) < 1


def test_masks_lose_the_bar_of_their_picture(lot):
    pictures = read.pictures(datasets.manifest(lot), lot)
    for image, mask in zip(pictures["image"], pictures["mask"], strict=True):
        assert image.shape == mask.shape == (480, 480)
        assert mask.sum() == 40 * 40
        assert image[mask].mean() > image[~mask].mean() + 20


def test_a_picture_whose_file_or_mask_is_damaged_is_left_out(lot, capsys):
    table = datasets.manifest(lot)
    (lot / table["path"][1]).write_bytes(b"II*")
    (lot / table["mask_path"][2]).write_bytes(b"PNG")
    pictures = read.pictures(table, lot)
    assert pictures.index.tolist() == [0, 3, 4, 5, 6, 7]
    said = capsys.readouterr().out
    assert table["path"][1] in said and table["mask_path"][2] in said


def test_the_bar_can_be_kept_or_told(lot):
    assert set(datasets.manifest(lot, bar="none")["bar_bottom"]) == {"0"}
    table = datasets.manifest(lot, bar=(5, 50))
    assert set(table["bar_top"]) == {"5"} and set(table["bar_bottom"]) == {"50"}
    assert "5 rows above and 50 below were cut off as told" in table["notes"][0]


def test_files_of_8_bits_keep_their_levels(tmp_path):
    for number in range(3):
        Image.fromarray(scan(number)).save(tmp_path / f"{number}.png")
    table = datasets.manifest(tmp_path)
    assert set(table["range"]) == {"stated"}
    first = next(table.itertuples())
    assert np.array_equal(read.listed(tmp_path, first)[0], scan(0))


def test_a_name_like_a_missing_value_shifts_no_row(tmp_path):
    """pandas reads NA as missing: the broken file was then not taken off the manifest."""
    for name in ("1.png", "2.png"):
        Image.fromarray(scan()).save(tmp_path / name)
    (tmp_path / "NA.png").write_bytes(b"broken")
    datasets.manifest(tmp_path)
    preprocess.preprocess_dataset(tmp_path, size=32, skip_bad=True)
    assert datasets.load_manifest(tmp_path)["image_id"].tolist() == ["1", "2"]
    assert len(np.load(paths.of(tmp_path).level(0))) == 2


def test_what_the_instrument_states_stands_in_the_manifest(tmp_path):
    Image.fromarray(np.concatenate([scan(), bar("white on black", 40)])).save(tmp_path / "1.png")
    (tmp_path / "1.txt").write_text("$CM_FULL_SIZE 480 480\n$CM_MAG 50000\n$CM_ACCEL_VOLT 5.0\n")
    row = datasets.manifest(tmp_path).iloc[0]
    assert (row["maker"], row["kv"], row["magnification"]) == ("JEOL", "5.0", "50000.0")
    assert "a data bar of 40 rows was cut below, as JEOL states" in row["notes"]


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["images and masks", "beside", "class folders"])
def test_what_people_have_is_read_back(tmp_path, layout, capsys):
    """Files of five makers and six programs, masks of nine tools, in one folder."""
    scans = [scan(number, (240, 240)) for number in range(22)]
    marked = np.zeros((240, 240), bool)
    marked[200:240, 220:240] = True  # where `scan` has its defect
    labels = [("scratch", "particle")[number % 2] for number in range(22)]
    bars = own_files.write_lot(tmp_path, scans, [marked] * 22, labels, layout)
    table = datasets.manifest(tmp_path)
    said = capsys.readouterr().err
    assert said.startswith(f"{tmp_path}: 22 images, 22 labels, 22 masks")
    assert "files passed over" not in said
    pictures = read.pictures(table, tmp_path)
    assert set(pictures["mask_side"]) == {"brighter", "darker", ""}
    for row in pictures.itertuples():
        number = int(Path(row.path).stem)
        assert row.label == labels[number]
        assert (row.bar_top, row.bar_bottom) == ("0", str(bars[f"{number:03}"]))
        assert np.array_equal(row.mask, marked), row.mask_rule
        truth = read.Picture(scans[number], 8, (0, 255)).uint8(by_quantiles=True).astype(int)
        apart = np.abs(row.image - truth) > (40 if row.path.endswith(".jpg") else 1)
        assert apart.sum() <= 1, row.path  # the hot pixel
    known = table[table["maker"] != ""]
    assert set(known["maker"]) == set(own_files.HEADERS)
    assert set(known["pixel_nm"]) == {"2.0", "2.5"}


FILL_UP = """
import resource, sys
from semlib.images import datasets, preprocess
for work in (datasets.manifest, preprocess.preprocess_dataset):
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, resource.RLIM_INFINITY))
    try:
        work(sys.argv[1])
    except OSError as error:
        print(error)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    datasets.manifest(sys.argv[1])
"""


@pytest.mark.slow
def test_a_full_disk_leaves_nothing_half_written(tmp_path):
    """The system refuses files of more than 500 bytes."""
    (tmp_path / "lot").mkdir()
    for number in range(8):
        Image.fromarray(scan(number)).save(tmp_path / "lot" / f"{number}.png")
    command = [sys.executable, "-c", FILL_UP, str(tmp_path / "lot")]
    done = subprocess.run(command, cwd=paths.ROOT, capture_output=True, text=True, check=True)
    place = paths.of(tmp_path / "lot")
    assert f"File too large: '{place.manifest}'" in done.stdout
    assert f"File too large: '{place.level(0)}'" in done.stdout
    assert [file.name for file in place.data.iterdir()] == ["manifest.csv"]


@pytest.mark.skipif(not Path("/sys/kernel").is_dir(), reason="needs a folder nobody can write to")
def test_a_folder_that_cannot_be_written_to_is_named(tmp_path, monkeypatch):
    Image.fromarray(scan()).save(tmp_path / "1.png")
    monkeypatch.setenv("SEMLIB_DATA", "/sys/kernel")
    with pytest.raises(PermissionError, match="/sys/kernel/"):
        datasets.manifest(tmp_path)
