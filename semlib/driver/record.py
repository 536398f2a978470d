"""``figures/<dataset>/run.json``: with what, from what and when each notebook was last run to its end."""

import contextlib
import datetime
import importlib.metadata
import json
import os
import platform
import subprocess

import semlib
from semlib import paths
from semlib.driver import fingerprint as fp

_PACKAGES = (
    "numpy",
    "scipy",
    "pandas",
    "scikit-image",
    "scikit-learn",
    "PyWavelets",
    "torch",
    "umap-learn",
    "openTSNE",
)


class Record:
    """The record of one data set, written whole after each notebook: a killed run keeps what was finished before.

    Parameters
    ----------
    place : semlib.paths.Paths
    **request
        What this run was asked for (dataset, profile, seed); kept with each notebook that it finishes.
    """

    def __init__(self, place, **request):
        self.place, self.request, self.notebooks = place, request, {}
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            self.notebooks = dict(
                json.loads(place.run_json.read_text(encoding="utf-8"))["notebooks"]
            )
        self.run = {**request, "started": now(), **_machine()}

    def reasons(self, name, fingerprint):
        """Why a notebook must run, in sentences; empty if it need not."""
        entry = self.notebooks.get(name)
        gone = (
            [output for output in entry["outputs"] if not fp.locate(output, self.place).exists()]
            if entry
            else []
        )
        return fp.reasons(entry, fingerprint) + (
            [f"output missing: {', '.join(gone)}"] if gone else []
        )

    def seconds(self, name):
        """How long a notebook took when it ran."""
        return self.notebooks[name]["seconds"]

    def forget(self, name):
        """Drop a notebook that is about to run: from here on its outputs may be half of one run, half of another."""
        if self.notebooks.pop(name, None):
            self._write()

    def finish(self, name, fingerprint, *, outputs, seconds, started):
        """Record a notebook that ran to its end; `outputs` are files in the form "data/level0.npy"."""
        facts = {"started": started, "seconds": round(seconds, 2), "outputs": outputs}
        self.notebooks[name] = {**self.request, **facts, **fingerprint}
        self._write()

    def _write(self):
        manifest = self.place.manifest
        content = {
            **self.run,
            "data_sha256": fp.file_digest(manifest) if manifest.is_file() else None,
            "notebooks": dict(sorted(self.notebooks.items())),
        }
        with paths.atomic(self.place.run_json) as temporary:
            temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def now():
    """Universal time to the second, as text."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _machine():
    versions = {}
    for package in _PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    return {
        "semlib": semlib.__version__,
        "git": _git("rev-parse", "HEAD"),
        "git_changed": bool(_git("status", "--porcelain", "--untracked-files=no")),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu_count": os.cpu_count(),
        "packages": versions,
    }


def _git(*arguments):
    """What git says about the project's folder; None without git or outside a clone."""
    command = ["git", "-C", str(paths.ROOT), *arguments]
    try:
        return subprocess.run(
            command, capture_output=True, text=True, timeout=10, check=True
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
