"""The driver, on tiny notebooks in a temporary folder; most tests run their cells here instead of in a kernel."""

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

import semlib.run
from semlib import paths
from semlib.driver import fingerprint as fp
from semlib.driver import notebook as nb
from semlib.driver.execute import Line
from semlib.run import NotebookError, reproduce

HEAD = 'dataset: str = "synthetic"  # data set\nseed: int = 0  # seed\n'
FIRST = "from semlib import paths\nplace = paths.of(dataset)\n(place.data / 'a.txt').write_text(f'{n} {seed}')"
SECOND = (
    "from semlib import paths\nfrom semlib.images import pyramid\nplace = paths.of(dataset)\n"
    "(place.figures / 'b.txt').write_text((place.data / 'a.txt').read_text() * times)"
)


def write_notebook(name, parameters, *code, inputs=(), outputs=()):
    cells = [nbformat.v4.new_code_cell(HEAD + parameters, metadata={"tags": ["parameters"]})]
    cells += [nbformat.v4.new_code_cell(source) for source in code]
    metadata = {
        "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
        "semlib": {"inputs": list(inputs), "outputs": list(outputs)},
    }
    paths.NOTEBOOKS.mkdir(exist_ok=True)
    nbformat.write(
        nbformat.v4.new_notebook(cells=cells, metadata=metadata), paths.NOTEBOOKS / f"{name}.ipynb"
    )


