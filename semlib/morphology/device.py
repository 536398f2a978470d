"""Where and how a training computes: device and number format."""

import numpy as np
import torch

SAMPLE = 16  # images that tell whether a level belongs to a pyramid


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
    return send(levels, device)


def send(levels, device):
    """Levels (uint8 (N, H, W)) on a device: the finest goes there, the others are made of it there.

    A level that is not the finest's mean over blocks, as far as `SAMPLE` images show, is sent as it is.
    """
    finest, sent = torch.tensor(levels[0], device=device), []
    for level in levels[1:]:
        factor, some = (
            finest.shape[-1] // level.shape[-1],
            slice(None, None, -(-len(level) // SAMPLE)),
        )
        made = np.array_equal(_reduced(finest[some], factor).cpu(), level[some])
        sent.append(_reduced(finest, factor) if made else torch.tensor(level, device=device))
    return [finest, *sent]


def _reduced(images, factor):
    """Mean over blocks, rounded half up, as `semlib.images.pyramid`; what does not fill a block is left out."""
    height, width = (side // factor for side in images.shape[1:])
    blocks = images[:, : height * factor, : width * factor].reshape(
        -1, height, factor, width, factor
    )
    totals = blocks.sum((2, 4), dtype=torch.int32)
    return ((2 * totals + factor**2) // (2 * factor**2)).byte()
