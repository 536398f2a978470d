"""The report of a run, from a folder with one notebook that ran and one that did not."""

import base64
import io
import json
import os
import re
import shutil

import nbformat.v4 as v4
import numpy as np
import pandas as pd
import pytest
from nbformat import write
from PIL import Image

from semlib import paths, saving
from semlib.images import datasets, folder
from semlib.reproduce import report
from tests.images.own_files import bar, scan


def png():
    noise = np.random.default_rng(0).integers(0, 255, (80, 2000), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


@pytest.fixture
def page(tmp_path, monkeypatch):
    """Files as notebook 01 leaves them; a function that writes the report and reads it."""
    monkeypatch.setattr(paths, "NOTEBOOKS", tmp_path / "notebooks")
    place = paths.of("synthetic")
    place.notebooks.mkdir(parents=True)
    paths.NOTEBOOKS.mkdir()
    table = v4.new_output("display_data", {"text/html": "<table><td>0.2</td></table>"})
    picture = v4.new_output("display_data", {"image/png": png(), "text/plain": "<Figure>"})
    slider = {"application/vnd.jupyter.widget-view+json": {}, "text/plain": "IntSlider"}
    outputs = [table, picture, v4.new_output("display_data", slider)]
    outputs.append(v4.new_output("stream", name="stderr", text="a bar"))
    cells = [
        v4.new_markdown_cell("# 01 · Title\n\nWhy $\\frac{a}{b}$, see [02](02_second.ipynb)?"),
        v4.new_code_cell("secret = 1", outputs=outputs, id="01-table"),
        v4.new_code_cell("1", outputs=[v4.new_output("stream", text="hint")], id="01-exercise-1"),
    ]
    write(v4.new_notebook(cells=cells), paths.NOTEBOOKS / "01_first.ipynb")
    write(v4.new_notebook(cells=cells), place.notebooks / "01_first.ipynb")
    other = v4.new_notebook(cells=[v4.new_markdown_cell("# 02 · Other")])
    write(other, paths.NOTEBOOKS / "02_second.ipynb")
    scores = pd.DataFrame({"method": ["a", "c"], "nmi": [0.2, 0.5], "paper_nmi": [0.25, 0.7]})
    scores = scores.assign(nmi_lo=[0.1, 0.4], nmi_hi=[0.3, 0.6], psnr=[20, 21])
    scores["paper_psnr"] = [21, None]
    saving.save_table(scores, "synthetic", "scores", "Scores.")
    entry = {"started": "2026-01-02T03:04:05+00:00", "seconds": 12.3, "profile": "quick", "seed": 5}
    record = {"dataset": "synthetic", "python": "3.11", "packages": {"numpy": "2.0"}}
    record["notebooks"] = {"01_first": entry | {"parameters": {"epochs": 3}}}
    place.run_json.write_text(json.dumps(record))
    return lambda: report.write("synthetic").read_text(encoding="utf-8")


def cells_of(text):
    """The table rows of a page, as texts."""
    rows = re.findall(r"<tr>.*?</tr>", text, re.S)
    return [re.findall(r"<t[dh]>(.*?)</t[dh]>", row) for row in rows]


@pytest.mark.slow
def test_head_says_what_ran_with_what_and_where_the_data_are_from(page):
    text = page()
    assert ["01_first", "2026-01-02T03:04:05+00:00", "12.3", "quick", "5"] in cells_of(text)
    assert ["02_second", "not run", "–", "–", "–"] in cells_of(text)
    assert ["numpy", "2.0"] in cells_of(text)
    assert "Data: synthetic images (semlib simulator" in text and "epochs = 3" in text


def test_paper_stands_beside_ours(page):
    rows = cells_of(page())
    assert ["scores", "a", "nmi", "0.200", "0.100", "0.300", "0.250", "yes"] in rows
    assert ["scores", "c", "nmi", "0.500", "0.400", "0.600", "0.700", "no"] in rows
    assert ["scores", "a", "psnr", "20.000", "–", "–", "21.000", "–"] in rows, "no interval"


def test_sections_have_text_and_outputs_and_no_code(page):
    first, second = (part.split("</section>")[0] for part in page().split('<section id="0')[1:])
    assert "<td>0.2</td>" in first and "<h1>01 · Title</h1>" in first
    assert "Not run" in second and "02 · Other" in second
    for left_out in ("secret", "a bar", "IntSlider", "hint"):
        assert left_out not in first


def test_page_needs_no_other_file_and_fits_a_phone(page):
    text = page()
    assert text.count('<img alt="&lt;Figure&gt;" loading="lazy" src="data:image/webp;base64,') == 1
    assert "<math" in text and "\\frac" not in text and "<script" not in text
    assert not re.search(r'(src|href)="(?!data:|#)', text), "no address outside the page"
    assert 'name="viewport"' in text and "max-width: 100%" in text
    assert set(re.findall(r'href="#(.*?)"', text)) == set(re.findall(r'<section id="(.*?)"', text))


def test_written_again_only_if_a_notebook_has_run(page):
    page()
    assert report.write("synthetic") is None
    os.utime(paths.of("synthetic").run_json, (2**32, 2**32))
    assert report.write("synthetic") is not None


def test_a_run_without_tables_of_the_paper_has_no_section_for_them(page):
    (paths.of("synthetic").figures / "scores.csv").unlink()
    assert "Paper and ours" not in page()


def test_a_page_on_own_images_says_how_they_were_read(page, tmp_path):
    """Eight bits beside sixteen, one with a data bar, one mask, one file that is none."""
    lot = tmp_path / "lot"
    (lot / "masks").mkdir(parents=True)
    Image.fromarray(np.concatenate([scan(1), bar("framed", 40)])).save(lot / "a.png")
    Image.fromarray(scan(2).astype(np.uint16) * 9).save(lot / "b.png")
    Image.fromarray(np.uint8(scan(2) > 120)).save(lot / "masks" / "b.png")
    (lot / "notes.doc").touch()
    datasets.manifest(lot)
    place = paths.of(lot)
    shutil.copytree(paths.of("synthetic").figures, place.figures)
    text = report.write(lot).read_text(encoding="utf-8")
    said = f"Read: {folder.listing(lot).line()}; grey range quantiles, "
    said += "a data bar cut off 1 of 2 images."
    assert "2 images, 0 labels, 1 masks" in said and "notes.doc" in said
    assert said in text
    assert "Read: " not in page()
