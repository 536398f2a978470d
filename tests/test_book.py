"""The site: links between papers, notebooks and code hold; pages load, show and search."""

import csv
import importlib
import json
import pkgutil
import re
import shutil
import subprocess
import sys

import pytest

import semlib
from semlib import paths
from semlib.paths import ROOT
from semlib.reproduce.notebook import numbered
from tests.browser import Browser

DOCS = ROOT / "docs"
with open(DOCS / "papers.csv", encoding="utf-8", newline="") as file:
    ROWS = list(csv.DictReader(file))
NOTEBOOKS = {book.name for book in numbered()}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["code"].removeprefix("semlib."))
def test_a_row_names_a_notebook_and_documented_code(row):
    module, name = row["code"].rsplit(".", 1)
    code = getattr(importlib.import_module(module), name)
    assert code.__doc__ and code.__module__ == module, "named where it is defined: its page"
    assert row["notebook"] in NOTEBOOKS and all(row.values())


def test_each_notebook_and_each_work_has_rows():
    assert {row["notebook"] for row in ROWS} == NOTEBOOKS
    assert {row["work"] for row in ROWS} == {"Sci Rep 2026", "SEM-CLIP", "SEMNR"}


def test_each_module_has_a_page():
    listed = re.findall(r"^   (semlib[\w.]*)$", (DOCS / "api.md").read_text(encoding="utf-8"), re.M)
    modules = {module.name for module in pkgutil.iter_modules(semlib.__path__, "semlib.")}
    assert sorted([*listed, "semlib.__main__"]) == sorted(modules), "autosummary adds the rest"


def test_pictures_of_the_guides_are_small():
    pictures = list((DOCS / "images").glob("*"))
    text = (DOCS / "own-data.md").read_text(encoding="utf-8")
    assert pictures and all(path.stat().st_size <= 100_000 for path in pictures)
    assert all(f"images/{path.name}" in text for path in pictures)


def test_changelog_contributing_and_templates_are_in_form():
    import yaml

    assert "## Unreleased" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for what in ("data set", "feature", "metric", "denoiser", "few-shot competitor"):
        assert f"### A {what}" in text
    for path in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"):
        form = yaml.safe_load(path.read_text(encoding="utf-8"))
        ids = [part["id"] for part in form["body"]]
        assert {"name", "description", "body"} <= set(form) and len(set(ids)) == len(ids)
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    (repo,) = hooks["repos"]
    assert repo["repo"] == "local"
    assert {hook["id"] for hook in repo["hooks"]} >= {"ruff-check", "notebook-outputs"}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site with two modules and one executed notebook."""
    root = tmp_path_factory.mktemp("site")
    made = shutil.ignore_patterns("_build", "api", "notebooks")
    shutil.copytree(DOCS, root / "docs", ignore=made)
    shutil.copytree(ROOT / "figures" / "gallery", root / "figures" / "gallery")
    for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md"):
        shutil.copy(ROOT / name, root)
    head, _, _ = (DOCS / "api.md").read_text(encoding="utf-8").partition("   semlib.images")
    few = "   semlib.morphology.loss\n   semlib.reproduce.diff\n```\n"
    (root / "docs" / "api.md").write_text(head + few, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEMLIB_FIGURES", str(root / "figures"))
        place = paths.of("synthetic")
        _execute(place)
        folders = ["-d", root / "doctrees", root / "docs", root / "html"]
        command = [sys.executable, "-m", "sphinx", "-q", *folders]
        done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return root / "html", done.stderr


def _execute(place):
    """Put notebook 03 with a printed result, and the record of its run, where a run leaves them."""
    book = next(book for book in numbered() if book.name == "03_pyramid")
    content = json.loads(book.path.read_text(encoding="utf-8"))
    code = next(cell for cell in content["cells"] if cell["cell_type"] == "code")
    printed = {"output_type": "stream", "name": "stdout", "text": ["a result of this run\n"]}
    code["outputs"] = [printed]
    code["execution_count"] = 1
    place.notebooks.mkdir(parents=True)
    (place.notebooks / book.path.name).write_text(json.dumps(content), encoding="utf-8")
    record = {"profile": "quick", "seed": 7, "started": "2026-01-02T03:04:05+00:00"}
    place.run_json.write_text(json.dumps({"notebooks": {book.name: record}}), encoding="utf-8")
    (place.figures / "report.html").write_text("<title>Report</title>", encoding="utf-8")


@pytest.mark.slow
def test_pages_say_whether_they_were_executed_and_link_to_papers_and_code(site):
    html, said = site
    assert "WARNING" not in said and "ERROR" not in said, said
    executed = (html / "notebooks" / "03_pyramid.html").read_text(encoding="utf-8")
    stored = (html / "notebooks" / "04_ssl_training.html").read_text(encoding="utf-8")
    assert "a result of this run" in executed and "profile quick, seed 7, 2026-01-02" in executed
    assert "without results" in stored and "without results" not in executed
    assert "../api/semlib.morphology.loss.html#semlib.morphology.loss.cross_scale_loss" in stored
    assert "<math" in stored and "\\frac" not in stored, "formulas need no script"
    code = (html / "api" / "semlib.morphology.loss.html").read_text(encoding="utf-8")
    assert "../notebooks/04_ssl_training.html" in code
    assert "Cross-Scale Consistency Objective" in code
    index = (html / "index.html").read_text("utf-8")
    assert (html / "report.html").exists() and 'href="report.html"' in index
    assert "_images/overview.png" in index and 'href="own-data.html"' in index, "the README"
    assert "CITATION.cff" not in index, "what only a repository has is left out"
    commands = (html / "commands.html").read_text("utf-8")
    assert 'href="notebooks/04_ssl_training.html"' in commands


@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 390])
def test_in_a_browser(site, tmp_path, width):
    html, _ = site
    with Browser(tmp_path / "profile", width=width) as browser:
        notebook, code = "notebooks/04_ssl_training", "api/semlib.morphology.loss"
        for page in ("index", "own-data", "papers", "results", "costs", notebook, code):
            browser.open(html / f"{page}.html")
            assert browser.ask("document.querySelector('h1').innerText.length")
            loaded = "[...document.images].every(i => i.complete && i.naturalWidth > 0)"
            assert browser.ask(loaded), page
            fits = "document.documentElement.scrollWidth <= innerWidth"
            assert browser.ask(fits), f"{page} is wider than the screen"
        browser.do("Page.navigate", url=f"file://{html}/search.html?q=silhouette")
        results = "[...document.querySelectorAll('#search-results li a')].map(a => a.href)"
        browser.ask(f"{results}.some(address => address.includes('05_baselines.html'))")
        assert browser.said == [], "no error, no warning, nothing asked of a network"
