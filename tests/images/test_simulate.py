import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
import zipfile
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from semlib import paths
from semlib.images import presets, scan, simulate
from semlib.images.measure import DOCUMENTED, statistics


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_one_image_of_each_class():
    batch = simulate.sample(6, seed=0, size=96, labels=[1, 2, 3, 4, 5, 6])
    assert batch.images.shape == batch.clean.shape == batch.masks.shape == (6, 96, 96)
    assert batch.images.dtype == batch.clean.dtype == np.uint8
    assert batch.masks.dtype == bool
    assert batch.masks.any((1, 2)).tolist() == [True] * 5 + [False]
    assert batch.labels.tolist() == [1, 2, 3, 4, 5, 6]
    assert len(set(batch.captions)) == 6


def test_same_seed_same_bytes_and_other_seed_other_bytes():
    first, again, other = (simulate.sample(3, seed=s, size=96, labels=[3, 4, 6]) for s in (1, 1, 2))
    for field in ("images", "clean", "masks"):
        np.testing.assert_array_equal(getattr(first, field), getattr(again, field))
    assert first.captions == again.captions
    assert (first.images != other.images).mean() > 0.5


def test_an_image_does_not_depend_on_the_images_before_it():
    many = simulate.sample(12, seed=0, size=96, labels=[3, 1, 4, 5, 2, 3, 4, 1, 3, 3, 4, 5])
    for i in (5, 11):
        simulate.sample(1, seed=9, size=96, labels=[2])
        image, clean, mask, caption = simulate.render("carinthia", 0, i, int(many.labels[i]), 96)
        np.testing.assert_array_equal(scan.from_jpeg(scan.to_jpeg(image)), many.images[i])
        np.testing.assert_array_equal(clean, many.clean[i])
        np.testing.assert_array_equal(mask, many.masks[i])
        assert caption == many.captions[i]


def test_clean_is_the_image_without_noise():
    batch = simulate.sample(4, seed=0, size=240, labels=[3, 3, 6, 6])
    residual = batch.images.astype(float) - batch.clean
    assert abs(residual.mean()) < 0.3
    assert 1.5 < residual.std() < 3.5
    assert batch.clean[:, :, -3:].max() == scan.DARK


@pytest.mark.slow
def test_statistics_follow_the_documented_ones():
    batch = simulate.sample(60, seed=0)
    found = statistics(batch.images, batch.masks, batch.labels)
    assert DOCUMENTED["body_mean"][0] <= found["body_mean"] <= DOCUMENTED["body_mean"][1]
    assert DOCUMENTED["body_std"][0] <= found["body_std"] <= DOCUMENTED["body_std"][1]
    assert 2.0 <= found["noise_std"] <= 2.45
    assert found["lag1_x"] == pytest.approx(0.7, abs=0.05)
    assert DOCUMENTED["lag1_y"][0] <= found["lag1_y"] <= DOCUMENTED["lag1_y"][1]
    assert found["border_max"] <= DOCUMENTED["border_max"][1]
    assert found["set_mean"] == pytest.approx(DOCUMENTED["set_mean"][0], abs=0.01)
    assert found["set_std"] == pytest.approx(DOCUMENTED["set_std"][0], abs=0.006)


def test_the_preset_mix_has_the_real_totals():
    labels = presets.mixture(4591, seed=0)
    assert {k: int((labels == k).sum()) for k in range(1, 7)} == {
        1: 55,
        2: 8,
        3: 4008,
        4: 289,
        5: 4,
        6: 227,
    }
    assert (presets.mixture(4591, seed=1) != labels).any()


@pytest.mark.parametrize("n", [1, 5, 59, 60, 61, 100, 500, 1000, 4590])
def test_the_preset_mix_is_proportional_and_complete_from_60_on(n):
    counts = np.bincount(presets.mixture(n, seed=0), minlength=7)[1:]
    assert counts.sum() == n
    assert counts.argmax() == 2
    assert n < 60 or counts.min() >= 1


