"""A notebook opened alone: what earlier notebooks have not made yet can be made at once."""

import math
import subprocess
import sys

from semlib import paths
from semlib.driver import inputs
from semlib.driver import notebook as nb

# Wall time with the quick profile on two cores beside other work, measured once and rounded up
QUICK_SECONDS = {"01": 20, "02": 10, "03": 10, "04": 90, "05": 60}


def ready(notebook, dataset="synthetic"):
    """Make sure that the inputs of a notebook are there; offer to make them where someone can answer.

    In JupyterLab and on a terminal it asks whether to run the notebooks that make what is missing, with the quick
    profile, and says how long that takes. Under papermill nobody answers: then, as after a "no", it raises.

    Parameters
    ----------
    notebook : str
        Number or name, such as "05".
    dataset : str or Path

    Raises
    ------
    FileNotFoundError
        If inputs are missing and are not made; with the missing file and the command that makes it.
    RuntimeError
        If making them fails.
    """
    suite, place = nb.numbered(), paths.of(dataset)
    (wanted,) = nb.select(suite, [notebook])
    before = inputs.makers(wanted, suite, place)
    if not before:
        return inputs.check(wanted, suite, place)
    numbers = [book.name[:2] for book in before]
    options = ["--profile", "quick", "--dataset", str(dataset), "--only", *numbers]
    minutes = math.ceil(sum(QUICK_SECONDS[number] for number in numbers) / 60)
    try:
        inputs.check(wanted, suite, place)
    except FileNotFoundError as error:
        offer = (
            f"{error}.\nWith the quick profile, notebooks {' '.join(numbers)} make what is missing, in about {minutes} "
            f"min on two cores:\n    python -m semlib reproduce {subprocess.list2cmdline(options)}"
        )
        if not _agreed(f"{offer}\nRun this now? [y/N] "):
            raise FileNotFoundError(offer) from None
    _run(options)


def _agreed(question):
    """Whether someone is there to answer and says yes."""
    try:
        return input(question).strip().lower() in ("y", "yes")
    except (EOFError, NotImplementedError):  # no terminal; a kernel whose client takes no questions
        return False


def _run(options):
    command = [sys.executable, "-m", "semlib", "reproduce", *options]
    with subprocess.Popen(
        command, cwd=paths.ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as running:
        for line in running.stdout:
            print(line, end="")
    if running.returncode:
        raise RuntimeError(
            f"{subprocess.list2cmdline(command)} failed (exit code {running.returncode}), see above"
        )
