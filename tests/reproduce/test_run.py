"""The driver on two tiny notebooks; most tests run their cells here instead of in a kernel."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest

import semlib
from semlib import paths
from semlib.reproduce import kernel, limits, state
from semlib.reproduce import notebook as nb
from semlib.reproduce import run as module

HEAD = 'dataset: str = "synthetic"  # data set\nseed: int = 0  # seed\n'
STEPS = "n: int = 3  # steps"
FIRST = "(place.data / 'a.txt').write_text(f'{n} {seed}')"
SECOND = (
    "from semlib.images import pyramid\n"
    "(place.figures / 'b.txt').write_text((place.data / 'a.txt').read_text() * times)"
)
PLACE = "from semlib import paths\nplace = paths.of(dataset)\n"


def write_notebook(name, parameters, *code, inputs=(), outputs=()):
    cells = [nbformat.v4.new_code_cell(HEAD + parameters, metadata={"tags": ["parameters"]})]
    cells += [nbformat.v4.new_code_cell(source) for source in code]
    metadata = {
        "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
        "semlib": {"inputs": list(inputs), "outputs": list(outputs)},
    }
    paths.NOTEBOOKS.mkdir(exist_ok=True)
    book = nbformat.v4.new_notebook(cells=cells, metadata=metadata)
    nbformat.write(book, paths.NOTEBOOKS / f"{name}.ipynb")


def write_first(*more, parameters=STEPS, **declared):
    write_notebook("01_first", parameters, PLACE + FIRST, *more, **declared)


@pytest.fixture
def suite(tmp_path, monkeypatch):
    """Two notebooks, 01_first -> data/a.txt -> 02_second -> figures/b.txt, with two profiles."""
    monkeypatch.setattr(paths, "NOTEBOOKS", tmp_path / "notebooks")
    monkeypatch.setattr(paths, "PROFILES", tmp_path / "notebooks" / "profiles")
    write_first(outputs=["data/a.txt"])
    parameters = "times: int = 1  # copies\nrate: float = 0.1  # rate"
    declared = {"inputs": ["data/a.txt"], "outputs": ["figures/b.txt"]}
    write_notebook("02_second", parameters, PLACE + SECOND, **declared)
    paths.PROFILES.mkdir()
    (paths.PROFILES / "standard.yaml").write_text("# the notebooks' own defaults\n")
    (paths.PROFILES / "quick.yaml").write_text("01_first: {n: 1}\n")
    return paths.of("synthetic")


@pytest.fixture
def in_process(monkeypatch):
    """Run the cells of a notebook here, without a kernel; returns the notebooks that ran."""
    ran = []

    def execute(notebook, target, values, label):
        names = {}
        for cell in notebook.cells:
            exec(cell["source"], names)
            names.update(values)
        shutil.copy(notebook.path, target)
        ran.append(notebook.name)

    monkeypatch.setattr(module, "execute", execute)
    return ran


def run(dataset="synthetic", **options):
    return module.reproduce(dataset, **options)


def test_runs_in_order_then_skips_everything(suite, in_process, capsys):
    first = run()
    assert list(first) == in_process == ["01_first", "02_second"]
    assert all(why == ["no finished run on record"] for why in first.values())
    assert (suite.figures / "b.txt").read_text() == "3 0"
    assert run() == {"01_first": [], "02_second": []}
    assert in_process == ["01_first", "02_second"]
    said = capsys.readouterr().err
    assert "[2/2] 02_second  skipped: unchanged" in said and "0 run, 2 skipped" in said


def test_one_at_a_time_runs_in_the_order_of_the_numbers(suite, in_process):
    write_notebook("03_third", "", "1")  # needs nothing: it could run before 02
    run(jobs=1)
    assert in_process == ["01_first", "02_second", "03_third"]


def test_what_is_compiled_for_views_begins_with_the_run_that_draws_some(
    suite, in_process, monkeypatch
):
    begun = []
    monkeypatch.setattr(module.prepare, "begin", lambda: begun.append([*in_process]))
    run()
    assert begun == []
    write_notebook("03_third", "", "from semlib.morphology import layout")
    run(force=True)
    assert begun == [["01_first", "02_second"]]  # before the first notebook of this run


def test_changed_parameter_reruns_it_and_what_reads_its_output(suite, in_process):
    run()
    assert run(parameters={"n": 5}) == {
        "01_first": ["parameters changed: n 3 -> 5"],
        "02_second": ["input changed: data/a.txt"],
    }


def test_output_with_the_same_content_reruns_nothing_behind_it(suite, in_process):
    run()
    assert run(only=["01"], force=True) == {"01_first": ["--force"]}
    os.utime(suite.data / "a.txt", (1, 1))
    assert run()["02_second"] == []


@pytest.mark.slow
def test_edited_cell_and_missing_output_say_so(suite, in_process):
    run()
    (suite.notebooks / "01_first.ipynb").unlink()
    (suite.figures / "b.txt").unlink()
    assert run() == {
        "01_first": ["output missing: figures/notebooks/01_first.ipynb"],
        "02_second": ["output missing: figures/b.txt"],
    }
    write_first("1 + 1", outputs=["data/a.txt"])
    assert run() == {"01_first": ["notebook changed"], "02_second": []}


@pytest.mark.slow
def test_changed_module_reruns_only_the_notebooks_that_import_it(
    suite, in_process, tmp_path, monkeypatch
):
    copy = tmp_path / "semlib"
    unwanted = shutil.ignore_patterns("__pycache__")
    shutil.copytree(Path(semlib.__file__).parent, copy, ignore=unwanted)
    monkeypatch.setattr(state, "_PACKAGE", copy)
    run()
    with open(copy / "images" / "pyramid.py", "a") as file:
        file.write("# edited\n")
    assert run() == {"01_first": [], "02_second": ["semlib changed: images/pyramid.py"]}


def test_modules_follow_imports_inside_functions_and_relative_ones(tmp_path, monkeypatch):
    package = tmp_path / "semlib"
    for name, code in {
        "__init__.py": "",
        "paths.py": "import os",
        "images/__init__.py": "",
        "images/film.py": "def f():\n    from . import noise",
        "images/noise.py": "from ..paths import of",
        "images/unused.py": "",
        "images/words.csv": "",
    }.items():
        (package / name).parent.mkdir(exist_ok=True, parents=True)
        (package / name).write_text(code)
    monkeypatch.setattr(state, "_PACKAGE", package)
    names = "__init__.py images/__init__.py images/film.py images/noise.py images/words.csv"
    expected = [*names.split(), "paths.py"]
    assert state.modules("import numpy\nfrom semlib.images.film import sample") == expected
    assert state.modules("import semlib.paths") == ["__init__.py", "paths.py"]
    assert state.modules("this is not python") == []
    cells = [nbformat.v4.new_code_cell("%matplotlib inline\nimport semlib.paths\n!ls")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "01_magic.ipynb")
    assert state.modules(nb.Notebook(tmp_path / "01_magic.ipynb").code)[-1] == "paths.py"


@pytest.mark.slow
def test_force_only_and_from_select(suite, in_process):
    assert list(run(force=True)) == ["01_first", "02_second"]
    for selection in ({"only": ["2"]}, {"start": "02_second"}):
        assert run(**selection, force=True) == {"02_second": ["--force"]}
    with pytest.raises(ValueError, match="nothing to run"):
        run(only=["01"], start="02")


def test_profile_and_given_parameters(suite, in_process):
    run(profile="quick", seed=7)
    assert (suite.data / "a.txt").read_text() == "1 7"
    again = run(profile="quick", seed=7, parameters={"n": "4"})
    assert again["01_first"] == ["parameters changed: n 1 -> 4"]
    assert (suite.data / "a.txt").read_text() == "4 7"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"parameters": {"typo": 1}}, "unknown parameter 'typo'; known: n, rate, times"),
        ({"only": ["02"], "parameters": {"n": 1}}, "unknown parameter 'n'; known: rate, times"),
        ({"parameters": {"seed": 1}}, "give seed with --seed"),
        ({"profile": "huge"}, "unknown profile 'huge': use one of quick, standard"),
        ({"dataset": "nowhere"}, "unknown dataset 'nowhere'"),
        ({"only": ["03"]}, "unknown notebook '03': use one of 01_first, 02_second"),
        ({"start": "third"}, "unknown notebook 'third'"),
    ],
)
def test_unknown_names_are_refused_before_anything_runs(suite, in_process, options, message):
    with pytest.raises(ValueError, match=message):
        run(**options)
    assert in_process == []


def test_too_few_images_are_said_before_the_training_not_after_it(suite, in_process, monkeypatch):
    make = "import numpy\nnumpy.save(place.level(0), numpy.zeros((5, 16, 16), 'uint8'))"
    write_notebook("01_first", "", PLACE + make, outputs=["data/level0.npy"])
    read = {"inputs": ["data/level0.npy"], "outputs": ["data/trained.txt"]}
    write_notebook("02_second", "", PLACE + "(place.data / 'trained.txt').touch()", **read)
    write_notebook("03_third", "k: int = 6  # clusters", "1", inputs=["data/trained.txt"])
    (paths.PROFILES / "standard.yaml").write_text("{}")
    monkeypatch.setattr(limits, "LIMITS", {"03_third": {"k": 2}})
    with pytest.raises(ValueError, match="03_third: k is 6: there are 5 images: use fewer"):
        run()
    assert in_process == ["01_first"]
    with pytest.raises(ValueError, match="03_third: k is 1: use 2 or more"):
        run(parameters={"k": 1})
    assert in_process == ["01_first"]
    run(parameters={"k": 4})
    assert in_process[1:] == ["02_second", "03_third"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("03_third: {n: 1}", "unknown notebook '03_third'"),
        ("02_second: {n: 1}", "02_second: unknown parameter 'n'; known: rate, times"),
        ("01_first: {n: many}", "parameter n is int, not 'many'"),
        ("- 1", "must map notebooks"),
        ("01_first: {n: [", "not valid YAML"),
    ],
)
def test_bad_profile_is_refused(suite, content, message):
    (paths.PROFILES / "quick.yaml").write_text(content)
    with pytest.raises(ValueError, match=message):
        run(profile="quick")


@pytest.mark.parametrize(
    ("kind", "given", "value"),
    [
        ("int", "3", 3),
        ("float", "1e-3", 0.001),
        ("float", 2, 2.0),
        ("bool", "true", True),
        ("str", "123", "123"),
        ("list", "[1, a]", [1, "a"]),
        ("dict", "{a: 1}", {"a": 1}),
    ],
)
def test_parameter_takes_yaml_of_its_type(kind, given, value):
    converted = nb.Parameter("p", kind, None).convert(given, "01_first")
    assert converted == value
    assert type(converted) is type(value)


@pytest.mark.parametrize(
    ("kind", "given"),
    [("int", "3.5"), ("int", True), ("float", "fast"), ("float", True), ("bool", "1")]
    + [("list", "a"), ("str", 3), ("int", "["), ("unheard", 1)],
)
def test_parameter_refuses_another_type(kind, given):
    with pytest.raises(ValueError, match=r"01_first: parameter p is|not valid YAML"):
        nb.Parameter("p", kind, None).convert(given, "01_first")


def test_missing_input_names_what_makes_it_and_the_command(suite, in_process):
    said = r"02_second needs .*a\.txt, which does not exist; 01_first makes it: "
    said += 'python -m semlib reproduce --dataset "synthetic" --only 01 '
    with pytest.raises(FileNotFoundError, match=said):
        run(only=["02"])


def test_promised_output_that_was_not_made_is_said(suite, in_process, capsys):
    write_first(outputs=["data/a.txt", "figures/table*.csv"])
    run(only=["01"])
    assert "01_first  made no figures/table*.csv" in capsys.readouterr().err
    assert run(only=["01"]) == {"01_first": []}


def test_folder_of_images_is_an_input(suite, in_process, tmp_path):
    folder = tmp_path / "my images"
    (folder / "masks").mkdir(parents=True)
    (folder / "masks" / "a.png").write_text("mask")
    write_first(inputs=["source/*"], outputs=["data/a.txt"])
    assert list(run(folder)) == ["01_first", "02_second"]
    record = json.loads(paths.of(folder).run_json.read_text())
    assert record["notebooks"]["01_first"]["parameters"]["dataset"] == str(folder)
    assert run(folder)["01_first"] == []
    (folder / "masks" / "a.png").write_text("other")
    assert run(folder)["01_first"] == ["input changed: source/*"]


def test_record_says_with_what_and_from_what(suite, in_process, monkeypatch):
    monkeypatch.setenv("PATH", "")  # no git, no matter
    suite.data.mkdir(parents=True)
    suite.manifest.write_text("image_id\n")
    run(profile="quick", seed=3)
    record = json.loads(suite.run_json.read_text())
    assert {"python", "platform", "cpu_count", "started"} <= set(record)
    assert (record["dataset"], record["profile"], record["seed"]) == ("synthetic", "quick", 3)
    assert record["packages"]["numpy"] and record["git"] is None
    assert len(record["data_sha256"]) == 64
    first = record["notebooks"]["01_first"]
    assert first["parameters"] == {"dataset": "synthetic", "seed": 3, "n": 1}
    assert first["outputs"] == ["figures/notebooks/01_first.ipynb", "data/a.txt"]
    assert first["seconds"] >= 0 and first["memory"] is None


def test_interrupted_notebook_is_not_on_record_any_more(suite, in_process):
    run()
    write_notebook("02_second", "", "raise KeyboardInterrupt", inputs=["data/a.txt"])
    with pytest.raises(KeyboardInterrupt):
        run()
    assert list(json.loads(suite.run_json.read_text())["notebooks"]) == ["01_first"]


@pytest.mark.parametrize("content", ["{", "[]", '{"notebooks": 3}'])
def test_damaged_record_counts_as_none(suite, in_process, content):
    suite.figures.mkdir(parents=True)
    suite.run_json.write_text(content)
    assert list(run()) == in_process == ["01_first", "02_second"]


@pytest.mark.parametrize("variable", ["SEMLIB_DATA", "SEMLIB_FIGURES"])
def test_folder_that_cannot_be_written_is_named(suite, in_process, tmp_path, monkeypatch, variable):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(variable, str(tmp_path / "file" / "below"))
    with pytest.raises(PermissionError, match="cannot write to .*file"):
        run()
    assert in_process == []


def test_notebooks_that_are_missing_broken_or_ill_declared_are_named(suite, tmp_path, monkeypatch):
    write_notebook("01_first", "", "1", inputs=["elsewhere/a.txt"])
    with pytest.raises(ValueError, match=r"'elsewhere/a.txt' must start with data/"):
        run()
    write_first(parameters="x: int = n + 1")
    with pytest.raises(ValueError, match=r"parameters must be lines 'name: type = value"):
        run()
    for content in ("not json", '{"nbformat": 3}'):
        (paths.NOTEBOOKS / "03_bad.ipynb").write_text(content)
        with pytest.raises(ValueError, match="03_bad.ipynb is not a notebook"):
            run()
    monkeypatch.setattr(paths, "NOTEBOOKS", tmp_path / "elsewhere")
    with pytest.raises(FileNotFoundError, match=r"no notebooks .*elsewhere"):
        run()


def test_hidden_and_temporary_files_are_no_outputs(suite):
    suite.data.mkdir(parents=True)
    for name in ("level0.npy", ".level0.tmp.npy", ".hidden.npy"):
        (suite.data / name).write_text("")
    assert state.files("data/*.npy", suite) == [suite.data / "level0.npy"]


@pytest.mark.parametrize("terminal", [True, False])
def test_bars_move_on_a_terminal_and_only_finished_lines_stay_in_a_file(terminal, monkeypatch):
    stream = io.StringIO()
    stream.isatty = lambda: terminal
    monkeypatch.setattr(sys, "stderr", stream)
    line = kernel.Line("[1/2] 01_first")
    texts = "\rcell 1/3\r", "a warning\n", "\rcell 2/3\r  ", "\repochs:  50%|##  |"
    for text in (*texts, "\repochs: 100%|####|\n", "\rcell 3/3\r"):
        line.write(text)
    line.show("")
    for moving in ("epochs:  50%|##  |", "cell 1/3", "cell 3/3"):
        assert (f"[1/2] 01_first  {moving}" in stream.getvalue()) == terminal
    *stays, last = [text.rpartition("\r")[2] for text in stream.getvalue().split("\n")]
    assert stays == ["      a warning", "      epochs: 100%|####|"] and last == ""


@pytest.mark.slow
def test_kernel_runs_with_this_python_and_a_failing_cell_stops_it(suite, capsys):
    code = "import sys\nfrom tqdm import tqdm\nprint(sys.executable)\n"
    write_notebook("01_first", STEPS, code + "for i in tqdm(range(3), desc='steps'): pass")
    cells = "print('before')", "raise ValueError('bad image\\n  foo.png')", "print('after')"
    write_notebook("02_second", "", *cells)
    said = r"02_second, cell \[4\]: ValueError: bad image foo.png \(see .*failed"
    with pytest.raises(kernel.NotebookError, match=said):
        run(parameters={"n": 4})
    assert "      steps: 100%" in capsys.readouterr().err
    copy = nbformat.read(suite.notebooks / "01_first.ipynb", as_version=4)
    printed = [out.text.strip() for out in copy.cells[-1].outputs if out.name == "stdout"]
    assert printed == [sys.executable]
    assert "n = 4" in copy.cells[1].source
    kept = sorted(path.name for path in suite.notebooks.iterdir())
    assert kept == ["01_first.ipynb", "02_second.failed.ipynb"]
    failed = nbformat.read(suite.notebooks / "02_second.failed.ipynb", as_version=4)
    assert "before" in str(failed) and "foo.png" in str(failed)
    (record,) = json.loads(suite.run_json.read_text())["notebooks"].values()
    assert 3e7 < record["memory"] < 1e9, "bytes of a kernel that does little"


COMMAND = """
import sys
from pathlib import Path
from semlib import paths
paths.NOTEBOOKS = Path(sys.argv.pop(1))
paths.PROFILES = paths.NOTEBOOKS / "profiles"
from semlib.__main__ import main
main()
"""
WAIT = """
import os, time
from semlib import paths
place = paths.of(dataset)
with paths.atomic(place.data / "pid") as file:
    file.write_text(str(os.getpid()))
