"""Freed memory that stays with the process."""

import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource
from semlib import workers
{}
for _ in range(8):
    b"x" * 2**25
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
"""


@pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="only glibc can be told to keep freed memory"
)
def test_freed_memory_is_not_faulted_in_again():
    usual, kept = (
        int(
            subprocess.run(
                [sys.executable, "-c", FAULTS.format(line)], capture_output=True, check=True
            ).stdout
        )
        for line in ("", "workers.keep_memory()")
    )
    assert kept < usual / 2
