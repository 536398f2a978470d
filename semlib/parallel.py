"""Threads for compiled loops that release the interpreter, as many as PyTorch uses."""

import os
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import torch


def split(kernel, count, *arguments, grain=None):
    """Call ``kernel(start, stop, *arguments)`` on parts of ``range(count)``, in as many threads as PyTorch uses.

    Parameters
    ----------
    kernel : function
        Releases the interpreter; the parts must not depend on each other.
    count : int
    *arguments
        Of each call.
    grain : int, optional
        Length of a part; by default a quarter of a thread's share. A thread that is done takes the next part.
    """
    threads = max(1, min(torch.get_num_threads(), count))
    grain = grain or -(-count // (4 * threads))
    starts = iter(range(0, count, grain))

    def work():
        for start in starts:
            kernel(start, min(start + grain, count), *arguments)

    jobs = [_pool(threads).submit(work) for _ in range(threads - 1)]
    work()
    for job in jobs:
        job.result()


@lru_cache
def _pool(threads):
    return ThreadPoolExecutor(max(1, threads - 1))


os.register_at_fork(after_in_child=_pool.cache_clear)
