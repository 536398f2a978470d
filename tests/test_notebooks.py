"""The notebooks: how they are written, and one run of all with the quick profile."""

import ast
import contextlib
import csv
import fnmatch
import io
import json
import re
import runpy
import shutil
import statistics

import nbformat
import papermill
import pytest

from semlib import paths
from semlib.reproduce import notebook as nb
from semlib.reproduce.run import reproduce

FILES = sorted(paths.NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))
BY_NAME = pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
REAL = paths.ROOT.parent / "shared" / "real-sem" / "carinthia"
CLUSTERING = ["01", "02", "03", "04", "05", "06"]
MOST_CELLS = 20  # of code, beside those for Colab and the answers to exercises
MOST_LINES = 25  # of a code cell
MEDIAN_LINES = 8  # of a notebook's code cells; 6 is the aim
MOST_WORDS = 60  # of a paragraph; 40 is the aim
PARAMETER = re.compile(r"\w+: [^=#]+ = .+  # \S")


def cells(file, kind=None):
    content = json.loads(file.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in content if kind in (None, cell["cell_type"])]


def source(cell):
    return "".join(cell["source"])


def argument(file):
    """Code cells without those for Colab and the answers to exercises."""
    return [c for c in cells(file, "code") if not re.search(r"-(colab|exercise-\d)$", c["id"])]


def lines(cell):
    return [line for line in source(cell).splitlines() if line.strip()]


@BY_NAME
def test_is_stored_without_outputs_for_the_python3_kernel(file):
    content = json.loads(file.read_text(encoding="utf-8"))
    assert content["nbformat"] == 4 and content["nbformat_minor"] >= 5
    assert content["metadata"]["kernelspec"]["name"] == "python3"
    assert "papermill" not in content["metadata"]
    for cell in cells(file, "code"):
        assert cell["outputs"] == [] and cell["execution_count"] is None, cell["id"]
    written = nbformat.writes(nbformat.from_dict(content))
    assert written.rstrip() == file.read_text(encoding="utf-8").rstrip(), "as nbformat writes it"


@BY_NAME
def test_colab_runs_the_same_cell_and_fetches_the_repository_that_citation_names(file):
    citation = (paths.ROOT / "CITATION.cff").read_text(encoding="utf-8")
    (name,) = re.findall(r"^repository-code: https://github.com/(\S+)$", citation, re.M)
    address = f"colab.research.google.com/github/{name}/blob/main/notebooks/{file.name})"
    assert address in source(cells(file)[0]), "make colab REPO=owner/name"
    first = source(cells(file, "code")[0])
    assert 'if "google.colab" in sys.modules' in first and f"github.com/{name} /content" in first
    assert first == source(cells(FILES[0], "code")[0])


@BY_NAME
def test_opens_with_a_title_and_its_question_and_has_readable_cell_ids(file):
    first = cells(file)[0]
    assert first["cell_type"] == "markdown"
    assert source(first).startswith("# ") and "?" in source(first)
    ids = [cell["id"] for cell in cells(file)]
    assert len(set(ids)) == len(ids)
    assert [i for i in ids if not re.fullmatch(file.stem[:2] + r"(-[a-z0-9]+)+", i)] == []


@BY_NAME
def test_parameters_are_annotated_and_explained(file):
    tagged = [cell for cell in cells(file) if "parameters" in cell["metadata"].get("tags", [])]
    assert len(tagged) == 1
    written = [line for line in lines(tagged[0]) if not line.startswith("#")]
    assert [line for line in written if not PARAMETER.match(line)] == []
    declared = nb.Notebook(file).parameters
    assert len(declared) == len(written)
    assert {"dataset", "seed"} <= set(declared)
    for parameter in declared.values():
        assert parameter.convert(parameter.default, file.stem) == parameter.default
    assert all(line["help"] for line in papermill.inspect_notebook(str(file)).values())


