"""Cases measured in processes of their own: time, peak memory and values of each side, in turn."""

import itertools
import multiprocessing
import os
import sys
import tempfile
import threading
import time
import traceback
from contextlib import contextmanager, nullcontext, suppress

import psutil

SIDES = ("reference", "ours")
INTERVAL, FAMILY = (
    0.005,
    20,
)  # seconds between two looks at the memory; looks between two searches for child processes
LOADED = ("torch", "sklearn.cluster", "skimage.feature", "piq", "open_clip", "semlib.bench.stages")


class Peak:
    """Within ``with``: how far the resident memory of this process and its children rises, in bytes, as `rise`."""

    def __init__(self, base=None):
        self.base, self.rise = base or psutil.Process().memory_info().rss, 0
        self._end, self._thread = (
            threading.Event(),
            threading.Thread(target=self._watch, daemon=True),
        )

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._end.set()
        self._thread.join()

    def _watch(self):
        own = psutil.Process()
        for look in itertools.count():
            if look % FAMILY == 0:
                children = own.children(recursive=True)
            total = own.memory_info().rss
            for child in children:
                with suppress(psutil.Error):  # it has ended
                    total += child.memory_info().rss
            self.rise = max(self.rise, total - self.base)
            if self._end.wait(INTERVAL):
                return


def compare(make, options, *, fresh=False, repeats=2):
    """Measure both sides of a case, each in its own process.

    With `fresh` each runs in `repeats` new processes, timed from the start of the interpreter to the result; what a
    side keeps on disk, like compiled functions, serves the later ones, `ours_first_seconds` is the first. Otherwise a
    first run of each, which compiles and imports and during which the memory is watched, is followed by `repeats` runs
    of the two sides in turn; without `repeats` the first run counts. The quickest run of each side counts.

    Parameters
    ----------
    make : function
        Gives a `semlib.bench.case.Case`; a function of a module, as it is sent to the processes.
    options : dict
        Arguments of `make`.
    fresh : bool
    repeats : int

    Returns
    -------
    dict
        A row of ``bench.json``; memory in bytes, above what the process held before (with `fresh`: from its start).

    Raises
    ------
    RuntimeError
        If a side fails.
    """
    case, runs, more = _fresh(make, options, repeats) if fresh else _in_turn(make, options, repeats)
    row = {
        "stage": case.title,
        "reference": case.reference_name,
        "unit": case.unit,
        "count": case.count,
    }
    for side, (seconds, memory, _) in runs.items():
        row |= {f"{side}_seconds": seconds, f"{side}_memory": memory}
    row |= {
        "ratio": row["reference_seconds"] / row["ours_seconds"],
        "per_second": case.count / row["ours_seconds"],
    }
    row |= more | case.verdict(*(values for _, _, values in runs.values()))
    return row


def grow(make, options, counts):
    """Time and memory of our side for several counts, in one process, after a first run on the smallest.

    Returns
    -------
    dict
        counts, seconds and memory (bytes above what the process held before, all inputs among it).
    """
    with _worker(_grow, make, options, sorted(counts)) as pipe:
        found = [_receive(pipe) for _ in counts]
    return {
        "counts": sorted(counts),
        "seconds": [s for s, _ in found],
        "memory": [m for _, m in found],
    }


def _in_turn(make, options, repeats):
    with _worker(_serve, make, options) as one, _worker(_serve, make, options) as other:
        pipes = dict(zip(SIDES, (one, other), strict=True))
        case = [_receive(pipe) for pipe in pipes.values()][0]
        first = {side: _ask(pipe, "memory", side) for side, pipe in pipes.items()}
        times = {side: [] for side in SIDES}
        for _ in range(repeats):
            for side, pipe in pipes.items():
                times[side].append(_ask(pipe, "seconds", side)[0])
        best = {side: min(times[side] or first[side][:1]) for side in SIDES}
        runs = {
            side: (best[side], first[side][1], _ask(pipes[side], "values", side)) for side in SIDES
        }
        return case, runs, {}


def _fresh(make, options, repeats):
    runs = {side: [_start(make, options, side) for _ in range(max(1, repeats))] for side in SIDES}
    case = runs["ours"][0][0]
    best = {side: min(found, key=lambda run: run[1])[1:] for side, found in runs.items()}
    return case, best, {"ours_first_seconds": runs["ours"][0][1]}


def _start(make, options, side):
    begin = time.perf_counter()
    with _worker(_once, make, options, side, fresh=True) as pipe:
        memory = _receive(pipe)
        seconds = time.perf_counter() - begin
        case, values = _receive(pipe)
    return case, seconds, memory, values


def _ask(pipe, *order):
    pipe.send(order)
    return _receive(pipe)


def _receive(pipe):
    try:
        answer = pipe.recv()
    except EOFError:
        raise RuntimeError("a process of the bench ended early: out of memory?") from None
    if isinstance(answer, Failure):
        raise RuntimeError(answer)
    return answer


class Failure(str):
    """The traceback of a worker."""


@contextmanager
def _worker(target, *arguments, fresh=False):
    """A process with a pipe to it; its bars and warnings are not shown, its temporary files go when it ends.

    Unless `fresh`, it begins as a copy of one that has imported what is `LOADED`.
    """
    loaded = not fresh and "forkserver" in multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if loaded else "spawn")
    if loaded:
        context.set_forkserver_preload(LOADED)
    ours, theirs = context.Pipe()
    with tempfile.TemporaryDirectory() as folder:
        process = context.Process(target=_guarded, args=(theirs, folder, target, *arguments))
        process.start()
        theirs.close()
        try:
            yield ours
        finally:
            ours.close()
            process.join()


def _guarded(pipe, folder, target, *arguments):
    sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    os.environ["TMPDIR"] = folder
    try:
        target(pipe, *arguments)
    except (EOFError, BrokenPipeError):
        pass  # nobody asks any more
    except Exception:
        pipe.send(Failure(traceback.format_exc()))


def _serve(pipe, make, options):
    case, result = make(**options), None
    pipe.send(case.described())
    while True:
        order, side = pipe.recv()
        if order == "values":
            pipe.send(case.check(result))
            continue
        with Peak() if order == "memory" else nullcontext() as peak:
            begin = time.perf_counter()
            result = getattr(case, side)()
            seconds = time.perf_counter() - begin
        pipe.send((seconds, peak.rise if peak else None))


def _once(pipe, make, options, side):
    with Peak() as peak:
        case = make(**options)
        result = getattr(case, side)()
    pipe.send(peak.rise)
    pipe.send((case.described(), case.check(result)))


def _grow(pipe, make, options, counts):
    cases = [make(count=count, **options) for count in counts]
    cases[0].ours()
    base = psutil.Process().memory_info().rss
    for case in cases:
        with Peak(base) as peak:
            begin = time.perf_counter()
            case.ours()
            seconds = time.perf_counter() - begin
        pipe.send((seconds, peak.rise))
