"""The command on folders: results, overlays and a model; bad folders; interruptions."""

import os
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import tifffile
from click.testing import CliRunner
from PIL import Image

from semlib.__main__ import main
from semlib.images import lot
from semlib.semclip import data, detect, gallery, inspection, learners, looking, store
from semlib.semclip.model import Prediction, SemClip
from tests.images.own_files import bar

SCORES = ["defect-free", "bright", "dark", "anomaly_score"]


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


def call(place, *more, shots="shots", method="SEM-CLIP"):
    learning = ["--shots", place / shots, "--prompts", place / "prompts.csv"] if shots else []
    learning += ["--method", method] if method else []
    arguments = ["--images", place / "images", "--out", place / "out", *learning, *more]
    return CliRunner().invoke(main, ["detect", *map(str, arguments)])


def test_command_writes_results_overlays_and_the_model(folders):
    result = call(folders)
    assert result.exit_code == 0, result.output
    assert "6 images in" in result.output
    table = pd.read_csv(folders / "out" / "results.csv")
    read = ["overlay", "range", "bar_top", "bar_bottom", "pixel_nm", "notes", "key"]
    assert list(table) == ["file", "class", *SCORES, "defects", "tiles", *read]
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
    assert list(skipped["file"]) == ["empty.png", "notes.txt", "torn.png"]
    assert skipped["reason"].str.contains("not a readable image").tolist() == [True, False, True]
    with Image.open(folders / "out" / "overlays" / "wide.png") as picture:
        assert picture.size == (150, 70)


@pytest.fixture
def worked_on(monkeypatch):
    """Names of the files that were worked on, in order."""
    names, look = [], inspection._look

    def watch(learnt, row, *more):
        names.append(row.path)
        return look(learnt, row, *more)

    monkeypatch.setattr(inspection, "_look", watch)
    return names


@pytest.mark.slow
def test_interrupted_run_continues(folders, monkeypatch, worked_on):
    monkeypatch.setattr(inspection, "CHUNK", 2)
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
def test_what_has_another_content_is_done_again(folders, worked_on, spots):
    assert call(folders).exit_code == 0
    worked_on.clear()
    os.utime(folders / "images" / "02.png", (2e9, 2e9))  # newer, but the same
    old = (folders / "out" / "overlays" / "03.png").stat()
    Image.fromarray(spots(9, seed=7)[0][4]).save(folders / "images" / "03.png")
    os.utime(folders / "images" / "03.png", (old.st_mtime - 60, old.st_mtime - 60))
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
    table = lot.describe(tmp_path / "shots")
    images, masks = data.shots(tmp_path / "shots", table, 50)
    assert images.shape == masks.shape == (2, 50, 50)
    assert masks[0].sum(1).tolist() == [0] * 25 + [25] + [0] * 24 and not masks[1].any()


def found(place):
    return pd.read_csv(place / "results.csv", keep_default_na=False)


def scores(place):
    """What was predicted, whatever the files are called and however they were read."""
    return found(place)[["class", *SCORES]]


@pytest.mark.slow
def test_another_lot_of_equal_names_gets_lines_and_overlays_of_its_own(folders, spots):
    """All lines of the old lot came back: 42 of 42."""
    assert call(folders).exit_code == 0
    (folders / "images").rename(folders / "first")
    write(folders / "images", spots(5, seed=3)[0][::-1])
    assert call(folders).exit_code == 0
    assert call(folders, "--out", folders / "fresh").exit_code == 0
    pd.testing.assert_frame_equal(found(folders / "out"), found(folders / "fresh"))
    assert len(found(folders / "out")) == 5
    drawn = {name: list((folders / name / "overlays").iterdir()) for name in ("out", "fresh")}
    assert len(drawn["out"]) == len(drawn["fresh"]) == 5
    for overlay in drawn["fresh"]:
        kept = folders / "out" / "overlays" / overlay.name
        assert kept.read_bytes() == overlay.read_bytes()


@pytest.mark.slow
def test_a_run_killed_over_another_lot_leaves_no_picture_of_it_behind(folders, spots, monkeypatch):
    """The first lot's lines must not stand beside overlays of the second."""
    assert call(folders).exit_code == 0
    right = {file.name: file.read_bytes() for file in (folders / "out" / "overlays").iterdir()}
    (folders / "images").rename(folders / "first")
    write(folders / "images", spots(6, seed=3)[0])
    write_table = inspection.write
    monkeypatch.setattr(inspection, "CHUNK", 2)
    calls = iter(range(99))

    def killed(table, file):
        if file.name == "results.csv" and next(calls) == 1:
            raise KeyboardInterrupt  # overlays of a chunk are there, its lines are not
        write_table(table, file)

    monkeypatch.setattr(inspection, "write", killed)
    assert call(folders).exit_code == 130
    monkeypatch.setattr(inspection, "write", write_table)
    (folders / "images").rename(folders / "second")
    (folders / "first").rename(folders / "images")
    assert call(folders).exit_code == 0
    now = {file.name: file.read_bytes() for file in (folders / "out" / "overlays").iterdir()}
    assert now == right


