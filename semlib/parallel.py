"""Threads: for compiled loops that release the interpreter, and for several small computations side by side."""

import os
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import torch
from threadpoolctl import threadpool_limits


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


def side_by_side(jobs, limit=4):
    """Call functions without arguments, up to `limit` at a time; yields their results in order.

    Each gets its share of PyTorch's threads: work on small tensors gains more from company than from a second thread.
    The first error stops what has not begun.

    Parameters
    ----------
    jobs : sequence of callable
        Must not use PyTorch's global generator, which they would share.
    limit : int
    """
    threads = torch.get_num_threads()
    workers = max(1, min(limit, threads, len(jobs)))
    share = threads // workers
    try:
        with (
            threadpool_limits(share, "blas"),
            ThreadPoolExecutor(workers, None, torch.set_num_threads, (share,)) as pool,
        ):
            yield from pool.map(lambda job: job(), jobs)
    finally:
        torch.set_num_threads(threads)  # threads that begin later would have a share only


@lru_cache
def _pool(threads):
    return ThreadPoolExecutor(max(1, threads - 1))


os.register_at_fork(after_in_child=_pool.cache_clear)
