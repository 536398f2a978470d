"""The fixture `compare`, and what a run prints and saves; pytest-benchmark does the timing."""

import os
from importlib.metadata import version

import numpy as np
import pytest

from benchmarks import table
from benchmarks.memory import reset_peak, resident

PACKAGES = ("numpy", "torch", "scikit-learn", "scikit-image", "piq", "umap-learn")
ROWS = {}  # stage -> row of the table
EXPECTED = {}  # stage -> what its reference gave


@pytest.fixture(params=["reference", "ours"])
def compare(request, benchmark):
    """Function that times one side of a stage and, with the second one, checks the values.

    Its arguments are the names of the stage and of the reference, both functions, the number of
    images, and

    tolerance : largest difference that counts as equal, see `table.difference`
    check : what to compare of a result, a function that is not timed; its name goes to the table
    better : as `check` where results cannot be equal: a number, of which ours must not lack much
    memory : peak in bytes, from a result of functions that start a process of their own
    rounds : timed runs, of which the quickest counts
    """

    def measure(
        stage,
        name,
        reference,
        ours,
        count,
        tolerance,
        check=None,
        better=None,
        memory=None,
        rounds=3,
    ):
        side = request.param
        judge = check or better or np.asarray
        before = reset_peak()
        benchmark.group = stage
        result = benchmark.pedantic(ours if side == "ours" else reference, rounds=rounds)
        row = ROWS.setdefault(stage, {"stage": stage, "reference": name, "count": count})
        row[f"{side}_memory"] = memory(result) if memory else resident("VmHWM") - before
        row[f"{side}_seconds"] = benchmark.stats.stats.min
        values = np.asarray(judge(result), np.float64)
        if side == "reference":
            EXPECTED[stage] = values
            return
        gap = table.difference(EXPECTED[stage], values, one_sided=better is not None)
        compared = judge.__name__ if check or better else "values"
        row |= {"compared": compared, "difference": gap, "tolerance": tolerance}
        assert gap <= tolerance, f"{stage}: {compared} differ by {gap:.1e}, allowed {tolerance:g}"

    return measure


def pytest_benchmark_update_machine_info(machine_info):
    """Of the machine keep what the seconds depend on."""
    cpu = f"{machine_info['cpu'].get('brand_raw')}, {os.cpu_count()} cores"
    python = machine_info["python_version"]
    machine_info.clear()
    machine_info.update({"cpu": cpu, "python": python} | {name: version(name) for name in PACKAGES})


def pytest_benchmark_update_json(output_json):
    """Write the rows of the table in place of pytest-benchmark's statistics."""
    output_json.pop("commit_info")
    output_json["benchmarks"] = list(ROWS.values())


def pytest_terminal_summary(terminalreporter):
    """Print the table, also of a run in which values differ."""
    finished = [row for row in ROWS.values() if "difference" in row]
    terminalreporter.write_line(table.text(finished))
