"""K-shot episodes: which images a method may learn from and which test it; what it gives."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd


@dataclass(frozen=True, eq=False)  # arrays have no one equality
class Pool:
    """All images of an experiment."""

    images: np.ndarray  # uint8 (N, H, W)
    labels: np.ndarray  # int (N,), numbers in `classes`
    masks: np.ndarray  # bool (N, H, W), the defects
    classes: list  # of str
    normal: int  # number of the defect-free class
    text: np.ndarray | None = None  # bool (N,), images with burnt-in text, if that is known

    def take(self, chosen):
        """The pool of these images alone."""
        arrays = {name: part for name, part in vars(self).items() if isinstance(part, np.ndarray)}
        return replace(self, **{name: part[chosen] for name, part in arrays.items()})

    def names(self, chosen):
        """Names of the classes of these images, list of str."""
        return [self.classes[label] for label in self.labels[chosen]]

    def counts(self):
        """Images of each class, int array (C,)."""
        return np.bincount(self.labels, minlength=len(self.classes))


@dataclass(frozen=True, eq=False)
class Episode:
    """`k` shots a class drawn with `seed`; images by their number in the pool."""

    k: int
    seed: int
    support: np.ndarray  # class by class
    test: np.ndarray


@dataclass(frozen=True)
class Result:
    """What a method says of n test images; what it cannot say is None."""

    probabilities: np.ndarray | None = None  # (n, C)
    maps: np.ndarray | None = None  # (n, H, W), higher is more anomalous
    scores: np.ndarray | None = None  # (n,)


@dataclass(frozen=True)
class Method:
    """A named method; `supervision` is what it uses of the support."""

    name: str
    supervision: str  # none, normals, labels, masks, or labels + masks
    run: Callable[[Pool, Episode], Result]


def normal_shots(pool, episode):
    """Numbers of the defect-free images of the support."""
    return episode.support[pool.labels[episode.support] == pool.normal]


def excluded(pool, shots, n_test_min=5):
    """Classes too small for the largest number of shots and the tests: class, count, reason."""
    needed = max(shots) + n_test_min
    reason = f"{max(shots)} shots and {n_test_min} tests need {needed}"
    short = pd.DataFrame({"class": pool.classes, "count": pool.counts(), "reason": reason})
    return short[short["count"] < needed].reset_index(drop=True)


def without(pool, names):
    """The pool without the images of some classes; the others are numbered anew, in their order."""
    classes = [name for name in pool.classes if name not in set(names)]
    if pool.classes[pool.normal] not in classes:
        raise ValueError("every method needs the defect-free class, but it has too few images")
    numbers = pd.Index(classes).get_indexer(pool.classes)  # -1 for a class that is left out
    left = pool.take(numbers[pool.labels] >= 0)
    return replace(left, labels=numbers[left.labels], classes=classes, normal=numbers[pool.normal])


def episodes(pool, *, shots=(1, 2, 5, 10), seeds=range(5), n_test=40, n_test_min=5):
    """Draw the episodes, for each number of shots all seeds: list of `Episode`.

    All share one test set, which no support ever meets: `n_test` images a class, at most half of
    it and at least `n_test_min` (our choice). A seed's support for k shots holds that for fewer.
    """
    n_test_min = min(n_test, n_test_min)
    short = excluded(pool, shots, n_test_min)
    if len(short):
        raise ValueError(f"too few images, drop classes with episodes.without:\n{short}")
    rng = np.random.default_rng(0)
    test = []
    rest = []
    for label, count in enumerate(pool.counts()):
        shuffled = rng.permutation(np.flatnonzero(pool.labels == label))
        size = int(np.clip(count // 2, n_test_min, min(n_test, count - max(shots))))
        test.append(shuffled[:size])
        rest.append(shuffled[size:])
    test = np.concatenate(test)
    orders = {}
    for seed in seeds:
        rng = np.random.default_rng([1, seed])
        orders[seed] = [rng.permutation(part) for part in rest], test
    return nested(orders, shots)


def nested(orders, shots):
    """Episodes of each k, then seed, from shuffled images by class and tests of each seed."""
    return [  # the first k of each class are the shots
        Episode(k, seed, np.concatenate([part[:k] for part in order]), test)
        for k in shots
        for seed, (order, test) in orders.items()
    ]


def only_used(pool, episodes):
    """The pool without the images that no episode uses, and the episodes renumbered."""
    used = np.unique(np.concatenate([[*one.support, *one.test] for one in episodes]))
    moved = []
    for one in episodes:
        support, test = (np.searchsorted(used, numbers) for numbers in (one.support, one.test))
        moved.append(replace(one, support=support, test=test))
    return pool.take(used), moved