@pytest.mark.parametrize("n", [72, 73, 200, 1000])
def test_the_teaching_mix_has_twelve_of_each(n):
    counts = np.bincount(presets.mixture(n, seed=0, mix="teaching"), minlength=7)[1:]
    assert counts.sum() == n and counts.min() >= 12


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": 0}, "n=0"),
        ({"n": -3}, "n=-3"),
        ({"seed": -1}, "seed=-1"),
        ({"preset": "mars"}, "'mars'.*carinthia, semnr"),
        ({"mix": "even"}, "'even'.*teaching"),
        ({"mix": "teaching", "n": 71}, "n=71.*72"),
        ({"size": 63}, "size=63.*64"),
        ({"labels": [1, 2]}, r"2 integers|got shape \(2,\)"),
        ({"labels": [7]}, r"\[7\]"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        simulate.sample(**{"n": 1, "seed": 0} | arguments)


def test_csv_files_to_the_byte():
    names, labels = ["a" * 32, "b" * 32], [3, 6]
    assert simulate.csv_bytes(names, labels) == (
        b"image_path;file_name;label\r\n"
        + b"data/images/"
        + b"a" * 32
        + b".jpg;"
        + b"a" * 32
        + b".jpg;3\r\n"
        + b"data/images/"
        + b"b" * 32
        + b".jpg;"
        + b"b" * 32
        + b".jpg;6\r\n"
    )
    assert simulate.csv_bytes(names[:1], [3], masks=True) == (
        b"image_path;mask_path;filename;label\r\n"
        + b"data/images/"
        + b"a" * 32
        + b".jpg;data/masks/"
        + b"a" * 32
        + b".png;"
        + b"a" * 32
        + b";3\r\n"
    )


def test_the_csv_of_a_full_set_is_as_long_as_the_real_one():
    labels = presets.mixture(4591, seed=0)
    names = [simulate.image_name(0, i, k) for i, k in enumerate(labels)]
    assert len(set(names)) == 4591
    assert len(simulate.csv_bytes(names, labels)) == 408_627


def test_the_archive_holds_what_sample_returns(tmp_path):
    path = simulate.write_archive(tmp_path / "data.zip", 3, seed=4, masks=True, workers=1)
    batch = simulate.sample(3, seed=4)
    with zipfile.ZipFile(path) as archive:
        members = archive.namelist()
        rows = archive.read("data/carinthia-s.csv").decode().split("\r\n")[1:-1]
        assert members[:2] == ["data/carinthia.csv", "data/carinthia-s.csv"]
        assert len(members) == 2 + 2 * 3 and archive.testzip() is None
        for i, row in enumerate(rows):
            image, mask, _, label = row.split(";")
            np.testing.assert_array_equal(
                np.array(Image.open(BytesIO(archive.read(image)))), batch.images[i]
            )
            np.testing.assert_array_equal(
                np.array(Image.open(BytesIO(archive.read(mask)))) >= 128, batch.masks[i]
            )
            assert int(label) == batch.labels[i]
    assert [file.name for file in tmp_path.iterdir()] == ["data.zip"]


def test_without_masks_the_archive_is_carinthia_alone(tmp_path):
    path = simulate.write_archive(tmp_path / "data.zip", 2, seed=4, workers=1)
    with zipfile.ZipFile(path) as archive:
        assert [name.split("/")[1] for name in archive.namelist()] == [
            "carinthia.csv",
            "images",
            "images",
        ]


def test_a_killed_run_goes_on_and_ends_with_the_same_bytes(tmp_path, monkeypatch):
    whole = simulate.write_archive(
        tmp_path / "whole" / "data.zip", 4, seed=2, masks=True, workers=1
    )
    render, made = simulate.render, []

    def killed_at_third(preset, seed, index, *rest):
        if index == 2 and made.count(2) == 0:
            made.append(2)
            raise KeyboardInterrupt
        made.append(index)
        return render(preset, seed, index, *rest)

    monkeypatch.setattr(simulate, "render", killed_at_third)
    target = tmp_path / "killed" / "data.zip"
    with pytest.raises(KeyboardInterrupt):
        simulate.write_archive(target, 4, seed=2, masks=True, workers=1)
    assert not target.exists()
    assert digest(simulate.write_archive(target, 4, seed=2, masks=True, workers=1)) == digest(whole)
    assert made == [0, 1, 2, 2, 3]


@pytest.mark.slow
def test_the_bytes_do_not_depend_on_the_number_of_workers(tmp_path):
    one = simulate.write_archive(tmp_path / "1.zip", 9, seed=3, workers=1)
    two = simulate.write_archive(tmp_path / "2.zip", 9, seed=3, workers=2)
    assert digest(one) == digest(two)


@pytest.mark.skipif(shutil.which("ps") is None, reason="reads the list of processes from ps")
@pytest.mark.slow
def test_a_run_killed_outright_leaves_no_worker(tmp_path):
    call = f"simulate.write_archive({str(tmp_path / 'data.zip')!r}, 4000, seed=2, workers=2)"
    code = f"from semlib.images import simulate\nif __name__ == '__main__':\n    {call}"
    script = tmp_path / "simulate_many.py"
    script.write_text(code)
    environment = os.environ | {"PYTHONPATH": str(paths.ROOT)}
    run = subprocess.Popen([sys.executable, script], env=environment, stderr=subprocess.DEVNULL)
    wait_for(lambda: len(list(tmp_path.glob(".data-parts-*/*.jpg"))) >= 2)
    workers = children(run.pid)
    assert len(workers) >= 2
    run.kill()
    run.wait()
    wait_for(lambda: not any(alive(pid) for pid in workers))
    assert (
        len(list(tmp_path.glob(".data-parts-*/*.jpg"))) >= 2
        and not (tmp_path / "data.zip").exists()
    )


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.1)


