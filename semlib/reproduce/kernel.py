"""One notebook in a kernel of its own, and the line of the terminal that shows how far it is."""

import contextlib
import os
import shutil
import sys
import threading

import psutil

from semlib import paths


class NotebookError(RuntimeError):
    """A cell of a notebook raised an error, or its kernel died."""


def say(text):
    """Write one line to standard error."""
    print(text, file=sys.stderr)


def execute(notebook, target, values, label, row=0):
    """Run a notebook with papermill and write its executed copy to `target`.

    Its bar moves in a `row` of the terminal, counted downwards from the last line. One that fails
    leaves ``NAME.failed.ipynb``, one that is interrupted nothing. Returns the most bytes it held.
    """
    from nbclient.exceptions import DeadKernelError
    from papermill import PapermillExecutionError, execute_notebook

    failed = target.with_suffix(".failed.ipynb")
    for old in (target, failed):
        old.unlink(missing_ok=True)
    line = Line(label, row)
    # The "\r" at the end tells Line that whatever comes next stands in place of the count
    count = {"file": line, "bar_format": "cell {n}/{total}\r", "mininterval": 0, "leave": False}
    options = {"kernel_name": "python3", "progress_bar": count, "stderr_file": line}
    options |= {"coalesce_streams": True, "extra_arguments": ["--log-level=CRITICAL"]}
    options["shutdown_kernel"] = "immediate"  # all is written: gigabytes need not be freed orderly
    os.environ["TQDM_NCOLS"] = str(line.width - len(label) - 2)  # for the bars of the kernel
    with paths.atomic(target) as copy, _watched_memory() as memory:
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
    return max(memory, default=0)


@contextlib.contextmanager
def _watched_memory():
    """Resident bytes of all processes that this one started, twice a second: a growing list."""
    samples = []
    over = threading.Event()

    def watch():
        while not over.wait(0.5):
            with contextlib.suppress(psutil.Error):  # a process may end meanwhile
                family = psutil.Process().children(recursive=True)
                samples.append(sum(process.memory_info().rss for process in family))

    watching = threading.Thread(target=watch, daemon=True)
    watching.start()
    try:
        yield samples
    finally:
        over.set()
        watching.join()


class Line:
    """A line at the foot of the terminal: a notebook's label and, beside it, the bar that moves.

    It stands in for a file that takes papermill's count of cells and the kernel's standard error.
    What ends in a line feed stays. Where the output is no terminal, only that is written.
    """

    def __init__(self, label, row=0):
        self.label = label
        self.row = row
        self.width = shutil.get_terminal_size((100, 24)).columns - 1
        self.moving = ""

    def write(self, text):
        *finished, last = (self.moving + text).split("\n")
        for line in finished:
            if stays := line.rpartition("\r")[2].rstrip():
                self.show("")
                say(f"      {stays}")
        # Of several redrawings only the last counts; its own final "\r" does not begin another
        self.moving = last[max(last.rstrip("\r ").rfind("\r"), 0) :]
        self.show(f"{self.label}  {self.moving.strip()}")

    def show(self, text):
        if sys.stderr.isatty():
            text = text[: self.width]
            up = f"\x1b[{self.row}A" if self.row else ""  # as tqdm moves between its bars
            moved = "\n" * self.row + f"\r{text.ljust(self.width)}\r{text}{up}"
            print(moved, end="", file=sys.stderr, flush=True)

    def flush(self):
        """Nothing waits to be written."""
