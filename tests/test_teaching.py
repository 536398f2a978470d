"""Exercises: answers, hints, and what is right on files with known answers."""

import inspect
import re

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from semlib import paths, teaching
from semlib.reproduce import notebook as nb
from semlib.teaching import answers, exercises

WORDS = exercises.EXERCISES
RNG = np.random.default_rng(0)


@pytest.fixture
def run():
    return answers.Run(paths.of("synthetic"), seed=0)


@pytest.fixture(autouse=True)
def no_attempts():
    exercises._wrong.clear()


def save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, array)


def table(run, name, **columns):
    run.place.figures.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(columns).to_csv(run.place.figures / f"{name}.csv", index=False)


def manifest(run, labels):
    run.place.data.mkdir(parents=True, exist_ok=True)
    names = [f"{i}.png" for i in range(len(labels))]
    rows = pd.DataFrame({"image_id": names, "path": names, "label": labels})
    rows.to_csv(run.place.manifest, index=False)


def expected(run, exercise):
    """The right answer to an exercise."""
    return exercises.solution(WORDS[exercise], run)


def test_each_exercise_of_the_notebooks_has_words_and_an_answer():
    code = "\n".join(book.code for book in nb.numbered())
    assert re.findall(r'teaching\.check\("(\d\d\.\d)"', code) == list(WORDS)
    for words in WORDS.values():
        assert set(words) <= {"answer", "of", "relative", "absolute", "hints", "why"}
        assert len(words["hints"]) == 3
    functions = inspect.getmembers(answers, inspect.isfunction)
    public = {name for name, _ in functions if not name.startswith(("_", "dataclass"))}
    assert {words["answer"] for words in WORDS.values()} == public


@pytest.mark.parametrize(
    ("answer", "wanted", "right"),
    [
        (1.01, 1.0, True),
        (1.03, 1.0, False),
        (np.float32(0.99), 1.0, True),
        ("about 1", 1.0, False),
        ([1.0, 2.0], 1.0, False),
        (float("nan"), 1.0, False),
        (" Glcm", {"GLCM", "LBP"}, True),
        (2, {2}, True),
        ("2", {2}, True),
        (["GLCM"], {"GLCM"}, False),
        ("PCA", {"GLCM"}, False),
        (("lbp", "GLCM"), frozenset({"GLCM", "LBP"}), True),
        ("LBP", frozenset({"LBP"}), True),
        (["LBP"], frozenset({"GLCM", "LBP"}), False),
        ([], frozenset(), True),
        (3, frozenset({"3"}), False),
    ],
)
def test_matches(answer, wanted, right):
    assert exercises.matches(answer, wanted, relative=0.02) is right


def test_without_an_answer_the_first_hint_is_printed_and_no_file_is_needed(capsys):
    for name, words in WORDS.items():
        assert teaching.check(name, None) is None
        assert capsys.readouterr().out == f"{name} is open. Hint: {words['hints'][0]}\n"


def test_hints_follow_one_another_until_the_answer_is_right(run, capsys):
    for k in range(3):
        save(run.place.level(k), np.zeros((2, 16 >> k, 16 >> k), np.uint8))
    for hint in (0, 1, 2, 2):
        assert teaching.check("03.1", 4) is False
        said = capsys.readouterr().out
        assert WORDS["03.1"]["hints"][hint] in said and "to within 1%" in said
    assert teaching.check("03.1", 0.3125) is True
    assert WORDS["03.1"]["why"] in capsys.readouterr().out
    teaching.check("03.1", 4)
    assert WORDS["03.1"]["hints"][0] in capsys.readouterr().out


def test_unknown_exercise_and_missing_files_say_what_to_do():
    with pytest.raises(ValueError, match=r"no exercise '03\.9': there are 01\.1"):
        teaching.check("03.9", 1)
    with pytest.raises(FileNotFoundError, match=r"table1\.csv is missing: run notebook 05 first"):
        teaching.check("05.1", "GLCM")


def test_majority_on_ten_images(run):
    manifest(run, ["3"] * 7 + ["1"] * 2 + ["6", ""])
    assert answers.majority_share(run) == pytest.approx(0.7)
    assert answers.majority_recall(run) == pytest.approx(1 / 3)
    manifest(run, ["", ""])
    with pytest.raises(ValueError, match="needs labels"):
        answers.majority_share(run)


def test_dark_columns_of_a_drawn_border(run):
    manifest(run, ["1"])
    image = np.full((20, 30), 100, np.uint8)
    image[:, -3:] = 5
    run.place.raw.mkdir(parents=True)
    Image.fromarray(image).save(run.place.raw / "0.png")
    assert answers.dark_columns(run) == 3