@pytest.fixture
def suite(tmp_path, monkeypatch):
    """Two notebooks, 01_first -> data/a.txt -> 02_second -> figures/b.txt, with two profiles."""
    monkeypatch.setattr(paths, "NOTEBOOKS", tmp_path / "notebooks")
    monkeypatch.setattr(paths, "PROFILES", tmp_path / "notebooks" / "profiles")
    monkeypatch.setenv("SEMLIB_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("SEMLIB_FIGURES", str(tmp_path / "figures"))
    write_notebook("01_first", "n: int = 3  # steps", FIRST, outputs=["data/a.txt"])
    second = {"inputs": ["data/a.txt"], "outputs": ["figures/b.txt"]}
    write_notebook(
        "02_second", "times: int = 1  # copies\nrate: float = 0.1  # rate", SECOND, **second
    )
    paths.PROFILES.mkdir()
    (paths.PROFILES / "standard.yaml").write_text("# the notebooks' own defaults\n")
    (paths.PROFILES / "quick.yaml").write_text("01_first: {n: 1}\n")
    return paths.of("synthetic")


@pytest.fixture
def in_process(monkeypatch):
    """Run the cells of a notebook here, without a kernel; returns the list of notebooks that ran."""
    ran = []

    def execute(notebook, target, parameters, label, stream):
        names = {}
        for cell in notebook.cells:
            exec(cell["source"], names)
            names.update(parameters)
        target.write_text("executed")
        ran.append(notebook.name)

    monkeypatch.setattr(semlib.run, "execute", execute)
    return ran


def run(dataset="synthetic", **options):
    return reproduce(dataset, **{"stream": io.StringIO(), **options})


def test_runs_in_order_then_skips_everything(suite, in_process):
    first = run()
    assert list(first) == in_process == ["01_first", "02_second"]
    assert all(why == ["no finished run on record"] for why in first.values())
    assert (suite.figures / "b.txt").read_text() == "3 0"
    stream = io.StringIO()
    assert run(stream=stream) == {"01_first": [], "02_second": []}
    assert in_process == ["01_first", "02_second"]
    assert "[2/2] 02_second  skipped: unchanged" in stream.getvalue()
    assert "0 run, 2 skipped" in stream.getvalue()


def test_changed_parameter_reruns_it_and_what_reads_its_output(suite, in_process):
    run()
    again = run(parameters={"n": 5})
    assert again == {
        "01_first": ["parameters changed: n 3 -> 5"],
        "02_second": ["input changed: data/a.txt"],
    }


def test_output_with_the_same_content_reruns_nothing_behind_it(suite, in_process):
    run()
    again = run(only=["01"], force=True)
    os.utime(suite.data / "a.txt", (1, 1))
    assert again == {"01_first": ["--force"]}
    assert run()["02_second"] == []


def test_edited_cell_and_missing_output_say_so(suite, in_process):
    run()
    (suite.notebooks / "01_first.ipynb").unlink()
    (suite.figures / "b.txt").unlink()
    assert run() == {
        "01_first": ["output missing: figures/notebooks/01_first.ipynb"],
        "02_second": ["output missing: figures/b.txt"],
    }
    write_notebook("01_first", "n: int = 3  # steps", FIRST, "1 + 1", outputs=["data/a.txt"])
    assert run() == {"01_first": ["notebook changed"], "02_second": []}


def test_changed_module_reruns_only_the_notebooks_that_import_it(
    suite, in_process, tmp_path, monkeypatch
):
    copy = tmp_path / "semlib"
    shutil.copytree(
        Path(semlib.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__")
    )
    monkeypatch.setattr(fp, "_PACKAGE", copy)
    run()
    with open(copy / "images" / "pyramid.py", "a") as module:
        module.write("# edited\n")
    assert run() == {"01_first": [], "02_second": ["semlib changed: images/pyramid.py"]}


def test_force_only_and_from_select(suite, in_process):
    assert list(run(force=True)) == ["01_first", "02_second"]
    assert run(only=["2"], force=True) == {"02_second": ["--force"]}
    assert run(start="02_second", force=True) == {"02_second": ["--force"]}
    with pytest.raises(ValueError, match="nothing to run"):
        run(only=["01"], start="02")


@pytest.mark.parametrize("options", [{"only": ["03"]}, {"start": "third"}])
def test_unknown_notebook_lists_the_known(suite, options):
    with pytest.raises(ValueError, match="unknown notebook .*use one of 01_first, 02_second"):
        run(**options)


def test_profile_and_given_parameters(suite, in_process):
    run(profile="quick", seed=7)
    assert (suite.data / "a.txt").read_text() == "1 7"
    assert run(profile="quick", seed=7, parameters={"n": "4"})["01_first"] == [
        "parameters changed: n 1 -> 4"
    ]
    assert (suite.data / "a.txt").read_text() == "4 7"


def test_unknown_names_are_refused_before_anything_runs(suite, in_process):
    with pytest.raises(ValueError, match="unknown parameter 'typo'; known: n, rate, times"):
        run(parameters={"typo": 1})
    with pytest.raises(ValueError, match="unknown parameter 'n'; known: rate, times"):
        run(only=["02"], parameters={"n": 1})
    with pytest.raises(ValueError, match="give seed with --seed"):
        run(parameters={"seed": 1})
    with pytest.raises(ValueError, match="unknown profile 'huge': use one of quick, standard"):
        run(profile="huge")
    with pytest.raises(ValueError, match="unknown dataset 'nowhere'"):
        run("nowhere")
    assert in_process == []


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
        ("str | None", "null", None),
        ("int | str", "full", "full"),
        ("list", "[1, a]", [1, "a"]),
        ("list[int]", "[0, 1]", [0, 1]),
        ("list[float]", [1, "1e-2"], [1.0, 0.01]),
        ("dict", "{a: 1}", {"a": 1}),
    ],
)
def test_parameter_takes_yaml_of_its_type(kind, given, value):
    converted = nb.Parameter("p", kind, None).convert(given, "01_first")
    assert converted == value
    assert type(converted) is type(value)


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        ("int", "3.5"),
        ("int", True),
        ("float", "fast"),
        ("bool", "1"),
        ("list[int]", "[a]"),
        ("str", 3),
        ("int", "["),
    ],
)
def test_parameter_refuses_another_type(kind, given):
    with pytest.raises(ValueError, match=r"01_first: parameter p is|not valid YAML"):
        nb.Parameter("p", kind, None).convert(given, "01_first")


def test_missing_input_names_the_notebook_that_makes_it(suite, in_process):
    with pytest.raises(
        FileNotFoundError,
        match=r"02_second needs .*a\.txt, which does not exist; 01_first makes it",
    ):
        run(only=["02"])


def test_promised_output_that_was_not_made_is_said(suite, in_process):
    write_notebook(
        "01_first", "n: int = 3  # steps", FIRST, outputs=["data/a.txt", "figures/table*.csv"]
    )
    stream = io.StringIO()
    run(only=["01"], stream=stream)
    assert "01_first  made no figures/table*.csv" in stream.getvalue()
    assert run(only=["01"]) == {"01_first": []}