while not (place.data / "go").exists():
    time.sleep(0.05)
"""


def start():
    command = [sys.executable, "-c", COMMAND, str(paths.NOTEBOOKS), "reproduce"]
    environment = {**os.environ, "PYTHONPATH": str(paths.ROOT)}
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)


def wait_until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture
def waiting(suite, monkeypatch):
    """A run of its own process that is in the middle of 02_second, after a finished 01_first."""
    write_notebook("02_second", "", WAIT, inputs=["data/a.txt"])
    suite.data.mkdir(parents=True)
    (suite.data / "a.txt").write_text("3 0")
    with monkeypatch.context() as patch:
        copied = lambda book, target, *_: shutil.copy(book.path, target) and 0  # noqa: E731
        patch.setattr(module, "execute", copied)
        run(only=["01"])
    process = start()
    wait_until((suite.data / "pid").exists)
    yield process
    process.kill()


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_interrupted_run_leaves_no_kernel_and_continues(suite, waiting, number):
    waiting.send_signal(number)
    said = waiting.communicate(timeout=30)[1]
    kernel = int((suite.data / "pid").read_text())
    wait_until(lambda: not is_running(kernel))
    assert not (suite.notebooks / "02_second.ipynb").exists()
    if number == signal.SIGKILL:
        (suite.data / "go").write_text("")
        second = start()
        said = second.communicate(timeout=60)[1]
        assert second.returncode == 0, said
        assert "01_first  skipped: unchanged" in said and "02_second  done" in said
        assert "WARNING" not in said, "the kernel says nothing of its own"
        kept = sorted(path.name for path in suite.notebooks.iterdir())
        assert kept == ["01_first.ipynb", "02_second.ipynb"]
    else:
        assert waiting.returncode == 130
        assert said.rstrip().endswith("interrupted: rerun the same command to continue")


@pytest.mark.slow
def test_second_run_of_a_data_set_says_at_once_who_runs_and_harms_nothing(suite, waiting):
    second = start()
    said = second.communicate(timeout=30)[1]
    assert second.returncode == 2
    assert f"another run of synthetic is going on (process {waiting.pid}, started 2" in said
    (suite.data / "go").write_text("")
    assert waiting.wait(timeout=60) == 0
    assert run() == {"01_first": [], "02_second": []}


def test_the_first_lines_say_how_long_and_the_last_what_to_open(suite, in_process, capsys):
    (paths.PROFILES / "standard.yaml").write_text("takes: About 3 hours here\n")
    run()
    first, forecast, *_ = capsys.readouterr().err.splitlines()
    assert first.startswith("semlib ") and "profile standard, seed 0" in first
    assert forecast == "2 notebooks, 01 to 02. About 3 hours here"
    (suite.figures / "table1.md").write_text("")
    run()
    said = capsys.readouterr().err.splitlines()
    assert (
        said[1] == "2 notebooks, 01 to 02: 0.0 min when they ran here; what is unchanged is skipped"
    )
    assert said[-1].split()[0] == "table1.md" and "Table 1" in said[-1]
    assert not any("explorer.html" in line for line in said), "what is not there is not named"


@pytest.mark.slow
def test_notebooks_side_by_side_wait_only_for_what_makes_their_inputs(suite, capsys):
    wait = "import time\nuntil = time.time() + 60\n"
    wait += "while not (place.data / 'c.txt').exists():\n    assert time.time() < until\n"
    write_first(wait, outputs=["data/a.txt"])
    third = PLACE + "(place.data / 'c.txt').write_text('third')"
    write_notebook("03_third", "", third, outputs=["data/c.txt"])
    assert list(run(jobs=2)) == ["01_first", "02_second", "03_third"]
    said = capsys.readouterr().err
    assert said.index("01_first  done") < said.index("02_second  no finished run")
    assert said.index("03_third  no finished run") < said.index("01_first  done"), "side by side"
    assert (suite.figures / "b.txt").read_text() == "3 0"
    assert not any(run(jobs=2).values()), "nothing runs again"
    write_notebook("03_third", "", "raise ValueError('third')")
    with pytest.raises(kernel.NotebookError, match=r"03_third, cell .* ValueError: third"):
        run(jobs=2)


@pytest.mark.slow
def test_a_killed_process_of_a_notebook_is_said_and_not_waited_for(suite):
    write_notebook("03_third", "", "import os\nos.kill(os.getppid(), 9)")
    with pytest.raises(kernel.NotebookError, match="was killed: run again"):
        run(only=["03"], jobs=2)


def test_an_optional_input_is_waited_for_and_a_change_of_it_is_a_reason(suite, in_process):
    write_notebook("03_third", "", "1")
    book = json.loads((paths.NOTEBOOKS / "03_third.ipynb").read_text())
    book["metadata"]["semlib"]["optional_inputs"] = ["data/a.txt"]
    (paths.NOTEBOOKS / "03_third.ipynb").write_text(json.dumps(book))
    run(only=["03"])
    assert run()["03_third"] == ["input changed: data/a.txt"]


def test_micrographs_that_came_since_are_a_reason(suite, in_process, tmp_path, monkeypatch):
    monkeypatch.setenv("SEMLIB_MICROGRAPHS", str(tmp_path / "micrographs"))
    write_notebook("03_third", "", "1")
    book = json.loads((paths.NOTEBOOKS / "03_third.ipynb").read_text())
    book["metadata"]["semlib"]["optional_inputs"] = ["micrographs/*/*"]
    (paths.NOTEBOOKS / "03_third.ipynb").write_text(json.dumps(book))
    run(only=["03"])
    assert not run(only=["03"])["03_third"], "without any the notebook is up to date"
    (tmp_path / "micrographs" / "kriss").mkdir(parents=True)
    (tmp_path / "micrographs" / "kriss" / "1.png").write_bytes(b"a picture")
    assert run(only=["03"])["03_third"] == ["input changed: micrographs/*/*"]
    assert not run(only=["03"])["03_third"]
