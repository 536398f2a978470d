"""One source for versions, with which the other files agree; make sets up once."""

import importlib.metadata
import os
import re
import shutil
import subprocess
import tomllib

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from semlib.paths import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LINES = (ROOT / "requirements.lock").read_text().splitlines()
LOCK = [Requirement(line) for line in LINES if line[0] != "#"]
LOCKED = {canonicalize_name(requirement.name): requirement for requirement in LOCK}
OURS = ["Makefile", "environment.yml", "requirements.lock", "pyproject.toml", "CITATION.cff"]
OURS += ["LICENSE", ".ci/run"]
PYTHONS = ("3.11", "3.12", "3.13")


def direct():
    project = PROJECT["project"]
    extras = [text for texts in project["optional-dependencies"].values() for text in texts]
    texts = [*project["dependencies"], *extras, *PROJECT["build-system"]["requires"]]
    return [Requirement(text) for text in texts]


def test_lock_is_exact_and_has_each_package_once():
    assert len(LOCKED) == len(LOCK)
    for requirement in LOCK:
        assert requirement.url is None
        assert re.fullmatch(r"==[\w.]+", str(requirement.specifier)), requirement


@pytest.mark.parametrize("requirement", direct(), ids=lambda requirement: requirement.name)
def test_locked_version_is_within_the_bounds_of_pyproject(requirement):
    locked = LOCKED[canonicalize_name(requirement.name)]
    assert locked.marker is None
    assert requirement.specifier.contains(str(locked.specifier).removeprefix("=="))


@pytest.mark.slow
@pytest.mark.parametrize("python", PYTHONS)
def test_lock_holds_whatever_a_locked_package_needs_on_linux(python):
    """Each requirement of an installed package that applies is locked, at a version it takes."""
    machine = {"python_version": python, "python_full_version": f"{python}.9", "extra": ""}
    machine |= {"platform_system": "Linux", "sys_platform": "linux", "os_name": "posix"}
    machine |= {"platform_machine": "x86_64"}

    def applies(marker, extra=""):
        return marker is None or marker.evaluate(machine | {"extra": extra})

    waiting = direct()
    visited = set()
    while waiting:
        wanted = waiting.pop()
        name = canonicalize_name(wanted.name)
        locked = LOCKED.get(name)
        assert locked, f"{name} is not locked"
        assert applies(locked.marker), f"{name} is locked for another machine only"
        version = str(locked.specifier).removeprefix("==")
        assert wanted.specifier.contains(version), f"{wanted}, but {locked}"
        for extra in {"", *wanted.extras} - {extra for of, extra in visited if of == name}:
            visited.add((name, extra))
            waiting += [need for need in _needs(name) if applies(need.marker, extra)]


def _needs(name):
    try:
        return [Requirement(text) for text in importlib.metadata.requires(name) or []]
    except importlib.metadata.PackageNotFoundError:
        return []  # locked for another Python or system than this one


def test_torch_has_no_upper_bound_and_its_cuda_packages_are_for_linux_only():
    (torch,) = [requirement for requirement in direct() if requirement.name == "torch"]
    assert str(torch.specifier) == ">=2.11"
    cuda = [one for name, one in LOCKED.items() if re.match(r"nvidia-|cuda-|triton", name)]
    assert {str(requirement.marker) for requirement in cuda} == {'platform_system == "Linux"'}


def test_environment_has_the_same_bounds():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    assert environment["channels"] == ["conda-forge", "nodefaults"]
    python, pip, packages = environment["dependencies"]
    name, _, bounds = python.partition(" ")
    assert (name, pip) == ("python", "pip")
    assert SpecifierSet(bounds) == SpecifierSet(PROJECT["project"]["requires-python"])
    assert packages == {"pip": ["-e .[test,cluster,docs]"]}


@pytest.mark.parametrize("name", OURS)
def test_no_registry_or_machine_is_named(name):
    text = (ROOT / name).read_text()
    registry = r"index-url|find-links|pypi\.org|pythonhosted|anaconda\.org|file://|--hash"
    assert not re.search(registry, text)


