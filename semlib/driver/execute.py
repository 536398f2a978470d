"""One notebook under papermill: its kernel, its progress on the terminal, its executed copy."""

import contextlib
import os
import shutil

from semlib.paths import atomic

_INDENT = "      "


class NotebookError(RuntimeError):
    """A cell of a notebook raised an error, or its kernel died."""


def execute(notebook, target, parameters, label, stream):
    """Run a notebook with papermill on a python3 kernel of this interpreter and write the executed copy.

    While it runs, one line of the terminal shows how many cells are done and the progress bar of the current cell.

    Parameters
    ----------
    notebook : semlib.driver.notebook.Notebook
    target : Path
        Where the executed copy goes once the notebook is through. A notebook that fails leaves ``NAME.failed.ipynb``
        instead, one that is interrupted leaves nothing.
    parameters : dict
    label : str
        Start of the line on the terminal, such as "[3/6] 03_pyramid".
    stream : text file
        The terminal, or a file.

    Raises
    ------
    NotebookError
        With the notebook, the cell, the type of the error and its message in one line.
    """
    from nbclient.exceptions import DeadKernelError
    from papermill import PapermillExecutionError, execute_notebook

    failed = target.with_suffix(".failed.ipynb")
    for old in (target, failed):
        old.unlink(missing_ok=True)
    line = Line(label, stream)
    with atomic(target) as copy, line, _kernel(columns=line.width - len(label) - 2) as manager:
        try:
            execute_notebook(
                str(notebook.path),
                str(copy),
                parameters,
                kernel_name="python3",
                km=manager,
                progress_bar={
                    "file": line.cells,
                    "bar_format": "cell {n}/{total}",
                    "mininterval": 0,
                    "leave": False,
                },
                stderr_file=line,
                coalesce_streams=True,
            )
        except PapermillExecutionError as error:
            os.replace(copy, failed)
            said = " ".join(f"{error.ename}: {error.evalue}".split())
            raise NotebookError(
                f"{notebook.name}, cell [{error.exec_count}]: {said} (see {failed})"
            ) from None
        except DeadKernelError:
            os.replace(copy, failed)
            raise NotebookError(
                f"{notebook.name}: its kernel died, perhaps for lack of memory (see {failed})"
            ) from None


@contextlib.contextmanager
def _kernel(columns):
    """A python3 kernel of this interpreter, whatever kernels the user has installed; gone with its children after."""
    from jupyter_client import AsyncKernelManager
    from jupyter_client.kernelspec import KernelSpecManager
    from nbclient.util import run_sync

    manager = AsyncKernelManager(
        kernel_name="python3", kernel_spec_manager=KernelSpecManager(kernel_dirs=[])
    )
    finished = False
    try:
        bars = {"TQDM_NCOLS": str(columns)}
        run_sync(manager.start_kernel)(
            env={**os.environ, **bars}, extra_arguments=["--log-level=ERROR"]
        )
        yield manager
        finished = True
    finally:
        run_sync(manager.shutdown_kernel)(now=not finished)


class Line:
    """The last line of the terminal, redrawn in place: label, cells done, the progress bar of the current cell.

    It takes a kernel's standard error as a file would. What ends in a line feed stays on the terminal; what ends in a
    carriage return is a moving bar. Where the output is no terminal only the lines that stay are written.
    """

    def __init__(self, label, stream):
        self.stream = stream
        self.width = shutil.get_terminal_size((100, 24)).columns - 1
        self.label, self.moving, self.done, self.ended = label, "", "", False
        self.cells = _Cells(self)

    def __enter__(self):
        self._draw()
        return self

    def __exit__(self, *error):
        self._show("")
        self.ended = True

    def write(self, text):
        *kept, last = (self.moving + text).split("\n")
        for line in kept:
            if shown := line.rpartition("\r")[2].rstrip():
                self._show("")
                self.stream.write(f"{_INDENT}{shown}\n")
        self.moving = last[max(last.rstrip("\r").rfind("\r"), 0) :]
        self._draw()

    def flush(self):
        self.stream.flush()

    def _draw(self):
        self._show(f"{self.label}  {self.moving.strip() or self.done}")

    def _show(self, text):
        if self.stream.isatty() and not self.ended:
            self.stream.write(f"\r{text[: self.width].ljust(self.width)}\r{text[: self.width]}")
            self.stream.flush()


class _Cells:
    """Takes papermill's count of cells, as a file would, into a Line."""

    def __init__(self, line):
        self.line = line

    def write(self, text):
        self.line.done = text.strip() or self.line.done
        self.line._draw()

    def flush(self):
        self.line.flush()
