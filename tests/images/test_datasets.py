"""Fetching and listing: the published layout, the synthetic set, an own folder, and bad input."""

import hashlib
import json
import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from semlib import paths
from semlib.images import datasets, read, simulator
from semlib.images.datasets import fetch, labels, load_manifest, manifest
from semlib.images.download import Archive

KNOWN = paths.ROOT.parent / "shared/real-sem/carinthia/carinthia_24_members_sha256.json"
LABELS = (3, 3, 1, 3, 6, 4, 2, 5)


@pytest.fixture
def small_totals(monkeypatch):
    """Let an archive of eight images count as the published one."""
    monkeypatch.setattr(datasets, "CLASS_TOTALS", {k: LABELS.count(k) for k in range(1, 7)})


@pytest.fixture
def published(server, make_archive, monkeypatch, tmp_path, small_totals):
    """Serve small stand-ins for Carinthia and Carinthia-S; return the image ids."""

    def serve(name):
        file = tmp_path / f"{name}.zip"
        ids = make_archive(file, LABELS, masks=name == "carinthia-s", main=name == "carinthia")
        server.body = file.read_bytes()
        digest = hashlib.sha256(server.body).hexdigest()
        entry = Archive("a test", server.url, digest, len(server.body))
        monkeypatch.setitem(datasets.ARCHIVES, name, entry)
        return ids

    return serve


def lay_out(labels=LABELS, rows=None, header="image_path;file_name;label"):
    """Lay out an extracted Carinthia, `rows` replacing the lines of its CSV."""
    data = paths.of("carinthia").raw / "data"
    (data / "images").mkdir(parents=True)
    ids = [f"{i:032x}" for i in range(len(labels))]
    for i in ids:
        (data / f"images/{i}.jpg").write_bytes(b"jpeg " + i.encode())
    if rows is None:
        rows = [f"data/images/{i}.jpg;{i}.jpg;{k}" for i, k in zip(ids, labels, strict=True)]
    (data / "carinthia.csv").write_bytes("".join(f"{row}\r\n" for row in [header, *rows]).encode())
    return data / "carinthia.csv"


def test_fetch_downloads_extracts_and_then_does_nothing(published, server):
    ids = published("carinthia")
    raw = fetch("carinthia")
    assert raw == paths.of("carinthia").raw
    assert {file.stem for file in (raw / "data/images").iterdir()} == set(ids)
    (raw / "data.zip").unlink()
    assert fetch("carinthia") == raw
    assert len(server.seen) == 1


def test_fetch_takes_an_archive_placed_by_hand(published, server):
    published("carinthia-s")
    paths.of("carinthia-s").raw.mkdir(parents=True)
    paths.of("carinthia-s").archive.write_bytes(server.body)
    assert (fetch("carinthia-s") / "data/carinthia-s.csv").exists()
    assert server.seen == []


def test_the_registry_agrees_with_the_published_record():
    if not KNOWN.exists():
        pytest.skip("../shared/real-sem is not here")
    known = json.loads(KNOWN.read_text())["archive"]
    assert datasets.ARCHIVES["carinthia"].sha256 == known["sha256"]
    assert datasets.ARCHIVES["carinthia"].bytes == known["bytes"]
    assert sum(datasets.CLASS_TOTALS.values()) == known["dataset_record_count"]


def test_manifest_of_carinthia(published, private_folders):
    ids = published("carinthia")
    raw = fetch("carinthia")
    table = manifest("carinthia")
    assert list(table) == ["image_id", "path", "label", "mask_path", "sha256"]
    assert list(table["image_id"]) == ids
    assert list(table["label"]) == list(LABELS)
    assert list(table["path"]) == [f"data/images/{i}.jpg" for i in ids]
    assert set(table["mask_path"]) == {""}
    assert table["sha256"][2] == hashlib.sha256((raw / table["path"][2]).read_bytes()).hexdigest()
    assert paths.of("carinthia").manifest == private_folders / "data/carinthia/manifest.csv"
    pd.testing.assert_frame_equal(load_manifest("carinthia"), table)


def test_masks_of_carinthia_come_from_carinthia_s(published):
    published("carinthia")
    fetch("carinthia")
    ids = published("carinthia-s")
    fetch("carinthia-s")
    table = manifest("carinthia")
    assert list(table["mask_path"]) == [f"../../carinthia-s/raw/data/masks/{i}.png" for i in ids]
    assert read.mask(paths.of("carinthia").raw / table["mask_path"][0]).shape == (32, 32)
    table = manifest("carinthia-s")
    assert list(table["image_id"]) == ids
    assert list(table["label"]) == list(LABELS)
    assert list(table["mask_path"]) == [f"data/masks/{i}.png" for i in ids]


