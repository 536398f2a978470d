"""Prompts: files read and checked, templates x states, embeddings, the nearest class of each."""

import numpy as np
import pytest

from semlib.semclip.prompts import CARINTHIA, HERE, Prompts, main


class Words:
    """A text encoder one can follow: a word has its own axis, a sentence is their unit sum."""

    def __init__(self):
        self.axes = {}

    def encode_texts(self, texts):
        vectors = np.zeros((len(texts), 200), np.float32)
        for row, text in zip(vectors, texts, strict=True):
            for word in text.lower().split():
                row[self.axes.setdefault(word, len(self.axes))] += 1
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def write(folder, rows, templates="a {state}\n"):
    (folder / "prompts.csv").write_text("label,class,state\n" + rows)
    (folder / "templates.csv").write_text("template\n" + templates)
    return folder / "prompts.csv", folder / "templates.csv"


def test_the_paper_s_classes_and_template():
    prompts = Prompts.load()
    names = "defect-free, bridge, copper residue, hole, infilm, particle, scratch"
    assert ", ".join(prompts.classes) == names
    assert prompts.labels == [0, 1, 2, 3, 4, 5, 6] and prompts.normal == 0
    assert "A SEM image of linear scratch on wafer surface" in prompts.sentences("scratch")
    assert all(len(states) >= 3 for states in prompts.states.values())
    everything = [sentence for name in prompts.classes for sentence in prompts.sentences(name)]
    count = len(prompts.templates) * sum(map(len, prompts.states.values()))
    assert len(set(everything)) == len(everything) == count


def test_carinthia_s_classes_have_no_invented_names():
    prompts = Prompts.load(CARINTHIA)
    assert prompts.labels == [1, 2, 3, 4, 5, 6] and prompts.normal == 5
    assert prompts.classes == [*(f"class {k} defect" for k in range(1, 6)), "no visible defect"]


def test_classes_follow_the_labels_and_sentences_the_templates(tmp_path):
    rows = "7,scratch,line\n2,defect-free, clean \n7,scratch,mark\n"
    prompts = Prompts.load(*write(tmp_path, rows, "a {state}\n{state} {1}\n"))
    assert prompts.classes == ["defect-free", "scratch"]
    assert prompts.labels == [2, 7] and prompts.normal == 0
    assert prompts.sentences("scratch") == ["a line", "a mark", "line {1}", "mark {1}"]
    assert prompts.sentences("defect-free") == ["a clean", "clean {1}"]
    assert prompts.positions(["scratch", 2, "7"]).tolist() == [1, 0, 1]
    with pytest.raises(ValueError, match="unknown class 9, hole: name others than .*defect-free"):
        prompts.positions(["hole", 9])
    assert prompts.without(["scratch"]).classes == ["defect-free"]


def test_plain_prompts_hold_the_name_alone():
    plain = Prompts.load().plain()
    assert plain.sentences("copper residue") == ["a photo of a copper residue"]
    assert plain.classes == Prompts.load().classes and plain.normal == 0


def test_embedding_is_the_normalised_mean(tmp_path):
    rows = "0,defect-free,clean\n1,hole,pit\n1,hole,void\n"
    embedded = Prompts.load(*write(tmp_path, rows, "{state}\n")).embed(Words())
    assert embedded.shape == (2, 200) and embedded.dtype == np.float32
    assert embedded[0, 0] == 1  # "clean"
    np.testing.assert_allclose(embedded[1, 1:3], 0.5**0.5, rtol=1e-6)  # "pit", "void"
    np.testing.assert_allclose(np.linalg.norm(embedded, axis=1), 1, rtol=1e-6)


def test_check_finds_a_prompt_that_stands_nearer_to_another_class(tmp_path):
    rows = "0,defect-free,clean smooth\n0,defect-free,smooth clean film\n"
    rows += "1,hole,dark pit\n1,hole,dark pit edge\n1,hole,smooth clean\n"
    table = Prompts.load(*write(tmp_path, rows, "{state}\n")).check(Words())
    assert list(table.columns) == ["prompt", "class", "nearest class", "cosine"]
    assert table["nearest class"].tolist() == ["defect-free"] * 2 + ["hole"] * 2 + ["defect-free"]
    assert table["cosine"].between(0, 1 + 1e-6).all()
    # by hand: "dark pit" with the mean of "dark pit edge", (1/3, 1/3, 1/3)^1/2, and "smooth clean",
    # (1/2, 1/2)^1/2
    other = np.array([3**-0.5, 3**-0.5, 3**-0.5, 2**-0.5, 2**-0.5])
    cosine = (other[0] + other[1]) / 2**0.5 / np.linalg.norm(other)
    assert table["cosine"][2] == pytest.approx(cosine)


def test_a_single_prompt_is_compared_with_itself(tmp_path):
    prompts = Prompts.load(*write(tmp_path, "0,defect-free,clean\n1,hole,pit\n"))
    table = prompts.plain().check(Words())
    assert table["nearest class"].tolist() == ["defect-free", "hole"]
    assert table["cosine"].tolist() == pytest.approx([1, 1])


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("", "each class needs one label"),
        ("0,defect-free,clean\n1,hole,\n", "column 'state': '' does not match"),
        ("0,defect-free,clean\none,hole,pit\n", "column 'label': 'one' does not match"),
        ("0,defect-free,clean\n1,hole,pit\n1,void,pit\n", "each class needs one label"),
        ("0,defect-free,clean\n1,hole,pit\n2,hole,pit\n", "each class needs one label"),
        ("0,bridge,bridge\n1,hole,pit\n", "called defect-free or no visible defect; got"),
        ("0,defect-free,clean\n", "one of several"),
        ("0,defect-free,clean\n1,no visible defect,nothing\n", "one of several"),
    ],
)
def test_bad_prompts(tmp_path, rows, message):
    with pytest.raises(ValueError, match=message) as raised:
        Prompts.load(*write(tmp_path, rows))
    assert "prompts.csv" in str(raised.value)


def test_bad_files(tmp_path):
    good = "0,defect-free,clean\n1,hole,pit\n"
    with pytest.raises(ValueError, match="templates.csv: column 'template': 'a SEM image'"):
        Prompts.load(*write(tmp_path, good, "a SEM image\n"))
    with pytest.raises(ValueError, match="templates.csv: no column 'label' in"):
        Prompts.load(HERE / "templates.csv")
    with pytest.raises(FileNotFoundError, match="nowhere.csv"):
        Prompts.load(tmp_path / "nowhere.csv")


def test_the_command_lists_words_that_the_model_never_met(tmp_path, capsys):
    file = tmp_path / "own.csv"
    file.write_text("label,class,state\n0,defect-free,intact lines\n1,crater,crater in a line\n")
    main(file)
    assert "words the model never met:" in capsys.readouterr().out.splitlines()[-1]