def test_noise_in_the_pyramid(run):
    """White noise: the mean of 16 pixels has a quarter of the deviation, a picked one all of it."""
    fine = RNG.normal(128, 16, (40, 256, 256))
    save(run.place.level(0), fine)
    save(run.place.level(2), fine.reshape(40, 64, 4, 64, 4).mean(axis=(2, 4)))
    assert expected(run, "03.2") == pytest.approx(4, rel=0.05)
    assert expected(run, "03.3") == pytest.approx(1, rel=0.05)


def test_stretch_undoes_contrast(run):
    """Equal pictures at ten brightnesses: after the stretch nothing is left of it."""
    picture = RNG.integers(0, 50, (64, 64))
    save(run.place.level(0), np.array([picture + 10 * i for i in range(10)], np.uint8))
    assert answers.stretch_factor(run) == pytest.approx(0, abs=1e-9)


def test_embeddings_on_a_line(run):
    line = RNG.normal(size=(60, 1)) * np.ones((1, 128)) + 7
    save(run.place.ssl(0) / "embeddings.npy", line)
    pd.DataFrame({"rankme": [8.0, 4.0, 2.0]}).to_csv(run.place.ssl(0) / "history.csv")
    assert answers.first_component(run) == pytest.approx(100)
    assert answers.clusters_of_a_line(run) == pytest.approx(1)
    assert answers.rankme_kept(run) == 0.25


def test_neighbours_in_the_picture_and_in_another_training(run):
    first = np.array([[0.0], [1], [10], [11]])
    save(run.place.ssl(0) / "embeddings.npy", first)
    view = {"Proposed SSL UMAP 1": [0, 1, 10, 2], "Proposed SSL UMAP 2": [0] * 4}
    table(run, "embedding_2d", **view)
    assert answers.neighbours_kept_by_umap(run) == 0.75  # the last one lies beside the second
    with pytest.raises(ValueError, match="n_seeds"):
        answers.neighbours_kept_by_training(run)
    save(run.place.ssl(1) / "embeddings.npy", first[::-1])
    assert answers.neighbours_kept_by_training(run) == 1


def test_names_from_tables(run):
    methods = {"method": ["GLCM", "LBP", "noise, 1-D", "LBP"], "rankme": [1, 9, 2, 5]}
    space = ["as it is"] * 3 + ["5 components"]
    table(run, "table1_controls", **methods, silhouette=[0.6, 0.2, 0.5, 0.9], space=space)
    assert answers.above_noise(run) == frozenset({"GLCM"})
    assert answers.silhouette_and_rankme(run) == pytest.approx(-1)
    shots = {"method": ["U-Net", "A", "B", "A"], "k": [5, 5, 5, 1]}
    supervision = ["masks", "labels", "normals", "labels"]
    scores = [0.9, 0.5, 0.7, 0.8]
    table(run, "semclip_segmentation", **shots, supervision=supervision, pAUROC=scores)
    assert expected(run, "07.2") == {"B"}, "most shots, and no masks"
    damages = {"stress": ["a", "b", "c", "a"], "severity": [1, 1, 1, 0.3]}
    table(run, "semnr_stress", **damages, d_psnr=[1, 1, -1, 1], d_recall=[-0.1, 0.1, -0.1, -0.1])
    assert expected(run, "08.3") == frozenset({"a"})
    denoisers = {"input": ["noisy"] * 3 + ["clean"], "denoiser": ["identity", "A", "B", "C"]}
    table(run, "semnr_profile", **denoisers, psnr=[20, 26, 26, 50])
    assert expected(run, "08.1") == {"A", "B"}
    assert answers.error_factor(run) == pytest.approx(2, rel=0.01)
    statistic = {"class": ["1", "2", "1"], "mask statistic": ["mean", "mean", "median"]}
    table(run, "mask_statistics", **statistic, measured=[0.2, 0.1, 0.01])
    assert expected(run, "01.3") == {2}


def test_a_notebook_without_its_inputs_names_what_makes_them(run, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"05_baselines needs .*manifest\.csv.*; 01_") as it:
        teaching.ready("05")
    assert 'reproduce --dataset "synthetic" --only 01 02 03 04 (--profile' in str(it.value)
    folder = tmp_path / "lot 7"
    folder.mkdir()
    with pytest.raises(FileNotFoundError, match=f'--dataset "{folder}" --only 01 '):
        teaching.ready("02", folder)
    manifest(run, ["1"])
    save(run.place.level(0), np.zeros(1))
    teaching.ready("03")
    teaching.ready("01")