@pytest.mark.slow
def test_a_manifest_of_the_published_length():
    labels = np.repeat(list(datasets.CLASS_TOTALS), list(datasets.CLASS_TOTALS.values()))
    file = lay_out(labels)
    assert file.stat().st_size == 408_627  # of the published CSV
    assert len(manifest("carinthia")) == 4591


@pytest.mark.parametrize("prefix", ["data/images/", "images/", ""])
def test_image_paths_may_count_from_any_folder(prefix, small_totals):
    lay_out(rows=[f"{prefix}{i:032x}.jpg;{i:032x}.jpg;{k}" for i, k in enumerate(LABELS)])
    assert manifest("carinthia")["path"][1] == f"data/images/{1:032x}.jpg"


def test_another_number_of_images_or_class_total_is_an_error():
    file = lay_out()
    with pytest.raises(ValueError, match=r"8 images, per class \{1: 1, 2: 1, 3: 3.*4591") as error:
        manifest("carinthia")
    assert str(file) in str(error.value)


GOOD = f"data/images/{0:032x}.jpg;{0:032x}.jpg;3"


@pytest.mark.parametrize(
    "rows, header, message",
    [
        ([GOOD, "data/images/gone.jpg;gone.jpg;3"], None, "'data/images/gone.jpg'"),
        (
            [GOOD.replace(";", ",")],
            "image_path,file_name,label",
            "expected file_name;label;image_path",
        ),
        ([GOOD], "image_path;file;label", "no column 'file_name'"),
        ([GOOD], "image_path;file_name;class", "no column 'label'"),
        ([GOOD, f"data/images/{1:032x}.jpg;{1:032x}.jpg;7"], None, f"label '7' of '{1:032x}.jpg'"),
        ([GOOD[:-1] + "0"], None, "label '0' of"),
        ([GOOD[:-1] + "scratch"], None, "label 'scratch'"),
        ([GOOD[:-1]], None, "label ''"),
        ([GOOD[:-1] + "3.5"], None, "label '3.5'"),
        ([GOOD, GOOD], None, f"'{0:032x}.jpg' is listed twice"),
        ([GOOD, GOOD + ";a;b"], None, "no readable UTF-8 CSV"),
        ([GOOD + ";a"], None, "label 'a'"),
        ([GOOD.removesuffix(";3")], None, "label ''"),
        ([], None, "0 images, per class"),
    ],
)
def test_a_bad_csv_is_named_with_the_value(rows, header, message):
    file = lay_out(rows=rows, **({"header": header} if header else {}))
    with pytest.raises((ValueError, FileNotFoundError), match=message) as error:
        manifest("carinthia")
    assert str(file) in str(error.value)
    assert not paths.of("carinthia").manifest.exists()


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00;\x81"])
def test_an_unreadable_csv_is_named(content):
    lay_out().write_bytes(content)
    with pytest.raises(ValueError, match=r"carinthia\.csv is no readable UTF-8 CSV"):
        manifest("carinthia")


def test_a_missing_csv_and_a_missing_manifest_say_what_to_do():
    with pytest.raises(FileNotFoundError, match=r"carinthia\.csv is missing: fetch"):
        manifest("carinthia")
    with pytest.raises(FileNotFoundError, match="run notebook 01"):
        load_manifest("carinthia")


def test_an_unknown_dataset_is_named():
    for function in (fetch, manifest, load_manifest):
        with pytest.raises(ValueError, match="unknown dataset 'carintia'"):
            function("carintia")


@pytest.fixture
def simulated(make_archive, monkeypatch):
    """A stand-in for the simulator; returns the list of calls it got."""
    calls = []

    def write_archive(path, n, *, seed, mix="preset"):
        calls.append((n, seed, mix))
        make_archive(path, [1 + i % 6 for i in range(n)], masks=True, seed=seed)

    monkeypatch.setattr(simulator, "write_archive", write_archive)
    return calls


def test_the_synthetic_set_is_made_once_and_recorded(simulated):
    raw = fetch("synthetic", n=7, seed=3, mix="teaching")
    assert fetch("synthetic", n=7, seed=3, mix="teaching") == raw
    assert simulated == [(7, 3, "teaching")]
    record = json.loads((raw / "simulation.json").read_text())
    assert (record["n"], record["seed"], record["mix"]) == (7, 3, "teaching")
    assert record["sha256"] == hashlib.sha256((raw / "data.zip").read_bytes()).hexdigest()
    table = manifest("synthetic")
    assert len(table) == 7
    assert all((raw / path).exists() for path in [*table["path"], *table["mask_path"]])


