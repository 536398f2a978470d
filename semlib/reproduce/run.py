"""Run the numbered notebooks in order with papermill, and skip what is unchanged."""

import contextlib
import fnmatch
import multiprocessing
import os
import signal
import time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

import psutil
from filelock import FileLock, Timeout

import semlib
from semlib import paths, workers
from semlib.reproduce import limits, prepare, report, state
from semlib.reproduce import notebook as nb
from semlib.reproduce.kernel import NotebookError, execute, say

THREADS = ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS")  # which kernels read when they start
OPEN_FIRST = {
    "report.html": "all notebooks on one page, text and results",
    "table1.md": "Table 1: which embedding clusters best",
    "explorer.html": "the embedding image by image",
    "semclip_overlays.png": "SEM-CLIP: images, masks and anomaly maps",
    "semnr_dose.png": "SEMNR: from which dose on a denoiser loses the defect",
}


def reproduce(
    dataset,
    profile="standard",
    *,
    only=(),
    start=None,
    force=False,
    seed=0,
    parameters=None,
    jobs=None,
):
    """Run the notebooks that are not up to date, then write the report of the run.

    A notebook is up to date if its cells, its parameters, the semlib modules that it imports and
    the content of its inputs are those of its last finished run, and the outputs are there.
    Returns {notebook: reasons why it ran}, no reasons for one that was skipped. ValueError for
    names and values that do not fit, OSError for a missing input, a folder that cannot be written
    to and another run going on, NotebookError for a failing cell.

    Parameters
    ----------
    profile : name of a file in ``notebooks/profiles``
    only, start : run these notebooks only; leave out those before this one
    force : run also what is up to date
    parameters : {name: value} for every selected notebook that declares the name
    jobs : notebooks side by side, where none needs another; None: two from four cores and 16 GB of
        free memory on, else one
    """
    jobs = jobs or (2 if os.cpu_count() >= 4 and psutil.virtual_memory().available >= 16e9 else 1)
    place = paths.of(dataset)
    request = {"dataset": place.dataset, "profile": profile, "seed": seed}
    suite = nb.numbered()
    selected = nb.select(suite, only, start)
    values = nb.assign(suite, selected, parameters=parameters or {}, **request)
    for folder in (place.data, place.notebooks):
        paths.check_writable(folder, "SEMLIB_DATA and SEMLIB_FIGURES name other folders")
    with _alone(place):
        record = state.Record(place, **request)
        say(f"semlib {semlib.__version__}: {place.dataset}, profile {profile}, seed {seed}")
        say(_forecast(selected, record, profile))
        begin = time.monotonic()
        if any("layout" in notebook.code for notebook in selected):
            prepare.begin()
        reasons = _Schedule(suite, selected, values, record, force).run(jobs)
        ran = sum(map(bool, reasons.values()))
        spent = time.monotonic() - begin
        say(f"{ran} run, {len(reasons) - ran} skipped in {spent:.1f} s: {place.figures}")
        if page := report.write(dataset):
            say(f"report: {page}")
        for name, what in OPEN_FIRST.items():
            if (place.figures / name).is_file():
                say(f"  {name:<22} {what}")
    return reasons


def _forecast(selected, record, profile):
    """What will happen and how long it takes: from the last run, or as the profile states it."""
    names = [notebook.name for notebook in selected]
    last = [record.notebooks.get(name, {}) for name in names]
    what = f"{len(names)} notebooks, {names[0][:2]} to {names[-1][:2]}"
    if all(one.get("profile") == profile for one in last):
        minutes = sum(one["seconds"] for one in last) / 60
        return f"{what}: {minutes:.1f} min when they ran here; what is unchanged is skipped"
    return f"{what}. {nb.takes(profile)}".rstrip(". ")