@pytest.mark.slow
@pytest.mark.parametrize("setting", ["prompts", "bar", "shots", "options"])
def test_a_changed_setting_computes_anew(folders, worked_on, setting, monkeypatch):
    assert call(folders).exit_code == 0
    worked_on.clear()
    assert call(folders).exit_code == 0 and not worked_on
    more = []
    if setting == "prompts":
        replaced("dark hole", "deep pit")(folders / "prompts.csv")
    elif setting == "bar":
        more = ["--bar", "0,8"]
    elif setting == "shots":
        (folders / "shots" / "masks" / "04.png").replace(folders / "shots" / "masks" / "05.png")
        (folders / "shots" / "04.png").replace(folders / "shots" / "05.png")
        replaced("05.png,dark", "05.png,bright")(folders / "shots" / "labels.csv")
        replaced("04.png,bright\n", "")(folders / "shots" / "labels.csv")
    else:
        monkeypatch.setattr(learners, "SemClip", partial(SemClip, steps=7))
    assert call(folders, *more).exit_code == 0
    assert worked_on == [f"{i:02}.png" for i in range(6)]


def styled(style, mask, file):
    """Write a mask as labelling tools do."""
    number = np.uint8(mask)
    if style == "boolean TIFF":
        file.unlink()
        tifffile.imwrite(file.with_suffix(".tif"), mask)
    elif style == "16 bits":
        Image.fromarray(number.astype(np.uint16)).save(file)
    elif style == "palette":
        picture = Image.fromarray(number, "P")
        picture.putpalette([0, 0, 0, 128, 0, 0])
        picture.save(file)
    elif style == "opacity":
        Image.fromarray(np.dstack([np.full(mask.shape + (3,), 255, np.uint8), 255 * number])).save(
            file
        )
    else:
        Image.fromarray({"0 and 1": number, "inverted": 255 - 255 * number}[style]).save(file)


STYLES = ["0 and 1", "inverted", "boolean TIFF", "16 bits", "palette", "opacity"]


@pytest.mark.slow
@pytest.mark.parametrize("styles", [["0 and 1"] * 3, ["inverted"] * 4, STYLES[2:], STYLES[:2] * 2])
def test_masks_of_all_styles_teach_the_same_model(folders, spots, styles):
    """One mask of 0 and 255 among three of 0 and 1 hid these: the map on defects fell to .09.

    Inverted masks made .07 of a pAUROC of .94.
    """
    assert call(folders).exit_code == 0
    masks = spots(6)[2]
    for number, style in zip((1, 2, 4, 5), styles, strict=False):
        styled(style, masks[number], folders / "shots" / "masks" / f"{number:02}.png")
    result = call(folders, "--out", folders / "styled")
    assert result.exit_code == 0, result.output
    model = "model/model.safetensors"
    assert (folders / "styled" / model).read_bytes() == (folders / "out" / model).read_bytes()
    shots = pd.read_csv(folders / "styled" / "shots.csv", keep_default_na=False)
    assert shots["marked"].iloc[[1, 2, 4, 5]].tolist() == pytest.approx([900 / 96**2] * 4, abs=1e-4)
    assert shots["mask_rule"].iloc[1].startswith("two ")


def test_masks_that_disagree_with_their_label_are_named(folders):
    place = folders / "shots" / "masks"
    Image.new("L", (96, 96)).save(place / "04.png")
    Image.open(place / "01.png").save(place / "03.png")  # of a defect-free image
    result = call(folders)
    assert "04.png is 'bright', but its mask marks nothing" in result.output
    notes = pd.read_csv(folders / "out" / "shots.csv", keep_default_na=False)["notes"]
    assert notes.tolist() == ["", "", "", "its mask marks a defect", "its mask marks nothing", ""]