@pytest.mark.parametrize("change", [{"n": 5}, {"seed": 1}, {"mix": "teaching"}, {}])
def test_other_arguments_or_another_simulator_replace_the_set(simulated, change, monkeypatch):
    raw = fetch("synthetic", n=4, seed=0)
    manifest("synthetic")
    if not change:
        monkeypatch.setattr(simulator, "sources_digest", lambda: "another")
    fetch("synthetic", **({"n": 4, "seed": 0} | change))
    assert len(simulated) == 2
    assert not paths.of("synthetic").manifest.exists()
    assert len(list((raw / "data/images").iterdir())) == change.get("n", 4)
    assert len(manifest("synthetic")) == change.get("n", 4)


def interrupted(*_, **__):
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("module", "name", "again"),
    [(datasets, "extract", 0), (datasets.shutil, "rmtree", 1), (simulator, "write_archive", 1)],
    ids=["before extraction", "before its record", "in the middle"],
)
def test_a_killed_simulation_is_taken_up_where_it_stopped(
    simulated, monkeypatch, module, name, again
):
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(module, name, interrupted)
        fetch("synthetic", n=4)
    before = len(simulated)
    raw = fetch("synthetic", n=4)
    assert len(simulated) == before + again
    record = json.loads((raw / "simulation.json").read_text())
    assert record["sha256"] == hashlib.sha256((raw / "data.zip").read_bytes()).hexdigest()
    assert len(list((raw / "data/images").iterdir())) == 4


def test_a_deleted_synthetic_set_is_made_again(simulated):
    raw = fetch("synthetic", n=4)
    shutil.rmtree(raw / "data")
    assert (fetch("synthetic", n=4) / "data").exists()
    assert len(simulated) == 1
    shutil.rmtree(raw / "data")
    (raw / "data.zip").unlink()
    assert (fetch("synthetic", n=4) / "data").exists()
    assert len(simulated) == 2


def test_the_simulated_archive_is_read_like_a_published_one():
    raw = fetch("synthetic", n=3, seed=1)
    table = manifest("synthetic")
    assert len(table) == 3
    assert {read.image(raw / path, bar="none").shape for path in table["path"]} == {(480, 480)}
    assert {read.mask(raw / path).shape for path in table["mask_path"]} == {(480, 480)}
    assert sorted(labels("synthetic")) == sorted(table["label"])


@pytest.fixture
def own(tmp_path):
    """A folder with five images of different kinds and sizes."""
    folder = tmp_path / "my images"
    folder.mkdir()
    grey = np.arange(40 * 50, dtype=np.uint16).reshape(40, 50)
    Image.fromarray(np.uint8(grey % 256)).save(folder / "b.jpg")
    Image.fromarray(grey * 30).save(folder / "a.png")
    Image.fromarray(np.uint8(grey[:30, :30] % 251)).convert("RGB").save(folder / "c.TIFF")
    Image.fromarray(grey).save(folder / "d.tif")
    Image.fromarray(np.uint8(grey % 7)).save(folder / "007.jpeg")
    (folder / "notes.txt").write_text("not an image")
    (folder / ".hidden.png").write_text("neither")
    return folder


def test_an_own_folder_is_listed_and_stays_untouched(own):
    before = sorted(own.iterdir())
    assert fetch(own) == own
    table = manifest(own)
    assert list(table["path"]) == ["007.jpeg", "a.png", "b.jpg", "c.TIFF", "d.tif"]
    assert list(table["image_id"]) == ["007", "a", "b", "c", "d"]
    assert set(table["label"]) == set(table["mask_path"]) == {""}
    pd.testing.assert_frame_equal(load_manifest(own), table)
    assert labels(own) is None
    assert sorted(own.iterdir()) == before


def test_labels_and_masks_of_an_own_folder_may_be_partial(own):
    (own / "labels.csv").write_text(
        '\ufefffile, label\r\nb.jpg,bridge\r\na.png,"void, open"\r\n\r\n', encoding="utf-8"
    )
    (own / "masks").mkdir()
    Image.fromarray(np.zeros((40, 50), np.uint8)).save(own / "masks/d.png")
    table = manifest(str(own)).set_index("image_id")
    assert labels(own).tolist() == list(table["label"])
    assert dict(table["label"]) == {"007": "", "a": "void, open", "b": "bridge", "c": "", "d": ""}
    assert dict(table["mask_path"]) == {"007": "", "a": "", "b": "", "c": "", "d": "masks/d.png"}
