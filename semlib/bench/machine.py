"""On what a bench ran: hardware, versions, and the largest rates of arithmetic and of memory that it measures."""

import contextlib
import importlib.metadata
import os
import platform
import time

import psutil

PACKAGES = (
    "numpy", "scipy", "torch", "scikit-learn", "scikit-image", "pillow", "PyWavelets", "piq", "umap-learn",
    "open_clip_torch",
)  # fmt: skip


def facts():
    """Hardware and versions, a dict."""
    import torch

    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "cpu": _cpu(), "cpu_count": os.cpu_count(), "memory": psutil.virtual_memory().total, "gpu": gpu,
        "platform": platform.platform(), "python": platform.python_version(),
        "packages": {name: importlib.metadata.version(name) for name in PACKAGES},
    }  # fmt: skip


def peaks(side=2048, megabytes=256, repeats=5):
    """Measured rates of the device that trains: a large matrix product and a copy.

    Parameters
    ----------
    side : int
        Rows and columns of the matrices.
    megabytes : int
        Size of what is copied.
    repeats : int
        The quickest counts.

    Returns
    -------
    dict
        float32 and bfloat16 in operations a second (a multiplication and an addition are two), copy in bytes a second
        read and written.
    """
    import torch

    from semlib.morphology.device import best_device

    where = best_device()
    found = {"device": where}
    for name in ("float32", "bfloat16"):
        a = torch.rand(side, side, device=where).to(getattr(torch, name))
        found[name] = 2 * side**3 / _quickest(lambda a=a: a @ a, repeats)
    source = torch.zeros(megabytes * 2**18, device=where)
    target = torch.empty_like(source)
    return found | {"copy": 2 * source.nbytes / _quickest(lambda: target.copy_(source), repeats)}


def _quickest(work, repeats):
    import torch

    times = []
    for _ in range(1 + repeats):
        begin = time.perf_counter()
        work()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        times.append(time.perf_counter() - begin)
    return min(times[1:])


def _cpu():
    with contextlib.suppress(OSError), open("/proc/cpuinfo") as file:
        for line in file:
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
