"""What a first run has made beside its first notebooks."""

import runpy
from types import SimpleNamespace

import numpy as np
import pytest

from semlib import weights
from semlib.morphology import layout
from semlib.reproduce import prepare
from semlib.semnr import metrics


@pytest.fixture
def begun(tmp_path, monkeypatch):
    """Commands that `begin` started, where umap-learn lies in a folder without compiled code."""
    found = SimpleNamespace(origin=str(tmp_path / "umap.py"))
    monkeypatch.setattr(prepare, "find_spec", {"umap": found}.get)
    commands = []
    monkeypatch.setattr(prepare.subprocess, "Popen", lambda given, **_: commands.append(given))
    return commands


def compile_umap(folder):
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "layouts.clip-9.nbi").touch()


def have_weights():
    for name in weights.REGISTRY:
        weights.path(name).parent.mkdir(parents=True, exist_ok=True)
        weights.path(name).touch()


@pytest.mark.parametrize("there", ["nothing", "weights", "code", "both"])
def test_begins_where_weights_or_compiled_code_are_missing(there, begun, tmp_path):
    if there in ("weights", "both"):
        have_weights()
    if there in ("code", "both"):
        compile_umap(tmp_path)
    prepare.begin()
    assert [command[1:] for command in begun] == (
        [] if there == "both" else [["-m", "semlib.reproduce.prepare"]]
    )


def test_has_the_weights_and_compiles_what_the_notebooks_call(monkeypatch):
    asked = []

    def load(name):
        asked.append(name)
        raise weights.WeightsError("no network")

    seen = {}
    monkeypatch.setattr(weights, "load", load)
    monkeypatch.setattr(layout, "umap", lambda points: seen.update(umap=points))
    monkeypatch.setattr(metrics, "ssim", lambda a, b: seen.update(ssim=a))
    runpy.run_path(prepare.__file__, run_name="__main__")
    assert asked == [*weights.REGISTRY]
    assert np.isfinite(seen["umap"]).all() and len(seen["umap"]) > 15  # of its neighbours
    assert min(seen["ssim"].shape) > metrics.WINDOW