def children(pid):
    listed = subprocess.run(
        ["ps", "-eo", "pid,ppid"], capture_output=True, text=True, check=True
    ).stdout
    return [int(line.split()[0]) for line in listed.splitlines()[1:] if int(line.split()[1]) == pid]


def alive(pid):
    shown = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True
    ).stdout.strip()
    return bool(shown) and not shown.startswith("Z")


def test_leftovers_of_another_version_are_not_used(tmp_path):
    stale = tmp_path / ".data-parts-000000000000"
    stale.mkdir()
    simulate.write_archive(tmp_path / "data.zip", 1, seed=0, workers=1)
    assert not stale.exists()


def test_write_archive_refuses_before_it_writes(tmp_path):
    with pytest.raises(ValueError, match="n=0"):
        simulate.write_archive(tmp_path / "data.zip", 0, seed=0)
    with pytest.raises(ValueError, match="teaching"):
        simulate.write_archive(tmp_path / "data.zip", 10, seed=0, mix="teaching")
    assert not list(tmp_path.iterdir())


ARRAYS = {"seed": 5, "preset": "semvlm", "size": 64}
ARRAY_FILES = ["captions.json", "images.npy", "labels.npy", "masks.npy"]


def test_arrays_hold_what_sample_returns(tmp_path):
    folder = simulate.write_arrays(tmp_path / "set", 5, workers=1, **ARRAYS)
    batch = simulate.sample(5, **ARRAYS)
    for name in ("images", "masks", "labels"):
        np.testing.assert_array_equal(
            np.load(folder / f"{name}.npy", mmap_mode="r"), getattr(batch, name)
        )
    assert json.loads((folder / "captions.json").read_text()) == batch.captions
    assert [file.name for file in tmp_path.iterdir()] == ["set"]


def test_the_bytes_of_arrays_do_not_depend_on_the_number_of_workers(tmp_path):
    one, two = (
        simulate.write_arrays(tmp_path / str(w), 2 * simulate.BLOCK + 3, workers=w, **ARRAYS)
        for w in (1, 2)
    )
    assert sorted(f.name for f in one.iterdir() if f.suffix != ".set") == ARRAY_FILES
    assert [digest(one / name) for name in ARRAY_FILES] == [
        digest(two / name) for name in ARRAY_FILES
    ]


def test_killed_arrays_go_on_and_end_with_the_same_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(simulate, "BLOCK", 2)
    whole = simulate.write_arrays(tmp_path / "whole", 6, workers=1, **ARRAYS)
    render, made, stop_at = simulate.render, [], [3]

    def killed(preset, seed, index, *rest):
        if index in stop_at:
            stop_at.remove(index)
            raise KeyboardInterrupt
        made.append(index)
        return render(preset, seed, index, *rest)

    monkeypatch.setattr(simulate, "render", killed)
    with pytest.raises(KeyboardInterrupt):
        simulate.write_arrays(tmp_path / "killed", 6, workers=1, **ARRAYS)
    assert not (tmp_path / "killed").exists()
    again = simulate.write_arrays(tmp_path / "killed", 6, workers=1, **ARRAYS)
    assert made == [0, 1, 2, 2, 3, 4, 5]
    assert [digest(again / name) for name in ARRAY_FILES] == [
        digest(whole / name) for name in ARRAY_FILES
    ]


def test_finished_arrays_are_kept_and_others_not_overwritten(tmp_path, monkeypatch):
    folder = simulate.write_arrays(tmp_path / "set", 3, labels=[0, 1, 2], workers=1, **ARRAYS)
    monkeypatch.setattr(simulate, "render", None)
    assert simulate.write_arrays(folder, 3, labels=[0, 1, 2], workers=1, **ARRAYS) == folder
    with pytest.raises(ValueError, match="set holds something else"):
        simulate.write_arrays(folder, 3, labels=[0, 1, 3], workers=1, **ARRAYS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": 0}, "n=0"),
        ({"preset": "mars"}, "'mars'.*semclip, semvlm"),
        ({"size": 32}, "size=32"),
        ({"labels": [7]}, r"0 to 6.*\[7\]"),
    ],
)
def test_write_arrays_refuses_before_it_writes(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        simulate.write_arrays(tmp_path / "set", **{"n": 1, "seed": 0} | arguments)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("preset", ["semclip", "semvlm"])
def test_line_layers_have_one_image_of_each_class_and_equal_bytes_for_equal_seeds(preset):
    first, again, other = (
        simulate.sample(7, seed=s, preset=preset, size=96, labels=list(range(7))) for s in (1, 1, 2)
    )
    assert first.masks.any((1, 2)).tolist() == [False] + [True] * 6
    for field in ("images", "clean", "masks"):
        np.testing.assert_array_equal(getattr(first, field), getattr(again, field))
    assert first.captions == again.captions
    assert (first.images != other.images).mean() > 0.5
