import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from semlib import paths
from semlib.bench import __main__ as command
from semlib.bench import gpu, machine, process, scaling, stages, table
from semlib.bench.case import Case, example_embeddings, example_images

TINY = {
    "preprocess": {"count": 3, "size": 72, "side": 64},
    "glcm": {"count": 2, "size": 32},
    "lbp": {"count": 2, "size": 32},
    "wavelet": {"count": 2, "size": 32},
    "pca": {"count": 12, "size": 16, "components": 4},
    "pca-randomised": {"count": 40, "size": 16, "components": 4, "block": 16},
    "ssl-step": {"count": 8, "size": 32, "batch_size": 4},
    "embed": {"count": 4, "size": 64},
    "kmeans": {"count": 90},
    "minibatch": {"count": 600, "dim": 8, "rows": 50},
    "tsne": {"count": 90},
    "trust": {"count": 2, "size": 48},
    "semclip-features": {"count": 2, "size": 64},
    "simulate": {"count": 3, "size": 64},
}
SLOW = {"umap": {"count": 90}, "semclip-episode": {"shots": 1, "tests": 1, "size": 64}}


@pytest.fixture(autouse=True)
def temporary_files(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


@pytest.fixture(autouse=True)
def nothing_loaded(monkeypatch):
    monkeypatch.setattr(process, "LOADED", ())  # most tests need no library


@pytest.fixture
def use(monkeypatch):
    """Measure only these stages, small and followed over few images."""

    def only(*names, **changes):
        small = {n: replace(stages.STAGES[n], options=TINY[n], repeats=1, **changes) for n in names}
        monkeypatch.setattr(command, "STAGES", small)
        monkeypatch.setattr(command, "COUNTS", (2, 4))
        monkeypatch.setattr(machine, "peaks", lambda: {})

    return only


def verdict(name, options):
    case = stages.STAGES[name].make(**options)
    return case, case.verdict(case.check(case.reference()), case.check(case.ours()))


@pytest.mark.parametrize("name", TINY)
def test_a_fast_path_gives_the_values_of_its_reference(name, monkeypatch):
    monkeypatch.setattr("semlib.semnr.dists.unavailable", lambda: "left out")
    case, found = verdict(name, TINY[name])
    assert found["equal"], found
    assert case.count == TINY[name]["count"]


@pytest.mark.slow
@pytest.mark.parametrize("name", SLOW)
def test_a_slow_path_gives_the_values_of_its_reference(name):
    assert verdict(name, SLOW[name])[1]["equal"]


def test_every_stage_is_tested():
    assert set(TINY) | set(SLOW) == {name for name, stage in stages.STAGES.items() if stage.usual}


def case(tolerance=1e-3, **options):
    return Case("sum", "loop", None, None, "images", 3, tolerance, **options)


@pytest.mark.parametrize(
    ("ours", "gap"),
    [([0, 1, 1000], 0), ([0, 1.1, 1000], 0.1), ([0, 1, 1100], 0.1), ([0, 1, np.nan], np.nan)],
)
def test_the_difference_is_relative_for_large_values(ours, gap):
    found = case().verdict([0, 1, 1000], ours)
    assert found["difference"] == pytest.approx(gap, nan_ok=True)
    assert found["equal"] == (gap == 0)


def test_of_a_quality_only_what_is_missing_counts():
    assert case(quality=True).verdict(0.5, 0.9)["difference"] == 0
    assert case(quality=True).verdict(0.9, 0.5)["difference"] == pytest.approx(0.4)
    assert not case(quality=True).verdict(0.9, 0.5)["equal"]


def test_results_of_other_shapes_are_refused():
    with pytest.raises(ValueError, match=r"sum: the reference gives \(3,\), ours \(2,\)"):
        case().verdict([1, 2, 3], [1, 2])


@pytest.mark.parametrize("power", [0, 1, 2.5])
def test_exponent_of_a_power_law(power):
    counts = np.array([250, 500, 1000, 2000])
    assert table.exponent(counts, 3e-4 * counts**power) == pytest.approx(power, abs=1e-9)


def test_example_input_is_the_same_each_time():
    assert np.array_equal(example_images(2, 16), example_images(2, 16))
    assert len(np.unique(example_images(2, 16))) > 20
    embeddings, labels = example_embeddings(50)
    assert embeddings.shape == (50, 128) and len(set(labels)) == 6


def test_peak_sees_memory_that_is_given_back():
    program = "import time, numpy; from semlib.bench.process import Peak\n"
    program += "with Peak() as peak: block = numpy.ones(8_000_000); time.sleep(0.1); del block\nprint(peak.rise)"
    rise = int(subprocess.check_output([sys.executable, "-c", program], cwd=paths.ROOT))
    assert 60e6 < rise < 90e6


@pytest.mark.slow
def test_both_sides_in_processes_of_their_own(use):
    row = process.compare(stages.STAGES["lbp"].make, TINY["lbp"], repeats=1)
    assert row["equal"] and row["count"] == 2
    assert row["ratio"] == row["reference_seconds"] / row["ours_seconds"] > 0
    assert row["per_second"] == 2 / row["ours_seconds"]


@pytest.mark.slow
def test_a_fresh_process_is_timed_from_its_start():
    row = process.compare(stages.STAGES["wavelet"].make, TINY["wavelet"], fresh=True)
    assert row["equal"] and row["ours_seconds"] > 0.1  # the start of Python is in it
    assert row["ours_memory"] > 10e6  # and so are its imports


@pytest.mark.parametrize("fresh", [False, True])
def test_an_error_in_a_process_is_reported(fresh):
    with pytest.raises(RuntimeError, match="unexpected keyword argument 'colour'"):
        process.compare(stages.STAGES["glcm"].make, {"colour": 1}, fresh=fresh)


def test_the_command_writes_a_table_and_keeps_other_stages(use):
    use("lbp", "wavelet", growth={"size": 32})
    out = paths.figures_root() / "bench.json"
    result = CliRunner().invoke(command.main, ["--only", "lbp"])
    assert result.exit_code == 0, result.output
    assert list(json.loads(out.read_text())["stages"]) == ["lbp"]
    result = CliRunner().invoke(command.main, ["--only", "wavelet", "--no-growth"])
    found = json.loads(out.read_text())
    assert list(found["stages"]) == ["lbp", "wavelet"] and list(found["growth"]) == ["lbp"]
    assert (
        found["growth"]["lbp"]["counts"] == [2, 4] and len(found["growth"]["lbp"]["seconds"]) == 2
    )
    assert found["machine"]["packages"]["torch"]
    assert "PyWavelets, loop" in result.output and "exponent" in result.output


def test_other_values_fail_the_command(use, monkeypatch):
    use("lbp", growth=None)
    row = {
        "reference_seconds": 1.0,
        "ours_seconds": 0.5,
        "reference_memory": 0,
        "ours_memory": 0,
        "count": 2,
    }
    row |= {"stage": "LBP", "reference": "loop", "ratio": 2.0, "per_second": 4.0} | case().verdict(
        [0.0], [0.5]
    )
    monkeypatch.setattr(process, "compare", lambda *_, **__: row)
    result = CliRunner().invoke(command.main, [])
    assert result.exit_code == 1 and "values DIFFER: 5.0e-01, allowed 0.001" in result.output


def test_textures_are_summed_up():
    row = {
        "reference_memory": 0,
        "ours_memory": 0,
        "count": 2,
        "reference": "loop",
        "ratio": 1.0,
        "per_second": 4.0,
    }
    row |= {"target": None} | case().verdict([0.0], [0.0])
    seconds = {"glcm": (6.0, 1.0), "lbp": (2.0, 0.5), "wavelet": (1.0, 0.5)}
    found = {
        n: row | {"stage": n, "reference_seconds": a, "ours_seconds": b}
        for n, (a, b) in seconds.items()
    }
    assert table.rows(found).splitlines()[-1].endswith("2         9.00    2.00    4.5       6")


def test_profile_counts_operations_and_bytes():
    import torch

    from semlib.bench import profile

    with profile.Traffic() as traffic:
        _ = torch.ones(10, 20).T @ torch.ones(10, 5)
    assert traffic.product == "float32" and traffic.bytes == 4 * (200 + 50 + 200 + 50 + 100)
    text = profile.roofline(
        {"float32": 1e9, "bfloat16": 2e9, "copy": 1e9, "device": "cpu"}, "bfloat16", 2e9, 3e9, 6.0
    )
    assert (
        "1.000 s of bfloat16 arithmetic, 3.000 s of memory" in text
        and "memory: 50% of its peak" in text
    )


def test_peaks_are_rates_of_this_machine():
    found = machine.peaks(side=64, megabytes=1, repeats=1)
    assert all(found[name] > 1e6 for name in ("float32", "bfloat16", "copy"))


def test_the_profile_sees_functions_in_other_threads():
    from semlib.bench.profile import profile

    text = profile(replace(stages.STAGES["glcm"], options={"count": 2, "size": 32}))
    assert "_glcm_properties" in text and "not counted" in text


@pytest.fixture
def measured():
    """A finished bench: each stage two images a second on two cores, memory 10 MB + 1 kB an image, time as N^1.5."""
    counts = [100, 400]
    cost = {
        "counts": counts,
        "seconds": [n**1.5 for n in counts],
        "memory": [1e7 + 1e3 * n for n in counts],
    }
    facts = {"cpu": "a processor", "cpu_count": 2, "memory": 2**34, "gpu": None}
    return {
        "machine": facts,
        "stages": {n: {"per_second": 2.0} for n in scaling.STAGES},
        "growth": {"lbp": cost},
    }


def test_costs_of_many_images(measured):
    text = scaling.page(measured, {"lbp": 80})
    assert (
        "| LBP | 2 | 139 | 13,889 | 1,388,889 | 14 | 1,356 |" in text
    )  # 1e6 / 2 / 3600; cluster: 2 / 2048
    assert "15 epochs | 0.13 | 2,083 | 208,333 | 20,833,333 |  |  |" in text
    assert "| LBP | 80 | 80.0MB | 8.00GB | 800GB |" in text
    assert "| lbp | 400 | 10 | 1.0 | 1.50 |" in text
    assert "a processor, 2 cores, 16 GiB of memory, GPU: none" in text


def test_bytes_an_image_are_those_of_the_results():
    found = scaling.sizes(64)
    assert set(found) == set(scaling.STAGES) - {"ssl-step"}
    assert found["preprocess"] == 64**2 + 32**2 + 16**2 and found["embed"] == 128 * 4


def test_the_page_on_scaling_needs_a_whole_bench(measured, tmp_path):
    run = CliRunner()
    missing = run.invoke(
        scaling.main, ["--bench", str(tmp_path / "none.json"), "--docs", str(tmp_path)]
    )
    assert missing.exit_code == 1 and "none.json does not exist: run make bench" in missing.output
    del measured["stages"]["lbp"]
    (tmp_path / "bench.json").write_text(json.dumps(measured))
    partial = run.invoke(
        scaling.main, ["--bench", str(tmp_path / "bench.json"), "--docs", str(tmp_path)]
    )
    assert partial.exit_code == 1 and "the bench has no lbp: run make bench" in partial.output
    assert not (tmp_path / "scaling.md").exists()


def test_the_stored_page_on_scaling_is_that_of_the_stored_bench():
    docs = Path(__file__).parents[1] / "docs"
    assert (docs / "scaling.md").read_text() == scaling.page(
        json.loads((docs / "bench.json").read_text()), scaling.sizes()
    )


def test_the_measurement_of_a_gpu_runs_on_a_cpu(monkeypatch):
    monkeypatch.setattr(machine, "peaks", lambda: {"float32": 1e9, "bfloat16": 1e9})
    found = gpu.measure(count=20, size=32, batch_size=4, device="cpu")
    for part in ("epoch", "embedding"):
        row = found[part]
        assert row["per_second"] == pytest.approx(20 / row["seconds"])
        assert row["share_of_peak"] == pytest.approx(row["operations"] / row["seconds"] / 1e9)
    assert (
        found["epoch"]["operations"] > 3 * found["embedding"]["operations"]
    )  # three scales, forth and back
    assert "20 images of 32 x 32" in gpu.table(found)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_without_a_gpu_the_command_says_so(tmp_path):
    result = CliRunner().invoke(command.main, ["--gpu", "--out", str(tmp_path / "bench-gpu.json")])
    assert result.exit_code == 1 and "no GPU here" in result.output and not list(tmp_path.iterdir())
