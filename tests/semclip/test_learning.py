"""Detect with several methods: the best on shots left out, references, what cannot be used."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy import ndimage

from semlib.semclip import inspection, learners, patchcore, store
from tests.semclip.test_detect import call, folders, found, tiny  # noqa: F401 (fixtures)


def test_folds_leave_out_one_of_each_class_but_never_the_only_one():
    fold = learners.folds(np.array(["a", "a", "b", "a", "c", "c"]))
    assert fold.tolist() == [0, 1, -1, 2, 0, 1]
    assert learners.folds(np.repeat(["a", "b"], 20)).max() == learners.FOLDS - 1


def test_best_threshold_by_hand():
    maps = np.array([0.1, 0.9, 0.4, 0.8, 0.3]).reshape(1, 1, 5)
    truth = np.array([0, 1, 0, 1, 0], bool).reshape(1, 1, 5)
    assert learners.best_threshold(maps, truth) == 0.8


@pytest.mark.slow
def test_methods_are_compared_on_shots_left_out_and_the_best_is_used(folders):  # noqa: F811
    result = call(folders, method=None)
    assert result.exit_code == 0, result.output
    out = folders / "out"
    methods = pd.read_csv(out / "methods.csv")
    assert set(methods["method"]) == {"SEM-CLIP", "SEM-CLIP + pixels", "random forest", "U-Net"}
    best = (methods["F1-max"] + methods["accuracy"]).idxmax()
    assert methods["used"].sum() == 1 and methods["used"][best] and set(methods["shots"]) == {6}
    assert f"used: {methods['method'][best]}" in result.output
    table = pd.read_csv(out / "results.csv")
    defects = pd.read_csv(out / "defects.csv")
    assert (table["defects"] > 0).tolist() == [False, True, True] * 2
    assert defects.groupby("file")["area_px"].max().between(600, 1300).all()  # squares of 900
    with Image.open(out / "masks" / "01.png") as mask:
        assert mask.size == (96, 96) and np.asarray(mask).any()
    page = (out / "index.html").read_text()
    assert page.count("<img") == 6 and "http" not in page
    shown = [page.index(f"<b>{name}</b>") for name in table.nlargest(6, "anomaly_score")["file"]]
    assert shown == sorted(shown)
    again = folders / "again"
    more = ["--model", out / "model", "--out", again]
    assert call(folders, *more, shots=None, method=None).exit_code == 0
    for name in ("results.csv", "defects.csv", "model/detect.json"):
        assert (again / name).read_bytes() == (out / name).read_bytes()
    other = next(name for name in methods["method"] if name != methods["method"][best])
    more = ["--model", out / "model", "--out", folders / "other"]
    assert call(folders, *more, shots=None, method=other).exit_code == 0


def test_patchcore_learns_from_defect_free_shots_alone(folders, monkeypatch):  # noqa: F811
    """Features are grey values of 6 x 6 cells here: no weights are needed."""

    def features(images, *, size):
        cells = images.reshape(len(images), 6, 16, 6, 16).mean((2, 4)).reshape(len(images), 36, 1)
        return patchcore.VggFeatures(cells.astype(np.float16), None)

    monkeypatch.setattr(patchcore, "vgg_features", features)
    place = folders / "shots"
    for name in ("01", "02", "04", "05"):
        (place / f"{name}.png").unlink()
        (place / "masks" / f"{name}.png").unlink()
    (place / "labels.csv").write_text("file,label\n00.png,defect-free\n03.png,defect-free\n")
    result = call(folders, method=None)
    assert result.exit_code == 0, result.output
    table = found(folders / "out")
    assert table["class"].tolist() == ["defect-free", "defect", "defect"] * 2
    more = ["--model", folders / "out" / "model", "--out", folders / "again"]
    assert call(folders, *more, shots=None, method=None).exit_code == 0
    assert (folders / "again" / "results.csv").read_bytes() == (
        folders / "out" / "results.csv"
    ).read_bytes()


@pytest.mark.slow
def test_a_model_of_an_earlier_method_does_not_stay(folders):  # noqa: F811
    model = folders / "out" / "model"
    for method in ("SEM-CLIP", "random forest", "U-Net"):
        assert call(folders, method=method).exit_code == 0
        assert (model / "model.json").is_file() == (method == "SEM-CLIP")
    assert store.load_learnt(model, "SEM-CLIP").shots is not None


@pytest.mark.parametrize("name, other", [("img[1].png", "img[1].tif"), ("a.png", "a.b.png")])
def test_a_reference_has_the_whole_name(tmp_path, name, other):
    (tmp_path / other).touch()
    row = pd.DataFrame({"path": [name]}).itertuples().__next__()
    if other == "a.b.png":
        with pytest.raises(FileNotFoundError, match="has no reference a.png"):
            inspection._partner(tmp_path, row)
    else:
        assert inspection._partner(tmp_path, row).path == other


@pytest.mark.slow
def test_references_of_the_same_names_need_no_shots(folders):  # noqa: F811
    rng = np.random.default_rng(0)
    place = folders / "golden"
    place.mkdir()
    for number in range(6):
        field = ndimage.gaussian_filter(rng.normal(size=(96, 96)), 3)
        image = 120 + 40 * field / field.std()
        Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(place / f"{number:02}.tif")
        if number in (2, 5):
            image[40:50, 60:70] += 90
        noisy = (image + rng.normal(0, 3, image.shape)).clip(0, 255).astype(np.uint8)
        Image.fromarray(noisy).save(folders / "images" / f"{number:02}.png")
    (place / "04.tif").unlink()
    result = call(folders, "--reference", place, shots=None, method=None)
    assert result.exit_code == 0, result.output
    table = found(folders / "out")
    assert table["file"][table["class"] == "defect"].tolist() == ["02.png", "05.png"]
    defects = pd.read_csv(folders / "out" / "defects.csv")
    assert defects[["x", "y"]].sub([64.5, 44.5]).abs().max().max() < 4
    skipped = pd.read_csv(folders / "out" / "skipped.csv")
    assert "has no reference 04.png" in skipped["reason"][0]


@pytest.mark.parametrize(
    ("method", "said"),
    [("forest", "unknown method 'forest'"), ("PatchCore", "PatchCore cannot learn from these")],
)
def test_a_method_that_cannot_be_used_is_refused(folders, method, said):  # noqa: F811
    result = call(folders, method=method)
    assert result.exit_code == 2 and said in result.output
