"""What a notebook's results depend on, and ``run.json``, the record of finished notebooks."""

import contextlib
import datetime
import fnmatch
import functools
import hashlib
import importlib.metadata
import json
import modulefinder
import os
import platform
import subprocess
from pathlib import Path

import psutil

import semlib
from semlib import paths

_DATA = (".csv", ".json", ".safetensors")
_PACKAGE = Path(semlib.__file__).parent
_VERSIONS = "numpy scipy pandas scikit-image scikit-learn PyWavelets torch umap-learn"


def fingerprint(notebook, parameters, place):
    """All that decides whether a notebook must run again: cells, parameters, code, inputs."""
    cells = [(cell["cell_type"], cell["source"]) for cell in notebook.cells]
    return {
        "source": _short_digest([notebook.metadata, *cells]),
        "parameters": parameters,
        "semlib": {module: digest(_PACKAGE / module)[:16] for module in modules(notebook.code)},
        "inputs": {pattern: _content(pattern, place) for pattern in notebook.reads},
    }


def modules(code):
    """Files of semlib that Python source imports, in functions, too, and their imports in turn.

    Of each subpackage that occurs, the files that are not code (weights, words) count, too.
    """
    finder = _Finder()
    with contextlib.suppress(SyntaxError):
        finder.scan_code(compile(code, "cells", "exec"), finder.add_module("__main__"))
    files = {Path(m.__file__) for name, m in finder.modules.items() if name != "__main__"}
    for folder in {file.parent for file in files} - {_PACKAGE}:
        files |= {path for path in folder.rglob("*") if path.suffix in _DATA}
    return sorted(file.relative_to(_PACKAGE).as_posix() for file in files)


class _Finder(modulefinder.ModuleFinder):
    """Follows imports in compiled code, and none that lead out of semlib."""

    def find_module(self, name, path, parent=None):
        if path is None and name != "semlib":  # a package on its own, not a part of one
            raise ImportError(name)
        return super().find_module(name, path or [str(_PACKAGE.parent)], parent)


def files(pattern, place):
    """Files that a declared glob such as ``data/ssl/*/embeddings.npy`` names; no hidden ones.

    ``source/*`` is every file of an own folder, and nothing for a set whose files a run makes.
    """
    root, _, rest = pattern.partition("/")
    if root == "source":
        own = not place.raw.is_relative_to(place.data)
        matching = place.raw.rglob(rest) if own else []
    elif root == "micrographs":
        matching = paths.micrographs().glob(rest)
    elif root in ("data", "figures"):
        matching = getattr(place, root).glob(rest)
    else:
        raise ValueError(f"{pattern!r} must start with data/, figures/, source/ or micrographs/")
    return sorted(path for path in matching if path.is_file() and not path.name.startswith("."))


def relative(path, place):
    """The name of a file as notebooks name it: "data/level0.npy", "figures/table1.csv"."""
    root = "data" if path.is_relative_to(place.data) else "figures"
    return f"{root}/{path.relative_to(getattr(place, root)).as_posix()}"


def check_inputs(notebook, suite, place):
    """FileNotFoundError where an input is missing: which, what makes it, and the command for it."""
    for pattern in notebook.inputs:
        if not files(pattern, place) and not pattern.startswith("source/"):
            root, _, rest = pattern.partition("/")
            makers = [book.name for book in suite if fnmatch.filter(book.outputs, pattern)]
            earlier = " ".join(book.name[:2] for book in suite if book.name < notebook.name)
            raise FileNotFoundError(
                f"{notebook.name} needs {getattr(place, root) / rest}, which does not exist; "
                f"{', '.join(makers)} makes it: python -m semlib reproduce "
                f'--dataset "{place.dataset}" --only {earlier} (--profile quick for a first look)'
            )


def digest(path):
    """SHA-256 of a file, read once as long as its size and time of change stay the same."""
    return _sha256(*_version(path))


@functools.cache
def _sha256(path, size, mtime_ns):
    return paths.sha256(path)


def _version(path):
    stat = path.stat()
    return str(path), stat.st_size, stat.st_mtime_ns


def _content(pattern, place):
    """Digest of the files of a glob: by content; what others made by names, sizes and times."""
    if pattern.startswith(("source/", "micrographs/")):
        return _short_digest([_version(path) for path in files(pattern, place)])
    return _short_digest([(relative(path, place), digest(path)) for path in files(pattern, place)])


def _short_digest(items):
    return hashlib.sha256(json.dumps(items).encode()).hexdigest()[:16]


class Record:
    """``run.json``, written whole after each notebook: a killed run keeps what was finished.

    `request` is what this run was asked for (dataset, profile, seed).
    """

    def __init__(self, place, **request):
        self.place = place
        self.request = request
        self.notebooks = {}
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            self.notebooks = dict(json.loads(place.run_json.read_text("utf-8"))["notebooks"])
        self.run = {**request, "started": now(), **_machine()}

    def reasons(self, name, fingerprint):
        """Why a notebook must run, in sentences; empty if it need not."""
        before = self.notebooks.get(name)
        if before is None:
            return ["no finished run on record"]
        said = ["notebook changed"] if before["source"] != fingerprint["source"] else []
        old = before["parameters"]
        new = json.loads(json.dumps(fingerprint["parameters"]))  # as a record has them
        changes = {
            "semlib": _differing(before["semlib"], fingerprint["semlib"]),
            "input": _differing(before["inputs"], fingerprint["inputs"]),
            "parameters": [
                f"{name} {old.get(name, 'default')} -> {new.get(name, 'default')}"
                for name in _differing(old, new)
            ],
        }
        said += [f"{what} changed: {', '.join(names)}" for what, names in changes.items() if names]
        if gone := [name for name in before["outputs"] if not files(name, self.place)]:
            said.append(f"output missing: {', '.join(gone)}")
        return said

    def forget(self, name):
        """Drop a notebook that is about to run: its outputs may soon be of two runs."""
        if self.notebooks.pop(name, None):
            self._write()

    def finish(self, name, fingerprint, **facts):
        """Record a notebook that ran to its end: started, seconds, outputs."""
        self.notebooks[name] = {**self.request, **facts, **fingerprint}
        self._write()

    def _write(self):
        manifest = self.place.manifest
        content = {
            **self.run,
            "data_sha256": digest(manifest) if manifest.is_file() else None,
            "notebooks": dict(sorted(self.notebooks.items())),
        }
        paths.write_text(self.place.run_json, json.dumps(content, indent=1) + "\n")


def _differing(old, new):
    return sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))


def now():
    """Universal time to the second, as text."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _machine():
    return {
        "semlib": semlib.__version__,
        "git": _git("rev-parse", "HEAD"),
        "git_changed": bool(_git("status", "--porcelain", "--untracked-files=no")),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": _cpu(),
        "cpu_count": os.cpu_count(),
        "memory": psutil.virtual_memory().total,
        "packages": {name: importlib.metadata.version(name) for name in _VERSIONS.split()},
    }


def _cpu():
    """Name of the processor; the kind of machine where the system does not tell it."""
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line for line in lines if line.startswith("model name")).partition(": ")[2]
    return platform.processor() or platform.machine()


def _git(*arguments):
    """What git says about the project's folder; None without git or outside a clone."""
    command = ["git", "-C", str(paths.ROOT), *arguments]
    quiet = {"text": True, "timeout": 10, "stderr": subprocess.DEVNULL}
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        return subprocess.check_output(command, **quiet).strip()