@BY_NAME
def test_cells_are_few_and_short(file):
    code = argument(file)
    assert len(code) <= MOST_CELLS
    assert {cell["id"]: len(lines(cell)) for cell in code if len(lines(cell)) > MOST_LINES} == {}
    assert statistics.median(len(lines(cell)) for cell in code) <= MEDIAN_LINES
    assert not re.search(r"tqdm\.(auto|notebook)", nb.Notebook(file).code), "plain bars"
    for cell in code:
        python = re.sub(r"^\s*[%!].*$", "", source(cell), flags=re.MULTILINE)
        for node in ast.walk(ast.parse(python)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert node.end_lineno - node.body[0].lineno + 1 <= 8, f"{cell['id']}: {node.name}"


@BY_NAME
def test_paragraphs_are_short(file):
    """An item of a list counts as a paragraph; headings, tables and formulas do not count."""
    long = {}
    for cell in cells(file, "markdown"):
        text = re.sub(r"\$\$.*?\$\$", "", source(cell), flags=re.DOTALL)
        for paragraph in re.split(r"\n\s*\n|\n(?=\s*(?:[-*]|\d+\.) )", text):
            count = len(paragraph.split())
            if count > MOST_WORDS and not paragraph.lstrip().startswith(("#", "|", "```", "<")):
                long[f"{cell['id']}: {paragraph[:40]}"] = count
    assert long == {}


@BY_NAME
def test_checks_what_it_made(file):
    all_cells = cells(file)
    headings = [cell for cell in cells(file, "markdown") if "**Checks**" in source(cell)]
    assert len(headings) == 1
    checks = all_cells[all_cells.index(headings[0]) + 1]
    assert checks["cell_type"] == "code"
    assert any(isinstance(node, ast.Assert) for node in ast.walk(ast.parse(source(checks))))


@BY_NAME
def test_ends_with_three_to_five_exercises_without_answers(file):
    number = file.stem[:2]
    after = [cell["id"] for cell in cells(file)]
    after = after[after.index(f"{number}-exercises") + 1 :]
    answers = [cell for cell in cells(file, "code") if cell["id"] in after]
    assert 3 <= len(answers) <= 5
    for i, cell in enumerate(answers, 1):
        assert cell["id"] == f"{number}-exercise-{i}" and f"{cell['id']}-text" in after
        first, call = source(cell).splitlines()
        assert first.startswith("answer = None  # ")
        assert f'teaching.check("{number}.{i}", answer, dataset' in call


@BY_NAME
def test_says_what_is_missing(file):
    first = next(source(cell) for cell in cells(file, "code") if "-imports" in cell["id"])
    needed = [name for name in nb.Notebook(file).inputs if not name.startswith("source/")]
    assert (f'teaching.ready("{file.stem[:2]}", dataset' in first) == bool(needed)


def test_every_input_is_an_output_of_an_earlier_notebook():
    made = []
    for notebook in map(nb.Notebook, FILES):
        assert notebook.outputs, notebook.name
        for pattern in notebook.inputs:
            fits = any(fnmatch.fnmatch(output, pattern) for output in made)
            assert fits or pattern.startswith("source/"), f"{notebook.name}: who makes {pattern}?"
        made += notebook.outputs


@pytest.mark.parametrize("profile", [file.stem for file in paths.PROFILES.glob("*.yaml")])
def test_profile_fits_the_notebooks(profile):
    suite = nb.numbered()
    values = nb.assign(suite, suite, dataset="synthetic", profile=profile, seed=0, parameters={})
    assert list(values) == [file.stem for file in FILES]


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    """The suite run twice with the quick profile: both results, what was said, its figures."""
    folder = tmp_path_factory.mktemp("quick")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEMLIB_DATA", str(folder / "data"))
        patch.setenv("SEMLIB_FIGURES", str(folder / "figures"))
        with contextlib.redirect_stderr(io.StringIO()) as said:
            first = reproduce("synthetic", "quick")
            second = reproduce("synthetic", "quick")
        yield first, second, said.getvalue(), paths.of("synthetic").figures


@pytest.mark.slow
def test_quick_run_executes_every_notebook_and_a_second_run_none(quick):
    first, second, said, figures = quick
    names = [file.stem for file in FILES]
    assert list(first) == names and second == {name: [] for name in names}
    copies = sorted((figures / "notebooks").iterdir())
    assert [copy.stem for copy in copies] == names
    for copy in copies:
        counts = [cell["execution_count"] for cell in cells(copy, "code") if source(cell).strip()]
        assert all(counts), copy.stem
    assert "made no" not in said
    record = json.loads((figures / "run.json").read_text())
    assert list(record["notebooks"]) == names and len(record["data_sha256"]) == 64
    page = (figures / "report.html").read_text(encoding="utf-8")
    assert len(page) < 15e6 and page.count("<img") > 30 and "<script" not in page


@pytest.mark.slow
def test_quick_run_makes_table_1_and_all_figures_of_the_paper(quick):
    figures = quick[-1]
    numbered = {path.stem.split("_")[0] for path in figures.glob("fig*.png")}
    assert numbered >= {"fig1", "fig2", "fig3", *(f"figS{i}" for i in range(1, 9))}
    table = (figures / "table1.csv").read_text().splitlines()
    scores = "silhouette,silhouette_lo,silhouette_hi,nmi,nmi_lo,nmi_hi,rankme"
    assert table[0] == f"method,{scores},paper_silhouette,paper_nmi"
    assert len(table) == 6 and "synthetic images" in (figures / "table1.md").read_text()


@pytest.mark.slow
@BY_NAME
def test_solutions_are_right(file, quick, capsys, monkeypatch):
    figures = quick[-1].parent
    monkeypatch.setenv("SEMLIB_DATA", str(figures.parent / "data"))
    monkeypatch.setenv("SEMLIB_FIGURES", str(figures))
    runpy.run_path(paths.NOTEBOOKS / "solutions" / f"{file.stem}.py")
    asked = sum(1 for cell in cells(file, "code") if "-exercise-" in cell["id"])
    assert capsys.readouterr().out.count(" is right") == asked


@pytest.mark.slow
@pytest.mark.skipif(not REAL.is_dir(), reason="../shared/real-sem is not here")
def test_three_real_images_pass_as_an_own_folder_without_labels(tmp_path):
    folder = tmp_path / "real images"
    folder.mkdir()
    for image in REAL.glob("*.png"):
        shutil.copy(image, folder)
    few = {"k": "2", "n_seeds": "1", "epochs": "1", "draws": "2"}
    done = reproduce(folder, "quick", only=CLUSTERING, parameters=few)
    assert all(done.values())
    place = paths.of(folder)
    rows = list(csv.DictReader((place.figures / "table1.csv").open()))
    assert [row["nmi"] for row in rows] == [""] * 5
    assert all(-1 <= float(row["silhouette"]) <= 1 for row in rows)
    assert (place.figures / "figS8_tsne_pca.png").is_file()
    names = sorted(path.name for path in folder.iterdir())
    assert names == [f"incubit_gt_{i}.png" for i in range(3)], "nothing is written into it"
