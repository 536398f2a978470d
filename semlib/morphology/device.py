"""Where a training computes, and in which number format."""

import torch


def best_device():
    """Return "cuda" where there is one, else "cpu"."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def autocast(device):
    """bf16 arithmetic where the hardware has it (GPU, AVX512-BF16 or AMX), else plain float32.

    A CPU without these instructions emulates bf16 and is several times slower than with float32.
    """
    cpu = torch.cpu.get_capabilities()
    native = device != "cpu" or cpu.get("avx512_bf16", False) or cpu.get("amx_bf16", False)
    return torch.autocast(device, torch.bfloat16, enabled=native)


def resident(levels, device):
    """Levels (uint8) on a GPU where they take at most half of its free memory, else as they are."""
    if device == "cpu" or sum(level.nbytes for level in levels) > torch.cuda.mem_get_info()[0] / 2:
        return levels
    return [torch.tensor(level, device=device) for level in levels]
