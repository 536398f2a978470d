"""README and docs: short, no number by hand, no dead link; what `make gallery` writes."""

import json
import re
import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from semlib import paths, saving
from semlib.paths import ROOT

sys.path.insert(0, str(ROOT / "docs"))
import fill  # noqa: E402
import pictures  # noqa: E402

README = ROOT / "README.md"
PAGES = [README, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
# A share or a score, or a number with the unit of something measured
UNIT = r"(?:%|(?:dB|GB|MB|s|min|minutes|hours|h)\b)"
MEASURED = re.compile(rf"(?<![\w./-])(?:[+-]?0?\.\d+|\d+(?:\.\d+)? ?{UNIT})")


def by_hand(text):
    """Numbers outside blocks, links and code that look as if they had been measured."""
    text = fill.BLOCK.sub("", text)
    text = re.sub(r"\]\([^)]*\)|`[^`\n]*`", "", text)
    return MEASURED.findall(text)


@pytest.mark.parametrize("page", ["README.md", "docs/results.md", "docs/simulated.md"])
def test_no_number_is_written_by_hand(page):
    assert by_hand((ROOT / page).read_text(encoding="utf-8")) == []


def test_a_number_by_hand_is_noticed():
    text = "NMI 0.43 and .5 after 18.5 min at 30 dB, 87 % [doi](10.1/0.55) `-p x 0.3` Python 3.11"
    assert by_hand(text) == ["0.43", ".5", "18.5 min", "30 dB", "87 %"]
    assert by_hand("<!-- table1 -->\n0.43\n<!-- /table1 -->\n") == []


def test_the_readme_is_short():
    text = README.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 130
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert not any(re.search(r"\[\^|\*\)|[¹²³†]", row) for row in rows), "no footnotes in tables"
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text("utf-8"), re.M))
    assert set(re.findall(r"\bmake ([a-z-]+)", text)) <= targets


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    text = page.read_text(encoding="utf-8")
    folder = ROOT if page.name == "CONTRIBUTING.md" else page.parent
    links = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", text)
    assert [link for link in links if not (folder / link).exists()] == []
    named = re.findall(r"`((?:semlib|tests|training|benchmarks|docs|notebooks)/[\w./-]+)`", text)
    made = ("_build", "docs/bench-gpu.")  # by commands, and not in git
    assert [x for x in named if not any(m in x for m in made) and not (ROOT / x).exists()] == []


@pytest.mark.parametrize("page", fill.pages(), ids=lambda page: page.name)
def test_blocks_are_whole_and_filled(page):
    text = page.read_text(encoding="utf-8")
    blocks = [*fill.BLOCK.finditer(text)]
    assert [block["name"] for block in blocks] == re.findall(r"<!-- /(\w+) -->", text)
    assert all(block["body"].strip() for block in blocks)


@pytest.fixture
def run():
    """A finished run of the standard profile with two small tables."""
    folder = paths.of("synthetic").figures
    scores = pd.DataFrame({"method": ["A | b", "B"], "score": [0.125, np.nan], "k": [2, 20]})
    saving.save_table(scores, "synthetic", "scores", "Scores.")
    saving.save_table(scores, "synthetic", "semclip_segmentation", "Few shots.")
    book = {"profile": "standard", "parameters": {"n_images": 40, "size": 64}}
    first = book | {"started": "2026-01-02T03:00:00+00:00", "seconds": 90.0}
    second = book | {"started": "2026-01-02T03:01:00+00:00", "seconds": 60.0}
    record = {"profile": "standard", "seed": 7, "started": first["started"], "cpu_count": 2}
    record |= {
        "git": "abcdef0123",
        "git_changed": False,
        "semlib": "1.2.3",
        "cpu": "Z80",
        "memory": 2**36,
    }
    record["notebooks"] = {"02_preprocess": second, "01_download": first}
    paths.write_text(folder / "run.json", json.dumps(record))
    return fill.Run()


