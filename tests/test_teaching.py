"""Exercises: answers, hints, what is right on files with known answers. Missing inputs: what is offered to whom."""

import inspect
import re

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from semlib import paths, teaching
from semlib.driver import notebook as nb
from semlib.teaching import exercises, expected, prepare

WORDS = exercises._exercises()
RNG = np.random.default_rng(0)


@pytest.fixture
def where():
    return paths.of("synthetic")


@pytest.fixture(autouse=True)
def no_attempts():
    exercises._wrong.clear()


def save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, array)


def table(where, name, **columns):
    where.figures.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(columns).to_csv(where.figures / f"{name}.csv", index=False)


def manifest(where, labels):
    where.data.mkdir(parents=True, exist_ok=True)
    paths_of = [f"{i}.png" for i in range(len(labels))]
    pd.DataFrame({"image_id": paths_of, "path": paths_of, "label": labels}).to_csv(
        where.manifest, index=False
    )


def test_each_exercise_of_the_notebooks_has_words_and_an_answer():
    asked = [
        text
        for book in nb.numbered()
        for text in re.findall(r'teaching\.check\("(\d\d\.\d)"', book.code)
    ]
    assert asked == list(WORDS)
    for words in WORDS.values():
        assert (
            set(words) <= {"answer", "relative", "absolute", "hints", "why"}
            and len(words["hints"]) == 3
        )
    functions = [
        n
        for n, f in inspect.getmembers(expected, inspect.isfunction)
        if f.__module__ == expected.__name__
    ]
    assert sorted(words["answer"] for words in WORDS.values()) == sorted(functions)


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


def test_hints_follow_one_another_until_the_answer_is_right(where, capsys):
    for k in range(3):
        save(where.level(k), np.zeros((2, 16 >> k, 16 >> k), np.uint8))
    for hint in (0, 1, 2, 2):
        assert teaching.check("03.1", 4) is False
        said = capsys.readouterr().out
        assert WORDS["03.1"]["hints"][hint] in said and "to within 1%" in said
    assert teaching.check("03.1", 0.3125) is True
    assert WORDS["03.1"]["why"] in capsys.readouterr().out
    teaching.check("03.1", 4)
    assert WORDS["03.1"]["hints"][0] in capsys.readouterr().out


def test_unknown_exercise_and_missing_files_say_what_to_do(where):
    with pytest.raises(ValueError, match=r"no exercise '03\.9': there are 01\.1"):
        teaching.check("03.9", 1)
    with pytest.raises(FileNotFoundError, match=r"table1\.csv is missing: run notebook 05 first"):
        teaching.check("05.1", "GLCM")


def test_majority_on_ten_images(where):
    manifest(where, ["3"] * 7 + ["1"] * 2 + ["6", ""])
    assert expected.majority_share(where, 0) == pytest.approx(0.7)
    assert expected.majority_recall(where, 0) == pytest.approx(1 / 3)
    manifest(where, ["", ""])
    with pytest.raises(ValueError, match="needs labels"):
        expected.majority_share(where, 0)


def test_dark_columns_of_a_drawn_border(where):
    manifest(where, ["1"])
    image = np.full((20, 30), 100, np.uint8)
    image[:, -3:] = 5
    where.raw.mkdir(parents=True)
    Image.fromarray(image).save(where.raw / "0.png")
    assert expected.dark_columns(where, 0) == 3


def test_noise_in_the_pyramid(where):
    """White noise: the mean of 16 pixels has a quarter of the standard deviation, a picked pixel all of it."""
    fine = RNG.normal(128, 16, (40, 256, 256))
    save(where.level(0), fine)
    save(where.level(2), fine.reshape(40, 64, 4, 64, 4).mean(axis=(2, 4)))
    assert expected.noise_ratio(where, 0) == pytest.approx(4, rel=0.05)
    assert expected.decimated_ratio(where, 0) == pytest.approx(1, rel=0.05)


def test_stretch_undoes_contrast(where):
    """Equal pictures at ten brightnesses: after the stretch nothing is left of it."""
    picture = RNG.integers(0, 50, (64, 64))
    save(where.level(0), np.array([picture + 10 * i for i in range(10)], np.uint8))
    assert expected.stretch_factor(where, 0) == pytest.approx(0, abs=1e-9)


def test_embeddings_on_a_line(where):
    line = RNG.normal(size=(60, 1)) * np.ones((1, 128)) + 7
    save(where.ssl(0) / "embeddings.npy", line)
    pd.DataFrame({"rankme": [8.0, 4.0, 2.0]}).to_csv(where.ssl(0) / "history.csv")
    assert expected.first_component(where, 0) == pytest.approx(100)
    assert expected.clusters_of_a_line(where, 0) == pytest.approx(1)
    assert expected.rankme_kept(where, 0) == 0.25


