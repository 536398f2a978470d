"""The benchmarks run: a tiny stage through the whole machinery."""

import json
import os
import subprocess
import sys

import pytest

from semlib import paths

DIFFERENT = """
def test_stage(compare):
    compare("a stage", "a library", lambda: [1.0, 200.0], lambda: [1.0, 210.0], 2, 0.01, rounds=1)
"""


def bench(folder, *arguments):
    """Exit code, output and rows of ``bench.json`` of a run with tiny inputs."""
    file = folder / "bench.json"
    command = [sys.executable, "-m", "pytest", "-q", "-c", paths.ROOT / "pyproject.toml"]
    command += ["-p", "no:cacheprovider", "--benchmark-quiet", "--benchmark-json", file]
    # a worker of xdist says so to its children, whose benchmarks then measure nothing
    environment = {name: x for name, x in os.environ.items() if "XDIST" not in name}
    environment |= {"SEMLIB_BENCH_SIZE": "tiny"}
    run = subprocess.run(
        [*command, *arguments], cwd=paths.ROOT, env=environment, capture_output=True, text=True
    )
    return run.returncode, run.stdout + run.stderr, json.loads(file.read_text())


@pytest.mark.slow
def test_a_stage_is_measured_beside_its_reference(tmp_path):
    code, said, stored = bench(tmp_path, "benchmarks/test_morphology.py", "-k", "glcm")
    assert code == 0, said
    (row,) = stored["benchmarks"]
    assert row["stage"] == "glcm" and row["reference"] == "scikit-image" and row["count"] == 2
    assert row["reference_seconds"] > 0 and row["ours_seconds"] > 0
    assert 0 < row["difference"] <= row["tolerance"] == 1e-6
    assert stored["machine_info"]["cpu"] and stored["machine_info"]["torch"]
    ratio = row["reference_seconds"] / row["ours_seconds"]
    assert f"| {ratio:.1f} " in said and "values equal" in said


@pytest.mark.slow
def test_other_values_fail_the_run(tmp_path):
    (tmp_path / "test_different.py").write_text(DIFFERENT)
    code, said, stored = bench(tmp_path, "-p", "benchmarks.conftest", tmp_path)
    assert code == 1 and "a stage: values differ by 5.0e-02, allowed 0.01" in said
    assert "values DIFFER (5e-02, allowed 0.01)" in said
    assert stored["benchmarks"][0]["difference"] == pytest.approx(0.05)