def test_folder_of_images_is_an_input(suite, in_process, tmp_path):
    folder = tmp_path / "my images"
    (folder / "masks").mkdir(parents=True)
    (folder / "masks" / "a.png").write_text("mask")
    write_notebook(
        "01_first", "n: int = 3  # steps", FIRST, inputs=["source/*"], outputs=["data/a.txt"]
    )
    assert list(run(folder)) == ["01_first", "02_second"]
    record = json.loads(paths.of(folder).run_json.read_text())
    assert record["notebooks"]["01_first"]["parameters"]["dataset"] == str(folder)
    assert run(folder)["01_first"] == []
    (folder / "masks" / "a.png").write_text("other")
    assert run(folder)["01_first"] == ["input changed: source/*"]


def test_record_says_with_what_and_from_what(suite, in_process):
    suite.data.mkdir(parents=True)
    suite.manifest.write_text("image_id\n")
    run(profile="quick", seed=3)
    record = json.loads(suite.run_json.read_text())
    assert {"git", "python", "platform", "cpu_count", "started"} <= set(record)
    assert (record["dataset"], record["profile"], record["seed"]) == ("synthetic", "quick", 3)
    assert record["packages"]["numpy"]
    assert len(record["data_sha256"]) == 64
    first = record["notebooks"]["01_first"]
    assert first["parameters"] == {"dataset": "synthetic", "seed": 3, "n": 1}
    assert first["outputs"] == ["figures/notebooks/01_first.ipynb", "data/a.txt"]
    assert first["seconds"] >= 0


def test_interrupted_notebook_is_not_on_record_any_more(suite, in_process):
    run()
    write_notebook("02_second", "", "raise KeyboardInterrupt", inputs=["data/a.txt"])
    with pytest.raises(KeyboardInterrupt):
        run()
    assert list(json.loads(suite.run_json.read_text())["notebooks"]) == ["01_first"]


@pytest.mark.parametrize("content", ["{", "[]", '{"notebooks": 3}'])
def test_damaged_record_counts_as_none(suite, in_process, content):
    run()
    suite.run_json.write_text(content)
    assert set(run()) == {"01_first", "02_second"}
    assert in_process == ["01_first", "02_second"] * 2


def test_no_git_no_matter(suite, in_process, monkeypatch):
    monkeypatch.setenv("PATH", "")
    run(only=["01"])
    assert json.loads(suite.run_json.read_text())["git"] is None


@pytest.mark.parametrize("variable", ["SEMLIB_DATA", "SEMLIB_FIGURES"])
def test_folder_that_cannot_be_written_is_named(suite, in_process, tmp_path, monkeypatch, variable):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(variable, str(tmp_path / "file" / "below"))
    with pytest.raises(PermissionError, match="cannot write to .*file"):
        run()
    assert in_process == []


def test_no_notebooks_at_all(suite, tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "NOTEBOOKS", tmp_path / "elsewhere")
    with pytest.raises(FileNotFoundError, match=r"no notebooks .*elsewhere"):
        run()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("03_bad", "not json", "03_bad.ipynb is not a notebook"),
        ("03_bad", '{"nbformat": 3}', "03_bad.ipynb is not a notebook"),
    ],
)
def test_broken_notebook_file_is_named(suite, name, content, message):
    (paths.NOTEBOOKS / f"{name}.ipynb").write_text(content)
    with pytest.raises(ValueError, match=message):
        run()


@pytest.mark.parametrize("line", ["x: int = n + 1", "x: int", "x: int = "])
def test_parameters_must_be_plain_lines(suite, line):
    write_notebook("01_first", line, FIRST)
    with pytest.raises(
        ValueError, match=r"01_first.ipynb: parameters must be lines 'name: type = value"
    ):
        run()


def test_declared_files_must_have_a_known_place(suite, in_process):
    write_notebook("01_first", "", "1", inputs=["elsewhere/a.txt"])
    with pytest.raises(
        ValueError, match=r"'elsewhere/a.txt' .* must start with data/, figures/ or source/"
    ):
        run()


def test_hidden_and_temporary_files_are_no_outputs(suite):
    suite.data.mkdir(parents=True)
    for name in ("level0.npy", ".level0-12.tmp.npy", ".hidden.npy"):
        (suite.data / name).write_text("")
    assert fp.files("data/*.npy", suite) == [suite.data / "level0.npy"]