def test_citation_file_cites_the_three_works_and_the_licence_names_both():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["cff-version"] == "1.2.0"
    assert {"message", "title", "authors", "version", "license"} <= set(citation)
    assert citation["version"] == importlib.import_module("semlib").__version__
    works = citation["references"]
    assert all({"type", "title", "authors"} <= set(work) for work in works)
    assert works[0]["doi"] == "10.1038/s41598-026-46947-3"
    assert works[1]["url"].endswith("2502.14884") and works[2]["title"].startswith("SEMNR")
    text = (ROOT / "LICENSE").read_text()
    for part in ("BSD 3-Clause", "the semlib authors", "creativecommons.org/licenses/by/4.0"):
        assert part in text


needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
FAKE_PYTHON = """#!/bin/sh
echo "$@" >> "{log}"
case "$1 $2" in
  "-m venv") mkdir -p .venv/bin && cp "$0" .venv/bin/python ;;
  "-c import"*) exit {version_status} ;;
  "--version ") echo "Python 3.9.9" ;;
esac
"""


@pytest.fixture
def clone(tmp_path):
    """Calls make in "a clone", with a `python` that only writes down its arguments."""
    folder = tmp_path / "a clone"
    folder.mkdir()
    for name in ("Makefile", "pyproject.toml", "requirements.lock"):
        shutil.copy(ROOT / name, folder)

    def make(*arguments, version_status=0):
        fake = folder / "fake python"
        fake.write_text(FAKE_PYTHON.format(log=folder / "log", version_status=version_status))
        fake.chmod(0o755)
        (folder / "log").write_text("")
        outer = ("MAKE", "MFLAGS")  # of a make that runs the tests
        environment = {k: v for k, v in os.environ.items() if not k.startswith(outer)}
        command = ["make", *arguments, f"PYTHON={fake}"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment)
        return done, (folder / "log").read_text()

    make.folder = folder
    return make


@needs_make
def test_make_installs_once_and_again_only_when_the_lock_changes(clone):
    done, log = clone("setup")
    assert done.returncode == 0, done.stderr
    assert "-r requirements.lock" in log and "--no-deps --no-build-isolation -e ." in log
    assert clone("setup")[1] == ""
    done, log = clone("reproduce", "DATASET=my images/of today", "PROFILE=quick", "ARGS=--only 04")
    options = "--dataset my images/of today --profile quick --seed 0 --only 04"
    assert log == f"-m semlib reproduce {options}\n"
    os.utime(clone.folder / "requirements.lock", (2**32, 2**32))
    assert "-r requirements.lock" in clone("setup")[1]


@needs_make
def test_make_says_when_python_is_too_old_and_alone_lists_the_targets(clone):
    done, log = clone("test", version_status=1)
    assert done.returncode != 0 and "pip" not in log
    assert "needs Python 3.11, 3.12 or 3.13" in done.stdout and "Python 3.9.9" in done.stdout
    done, log = clone()
    for target in ("reproduce", "test", "test-fast", "lab", "lint", "setup", "clean"):
        assert f"make {target} " in done.stdout
    assert log == ""


@needs_make
def test_carried_packages_take_the_place_of_the_set_up(clone):
    _, log = clone("bench-gpu", "ARGS=--toy")
    assert "-m venv" in log and log.endswith("-m benchmarks.gpu --toy\n")
    (clone.folder / "wheels").mkdir()
    (clone.folder / "wheels" / "piq-1-py3-none-any.whl").touch()
    shutil.rmtree(clone.folder / ".venv")
    done, log = clone("bench-gpu", "ARGS=--toy")
    assert done.returncode == 0, done.stderr
    install, measure = log.splitlines()
    assert "--no-index" in install and install.endswith("wheels/piq-1-py3-none-any.whl")
    assert measure == "-m benchmarks.gpu --toy"
    assert not (clone.folder / ".venv").exists()
