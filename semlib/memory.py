"""Memory that is kept for the next step instead of going back to the system."""

import ctypes
import platform
from functools import lru_cache


@lru_cache(maxsize=1)
def reuse():
    """Make glibc keep freed buffers, up to 2 GB, so that work on a CPU does not fault them in anew each time.

    Returning hundreds of megabytes to the system and asking for them again can cost as much time as the arithmetic on
    them. Holds for the whole process. Does nothing without glibc.
    """
    if platform.libc_ver()[0] == "glibc":
        mmap_max, trim_threshold, top_pad = -4, -1, -2  # names of malloc.h
        libc = ctypes.CDLL(None)
        libc.mallopt(mmap_max, 0)
        libc.mallopt(trim_threshold, 2**31 - 1)
        libc.mallopt(top_pad, 2**28)
