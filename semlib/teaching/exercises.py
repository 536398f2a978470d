"""Answers to the exercises at the end of each notebook, compared with what the files of the run say."""

import collections
import functools
import math
from pathlib import Path

import yaml

from semlib import paths
from semlib.teaching import expected as answers

_wrong = collections.Counter()


def check(exercise, answer=None, dataset="synthetic", *, seed=0):
    """Compare an answer with what the files of the run say; print why it is right, or the next hint.

    The words are in ``exercises.yaml``, what is right is computed in `semlib.teaching.expected`.

    Parameters
    ----------
    exercise : str
        Notebook and number, such as "03.2".
    answer : number, str or collection of str, optional
        Without one, the first hint is printed.
    dataset : str or Path
    seed : int
        First seed of the run.

    Returns
    -------
    bool or None
        Whether it is right; None without an answer.

    Raises
    ------
    ValueError
        If there is no such exercise, or the data set cannot answer it (no labels, a single training).
    FileNotFoundError
        If the notebook has not run.
    """
    known = _exercises()
    if exercise not in known:
        raise ValueError(f"no exercise {exercise!r}: there are {', '.join(known)}")
    words = known[exercise]
    if answer is None:
        print(f"{exercise} is open. Hint: {words['hints'][0]}")
        return None
    try:
        expected = getattr(answers, words["answer"])(paths.of(dataset), seed)
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"{error.filename} is missing: run notebook {exercise[:2]} first"
        ) from None
    if matches(
        answer, expected, relative=words.get("relative", 0), absolute=words.get("absolute", 0)
    ):
        _wrong[exercise] = 0
        print(f"{exercise} is right{_value(expected)}. {words['why']}")
        return True
    hint = words["hints"][min(_wrong[exercise], len(words["hints"]) - 1)]
    _wrong[exercise] += 1
    print(f"{exercise}: {answer!r} is not it ({_wanted(expected, words)}). Hint: {hint}")
    return False


def matches(answer, expected, *, relative=0.0, absolute=0.0):
    """Whether an answer is right.

    Parameters
    ----------
    answer : number, str or collection
    expected : number, set of str or frozenset of str
        A number within the tolerances; one name out of a set (more than one where several tie); all names of a
        frozenset, in any order. Upper and lower case are the same.
    relative, absolute : float
        The larger of the two allowances holds.
    """
    if isinstance(expected, frozenset):
        given = [answer] if isinstance(answer, str) else answer
        return isinstance(given, collections.abc.Iterable) and _names(given) == _names(expected)
    if isinstance(expected, set):
        return bool(_names([answer]) & _names(expected))
    try:
        return math.isclose(float(answer), expected, rel_tol=relative, abs_tol=absolute)
    except (TypeError, ValueError):
        return False


def _names(values):
    return {str(value).strip().casefold() for value in values}


def _value(expected):
    """The exact number beside an answer that was only near."""
    return "" if isinstance(expected, set | frozenset) else f" ({expected:.5g})"


def _wanted(expected, words):
    if isinstance(expected, frozenset):
        return "a list of names is wanted"
    if isinstance(expected, set):
        return "one name is wanted"
    allowed = [f"{words['relative']:.0%}"] if "relative" in words else []
    allowed += [f"{words['absolute']:g}"] if "absolute" in words else []
    return f"a number is wanted, {'to within ' + ' or '.join(allowed) if allowed else 'exactly'}"


@functools.cache
def _exercises():
    return yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))
