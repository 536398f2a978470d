"""The report of a run, from a folder with one notebook that ran and one that did not."""

import csv
import fnmatch
import json
import re

import nbformat
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from semlib import paths, saving, summary
from semlib.driver import notebook as nb

FIRST = """saving.save_table(t, dataset, "scores", caption)
saving.save_figure(figure, dataset, "bars")"""


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Figures, tables and record as notebook 01 leaves them."""
    monkeypatch.setattr(paths, "NOTEBOOKS", tmp_path / "notebooks")
    paths.NOTEBOOKS.mkdir()
    for name, code, outputs in (
        ("01_first", FIRST, ["figures/page_*.png"]),
        ("02_second", "1 + 1", []),
    ):
        cells = [
            nbformat.v4.new_markdown_cell(
                f"# {name[:2]} · Title\n\n**Question.** Does it\nwork?\n\nMore."
            )
        ]
        cells.append(nbformat.v4.new_code_cell(code))
        book = nbformat.v4.new_notebook(cells=cells, metadata={"semlib": {"outputs": outputs}})
        nbformat.write(book, paths.NOTEBOOKS / f"{name}.ipynb")
    place = paths.of("synthetic")
    table = pd.DataFrame(
        {"method": ["a|b", "c"], "nmi": [0.2, 0.5], "nmi_lo": [0.1, 0.4], "nmi_hi": [0.3, 0.6]}
    )
    table["paper_nmi"] = [0.25, 0.7]
    saving.save_table(table[["method", "nmi"]], "synthetic", "scores", "Scores of all.", csv=table)
    noise = np.random.default_rng(0).integers(0, 255, (80, 2000), dtype=np.uint8)
    text = PngInfo()
    text.add_text("Source", "somewhere else")
    Image.fromarray(noise).save(place.figures / "bars.png")
    Image.fromarray(noise).save(place.figures / "page_7.png", pnginfo=text)
    pd.DataFrame({"x": range(3)}).to_csv(place.figures / "loose.csv", index=False)
    entry = {"started": "2026-01-02T03:04:05+00:00", "seconds": 12.3, "profile": "quick", "seed": 5}
    record = {"dataset": "synthetic", "python": "3.11", "packages": {"numpy": "2.0"}}
    record["notebooks"] = {"01_first": entry | {"parameters": {"epochs": 3}}}
    place.run_json.write_text(json.dumps(record))
    return place


def test_every_table_and_figure_has_its_place_and_caption(run):
    summary.write("synthetic")
    text = (run.figures / "report.md").read_text()
    first, second, rest = (
        text.split(f"## {name}")[1].split("\n## ")[0] for name in ("01 ·", "02 ·", "Other files")
    )
    assert (
        first.index("| a\\|b | 0.200 |")
        < first.index("![bars](bars.png)")
        < first.index("![page_7](page_7.png)")
    )
    assert "Scores of all. Data: synthetic images (semlib simulator, not Carinthia)." in first
    assert "**Figure `page_7`.** Data: somewhere else." in first
    assert "Does it work?" in first and "`epochs` 3" in first and "12 s" in first
    assert "**Not run**" in second and "`loose.csv`: 3 rows of x." in rest
    assert (
        "| 01_first | 2026-01-02 03:04:05 | 12.3 | quick | 5 |" in text
        and "| 02_second | **not run** |" in text
    )
    assert "**Data: synthetic images" in text and "| numpy | 2.0 |" in text


def test_paper_stands_beside_ours(run):
    summary.write("synthetic")
    text = (run.figures / "report.md").read_text()
    assert "| scores | a\\|b | nmi | 0.200 | [0.100, 0.300] | 0.250 | yes |" in text
    assert "| scores | c | nmi | 0.500 | [0.400, 0.600] | 0.700 | no |" in text


def test_page_needs_no_other_file_and_fits_a_phone(run):
    page = summary.write("synthetic").read_text()
    assert page.count('<img src="data:image/webp;base64,') == 2 and "http" not in page
    assert not re.search(r'(src|href)="(?!data:|#)', page), "no address outside the page"
    assert "<td>a|b</td>" in page and 'name="viewport"' in page and "max-width: 100%" in page
    assert set(re.findall(r'href="#(.*?)"', page)) == set(re.findall(r'<h2 id="(.*?)"', page))


def test_written_again_only_if_something_changed(run):
    assert summary.write("synthetic") == run.figures / "report.html"
    assert summary.write("synthetic") is None
    (run.figures / "loose.csv").write_text("x,y\n1,2\n")
    assert (
        summary.write("synthetic") is not None and "x, y" in (run.figures / "report.md").read_text()
    )
    (run.figures / "bars.png").unlink()
    assert summary.write("synthetic") is not None
    (run.figures / "report.html").unlink()
    assert summary.write("synthetic") is not None and summary.write("synthetic") is None


def test_long_table_is_cut_and_says_so(run):
    saving.save_table(pd.DataFrame({"i": range(100)}), "synthetic", "scores", "Long.")
    summary.write("synthetic")
    text = (run.figures / "report.md").read_text()
    assert (
        "The first 40 of 100 rows; all in `scores.csv`." in text
        and "| 39 |" in text
        and "| 40 |" not in text
    )


def test_a_folder_without_any_run_gets_a_report(run):
    for path in run.figures.iterdir():
        path.unlink()
    summary.write("synthetic")
    assert (run.figures / "report.md").read_text().count("**not run**") == 2


def test_each_figure_of_the_suite_has_a_caption():
    with open(summary._CAPTIONS, encoding="utf-8", newline="") as file:
        captions = {row["name"]: row["caption"] for row in csv.DictReader(file)}
    assert all(text.endswith((".", "?")) for text in captions.values())
    for book in nb.numbered():
        names = set(re.findall(r'save_figure\(.*?dataset, "(\w+)"', book.code))
        missing = {
            name
            for name in names
            if not any(fnmatch.fnmatch(name, pattern) for pattern in captions)
        }
        assert not missing, f"{book.name}: add a line to semlib/captions.csv for {missing}"
