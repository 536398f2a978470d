"""Where and how a training computes: device, number format, memory."""

import ctypes
import platform

import torch


def best_device():
    """Return "cuda" where there is one, else "cpu"."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def autocast(device):
    """bf16 arithmetic where the hardware has it (GPU, AVX512-BF16 or AMX), else plain float32.

    A CPU without these instructions emulates bf16 and is several times slower than float32.
    """
    cpu = torch.cpu.get_capabilities()
    native = device != "cpu" or cpu.get("avx512_bf16", False) or cpu.get("amx_bf16", False)
    return torch.autocast(device, torch.bfloat16, enabled=native)


def reuse_memory():
    """Make glibc keep freed buffers, so that each training step on a CPU does not fault them in anew.

    Returning hundreds of megabytes to the system and asking for them again costs more time than
    the arithmetic on them. Does nothing without glibc.
    """
    if platform.libc_ver()[0] == "glibc":
        mmap_max, trim_threshold, top_pad = -4, -1, -2  # names of malloc.h
        libc = ctypes.CDLL(None)
        libc.mallopt(mmap_max, 0)
        libc.mallopt(trim_threshold, 2**31 - 1)
        libc.mallopt(top_pad, 2**28)
