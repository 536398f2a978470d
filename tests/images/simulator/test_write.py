"""Archives and arrays on the disk: what they hold, and that a killed run ends with equal bytes."""

import hashlib
import json
import os
import subprocess
import sys
import time
import zipfile
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from semlib import paths
from semlib.images.simulator import batch, presets, sample, write, write_archive, write_arrays

ARRAYS = {"seed": 5, "preset": "semclip", "size": 64}
ARRAY_FILES = ["captions.json", "images.npy", "labels.npy", "masks.npy"]


def digest(path):
    """SHA-256 of a file, or those of the arrays in a folder."""
    files = [path] if path.is_file() else [path / name for name in ARRAY_FILES]
    return [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]


def killed_at(index, monkeypatch):
    """Let the simulation of an image fail once; returns the list of the images that were begun."""
    render = presets.Preset.render
    begun = []

    def interrupted(preset, seed, size, i, label):
        begun.append(i)
        if i == index and begun.count(index) == 1:
            raise KeyboardInterrupt
        return render(preset, seed, size, i, label)

    monkeypatch.setattr(presets.Preset, "render", interrupted)
    return begun


def test_csv_files_to_the_byte():
    first = "a" * 32
    second = "b" * 32
    assert write.csv_bytes([first, second], [3, 6]) == (
        "image_path;file_name;label\r\n"
        f"data/images/{first}.jpg;{first}.jpg;3\r\n"
        f"data/images/{second}.jpg;{second}.jpg;6\r\n"
    ).encode("ascii")
    assert write.csv_bytes([first], [3], masks=True) == (
        "image_path;mask_path;filename;label\r\n"
        f"data/images/{first}.jpg;data/masks/{first}.png;{first};3\r\n"
    ).encode("ascii")


def test_the_csv_of_a_full_set_is_as_long_as_the_real_one():
    labels = batch.mixture(4591, 0, presets.CARINTHIA.totals)
    assert len(write.csv_bytes(["a" * 32] * 4591, labels)) == 408_627


@pytest.mark.slow
def test_the_archive_holds_what_sample_returns(tmp_path):
    stale = tmp_path / ".data-parts-000000000000"  # of another version
    stale.mkdir()
    path = write_archive(tmp_path / "data.zip", 3, seed=4, workers=1)
    images = sample(3, seed=4)
    with zipfile.ZipFile(path) as archive:
        members = archive.namelist()
        lines = archive.read("data/carinthia-s.csv").decode().split("\r\n")[1:-1]
        assert members[:2] == ["data/carinthia.csv", "data/carinthia-s.csv"]
        assert len(members) == 2 + 2 * 3 and archive.testzip() is None
        for i, line in enumerate(lines):
            image, mask, _, label = line.split(";")
            pixels, marked = (np.array(Image.open(BytesIO(archive.read(f)))) for f in (image, mask))
            np.testing.assert_array_equal(pixels, images.images[i])
            np.testing.assert_array_equal(marked >= 128, images.masks[i])
            assert int(label) == images.labels[i]
    assert os.listdir(tmp_path) == ["data.zip"]


def test_arrays_hold_what_sample_returns_and_are_kept(tmp_path, monkeypatch):
    folder = write_arrays(tmp_path / "set", 5, workers=1, **ARRAYS)
    images = sample(5, **ARRAYS)
    for name in ("images", "masks", "labels"):
        stored = np.load(folder / f"{name}.npy", mmap_mode="r")
        np.testing.assert_array_equal(stored, getattr(images, name))
    assert json.loads((folder / "captions.json").read_text()) == images.captions
    assert sorted(f.name for f in folder.iterdir() if f.suffix != ".set") == ARRAY_FILES
    assert os.listdir(tmp_path) == ["set"]
    monkeypatch.setattr(presets.Preset, "render", None)
    assert write_arrays(folder, 5, workers=1, **ARRAYS) == folder
    with pytest.raises(ValueError, match="set holds something else"):
        write_arrays(folder, 4, workers=1, **ARRAYS)


@pytest.mark.slow
def test_a_killed_archive_goes_on_and_ends_with_the_same_bytes(tmp_path, monkeypatch):
    whole = write_archive(tmp_path / "whole" / "data.zip", 4, seed=2, workers=1)
    begun = killed_at(2, monkeypatch)
    target = tmp_path / "killed" / "data.zip"
    with pytest.raises(KeyboardInterrupt):
        write_archive(target, 4, seed=2, workers=1)
    assert not target.exists()
    assert digest(write_archive(target, 4, seed=2, workers=1)) == digest(whole)
    assert begun == [0, 1, 2, 2, 3]


def test_killed_arrays_go_on_and_end_with_the_same_bytes(tmp_path, monkeypatch):
    whole = write_arrays(tmp_path / "whole", 6, workers=1, **ARRAYS)
    monkeypatch.setattr(write, "BLOCK", 2)
    begun = killed_at(3, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        write_arrays(tmp_path / "killed", 6, workers=1, **ARRAYS)
    assert not (tmp_path / "killed").exists()
    again = write_arrays(tmp_path / "killed", 6, workers=1, **ARRAYS)
    assert begun == [0, 1, 2, 3, 2, 3, 4, 5]
    assert digest(again) == digest(whole)


@pytest.mark.slow
def test_the_bytes_do_not_depend_on_the_number_of_workers(tmp_path):
    one, two = (write_archive(tmp_path / f"{k}.zip", 9, seed=3, workers=k) for k in (1, 2))
    assert digest(one) == digest(two)
    count = 2 * write.BLOCK + 3
    one, two = (write_arrays(tmp_path / str(k), count, workers=k, **ARRAYS) for k in (1, 2))
    assert digest(one) == digest(two)


@pytest.mark.slow
def test_a_run_killed_outright_leaves_no_worker(tmp_path):
    call = f"simulator.write_archive({str(tmp_path / 'data.zip')!r}, 4000, seed=2, workers=2)"
    script = tmp_path / "simulate_many.py"
    script.write_text(
        f"from semlib.images import simulator\nif __name__ == '__main__':\n    {call}"
    )
    environment = os.environ | {"PYTHONPATH": str(paths.ROOT)}
    run = subprocess.Popen([sys.executable, script], env=environment, stderr=subprocess.PIPE)
    end = time.monotonic() + 60
    while len(list(tmp_path.glob(".data-parts-*/*.jpg"))) < 2:
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.1)
    run.kill()
    run.communicate(timeout=60)  # stderr ends with the last process that holds it
    assert len(list(tmp_path.glob(".data-parts-*/*.jpg"))) >= 2
    assert not (tmp_path / "data.zip").exists()


@pytest.mark.parametrize("function", [write_archive, write_arrays])
def test_bad_arguments_are_refused_before_anything_is_written(tmp_path, function):
    with pytest.raises(ValueError, match="n=0"):
        function(tmp_path / "set", 0, seed=0)
    assert not list(tmp_path.iterdir())
