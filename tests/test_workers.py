"""Results in order whatever the number of workers, every part once, memory that stays."""

import platform
import subprocess
import sys

import pytest
import torch

from semlib import workers


def double(job):
    return 2 * job


@pytest.mark.parametrize(("count", "number"), [(0, 2), (1, 2), (37, 1), (37, 3)])
def test_results_come_in_order(count, number):
    jobs = list(range(count))
    doubled = [2 * job for job in jobs]
    assert [*workers.threads(double, jobs, number)] == doubled
    assert [*workers.side_by_side([lambda job=job: 2 * job for job in jobs])] == doubled
    assert [*workers.spread(double, jobs, 1, chunk=5)] == doubled


@pytest.mark.slow
def test_processes_keep_the_order():
    assert [*workers.spread(double, list(range(11)), 2, chunk=2)] == list(range(0, 22, 2))


def test_threads_of_pytorch_are_given_back_after_an_error():
    before = torch.get_num_threads()
    with pytest.raises(ZeroDivisionError):
        [*workers.side_by_side([lambda: 1 / 0] * 3)]
    assert torch.get_num_threads() == before


def test_parts_of_another_key_are_removed(tmp_path):
    first = workers.parts_folder(tmp_path / "level0.npy", "a")
    (first / "0.npy").write_text("")
    assert (
        workers.parts_folder(tmp_path / "level0.npy", "a") == first and (first / "0.npy").exists()
    )
    second = workers.parts_folder(tmp_path / "level0.npy", "b")
    assert [*tmp_path.iterdir()] == [second]


FAULTS = """
import resource
from semlib import workers
{}
for _ in range(8):
    b"x" * 2**25
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told to keep it")
def test_freed_memory_is_not_faulted_in_again():
    def faults(line):
        command = [sys.executable, "-c", FAULTS.format(line)]
        return int(subprocess.run(command, capture_output=True, check=True).stdout)

    assert faults("workers.keep_memory()") < faults("") / 2
