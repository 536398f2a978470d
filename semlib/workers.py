"""Work on several cores: processes, threads, and the memory that they keep.

Processes (`spread`) suit Python code. Threads suit work that releases the interpreter: functions
over jobs (`threads`), small networks (`side_by_side`).
"""

import ctypes
import math
import multiprocessing
import os
import platform
import shutil
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import lru_cache


def spread(work, jobs, workers, chunk):
    """Results of `work` on each job, in order, from processes that get `chunk` jobs at a time.

    `work` is a function that can be pickled. None workers are one per CPU, one is this process.
    """
    workers = min(workers or os.cpu_count(), math.ceil(len(jobs) / chunk))
    if workers <= 1:
        yield from map(work, jobs)
        return
    # spawn: a forked copy of a process with threads may hang in a lock that nobody frees
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, end_with_parent) as pool:
        yield from pool.map(work, jobs, chunksize=chunk)


def end_with_parent():
    """In a worker: watch the process that started it, so that killing that one leaves none."""
    parent = multiprocessing.parent_process()
    threading.Thread(target=lambda: (parent.join(), os._exit(1)), daemon=True).start()


def parts_folder(path, key):
    """Hidden folder beside `path` for what is finished of it; those of other keys are removed."""
    folder = path.with_name(f".{path.stem}-parts-{key}")
    for stale in set(path.parent.glob(f".{path.stem}-parts-*")) - {folder}:
        shutil.rmtree(stale)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def threads(work, jobs, workers):
    """Results of `work` on each job, in order, from threads.

    At most two batches of ``16 * workers`` jobs are ahead of the reader, or they filled the memory.
    """
    batch = 16 * workers
    with ThreadPoolExecutor(workers) as pool:
        ready = ()
        for start in range(0, len(jobs) + batch, batch):
            begun = pool.map(work, jobs[start : start + batch])
            yield from ready
            ready = begun


def side_by_side(jobs):
    """Call functions without arguments, up to four at a time; yields their results in order.

    Each gets its share of PyTorch's threads: work on small tensors gains more from company than
    from a second thread. The functions must not use PyTorch's global generator, which they share.
    """
    import torch
    from threadpoolctl import threadpool_limits

    available = torch.get_num_threads()
    workers = max(1, min(4, available, len(jobs)))
    share = available // workers
    try:
        with (
            threadpool_limits(share, "blas"),
            ThreadPoolExecutor(workers, None, torch.set_num_threads, (share,)) as pool,
        ):
            yield from pool.map(lambda job: job(), jobs)
    finally:
        torch.set_num_threads(available)  # threads that begin later would have a share only


@lru_cache(maxsize=1)
def keep_memory():
    """Make glibc keep freed buffers of this process, up to 2 GB, instead of returning them.

    To return hundreds of megabytes to the system and ask for them again costs as much time as the
    arithmetic on them. Does nothing without glibc.
    """
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(-4, 0)  # M_MMAP_MAX in malloc.h
        libc.mallopt(-1, 2**31 - 1)  # M_TRIM_THRESHOLD
        libc.mallopt(-2, 2**28)  # M_TOP_PAD