def test_modules_follow_imports_inside_functions_and_relative_ones(tmp_path, monkeypatch):
    for name, code in {
        "__init__.py": "",
        "paths.py": "import os",
        "images/__init__.py": "",
        "images/simulate.py": "def f():\n    from . import noise",
        "images/noise.py": "from ..paths import of",
        "images/unused.py": "",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(code)
    monkeypatch.setattr(fp, "_PACKAGE", tmp_path)
    found = fp.modules("import numpy\nfrom semlib.images.simulate import sample")
    assert found == [
        "__init__.py",
        "images/__init__.py",
        "images/noise.py",
        "images/simulate.py",
        "paths.py",
    ]
    assert fp.modules("import semlib.paths") == ["__init__.py", "paths.py"]
    assert fp.modules("this is not python") == []


def test_magic_lines_do_not_hide_imports(suite):
    write_notebook("01_first", "", "%matplotlib inline\nimport semlib.paths\n!ls")
    assert fp.modules(nb.numbered()[0].code) == ["__init__.py", "paths.py"]


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("terminal", [True, False])
def test_bars_move_on_a_terminal_and_only_finished_lines_stay_in_a_file(terminal):
    stream = Terminal() if terminal else io.StringIO()
    with Line("[1/2] 01_first", stream) as line:
        line.cells.write("\rcell 1/3")
        line.write("\repochs:  50%|##  |")
        line.write("\repochs: 100%|####|\n")
        line.write("a warning\n")
    moved = "[1/2] 01_first  epochs:  50%|##  |" in stream.getvalue()
    assert moved == terminal
    assert ("[1/2] 01_first  cell 1/3" in stream.getvalue()) == terminal
    stay = [text for text in stream.getvalue().split("\n")[:-1]]
    assert [text.rpartition("\r")[2] for text in stay] == [
        "      epochs: 100%|####|",
        "      a warning",
    ]
    assert stream.getvalue().rpartition("\r")[2] == "" or not terminal


def test_kernel_runs_with_this_python_and_a_failing_cell_stops_it(suite):
    code = "import sys\nfrom tqdm import tqdm\nprint(sys.executable)\nfor i in tqdm(range(3), desc='steps'): pass"
    write_notebook("01_first", "n: int = 3  # steps", code)
    write_notebook(
        "02_second",
        "",
        "print('before')",
        "raise ValueError('bad image\\n  foo.png')",
        "print('after')",
    )
    stream = io.StringIO()
    with pytest.raises(
        NotebookError, match=r"02_second, cell \[4\]: ValueError: bad image foo.png \(see .*failed"
    ):
        run(stream=stream, parameters={"n": 4})
    assert "      steps: 100%" in stream.getvalue()
    copy = nbformat.read(suite.notebooks / "01_first.ipynb", as_version=4)
    assert [out.text.strip() for out in copy.cells[-1].outputs if out.name == "stdout"] == [
        sys.executable
    ]
    assert "n = 4" in copy.cells[1].source
    assert sorted(p.name for p in suite.notebooks.iterdir()) == [
        "01_first.ipynb",
        "02_second.failed.ipynb",
    ]
    failed = nbformat.read(suite.notebooks / "02_second.failed.ipynb", as_version=4)
    assert "before" in str(failed) and "foo.png" in str(failed)
    assert list(json.loads(suite.run_json.read_text())["notebooks"]) == ["01_first"]


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


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_interrupted_run_leaves_no_kernel_and_continues(suite, number):
    write_notebook("02_second", "", WAIT, inputs=["data/a.txt"])
    with pytest.MonkeyPatch.context() as patch:  # 01_first as a finished run, without a kernel
        patch.setattr(
            semlib.run, "execute", lambda notebook, target, *rest: target.write_text("executed")
        )
        suite.data.mkdir(parents=True)
        (suite.data / "a.txt").write_text("3 0")
        run(only=["01"])
    first = start()
    wait_until((suite.data / "pid").exists)
    first.send_signal(number)
    said = first.communicate(timeout=30)[1]
    kernel = int((suite.data / "pid").read_text())
    wait_until(lambda: not is_running(kernel))
    assert not (suite.notebooks / "02_second.ipynb").exists()
    if number == signal.SIGKILL:
        (suite.data / "go").write_text("")
        second = start()
        said = second.communicate(timeout=60)[1]
        assert second.returncode == 0, said
        assert "01_first  skipped: unchanged" in said and "02_second  done" in said
        assert sorted(path.name for path in suite.notebooks.iterdir()) == [
            "01_first.ipynb",
            "02_second.ipynb",
        ]
    else:
        assert first.returncode == 130
        assert said.rstrip().endswith("interrupted: rerun the same command to continue")
