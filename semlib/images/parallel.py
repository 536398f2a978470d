"""Work spread over threads, or over processes that end with the one that started them; a folder for finished parts."""

import itertools
import math
import multiprocessing
import os
import shutil
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor


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
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _end_with_parent) as pool:
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
    chunks, batch = [jobs[start : start + chunk] for start in range(0, len(jobs), chunk)], 4 * workers
    with ThreadPoolExecutor(workers) as pool:
        ahead = []
        for start in range(0, len(chunks) + batch, batch):
            ready, ahead = ahead, pool.map(lambda part: [*map(work, part)], chunks[start : start + batch])
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
