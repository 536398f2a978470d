"""Whether the files that a notebook needs are there, and which notebooks make those that are not."""

import fnmatch

from semlib.driver import fingerprint as fp


def check(notebook, suite, place):
    """Make sure that each declared input of a notebook is there.

    Parameters
    ----------
    notebook : semlib.driver.notebook.Notebook
    suite : list of Notebook
        All notebooks, in order.
    place : semlib.paths.Paths

    Raises
    ------
    FileNotFoundError
        With the first missing file and the notebook that makes it.
    """
    for pattern in notebook.inputs:
        if _missing(pattern, place):
            makers = ", ".join(other.name for other in suite if pattern in other.outputs)
            hint = f"; {makers} makes it" if makers else ""
            raise FileNotFoundError(
                f"{notebook.name} needs {fp.locate(pattern, place)}, which does not exist{hint}"
            )


def makers(notebook, suite, place):
    """The notebooks to run before `notebook`, so that each of its inputs is there and none is older than what made it.

    Returns
    -------
    list of Notebook
        From the first one that makes something missing to the last one, in order; empty if no input is missing.
    """
    if not any(_missing(pattern, place) for pattern in notebook.inputs):
        return []
    wanted, chain, needed = set(notebook.inputs), [], 0
    for earlier in reversed(suite[: suite.index(notebook)]):
        made = [
            pattern
            for pattern in wanted
            if any(fnmatch.fnmatch(out, pattern) for out in earlier.outputs)
        ]
        if made:
            chain.append(earlier)
            wanted.update(earlier.inputs)
            if any(_missing(pattern, place) for pattern in made):
                needed = len(chain)
    return chain[:needed][::-1]


def _missing(pattern, place):
    return not pattern.startswith("source/") and not fp.files(pattern, place)
