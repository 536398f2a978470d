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


def resident(levels, device):
    """Levels (uint8) as tensors on a GPU where they take at most half of its free memory, else as they are."""
    if device == "cpu" or sum(level.nbytes for level in levels) > torch.cuda.mem_get_info()[0] / 2:
        return levels
    return [torch.tensor(level, device=device) for level in levels]


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
