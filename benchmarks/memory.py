"""Peak memory of this process, by what Linux says of it."""

import ctypes
import gc
import sys
from pathlib import Path


def reset_peak():
    """Bytes that this process holds; `resident("VmHWM")` is the peak from now on."""
    gc.collect()
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)  # what earlier stages freed would be used again unseen
        Path("/proc/self/clear_refs").write_text("5")  # sets the peak to what is held now
    return resident("VmRSS")


def resident(name):
    """A line of ``/proc/self/status`` in bytes: VmRSS is now, VmHWM the peak. NaN without Linux."""
    if sys.platform != "linux":
        return float("nan")
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(name))