@pytest.mark.slow
def test_data_bars_change_nothing(folders, spots):
    """Clean images under a bar were called defective: .40 became .87."""
    assert call(folders).exit_code == 0
    for number in range(6):
        image = spots(6, seed=1)[0][number]
        ends = [bar("white on black", 16, 96), bar("black on white", 20, 96)][number % 2]
        Image.fromarray(np.vstack([image, ends])).save(folders / "images" / f"{number:02}.png")
    result = call(folders, "--out", folders / "bars")
    assert "3 images: a data bar was cut by its look: 16 rows below" in result.output
    pd.testing.assert_frame_equal(scores(folders / "bars"), scores(folders / "out"))
    assert found(folders / "bars")["bar_bottom"].tolist() == [16, 20] * 3
    with Image.open(folders / "bars" / "overlays" / "01.png") as picture:
        assert picture.size == (96, 96)
    assert call(folders, "--bar", "none").exit_code == 0
    assert not pd.read_csv(folders / "out" / "results.csv")["bar_bottom"].any()
    assert not scores(folders / "out").equals(scores(folders / "bars"))


def test_one_rule_of_grey_for_shots_and_images_and_later_lots(folders, spots):
    """Shots of 8 bits and a lot of 16 bits with a hot pixel are both read by quantiles."""
    write(folders / "dozen", *spots(12))  # of six the head learns little: one pixel moves it
    images, names, _ = spots(6, seed=1)
    (folders / "images").rename(folders / "eight")
    (folders / "images").mkdir()
    for number, image in enumerate(images):
        deep = 2000 + 8 * image.astype(np.uint16)
        deep[3, 3] = 65535
        tifffile.imwrite(folders / "images" / f"{number:02}.tif", deep)
    result = call(folders, shots="dozen")
    assert "by quantiles for shots and images alike" in result.output, result.output
    assert found(folders / "out")["class"].tolist() == names
    assert pd.read_csv(folders / "out" / "shots.csv")["range"].eq("quantiles").all()
    (folders / "images").rename(folders / "sixteen")
    (folders / "eight").rename(folders / "images")
    later = call(folders, "--model", folders / "out" / "model", "--out", folders / "b", shots=None)
    assert later.exit_code == 0, later.output
    assert found(folders / "b")["range"].eq("quantiles").all()
    deep, flat = scores(folders / "out")[SCORES], scores(folders / "b")[SCORES]
    assert np.abs(deep - flat).to_numpy().max() < 0.01


def test_a_model_of_stated_ranges_says_where_a_lot_does_not_state_its_own(folders):
    assert call(folders).exit_code == 0
    deep = np.asarray(Image.open(folders / "images" / "00.png")).astype(np.uint16) * 16
    tifffile.imwrite(folders / "images" / "06.tif", deep)
    more = ["--model", folders / "out" / "model", "--out", folders / "b", "--bar", "none"]
    result = call(folders, *more, shots=None)
    assert "while the model learnt from files that state theirs: better learn anew" in result.output
    assert found(folders / "b")["notes"].str.contains("while the model learnt").all()
    assert store.reading(folders / "b" / "model") == {"range": "stated", "bar": "none"}


def test_class_folders_and_what_is_passed_over(folders, spots):
    images, names, _ = spots(6, seed=4)
    for number, (image, name) in enumerate(zip(images, names, strict=True)):
        (folders / "own" / name).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folders / "own" / name / f"{number % 2}{number // 3}.bmp")
    (folders / "own" / "dark" / "notes.docx").write_text("x")
    result = call(folders, "--shots", folders / "own", "--images", folders / "own")
    assert result.exit_code == 0 and "6 labels, 0 masks (class folders)" in result.output
    table = found(folders / "out")
    assert table["file"].str.split("/").str[0].tolist() == sorted(names)
    assert all((folders / "out" / "overlays" / name).is_file() for name in table["overlay"])
    skipped = pd.read_csv(folders / "out" / "skipped.csv")
    assert skipped.to_numpy().tolist() == [["dark/notes.docx", "no image that is read"]]


def stub(map_of, seen=None):
    """A method whose map of each square is `map_of` of the images (N, H, W)."""

    def predict(images):
        if seen is not None:
            seen.append(images.shape)
        maps = map_of(images).astype(np.float32)
        defect = maps.max((1, 2))
        return Prediction(np.stack([1 - defect, defect], 1), maps)

    return SimpleNamespace(
        classes=["defect-free", "bright"],
        predict=predict,
        anomaly_scores=lambda prediction: prediction.anomaly_maps.max((1, 2)),
    )


def test_the_map_of_a_rectangular_image_lies_where_the_image_has_it():
    """The model sees a square; its map is drawn in the rows and columns of the file."""
    anomaly = np.zeros((1, 96, 96), np.float32)
    anomaly[0, 24:48, 48:96] = 1
    seen = []
    image = np.full((100, 300), 90, np.uint8)
    result = looking.look(stub(lambda images: anomaly, seen), image, 96, image.shape)
    assert seen == [(1, 96, 96)] and result.tiles == 1
    mask = looking.mask_of(result.anomaly, 0.5)
    rows, columns = (np.flatnonzero(mask.any(axis))[[0, -1]] for axis in (1, 0))
    assert np.abs(rows - (25, 49)).max() <= 1 and np.abs(columns - (150, 299)).max() <= 2


