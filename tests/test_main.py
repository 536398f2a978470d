"""The command line: help, errors in one line, exit codes."""

import subprocess
import sys

import pytest
from click.testing import CliRunner
from PIL import Image

import semlib.__main__ as command
from semlib import paths
from semlib.images import micrographs
from semlib.reproduce.kernel import NotebookError


def call(*arguments):
    return CliRunner().invoke(command.main, arguments, prog_name="semlib")


@pytest.fixture
def asked(monkeypatch):
    """What the command passes on to the driver, which raises `asked["error"]` if it is set."""
    passed = {}

    def run(*arguments, **options):
        if "error" in passed:
            raise passed["error"]
        passed.update(options, positional=arguments)

    monkeypatch.setattr(command, "run_notebooks", run)
    return passed


@pytest.mark.parametrize("name", ["", "reproduce", "fetch", "check", "similar", "outliers"])
def test_help_names_the_environment_variables(name):
    result = call(*name.split(), "--help")
    assert result.exit_code == 0
    assert "SEMLIB_DATA" in result.output and "SEMLIB_FIGURES" in result.output


def test_reproduce_has_the_documented_defaults(asked):
    assert call("reproduce").exit_code == 0
    given = {"only": [], "start": None, "force": False, "seed": 0, "parameters": {}}
    given |= {"jobs": None}
    assert asked == {"positional": ("synthetic", "standard"), **given}


def test_reproduce_passes_options_on(asked):
    options = ["--profile", "quick", "--from", "04", "--force", "--seed", "3", "-p", "epochs", "2"]
    options += ["--jobs", "2"]
    assert call("reproduce", "--dataset", "a b", *options, "-p", "k", "[4, 6]").exit_code == 0
    given = {"only": [], "start": "04", "force": True, "seed": 3, "jobs": 2}
    given |= {"parameters": {"epochs": "2", "k": "[4, 6]"}}
    assert asked == {"positional": ("a b", "quick"), **given}


@pytest.mark.parametrize(
    "arguments",
    [["--only", "04", "05"], ["--only", "04,05"], ["--only", "04", "--only", "05"], ["04", "05"]],
)
def test_only_takes_several_notebooks(asked, arguments):
    assert call("reproduce", *arguments, "--force").exit_code == 0
    assert asked["only"] == ["04", "05"]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ValueError("unknown dataset 'x'"), 2),
        (FileNotFoundError("no such file"), 2),
        (PermissionError("cannot write"), 2),
        (NotebookError("02_preprocess, cell [4]"), 1),
    ],
)
def test_errors_are_one_line_unless_debugged(asked, error, code, monkeypatch):
    asked["error"] = error
    result = call("reproduce")
    assert (result.exit_code, result.output) == (code, f"error: {error}\n")
    monkeypatch.setenv("SEMLIB_DEBUG", "1")
    assert call("reproduce").exception is error


def test_interruption_says_how_to_go_on(asked):
    asked["error"] = KeyboardInterrupt()
    result = call("reproduce")
    assert result.exit_code == 130
    assert result.output.strip() == "interrupted: rerun the same command to continue"


def test_unknown_dataset_profile_and_command():
    assert call("reproduce", "--dataset", "nowhere").output.startswith(
        "error: unknown dataset 'nowhere': use one of"
    )
    assert call("fetch", "nowhere").exit_code == 2
    assert call("fetsch").exit_code == 2


def test_fetch_of_a_folder_lists_it(tmp_path):
    folder = tmp_path / "my images"
    folder.mkdir()
    for name in ("a.png", "b.png"):
        Image.new("L", (32, 32), 90).save(folder / name)
    result = call("fetch", str(folder))
    assert f"2 images in {folder}" in result.output
    assert paths.of(folder).manifest.is_file()
    assert "2 images in the manifest" in call("check").output


def test_check_says_what_is_missing_and_how_to_get_it():
    result = call("check")
    assert result.exit_code == 0
    hints = "python -m semlib fetch carinthia ", "or place data.zip as", "bf16", "no run yet"
    for hint in (*hints, "cores", "python -m semlib.weights"):
        assert hint in result.output


def test_check_says_whether_micrographs_are_here(tmp_path, monkeypatch):
    monkeypatch.delenv("SEMLIB_MICROGRAPHS", raising=False)
    assert "get them by `python -m semlib fetch micrographs`" in call("check").output
    monkeypatch.setenv("SEMLIB_MICROGRAPHS", str(tmp_path / "mine"))
    for name in micrographs.SOURCES:
        (tmp_path / "mine" / name).mkdir(parents=True)
        (tmp_path / "mine" / name / "1.png").touch()
    said = call("check").output
    assert f"ok      real micrographs: {tmp_path / 'mine'}" in said
    assert "fetch micrographs" not in said


def test_check_compares_an_archive_with_its_checksum():
    archive = paths.of("carinthia").archive
    archive.parent.mkdir(parents=True)
    archive.write_bytes(b"not the archive")
    assert "WRONG" in call("check").output


@pytest.mark.parametrize(
    ("own", "kept"), [({}, "PASSIVE"), ({"OMP_WAIT_POLICY": "ACTIVE"}, "ACTIVE")]
)
def test_waiting_threads_sleep_unless_told_otherwise(own, kept, monkeypatch):
    """Spinning ones made `detect` more than twice as slow beside another process."""
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    for name, value in own.items():
        monkeypatch.setenv(name, value)
    code = "import os, sys, semlib.__main__\n"
    code += "print(os.environ['OMP_WAIT_POLICY'], 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [kept, "False"]  # PyTorch reads it when it is imported