def test_blocks_get_rows_and_columns_and_a_second_time_the_same(run, capsys):
    page = "# A\n\n<!-- scores | k == '2' | score, method -->\nold\n<!-- /scores -->\n"
    page += (
        "<!-- lost -->\nkept\n<!-- /lost -->\n<!-- scores | kk == '1' | k -->\n<!-- /scores -->\n"
    )
    page += "<!-- scores | k == '3' | k -->\n<!-- /scores -->\nend\n"
    once = fill.fill(page, run.shown)
    assert once == fill.fill(once, run.shown)
    lines = [" ".join(line.split()) for line in once.splitlines()]
    assert lines[3:5] == ["| score | method |", "|:--------|:---------|"]
    assert lines[5] == r"| 0.125 | A \| b |" and lines[6:8] == ["", lines[7]]
    assert "Scores. Data: synthetic images" in lines[7]
    assert "old" not in once and "kept" in once and once.endswith("end\n")
    said = capsys.readouterr().err.splitlines()[:3]
    assert [line.split()[1] for line in said] == ["lost", "scores", "scores"]


def test_rows_of_the_shots_that_sentences_are_about(run):
    assert run.near("semclip_segmentation", "k", fill.SHOTS) == 2
    text = run.shown("semclip_segmentation", "k == @shots", "method")
    assert "A" in text and "| B" not in text


def test_times_of_runs_are_remembered(run, tmp_path, monkeypatch):
    monkeypatch.setattr(fill, "RUNS", tmp_path / "runs.csv")
    row = run.costs()
    assert row["seconds"] == 120 and row["01"] == 90, "notebooks side by side: from first to last"
    fill.remember([row | {"what": "quick", "seconds": 59.0}])
    fill.remember([row | {"what": "paper", "seconds": 7200.0}])
    kept = fill.remember([row])
    assert [*kept.index] == ["quick", "standard", "paper"]
    once = fill.RUNS.read_text()
    fill.remember([row])
    assert fill.RUNS.read_text() == once
    text = fill.times(kept)
    assert re.search(r"`make reproduce` .*\| 2\.0 min", text) and "| 2.0 h" in text
    assert "2 cores, Z80" in text and "| not measured" in text
    assert "1.5 min" in fill.costs(kept) and "abcdef0" in fill.costs(kept)


def test_a_test_suite_counts_if_nothing_failed(run, tmp_path, monkeypatch):
    monkeypatch.setattr(fill, "DOCS", tmp_path)
    report = '<testsuites><testsuite errors="0" failures="{}" time="60.5" timestamp="2026-01-02T"/>'
    for name, failures in {"test": 0, "test-fast": 1}.items():
        text = report.format(failures) + "</testsuites>"
        paths.write_text(tmp_path / "_build" / f"{name}.xml", text)
    (row,) = fill.suites(run)
    assert row["what"] == "test" and row["seconds"] == 60.5 and row["date"] == "2026-01-02"


def test_the_paper_run_is_quoted(tmp_path, monkeypatch):
    monkeypatch.setattr(fill, "DOCS", tmp_path)
    with pytest.raises(FileNotFoundError):
        fill.paper_run()
    text = "# Page\n<!-- summary -->\nIt took so long.\n<!-- /summary -->\n"
    paths.write_text(tmp_path / "paper-run.md", text)
    assert fill.paper_run().startswith("It took so long.\n")


