"""The command on folders: results, overlays and a model; bad folders; interruptions."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from PIL import Image

from semlib.__main__ import main
from semlib.semclip import data, detect, store


@pytest.fixture(autouse=True)
def tiny(monkeypatch, spots_backbone, tmp_path):
    """The embedded model is a tiny one here, and the prompts know the classes of the spots."""
    settings = {"name": "sem-vlm", "pretrained": None, "levels": 2}
    monkeypatch.setattr(spots_backbone, "settings", settings)
    for module in (detect, store):
        monkeypatch.setattr(module, "Backbone", lambda *_, **__: spots_backbone)
    rows = "0,defect-free,clean surface\n1,bright,bright square\n2,dark,dark hole\n"
    (tmp_path / "prompts.csv").write_text("label,class,state\n" + rows)
    return spots_backbone


def write(folder, images, names=None, masks=None):
    folder.mkdir()
    for i, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{i:02}.png")
    if names:
        rows = [f"{i:02}.png,{name}" for i, name in enumerate(names)]
        (folder / "labels.csv").write_text("\n".join(["file,label", *rows]) + "\n")
    if masks is not None:
        (folder / "masks").mkdir()
        for i, mask in enumerate(masks):
            if mask.any():
                Image.fromarray(np.uint8(255 * mask)).save(folder / "masks" / f"{i:02}.png")


@pytest.fixture
def folders(tmp_path, spots):
    write(tmp_path / "shots", *spots(6))
    write(tmp_path / "images", spots(6, seed=1)[0])
    return tmp_path


def call(place, *more, shots="shots"):
    learning = ["--shots", place / shots, "--prompts", place / "prompts.csv"] if shots else []
    arguments = ["--images", place / "images", "--out", place / "out", *learning, *more]
    return CliRunner().invoke(main, ["detect", *map(str, arguments)])


def test_command_writes_results_overlays_and_the_model(folders):
    result = call(folders)
    assert result.exit_code == 0, result.output
    assert "6 images in" in result.output
    table = pd.read_csv(folders / "out" / "results.csv")
    assert list(table) == ["file", "class", "defect-free", "bright", "dark", "anomaly_score"]
    assert list(table["file"]) == [f"{i:02}.png" for i in range(6)]
    assert np.allclose(table[["defect-free", "bright", "dark"]].sum(axis=1), 1, atol=1e-3)
    assert table["anomaly_score"][[0, 3]].max() < table["anomaly_score"][[1, 2, 4, 5]].min()
    assert (table["class"] == table[["defect-free", "bright", "dark"]].idxmax(axis=1)).all()
    with Image.open(folders / "out" / "overlays" / "01.png") as picture:
        assert (picture.mode, picture.size) == ("RGB", (96, 96))
    assert not (folders / "out" / "skipped.csv").exists()


def test_saved_model_finds_the_same(folders):
    assert call(folders).exit_code == 0
    first = (folders / "out" / "results.csv").read_bytes()
    model, again = folders / "out" / "model", folders / "again"
    result = call(folders, "--model", model, "--out", again, shots=None)
    assert result.exit_code == 0, result.output
    assert (again / "results.csv").read_bytes() == first
    for kept in ("model.json", "model.safetensors"):
        assert (again / "model" / kept).read_bytes() == (model / kept).read_bytes()


def test_images_of_any_kind_and_unreadable_ones(folders, spots):
    images = spots(3, seed=2)[0]
    place = folders / "images"
    Image.fromarray(np.uint16(images[0]) * 100).save(place / "deep.tif")
    Image.fromarray(images[1]).convert("RGB").resize((150, 70)).save(place / "wide.jpg")
    (place / "torn.png").write_bytes((place / "00.png").read_bytes()[:200])
    (place / "empty.png").write_bytes(b"")
    (place / "notes.txt").write_text("no image")
    result = call(folders)
    assert result.exit_code == 0, result.output
    table = pd.read_csv(folders / "out" / "results.csv")
    assert set(table["file"]) == {f"{i:02}.png" for i in range(6)} | {"deep.tif", "wide.jpg"}
    skipped = pd.read_csv(folders / "out" / "skipped.csv")
    assert list(skipped["file"]) == ["empty.png", "torn.png"]
    assert skipped["reason"].str.len().min() > 10
    with Image.open(folders / "out" / "overlays" / "wide.png") as picture:
        assert picture.size == (150, 70)


@pytest.fixture
def worked_on(monkeypatch):
    """Names of the files that were worked on, in order."""
    names, look = [], detect._look

    def watch(model, images, overlays):
        names.extend(file.name for file in images)
        return look(model, images, overlays)

    monkeypatch.setattr(detect, "_look", watch)
    return names


@pytest.mark.slow
def test_interrupted_run_continues(folders, monkeypatch, worked_on):
    monkeypatch.setattr(detect, "CHUNK", 2)
    assert call(folders).exit_code == 0
    whole = (folders / "out" / "results.csv").read_bytes()
    lines = whole.decode().splitlines(keepends=True)[:5]  # killed behind the second chunk
    (folders / "out" / "results.csv").write_text("".join(lines))
    (folders / "out" / "overlays" / "01.png").unlink()
    worked_on.clear()
    assert call(folders).exit_code == 0
    assert worked_on == ["01.png", "04.png", "05.png"]
    assert (folders / "out" / "results.csv").read_bytes() == whole


@pytest.mark.slow
def test_what_is_newer_is_done_again(folders, worked_on, spots):
    assert call(folders).exit_code == 0
    worked_on.clear()
    newer = (folders / "out" / "overlays" / "03.png").stat().st_mtime + 5
    os.utime(folders / "images" / "03.png", (newer, newer))
    assert call(folders).exit_code == 0 and worked_on == ["03.png"]
    worked_on.clear()
    (folders / "images" / "05.png").unlink()
    another_shot = Image.fromarray(spots(2, seed=9)[0][1])  # so another model
    another_shot.save(folders / "shots" / "01.png")
    assert call(folders).exit_code == 0
    assert worked_on == [f"{i:02}.png" for i in range(5)]
    (folders / "images" / "04.png").unlink()
    assert call(folders).exit_code == 0
    table = pd.read_csv(folders / "out" / "results.csv")
    assert list(table["file"]) == [f"{i:02}.png" for i in range(4)]


def test_shots_without_masks_train_the_head_alone(tmp_path, spots):
    images, names, _ = spots(6)
    write(tmp_path / "shots", images, names)
    write(tmp_path / "images", images[:2])
    result = call(tmp_path)
    assert result.exit_code == 0 and "no masks" in result.output
    assert not store.load(tmp_path / "out" / "model").options.transformation


def test_shots_are_fitted_into_the_square(tmp_path):
    image, mask = np.zeros((200, 400), np.uint8), np.zeros((200, 400), bool)
    mask[100, 4:200] = True  # a thin line survives
    write(tmp_path / "shots", [image, image], ["bright", "defect-free"], [mask, 0 * mask])
    images, labels, masks = data.shots(tmp_path / "shots", 50, "defect-free")
    assert images.shape == masks.shape == (2, 50, 50) and labels == ["bright", "defect-free"]
    assert masks[0].sum(1).tolist() == [0] * 25 + [25] + [0] * 24 and not masks[1].any()


def small(file):
    Image.new("L", (9, 9)).save(file)


def torn(file):
    file.write_bytes(b"torn")


def missing(place):
    place.rename(place.with_name("elsewhere"))


def replaced(old, new):
    return lambda file: file.write_text(file.read_text().replace(old, new))


def each(spoil):
    return lambda place: [spoil(file) for file in place.iterdir()]


@pytest.mark.parametrize(
    ("name", "spoil", "said"),
    [
        ("shots/labels.csv", missing, "00.png has no label"),
        ("shots/masks/01.png", missing, "01.png has no mask: draw"),
        ("shots/masks/01.png", small, "(9, 9) pixels"),
        ("shots/00.png", torn, "00.png: not a readable image"),
        ("shots/masks/01.png", torn, "01.png: not a readable mask"),
        ("shots/labels.csv", replaced("dark", "crack"), "unknown class crack"),
        ("shots/labels.csv", replaced("dark", "bright"), "no shot of dark"),
        ("shots/labels.csv", replaced("defect-free", "dark"), "has no mask"),
        ("images", each(Path.unlink), "holds no image"),
        ("images", each(torn), "none of 6 images"),
        ("images", missing, "is no folder: name one that holds images"),
        ("shots", missing, "is no folder: name one that holds images"),
        ("prompts.csv", missing, "prompts.csv"),
    ],
)
def test_bad_folders_are_one_line(folders, name, spoil, said):
    spoil(folders / name)
    result = call(folders)
    assert result.exit_code == 2, result.output
    assert result.output.splitlines()[-1].startswith("error: ") and said in result.output
    assert not (folders / "out" / "results.csv").exists()


@pytest.mark.parametrize(
    ("more", "shots", "said"),
    [
        (["--model", "m"], "shots", "either shots"),
        ([], None, "either shots"),
        (["--model", "m", "--pretrained", "x"], None, "brings its own"),
        (["--model", "nowhere"], None, "no saved SemClip model"),
    ],
)
def test_options_that_do_not_go_together(folders, more, shots, said):
    result = call(folders, *more, shots=shots)
    assert result.exit_code == 2 and said in result.output


def test_overlay_colours_and_outlines():
    image, anomaly = np.full((20, 20), 90, np.uint8), np.zeros((20, 20), np.float32)
    assert (detect.overlay(image, anomaly) == 90).all()
    anomaly[5:15, 5:15] = 0.9
    picture = detect.overlay(image, anomaly)
    outline = (picture == (0, 255, 255)).all(-1)
    assert outline[5, 5:15].all() and outline.sum() == 36 and not outline[6:14, 6:14].any()
    assert (picture[0, 0] == 90).all() and len(set(picture[10, 10].tolist())) == 3
