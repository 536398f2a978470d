"""Work spread over processes that end with the one that started them, and the hidden folder its results wait in."""

import math
import multiprocessing
import os
import shutil
import threading
from concurrent.futures import ProcessPoolExecutor


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
