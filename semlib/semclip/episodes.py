"""K-shot episodes: which images a method may learn from and which test it; what a method is and what it gives."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

SUPERVISION = ("none", "normals", "labels", "masks", "labels + masks")


@dataclass(frozen=True)
class Pool:
    """All images that an experiment knows.

    images : uint8 array (N, H, W); labels : int array (N,), numbers in `classes`; masks : bool array (N, H, W), the
    defects; classes : list of str; normal : int, number of the defect-free class; text : bool array (N,), images with
    burnt-in text, None where that is not known.
    """

    images: np.ndarray
    labels: np.ndarray
    masks: np.ndarray
    classes: list
    normal: int
    text: np.ndarray | None = None

    def __post_init__(self):
        if self.masks.shape != self.images.shape or self.labels.shape != self.images.shape[:1]:
            shapes = (
                f"images {self.images.shape}, masks {self.masks.shape}, labels {self.labels.shape}"
            )
            raise ValueError(f"{shapes} do not belong together: need (N, H, W) twice and (N,)")
        if unknown := sorted(set(self.labels.tolist()) - set(range(len(self.classes)))):
            raise ValueError(
                f"labels {unknown} are no numbers of the {len(self.classes)} classes {self.classes}"
            )
        if not 0 <= self.normal < len(self.classes):
            raise ValueError(f"normal = {self.normal} is no number of the classes {self.classes}")

    def take(self, rows):
        """The pool of these images alone."""
        text = None if self.text is None else self.text[rows]
        return replace(
            self,
            images=self.images[rows],
            labels=self.labels[rows],
            masks=self.masks[rows],
            text=text,
        )

    def counts(self):
        """Images of each class, int array (C,)."""
        return np.bincount(self.labels, minlength=len(self.classes))


@dataclass(frozen=True)
class Episode:
    """`k` shots a class drawn with `seed`: indices of the `support` (class by class) and of the `test` images."""

    k: int
    seed: int
    support: np.ndarray
    test: np.ndarray


@dataclass(frozen=True)
class Result:
    """What a method says of the test images; what it cannot say is None.

    probabilities : float array (n, C); maps : float array (n, H, W), higher is more anomalous; scores : float (n,).
    """

    probabilities: np.ndarray | None = None
    maps: np.ndarray | None = None
    scores: np.ndarray | None = None


@dataclass(frozen=True)
class Method:
    """A named method; `supervision` (one of `SUPERVISION`) is what it uses of the support images."""

    name: str
    supervision: str
    run: Callable[[Pool, Episode], Result]

    def __post_init__(self):
        if self.supervision not in SUPERVISION:
            raise ValueError(
                f"{self.name}: supervision {self.supervision!r} is none of {', '.join(SUPERVISION)}"
            )


def excluded(pool, shots=(1, 2, 5, 10), n_test_min=5):
    """Classes with too few images for the largest number of shots and `n_test_min` test images.

    Returns
    -------
    DataFrame
        class, count, reason; empty where every class takes part.
    """
    needed = max(shots) + n_test_min
    rows = [
        {
            "class": name,
            "count": int(count),
            "reason": f"{max(shots)} shots and {n_test_min} tests need {needed}",
        }
        for name, count in zip(pool.classes, pool.counts(), strict=True)
        if count < needed
    ]
    return pd.DataFrame(rows, columns=["class", "count", "reason"])


def without(pool, names):
    """The pool without the images of some classes; the classes that remain are numbered anew, in their order.

    Raises
    ------
    ValueError
        If a name is unknown or the defect-free class is among them.
    """
    if unknown := sorted(set(names) - set(pool.classes)):
        raise ValueError(f"unknown classes {unknown}: the pool has {pool.classes}")
    if pool.classes[pool.normal] in names:
        raise ValueError(
            f"{pool.classes[pool.normal]!r} is the defect-free class, which every method needs"
        )
    classes = [name for name in pool.classes if name not in set(names)]
    numbers = np.array([classes.index(name) if name in classes else -1 for name in pool.classes])
    left = pool.take(numbers[pool.labels] >= 0)
    normal = classes.index(pool.classes[pool.normal])
    return replace(left, labels=numbers[left.labels], classes=classes, normal=normal)


def episodes(pool, *, shots=(1, 2, 5, 10), seeds=range(5), n_test=40, n_test_min=5):
    """Draw the episodes: one test set for all of them, never met by a support, and supports that grow with k.

    The test set takes `n_test` images a class, at most half of the class and at least `n_test_min` (our choice); no
    seed changes it. A seed's support for k shots holds its support for fewer shots.

    Parameters
    ----------
    pool : Pool
    shots : sequence of int
    seeds : sequence of int
    n_test, n_test_min : int

    Returns
    -------
    list of Episode
        For each k all seeds.

    Raises
    ------
    ValueError
        If a class has too few images, see `excluded` and `without`, or a number of shots is below 1.
    """
    if min(shots) < 1:
        raise ValueError(f"shots {tuple(shots)} must be 1 or more")
    n_test_min = min(n_test, n_test_min)
    if len(short := excluded(pool, shots, n_test_min)):
        names = ", ".join(
            f"{name} ({count})" for name, count in zip(short["class"], short["count"], strict=True)
        )
        raise ValueError(
            f"too few images of {names}: {short['reason'][0]}; drop them with episodes.without"
        )
    rng = np.random.default_rng(0)
    rest, test = [], []
    for label, count in enumerate(pool.counts()):
        shuffled = rng.permutation(np.flatnonzero(pool.labels == label))
        size = int(np.clip(count // 2, n_test_min, min(n_test, count - max(shots))))
        test.append(shuffled[:size])
        rest.append(shuffled[size:])
    test = np.concatenate(test)
    found = []
    for seed in seeds:
        drawn = np.random.default_rng([1, seed])
        drawn = [drawn.permutation(part) for part in rest]
        found += [
            Episode(k, seed, np.concatenate([part[:k] for part in drawn]), test) for k in shots
        ]
    return sorted(found, key=lambda episode: list(shots).index(episode.k))
