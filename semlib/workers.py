"""Work spread over threads and processes, folders for finished parts, and memory that is kept."""

import ctypes
import itertools
import math
import multiprocessing
import os
import platform
import shutil
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import lru_cache


def spread(work, jobs, workers, chunk):
    """Results of `work` on each job, in order.

    Parameters
    ----------
    work : callable
        A function of one job that can be pickled.
    jobs : sequence
    workers : int or None
        Processes; None for one per CPU. One worker is this very process.
    chunk : int
        Jobs a process gets at a time.
    """
    workers = min(workers or os.cpu_count() or 1, math.ceil(len(jobs) / chunk) or 1)
    if workers == 1:
        yield from map(work, jobs)
        return
    with ProcessPoolExecutor(
        workers, multiprocessing.get_context("spawn"), _end_with_parent
    ) as pool:
        yield from pool.map(work, jobs, chunksize=chunk)


def threads(work, jobs, workers, chunk=4):
    """Results of `work` on each job, in order, never more than a few batches ahead of the reader.

    Parameters
    ----------
    work : callable
        Spends its time outside Python's lock.
    jobs : sequence
    workers : int
    chunk : int
        Jobs a thread gets at a time.
    """
    chunks, batch = (
        [jobs[start : start + chunk] for start in range(0, len(jobs), chunk)],
        4 * workers,
    )
    with ThreadPoolExecutor(workers) as pool:
        ahead = []
        for start in range(0, len(chunks) + batch, batch):
            ready, ahead = (
                ahead,
                pool.map(lambda part: [*map(work, part)], chunks[start : start + batch]),
            )
            yield from itertools.chain.from_iterable(ready)


def _end_with_parent():
    """In a worker: watch the process that started it, so that killing that one leaves none behind."""
    parent = multiprocessing.parent_process()
    threading.Thread(target=lambda: (parent.join(), os._exit(1)), daemon=True).start()


def parts_folder(path, key):
    """Hidden folder beside `path` for what is finished of it; those of other keys are removed."""
    folder = path.with_name(f".{path.stem}-parts-{key}")
    for stale in set(path.parent.glob(f".{path.stem}-parts-*")) - {folder}:
        shutil.rmtree(stale)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


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
    import torch

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
    import torch
    from threadpoolctl import threadpool_limits

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


@lru_cache(maxsize=1)
def keep_memory():
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
