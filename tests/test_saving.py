import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from semlib import paths, saving


@pytest.fixture
def table():
    return pd.DataFrame(
        {"method": ["GLCM & co", "a|b_c"], "NMI": [0.28778, np.nan], "images": [4008, 7]}
    )


def test_table_is_written_three_times(table):
    shown = saving.save_table(table, "synthetic", "table1", "A caption with 50 %.")
    folder = paths.of("synthetic").figures
    assert shown["NMI"].tolist() == ["0.288", "–"] and shown["images"].tolist() == ["4008", "7"]
    pd.testing.assert_frame_equal(pd.read_csv(folder / "table1.csv"), table)
    lines = [" ".join(line.split()) for line in (folder / "table1.md").open()]
    assert lines[0] == "| method | NMI | images |"
    assert lines[3] == r"| a\|b_c | – | 7 |"
    latex = (folder / "table1.tex").read_text()
    assert r"GLCM \& co & 0.288 & 4008 \\" in latex and r"a|b\_c & – & 7 \\" in latex
    assert r"50 \%" in latex and r"\label{tab:table1}" in latex and r"\toprule" in latex
    assert latex.count(r"\begin{tabular}{lll}") == 1


def test_rows_of_one_name_can_be_written(table):
    twice = pd.concat([table, table])
    assert len(saving.save_table(twice, "synthetic", "t", "Caption.")) == 4


def test_markdown_keeps_texts_of_digits():
    text = saving.markdown(pd.DataFrame({"id": ["007"], "score": ["0.50"]}))
    assert text.splitlines()[2] == "| 007  | 0.50    |"


@pytest.mark.parametrize("name", ["table1.md", "table1.tex"])
def test_every_caption_says_synthetic(table, name):
    saving.save_table(table, "synthetic", "table1", "Caption.")
    text = (paths.of("synthetic").figures / name).read_text()
    assert "synthetic images (semlib simulator, not Carinthia)" in text


def test_source_of_real_and_own_images(tmp_path):
    assert saving.source("carinthia") == "Carinthia (Zenodo 10715190, CC BY 4.0)"
    assert saving.source(tmp_path) == f"own images ({tmp_path.name})"


def test_csv_may_hold_more_than_the_reader_sees(table):
    saving.save_table(table[["method"]], "synthetic", "t", "Caption.", csv=table)
    assert list(pd.read_csv(paths.of("synthetic").figures / "t.csv").columns) == list(table.columns)


def draw():
    saving.style()
    figure, axis = plt.subplots()
    axis.plot([0, 1], [1, 0])
    return figure


@pytest.mark.slow
def test_figure_is_stamped_and_repeats_byte_for_byte():
    first = saving.save_figure(draw(), "synthetic", "fig")
    files = [first, first.with_suffix(".svg")]
    before = [file.read_bytes() for file in files]
    saving.save_figure(draw(), "synthetic", "fig")
    assert [file.read_bytes() for file in files] == before
    assert "synthetic images" in files[1].read_text()
    saving.save_figure(draw(), "synthetic", "plain", stamp=False)
    assert "synthetic images" not in (first.parent / "plain.svg").read_text()


def test_interval_texts():
    table = pd.DataFrame(
        {"nmi": [0.1234, np.nan], "nmi_lo": [0.1, np.nan], "nmi_hi": [0.2, np.nan]}
    )
    assert saving.with_interval(table, "nmi") == ["0.123 [0.100, 0.200]", "–"]