def test_tiles_have_the_scale_of_the_shots_and_cover_the_image():
    assert looking.window((100, 110), (90, 90)) == (100, 110)
    assert looking.window((960, 110), (90, 90)) == (90, 110)
    assert looking.window((960, 960), (90, 90), 2.0, 4.0) == (180, 180)
    assert looking.window((960, 960), ()) == (960, 960)
    for length, side in ((90, 90), (200, 90), (961, 90)):
        first = looking.starts(length, side)
        assert first[0] == 0 and first[-1] == length - side
        assert (np.diff(first) <= 0.75 * side + 1).all()


def test_maps_of_tiles_are_joined_where_the_image_has_them():
    image = np.zeros((200, 300), np.uint8)
    image[120:140, 200:220] = 255
    result = looking.look(stub(lambda images: images / 255), image, 96, (96, 96))
    assert result.tiles == 12 and result.probabilities.tolist() == [0, 1] and result.score == 1
    np.testing.assert_allclose(result.anomaly * 255, image, atol=2)


def test_defects_have_place_area_and_nanometres():
    anomaly = np.zeros((40, 60), np.float32)
    anomaly[10:14, 20:30] = 0.7
    anomaly[30:36, 50:54] = 0.9
    anomaly[2, 2] = 1  # a speck
    mask = looking.mask_of(anomaly, 0.6)
    table = looking.defects(mask, anomaly, 2.0)
    assert table["area_px"].tolist() == [24, 40] and table["area_nm2"].tolist() == [96, 160]
    assert table[["x", "y", "width", "height"]].iloc[1].tolist() == [24.5, 11.5, 10, 4]
    assert table["size_nm"][0] == pytest.approx(2 * np.sqrt(4 * 24 / np.pi), abs=0.1)
    assert looking.defects(mask, anomaly)["area_nm2"].isna().all()


def test_a_scale_bar_where_the_pixel_size_is_known(folders):
    (folders / "images" / "01.txt").write_text(
        "$CM_FULL_SIZE 96 96\n$SM_MICRON_BAR 20\n$SM_MICRON_MARKER 100nm\n"
    )
    assert call(folders).exit_code == 0
    assert found(folders / "out")["pixel_nm"].tolist() == ["", "5.0", "", "", "", ""]
    corners = {}
    for number in (0, 1):
        with Image.open(folders / "out" / "overlays" / f"{number:02}.png") as picture:
            corners[number] = np.asarray(picture)[-12:, -40:]
    white = (corners[1] == 255).all(-1).sum(1)
    assert white.max() in (20, 21)  # 100 nm, at most a quarter of 96 pixels
    assert not (corners[0] == 255).all(-1).any()


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
        ("shots/masks/01.png", small, "9 x 9 pixels, its picture 96 x 96"),
        ("shots/00.png", torn, "00.png: not a readable image"),
        ("shots/masks/01.png", torn, "01.png: not a readable image"),
        ("shots/labels.csv", replaced("dark", "crack"), "unknown class crack"),
        ("shots/labels.csv", replaced("dark", "bright"), "no shot of dark"),
        ("shots/labels.csv", replaced("defect-free", "dark"), "has no mask"),
        ("images", each(Path.unlink), "holds no image"),
        ("images", each(torn), "none of 6 images"),
        ("images", missing, "is no folder: name one that holds images"),
        ("shots", missing, "is no folder: name one that holds images"),
        ("prompts.csv", missing, "prompts.csv"),
        ("prompts.csv", replaced("class", "klass"), "prompts.csv: no column 'class' in"),
    ],
)
def test_bad_folders_are_one_line(folders, name, spoil, said):
    spoil(folders / name)
    result = call(folders)
    assert result.exit_code == 2, result.output
    error = result.stderr.splitlines()[-1]
    assert error.startswith("error: ") and said in error
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
    assert (gallery.overlay(image, anomaly, anomaly > 0.5) == 90).all()
    anomaly[5:15, 5:15] = 0.9
    picture = gallery.overlay(image, anomaly, anomaly > 0.5)
    outline = (picture == (0, 255, 255)).all(-1)
    assert outline[5, 5:15].all() and outline.sum() == 36 and not outline[6:14, 6:14].any()
    assert (picture[0, 0] == 90).all() and len(set(picture[10, 10].tolist())) == 3