def test_neighbours_in_the_picture_and_in_another_training(where):
    first = np.array([[0.0], [1], [10], [11]])
    save(where.ssl(0) / "embeddings.npy", first)
    flat = [0, 1, 10, 2]
    table(where, "embedding_2d", **{"Proposed SSL UMAP 1": flat, "Proposed SSL UMAP 2": [0] * 4})
    assert expected.neighbours_kept_by_umap(where, 0) == 0.75  # the last one lies beside the second
    with pytest.raises(ValueError, match="n_seeds"):
        expected.neighbours_kept_by_training(where, 0)
    save(where.ssl(1) / "embeddings.npy", first[::-1])
    assert expected.neighbours_kept_by_training(where, 0) == 1


def test_names_from_tables(where):
    table(
        where, "table1_controls", method=["GLCM", "LBP", "noise, 1-D", "LBP"], silhouette=[0.6, 0.2, 0.5, 0.9],
        rankme=[1, 9, 2, 5], space=["as it is"] * 3 + ["5 components"],
    )  # fmt: skip
    assert expected.above_noise(where, 0) == frozenset({"GLCM"})
    assert expected.silhouette_and_rankme(where, 0) == pytest.approx(-1)
    table(
        where, "semclip_segmentation", method=["U-Net", "A", "B", "A"], k=[5, 5, 5, 1],
        supervision=["masks", "labels", "normals", "labels"], pAUROC=[0.9, 0.5, 0.7, 0.8],
    )  # fmt: skip
    assert expected.best_without_masks(where, 0) == {"B"}
    table(
        where, "semnr_stress", stress=["a", "b", "c", "a"], severity=[1, 1, 1, 0.3], d_psnr=[1, 1, -1, 1],
        d_recall=[-0.1, 0.1, -0.1, -0.1],
    )  # fmt: skip
    assert expected.praised_while_losing(where, 0) == frozenset({"a"})
    table(
        where,
        "semnr_profile",
        input=["noisy"] * 3,
        denoiser=["identity", "A", "B"],
        psnr=[20, 26, 26],
    )
    assert expected.best_psnr(where, 0) == {"A", "B"}
    assert expected.error_factor(where, 0) == pytest.approx(2, rel=0.01)


def never(*_):
    raise AssertionError("nothing is missing, so there is nothing to ask")


@pytest.fixture
def made(monkeypatch):
    """The options of the commands that would have been run."""
    commands = []
    monkeypatch.setattr(prepare, "_run", commands.append)
    return commands


def test_a_notebook_whose_inputs_are_there_asks_nothing(where, made, monkeypatch):
    manifest(where, ["1"])
    save(where.level(0), np.zeros(1))
    monkeypatch.setattr("builtins.input", never)
    teaching.ready("03")
    teaching.ready("01")
    assert made == []


@pytest.mark.parametrize("refusal", [EOFError, NotImplementedError, "n", ""])
def test_without_consent_the_error_says_what_is_missing_and_how_to_make_it(
    refusal, made, monkeypatch
):
    def answer(question):
        assert "Run this now?" in question
        if isinstance(refusal, str):
            return refusal
        raise refusal

    monkeypatch.setattr("builtins.input", answer)
    with pytest.raises(FileNotFoundError) as caught:
        teaching.ready("05")
    said = str(caught.value)
    assert (
        "05_baselines needs" in said
        and "manifest.csv, which does not exist; 01_download makes it" in said
    )
    assert (
        "python -m semlib reproduce --profile quick --dataset synthetic --only 01 02 03 04" in said
    )
    assert re.search(r"in about \d+ min", said) and made == []


def test_consent_runs_only_what_is_missing_and_what_follows_from_it(where, made, monkeypatch):
    manifest(where, ["1"])
    save(where.level(0), np.zeros(1))
    monkeypatch.setattr("builtins.input", lambda question: " Y ")
    teaching.ready("06")
    assert made == [["--profile", "quick", "--dataset", "synthetic", "--only", "03", "04", "05"]]
    made.clear()
    for method in ("paper", "ours"):
        save(where.ssl(0, method) / "embeddings.npy", np.zeros(1))
    teaching.ready("05")
    assert made == []


def test_an_own_folder_is_named_in_the_command(tmp_path, made, monkeypatch):
    folder = tmp_path / "lot 7"
    folder.mkdir()
    monkeypatch.setattr("builtins.input", lambda question: "yes")
    teaching.ready("02", folder)
    assert made == [["--profile", "quick", "--dataset", str(folder), "--only", "01"]]


def test_a_failure_while_making_is_an_error(capfd):
    with pytest.raises(RuntimeError, match="exit code 2"):
        prepare._run(["--only", "99"])
    assert "unknown notebook" in capfd.readouterr().out


@pytest.mark.slow
def test_a_kernel_that_takes_no_questions_gets_the_error():
    """As under papermill: nobody answers, so the notebook stops with the reason instead of waiting."""
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError

    cell = nbformat.v4.new_code_cell('from semlib import teaching\nteaching.ready("05")')
    with pytest.raises(CellExecutionError, match="05_baselines needs"):
        NotebookClient(
            nbformat.v4.new_notebook(cells=[cell]), timeout=60, kernel_name="python3"
        ).execute()
