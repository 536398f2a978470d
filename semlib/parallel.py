"""Threads for compiled loops that release the interpreter, as many as PyTorch uses."""

import os
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import torch


def split(kernel, count, *arguments):
    """Call ``kernel(start, stop, *arguments)`` on parts of ``range(count)``, one for each of PyTorch's threads.

    Parameters
    ----------
    kernel : function
        Releases the interpreter; the parts must not depend on each other.
    count : int
    *arguments
        Of each call.
    """
    parts = max(1, min(torch.get_num_threads(), count))
    ends = [count * i // parts for i in range(parts + 1)]
    jobs = [_pool(parts).submit(kernel, *ends[i : i + 2], *arguments) for i in range(1, parts)]
    kernel(0, ends[1], *arguments)
    for job in jobs:
        job.result()


@lru_cache
def _pool(parts):
    return ThreadPoolExecutor(max(1, parts - 1))


os.register_at_fork(after_in_child=_pool.cache_clear)