class _Schedule:
    """Which notebook runs when: each as soon as those that make its inputs are done."""

    def __init__(self, suite, selected, values, record, force):
        self.suite = suite
        self.waiting = list(selected)
        self.values = values
        self.record = record
        self.force = force
        self.labels = {
            notebook.name: f"[{number}/{len(selected)}] {notebook.name}"
            for number, notebook in enumerate(selected, 1)
        }
        self.running = {}  # row of the terminal -> what was begun there
        self.reasons = dict.fromkeys(self.labels)

    def run(self, jobs):
        """Run all, at most `jobs` side by side; returns the reasons by notebook."""
        with _pool(jobs) as pool:
            while self.waiting or self.running:
                ready = [book for book in self.waiting if self._is_ready(book)]
                if ready and len(self.running) < jobs:
                    self.waiting.remove(ready[0])
                    self._begin(ready[0], pool, jobs)
                    continue  # what is ready now may have changed; the lowest number goes first
                done = [row for row, begun in self.running.items() if begun["result"].done()]
                for begun in map(self.running.pop, done):
                    memory = begun.pop("result").result()  # or raises its error
                    self._finish(**begun, memory=memory)
                time.sleep(0.1 if self.running else 0)
        return self.reasons

    def _is_ready(self, notebook):
        before = [*self.waiting[: self.waiting.index(notebook)]]
        before += [begun["notebook"] for begun in self.running.values()]
        made = [output for book in before for output in book.outputs]
        return not any(fnmatch.filter(made, pattern) for pattern in notebook.reads)

    def _begin(self, notebook, pool, jobs):
        """Start a notebook that is not up to date; without a pool, run it to its end."""
        place = self.record.place
        label = self.labels[notebook.name]
        state.check_inputs(notebook, self.suite, place)
        for later in [notebook, *self.waiting]:  # too few images for k: said before the training
            limits.check(later.name, self.values[later.name], limits.shape(notebook, place))
        fingerprint = state.fingerprint(notebook, self.values[notebook.name], place)
        why = ["--force"] if self.force else self.record.reasons(notebook.name, fingerprint)
        self.reasons[notebook.name] = why
        if not why:
            seconds = self.record.notebooks[notebook.name]["seconds"]
            say(f"{label}  skipped: unchanged ({seconds:.1f} s when it ran)")
            return
        say(f"{label}  {'; '.join(why)}")
        self.record.forget(notebook.name)
        begun = {"notebook": notebook, "fingerprint": fingerprint, "started": state.now()}
        begun["begin"] = time.monotonic()
        work = notebook, place.notebooks / notebook.path.name, fingerprint["parameters"], label
        if pool is None:
            self._finish(**begun, memory=execute(*work))
            return
        row = min(set(range(jobs)) - set(self.running))
        self.running[row] = begun | {"result": pool.submit(execute, *work, row)}

    def _finish(self, notebook, fingerprint, started, begin, memory):
        place = self.record.place
        label = self.labels[notebook.name]
        seconds = round(time.monotonic() - begin, 2)
        made = {pattern: state.files(pattern, place) for pattern in notebook.outputs}
        for pattern in [pattern for pattern in made if not made[pattern]]:
            say(f"{label}  made no {pattern}")
        executed = place.notebooks / notebook.path.name
        outputs = [state.relative(path, place) for path in sum(made.values(), [executed])]
        facts = {"started": started, "seconds": seconds, "memory": memory, "outputs": outputs}
        self.record.finish(notebook.name, fingerprint, **facts)
        say(f"{label}  done in {seconds:.1f} s")


@contextlib.contextmanager
def _pool(jobs):
    """Processes that run notebooks, each with its share of the cores; None for one at a time."""
    if jobs == 1:
        yield None
        return
    share = str(max(1, os.cpu_count() // jobs))
    others = multiprocessing.active_children()
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(jobs, context, _begin_worker, (share,))
    try:
        yield pool
        pool.shutdown()
    except BrokenProcessPool:
        raise NotebookError("a process that ran a notebook was killed: run again") from None
    finally:
        for process in set(multiprocessing.active_children()) - set(others):
            process.terminate()  # those that still run


def _begin_worker(share):
    for name in THREADS:
        os.environ.setdefault(name, share)  # of the kernels that it starts
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the parent ends them
    workers.end_with_parent()


@contextlib.contextmanager
def _alone(place):
    """Keep other runs of the same data set out; the system frees the lock of a killed run."""
    holder = place.data / ".run.txt"
    try:
        with FileLock(place.data / ".run.lock", timeout=0):
            holder.write_text(f"process {os.getpid()}, started {state.now()}", encoding="utf-8")
            yield
    except Timeout:
        who = holder.read_text(encoding="utf-8") if holder.exists() else "just started"
        raise BlockingIOError(
            f"another run of {place.name} is going on ({who}): wait for its end, or stop it"
        ) from None
