"""The measurement of a GPU: its dry run on a CPU, and what it does where a part fails."""

import copy
import json
import math
import time

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from benchmarks import gpu, gpu_parts, gpu_rows
from semlib.images.pyramid import pyramid
from semlib.morphology import encoder, recipes, train


def run(*arguments):
    return CliRunner().invoke(gpu.main, [str(argument) for argument in arguments])


def stored(folder):
    return json.loads((folder / "bench-gpu.json").read_text())


@pytest.mark.slow
def test_a_dry_run_measures_every_part_and_claims_no_figure_of_a_gpu(tmp_path, monkeypatch):
    monkeypatch.setenv("SEMLIB_DATA", str(tmp_path / "data"))  # without weights: random ones
    done = run("--toy", "--out", tmp_path)
    assert done.exit_code == 0, done.output
    result = stored(tmp_path)
    said = (tmp_path / "bench-gpu.md").read_text()
    assert result["toy"] and "none of these is a figure of a GPU" in result["what"]
    assert result["what"] in said and said in done.output
    assert {"device", "torch", "numpy", "Python"} <= result["machine"].keys()
    assert list(result["parts"]) == list(gpu.BUDGETS)
    for part in result["parts"].values():
        assert part["rows"] and 0 < part["seconds"] <= part["budget"]
        for row in part["rows"]:
            assert math.isfinite(row["value"]) and f"| {row['what']} " in said
            if row["must"]:  # CPU beside the device of this run
                assert row["met"] and 0 <= row["value"] <= 0.02
            else:
                assert row["met"] is None and row["value"] > 0
    compared = [row["what"] for part in result["parts"].values() for row in part["rows"]]
    for what in ("losses, recipe paper", "embeddings, recipe ours", "SEM-VLM, losses"):
        assert what in compared
    shares = [row for part in result["parts"].values() for row in part["rows"]]
    assert sum("share" in row["what"] for row in shares) == 4


def test_without_a_gpu_it_stops_and_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(gpu, "best_device", lambda: "cpu")
    done = run("--out", tmp_path)
    assert done.exit_code == 1 and "no GPU" in done.output and "--toy" in done.output
    done = run("--toy")
    assert done.exit_code == 2 and "--toy needs --out FOLDER" in done.output
    assert list(tmp_path.iterdir()) == []


def test_a_part_that_fails_or_takes_too_long_costs_no_other_part(tmp_path, monkeypatch):
    def good(*_):
        yield gpu_rows.row("copy", 2.0, "GB/s")
        assert stored(tmp_path)["parts"]["ceilings"]["rows"][0]["value"] == 2  # at once

    def endless(*_):
        yield gpu_rows.row("first", 1.0, "s")
        time.sleep(20)

    def broken(*_):
        yield gpu_rows.row("difference", 0.5, "", at_most=0.1, must=True)
        raise RuntimeError("out of memory")

    def last(_sizes, _device, ceilings):
        yield gpu_rows.row("share", 1 / ceilings["copy"], "", at_least=0.9)

    parts = {"ceilings": good, "agreement": endless, "ssl": broken, "embedding": last}
    for name, part in parts.items():
        monkeypatch.setattr(gpu_parts, name, part)
    monkeypatch.setattr(gpu, "BUDGETS", dict.fromkeys(parts, 0.3))
    monkeypatch.setattr(gpu, "best_device", lambda: "cuda")
    monkeypatch.setattr(gpu, "machine", lambda _: {"device": "a card"})
    done = run("--out", tmp_path)
    assert done.exit_code == 1
    for fault in ("agreement: OutOfTime: stopped after 0 s", "out of memory", "0.5, allowed at"):
        assert fault in done.output
    result = stored(tmp_path)
    values = [row["value"] for part in result["parts"].values() for row in part["rows"]]
    assert values == [2, 1, 0.5, 0.5] and not result["toy"]
    assert result["parts"]["embedding"]["rows"][0]["met"] is False  # said, but no failure

    monkeypatch.setattr(gpu_parts, "ssl", last)
    run("--out", tmp_path, "--only", "ssl")
    parts = stored(tmp_path)["parts"]
    assert "error" not in parts["ssl"] and parts["embedding"] == result["parts"]["embedding"]


def test_all_parts_together_end_within_nine_minutes():
    assert sum(gpu.BUDGETS.values()) <= gpu.WHOLE <= 540


def test_shares_count_operations_and_bytes():
    a = torch.ones(8, 8)
    ceilings = {"float32 product": 2 * 8**3 / 1e12, "copy": 3 * 8 * 8 * 4 / 1e9}
    matrix, copied = gpu_rows.shares(lambda: a.view(8, 8).T @ a, 2.0, ceilings, "float32")
    assert matrix["value"] == pytest.approx(0.5)  # twice the seconds of the ceilings
    assert copied["value"] == pytest.approx(0.5)  # two matrices read, one written; views are free
    assert list(gpu_rows.shares(lambda: a @ a, 2.0, {}, "float32")) == []


def test_goals_are_judged():
    assert gpu_rows.row("a", 3, "s", at_most=2)["met"] is False
    assert gpu_rows.row("a", 3, "images/s", at_least=3)["met"] is True
    assert gpu_rows.row("a", 3, "s")["met"] is None
    assert gpu_rows.row("a", math.nan, "s", at_most=2, must=True)["met"] is False


def test_textures_differ():
    many = gpu_rows.textures(130, 16)
    assert many.dtype == np.uint8 and len({image.tobytes() for image in many}) == 130


@pytest.fixture(scope="module")
def trainings(tmp_path_factory):
    """Losses and encoder of two epochs on the CPU, in float32 and in bfloat16."""
    levels = pyramid(gpu_rows.textures(64, 64))
    results = {}
    for short in (False, True):
        folder = tmp_path_factory.mktemp("training")
        with pytest.MonkeyPatch.context() as patch:
            context = torch.autocast("cpu", torch.bfloat16, enabled=short)
            patch.setattr(recipes, "_autocast", lambda _, context=context: context)
            history = train.train(levels, folder, epochs=2, device="cpu", progress=False)
        results[short] = history["loss"].to_numpy(), recipes.load_encoder(folder)
    return levels, results


@pytest.mark.slow
def test_bfloat16_stays_within_the_tolerance_of_losses(trainings):
    _, results = trainings
    assert 0 < gpu_rows.gap(results[False][0], results[True][0]) < gpu_parts.LOSS / 2
    assert gpu_rows.gap(results[False][0], results[True][0] + 0.05) > gpu_parts.LOSS


@pytest.mark.slow
def test_the_tolerance_of_embeddings_tells_float32_from_tf32(trainings, monkeypatch):
    levels, results = trainings
    network = results[False][1]
    images = encoder.to_input(levels[0])
    with torch.no_grad():
        exact = copy.deepcopy(network).double()(images.double()).numpy()
    plain = encoder.embed(network, levels[0], device="cpu", progress=False)
    assert gpu_rows.apart(exact, plain) < gpu_parts.SPREAD / 3

    def tf32(x):  # 10 bits of the mantissa, rounded to the nearest
        bits = x.contiguous().view(torch.int32)
        return ((bits + 0x1000) & ~0x1FFF).view(torch.float32)

    forward = torch.nn.Conv2d._conv_forward

    def rounded(self, x, weight, bias):
        return forward(self, tf32(x), tf32(weight), bias)

    monkeypatch.setattr(torch.nn.Conv2d, "_conv_forward", rounded)
    short = encoder.embed(network, levels[0], device="cpu", progress=False)
    assert gpu_rows.apart(exact, short) > gpu_parts.SPREAD
