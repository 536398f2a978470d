"""Run the numbered notebooks in order with papermill, and skip what is unchanged.

Progress goes to standard error.
"""

import contextlib
import os
import shutil
import sys
import time

import semlib
from semlib import paths
from semlib.reproduce import limits, report, state
from semlib.reproduce import notebook as nb


class NotebookError(RuntimeError):
    """A cell of a notebook raised an error, or its kernel died."""


def reproduce(
    dataset, profile="standard", *, only=(), start=None, force=False, seed=0, parameters=None
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
    """
    place = paths.of(dataset)
    request = {"dataset": place.dataset, "profile": profile, "seed": seed}
    suite = nb.numbered()
    selected = nb.select(suite, only, start)
    values = nb.assign(suite, selected, parameters=parameters or {}, **request)
    for folder in (place.data, place.notebooks):
        paths.check_writable(folder, "SEMLIB_DATA and SEMLIB_FIGURES name other folders")
    with _alone(place):
        record = state.Record(place, **request)
        _say(f"semlib {semlib.__version__}: {place.dataset}, profile {profile}, seed {seed}")
        begin = time.monotonic()
        reasons = {}
        for number, notebook in enumerate(selected, 1):
            label = f"[{number}/{len(selected)}] {notebook.name}"
            state.check_inputs(notebook, suite, place)
            for later in selected[number - 1 :]:  # too few images for k: said before the training
                limits.check(later.name, values[later.name], limits.shape(notebook, place))
            fingerprint = state.fingerprint(notebook, values[notebook.name], place)
            why = ["--force"] if force else record.reasons(notebook.name, fingerprint)
            reasons[notebook.name] = why
            if why:
                _say(f"{label}  {'; '.join(why)}")
                _run(notebook, fingerprint, record, label)
            else:
                seconds = record.notebooks[notebook.name]["seconds"]
                _say(f"{label}  skipped: unchanged ({seconds:.1f} s when it ran)")
        ran = sum(map(bool, reasons.values()))
        spent = time.monotonic() - begin
        _say(f"{ran} run, {len(reasons) - ran} skipped in {spent:.1f} s: {place.figures}")
        if page := report.write(dataset):
            _say(f"report: {page}")
    return reasons


def _say(text):
    print(text, file=sys.stderr)


def _run(notebook, fingerprint, record, label):
    """Execute one notebook and record it."""
    place = record.place
    copy = place.notebooks / notebook.path.name
    record.forget(notebook.name)
    started = state.now()
    begin = time.monotonic()
    execute(notebook, copy, fingerprint["parameters"], label)
    seconds = round(time.monotonic() - begin, 2)
    made = {pattern: state.files(pattern, place) for pattern in notebook.outputs}
    for pattern in [pattern for pattern in made if not made[pattern]]:
        _say(f"{label}  made no {pattern}")
    outputs = [state.relative(path, place) for path in sum(made.values(), [copy])]
    record.finish(notebook.name, fingerprint, started=started, seconds=seconds, outputs=outputs)
    _say(f"{label}  done in {seconds:.1f} s")


@contextlib.contextmanager
def _alone(place):
    """Keep other runs of the same data set out; the system frees the lock of a killed run."""
    from filelock import FileLock, Timeout

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


def execute(notebook, target, values, label):
    """Run a notebook with papermill and write its executed copy to `target`.

    A notebook that fails leaves ``NAME.failed.ipynb`` instead; one that is interrupted, nothing.
    """
    from nbclient.exceptions import DeadKernelError
    from papermill import PapermillExecutionError, execute_notebook

    failed = target.with_suffix(".failed.ipynb")
    for old in (target, failed):
        old.unlink(missing_ok=True)
    line = Line(label)
    # The "\r" at the end tells Line that whatever comes next stands in place of the count
    count = {"file": line, "bar_format": "cell {n}/{total}\r", "mininterval": 0, "leave": False}
    options = {"kernel_name": "python3", "progress_bar": count, "stderr_file": line}
    options |= {"coalesce_streams": True, "extra_arguments": ["--log-level=ERROR"]}
    os.environ["TQDM_NCOLS"] = str(line.width - len(label) - 2)  # for the bars of the kernel
    with paths.atomic(target) as copy:
        try:
            execute_notebook(notebook.path, copy, values, **options)
        except (PapermillExecutionError, DeadKernelError) as error:
            os.replace(copy, failed)
            message = f"{notebook.name}: its kernel died, perhaps for lack of memory"
            if isinstance(error, PapermillExecutionError):
                what = " ".join(f"{error.ename}: {error.evalue}".split())
                message = f"{notebook.name}, cell [{error.exec_count}]: {what}"
            raise NotebookError(f"{message} (see {failed})") from None
        finally:
            line.show("")


class Line:
    """The last line of the terminal: a notebook's label and, beside it, the bar that moves.

    It stands in for a file that takes papermill's count of cells and the kernel's standard error.
    What ends in a line feed stays. Where the output is no terminal, only that is written.
    """

    def __init__(self, label):
        self.label = label
        self.width = shutil.get_terminal_size((100, 24)).columns - 1
        self.moving = ""

    def write(self, text):
        *finished, last = (self.moving + text).split("\n")
        for line in finished:
            if stays := line.rpartition("\r")[2].rstrip():
                self.show("")
                _say(f"      {stays}")
        # Of several redrawings only the last counts; its own final "\r" does not begin another
        self.moving = last[max(last.rstrip("\r ").rfind("\r"), 0) :]
        self.show(f"{self.label}  {self.moving.strip()}")

    def show(self, text):
        if sys.stderr.isatty():
            text = text[: self.width]
            print(f"\r{text.ljust(self.width)}\r{text}", end="", file=sys.stderr, flush=True)

    def flush(self):
        """Nothing waits to be written."""
