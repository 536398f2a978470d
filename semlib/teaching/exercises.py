"""Answers to the exercises of the notebooks, compared with what the files of the run say."""

import collections
import math
from pathlib import Path

import yaml

from semlib import paths
from semlib.reproduce import limits, state
from semlib.reproduce import notebook as nb
from semlib.teaching import answers

EXERCISES = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))
_wrong = collections.Counter()  # wrong answers to each exercise in this kernel


def ready(notebook, dataset="synthetic", values=()):
    """Make sure that the inputs of a notebook, such as "05", are there, and its parameters fit.

    FileNotFoundError where an input is missing, with the notebook that makes it and the command to
    run; ValueError for a parameter among `values`, {name: value}, that `limits.check` refuses.
    """
    suite = nb.numbered()
    (opened,) = nb.select(suite, [notebook])
    place = paths.of(dataset)
    state.check_inputs(opened, suite, place)
    declared = {name: values[name] for name in opened.parameters if name in values}
    limits.check(opened.name, declared, limits.shape(opened, place))


def check(exercise, answer=None, dataset="synthetic", *, seed=0):
    """Compare an answer with what the files of the run say; print why it is right, or a hint.

    The words are in ``exercises.yaml``, what is right is computed in `semlib.teaching.answers`.
    Returns whether the answer is right, None without one. ValueError if there is no such exercise
    or the data set cannot answer it (no labels, one training), FileNotFoundError before the run.

    Parameters
    ----------
    exercise : notebook and number, such as "03.2"
    answer : number, str or collection of str; without one, the first hint is printed
    dataset : str or Path
    seed : first seed of the run
    """
    if exercise not in EXERCISES:
        raise ValueError(f"no exercise {exercise!r}: there are {', '.join(EXERCISES)}")
    words = EXERCISES[exercise]
    if answer is None:
        print(f"{exercise} is open. Hint: {words['hints'][0]}")
        return None
    try:
        expected = solution(words, answers.Run(paths.of(dataset), seed))
    except FileNotFoundError as error:
        said = f"{error.filename} is missing: run notebook {exercise[:2]} first"
        raise FileNotFoundError(said) from None
    right = matches(answer, expected, words.get("relative", 0), words.get("absolute", 0))
    if right:
        _wrong[exercise] = 0
        exact = "" if isinstance(expected, set | frozenset) else f" ({expected:.5g})"
        print(f"{exercise} is right{exact}. {words['why']}")
    else:
        hint = words["hints"][min(_wrong[exercise], len(words["hints"]) - 1)]
        _wrong[exercise] += 1
        print(f"{exercise}: {answer!r} is not it ({_wanted(expected, words)}). Hint: {hint}")
    return right


def solution(words, run):
    """What is right, by the words of an exercise."""
    return getattr(answers, words["answer"])(run, *words.get("of", []))


def matches(answer, expected, relative=0.0, absolute=0.0):
    """Whether an answer is right.

    `expected` is a number, which the answer must meet within the larger tolerance, a set of names
    one of which is asked for, or a frozenset of names all of which are, in any order and case.
    """
    if isinstance(expected, frozenset):
        names = [answer] if isinstance(answer, str) else answer
        return isinstance(names, collections.abc.Iterable) and _names(names) == _names(expected)
    if isinstance(expected, set):
        return bool(_names([answer]) & _names(expected))
    try:
        return math.isclose(float(answer), expected, rel_tol=relative, abs_tol=absolute)
    except (TypeError, ValueError):
        return False


def _names(values):
    return {str(value).strip().casefold() for value in values}


def _wanted(expected, words):
    if isinstance(expected, frozenset):
        return "a list of names is wanted"
    if isinstance(expected, set):
        return "one name is wanted"
    allowed = [f"{words['relative']:.0%}"] if "relative" in words else []
    allowed += [f"{words['absolute']:g}"] if "absolute" in words else []
    return f"a number is wanted, {'to within ' + ' or '.join(allowed) if allowed else 'exactly'}"