def test_sentences_say_what_the_run_says(run):
    assert "abcdef0, 2026-01-02, seed 7: 40 **synthetic** images of 64 x 64" in fill.origin(run)
    assert "[1/2] 01_download  done in 90.0 s\n[2/2] 02" in fill.prints(run)
    space = {"space": "as it is", "method": ["noise, 1-D", "Proposed SSL"]}
    shots = {"k": 10, "method": ["SEM-CLIP", "SEM-CLIP, zero-shot", "1-NN (x)", "random forest"]}
    ours = {"k": 10, "method": ["SEM-CLIP", "SEM-CLIP + pixels (ours)", "random forest"]}
    dose = {"dose": 12, "restorer": ["noisy", "U-Net MSE", "SEMNR"], "psnr": [15.0, 30, 29]}
    tables = {
        "table1_controls": space | {"silhouette": [0.551, 0.44]},
        "table1": {"method": ["Proposed SSL"], "paper_silhouette": [0.5016]},
        "semclip_classification": shots | {"accuracy": [0.7, 0.6, 0.375, 0.5]},
        "semclip_segmentation": ours | {"F1-max": [0.4, 0.5, 0.45]},
        "semnr_dose": dose | {"recall": [0.2, 0.3, 0.4]},
        "semnr_conflicts": {"kind": ["article", "article", "ours"], "sensitivity": [0.1, 0, 1]},
    }
    for name, columns in tables.items():
        pd.DataFrame(columns).to_csv(run.folder / f"{name}.csv", index=False)
    text = fill.findings(run)
    assert "of 0.55. The paper's recipe has 0.44 here and 0.50 in the paper" in text
    assert "names 70 % of" in text and "alone 60 %" in text and "random forest, 50 %" in text
    assert "F1-max of 0.40, 0.50 with" in text and "random forest, 0.45" in text
    assert "At 12 electrons a pixel a detector finds 40 %" in text
    assert "notice 0 % to 10 %" in text and len(text.splitlines()) == 4


def test_the_gallery_keeps_rare_colours(tmp_path, monkeypatch):
    monkeypatch.setattr(pictures, "GALLERY", tmp_path)
    pixels = np.full((300, 300, 3), 255, np.uint8)
    pixels[:, 150:] = np.arange(300)[:, None, None] % 256  # many greys
    marks = {(20, 20): (204, 121, 167), (20, 60): (140, 81, 10), (20, 100): (106, 61, 154)}
    for (row, column), colour in marks.items():
        pixels[row : row + 6, column : column + 6] = colour
    (tmp_path / "run").mkdir()
    Image.fromarray(pixels).save(tmp_path / "run" / "marks.png")
    pictures.copy(tmp_path / "run", names=["marks"], width=300)
    small = np.asarray(Image.open(tmp_path / "marks.png").convert("RGB")).astype(int)
    for (row, column), colour in marks.items():
        assert np.abs(small[row + 3, column + 3] - colour).max() < 16


@pytest.mark.slow
def test_one_picture_of_three_works(tmp_path, monkeypatch):
    from semlib.images import simulator
    from semlib.semclip import store
    from semlib.semclip.model import SemClip

    monkeypatch.setattr(pictures, "GALLERY", tmp_path / "gallery")
    place = paths.of("synthetic")
    for folder in (place.data, place.figures):
        folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    rows = {"image_id": range(12), "path": "", "label": [1, 2, 3, 4, 5, 6] * 2, "mask_path": ""}
    pd.DataFrame(rows).to_csv(place.manifest, index=False)
    np.save(place.level(0), rng.integers(0, 255, (12, 64, 64), np.uint8))
    points = pd.DataFrame(rng.normal(size=(12, 2))).add_prefix("Proposed SSL UMAP ")
    points.columns = ["Proposed SSL UMAP 1", "Proposed SSL UMAP 2"]
    points.to_csv(place.figures / "embedding_2d.csv", index=False)
    dose = pd.DataFrame({"dose": [3, 400] * 3, "restorer": np.repeat([*pictures.CURVES], 2)})
    for name in ("recall", "recall_lo", "recall_hi"):
        dose[name] = rng.random(6)
    dose.to_csv(place.figures / "semnr_dose.csv", index=False)
    books = {"07_few": {"parameters": {"seed": 0, "shots": [1, 2]}}}
    books |= {"08_test": {"parameters": {"seed": 0, "size": 96}}}
    paths.write_text(place.run_json, json.dumps({"notebooks": books}))
    shots = simulator.sample(7, seed=1, preset="semclip", size=240, labels=range(7))
    model = SemClip(steps=1).fit(shots.images, shots.labels, shots.masks)
    store.save(model, place.data / "semclip" / "model")
    pictures.overview()
    drawn = np.asarray(Image.open(tmp_path / "gallery" / "overview.png").convert("L"))
    assert drawn.shape == (700, 1600)
    thirds = [drawn[150:600, left : left + 500] for left in (20, 550, 1090)]
    assert all(part.std() > 20 for part in thirds), "each work has something to show"
