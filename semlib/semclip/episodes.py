"""K-shot episodes: which images a method may learn from, which test it, and the runs of all methods on all of them."""

import hashlib
import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from semlib.paths import atomic
from semlib.semclip import metrics

SUPERVISION = ("none", "normals", "labels", "masks", "labels + masks")


@dataclass(frozen=True)
class Pool:
    """All images that an experiment knows.

    images : uint8 array (N, H, W); labels : int array (N,), numbers in `classes`; masks : bool array (N, H, W), the
    defects; classes : list of str; normal : int, number of the defect-free class.
    """

    images: np.ndarray
    labels: np.ndarray
    masks: np.ndarray
    classes: list
    normal: int

    def __post_init__(self):
        if self.masks.shape != self.images.shape or self.labels.shape != self.images.shape[:1]:
            shapes = f"images {self.images.shape}, masks {self.masks.shape}, labels {self.labels.shape}"
            raise ValueError(f"{shapes} do not belong together: need (N, H, W) twice and (N,)")
        if unknown := sorted(set(self.labels.tolist()) - set(range(len(self.classes)))):
            raise ValueError(f"labels {unknown} are no numbers of the {len(self.classes)} classes {self.classes}")
        if not 0 <= self.normal < len(self.classes):
            raise ValueError(f"normal = {self.normal} is no number of the classes {self.classes}")

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
            raise ValueError(f"{self.name}: supervision {self.supervision!r} is none of {', '.join(SUPERVISION)}")


def excluded(pool, shots=(1, 2, 5, 10), n_test_min=5):
    """Classes with too few images for the largest number of shots and `n_test_min` test images.

    Returns
    -------
    DataFrame
        class, count, reason; empty where every class takes part.
    """
    needed = max(shots) + n_test_min
    rows = [
        {"class": name, "count": int(count), "reason": f"{max(shots)} shots and {n_test_min} tests need {needed}"}
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
        raise ValueError(f"{pool.classes[pool.normal]!r} is the defect-free class, which every method needs")
    classes = [name for name in pool.classes if name not in set(names)]
    numbers = np.array([classes.index(name) if name in classes else -1 for name in pool.classes])
    kept = numbers[pool.labels] >= 0
    labels = numbers[pool.labels[kept]]
    return Pool(pool.images[kept], labels, pool.masks[kept], classes, classes.index(pool.classes[pool.normal]))


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
        names = ", ".join(f"{name} ({count})" for name, count in zip(short["class"], short["count"], strict=True))
        raise ValueError(f"too few images of {names}: {short['reason'][0]}; drop them with episodes.without")
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
        found += [Episode(k, seed, np.concatenate([part[:k] for part in drawn]), test) for k in shots]
    return sorted(found, key=lambda episode: list(shots).index(episode.k))


def evaluate(pool, episodes, methods, *, folder=None, digest=""):
    """Run every method on every episode.

    Parameters
    ----------
    pool : Pool
    episodes : list of Episode
    methods : list of Method
        One with supervision "none" runs once for each test set, whatever the support.
    folder : Path, optional
        Keeps a small JSON file for each (method, episode), so that a killed run goes on where it stopped.
    digest : str
        Stands for everything else that a result depends on (images, weights, settings); another digest runs anew.

    Returns
    -------
    segmentation, classification : DataFrame
        method, supervision, k, seed and the metrics, see `metrics`; a row for each method that gives maps or scores,
        and for each that gives probabilities. Times are in `times`.

    Raises
    ------
    ValueError
        If two methods share a name.
    RuntimeError
        If a method fails: names it and the episode.
    """
    names = [method.name for method in methods]
    if len(set(names)) < len(names):
        raise ValueError(f"methods share a name: {names}")
    known, tables = {}, {"segmentation": [], "classification": []}
    with tqdm(total=len(methods) * len(episodes), desc="episodes", unit="run") as bar:
        for method in methods:
            for episode in episodes:
                key = _key(method, episode, digest)
                path = folder and Path(folder) / f"{key}.json"
                if key not in known:
                    known[key] = _read(path) or _run(pool, episode, method, path)
                head = {"method": method.name, "supervision": method.supervision, "k": episode.k, "seed": episode.seed}
                for name, rows in tables.items():
                    if known[key][name]:
                        rows.append(head | known[key][name])
                bar.update()
    return tuple(pd.DataFrame(rows) for rows in tables.values())


def times(folder):
    """Seconds of every run kept in `folder`: DataFrame with method, k, seed, seconds."""
    found = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(Path(folder).glob("*.json"))]
    return pd.DataFrame([{name: run[name] for name in ("method", "k", "seed", "seconds")} for run in found])


def _key(method, episode, digest):
    """Name of a run: readable, and a hash of all it depends on."""
    drawn, where = [episode.k, episode.seed, episode.support.tolist()], f"k{episode.k}-seed{episode.seed}"
    if method.supervision == "none":
        drawn, where = [], "unseen"
    parts = [method.name, method.supervision, str(digest), drawn, episode.test.tolist()]
    slug = re.sub(r"[^a-z0-9]+", "-", method.name.lower()).strip("-")
    return f"{slug}-{where}-{hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]}"


def _read(path):
    if path is None or not path.exists():
        return None
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not a result of a run: delete it") from error


def _run(pool, episode, method, path):
    start = time.perf_counter()
    try:
        result = method.run(pool, episode)
        seconds = time.perf_counter() - start
        run = {"method": method.name, "k": episode.k, "seed": episode.seed, "seconds": seconds}
        run |= _scores(pool, episode, result)
    except Exception as error:
        raise RuntimeError(f"{method.name} failed on {episode.k} shots, seed {episode.seed}: {error}") from error
    if path is not None:
        with atomic(path) as temporary:
            temporary.write_text(json.dumps(run, indent=1), encoding="utf-8")
    return run


def _scores(pool, episode, result):
    labels, masks = pool.labels[episode.test], pool.masks[episode.test]
    found = {"segmentation": None, "classification": None}
    if result.maps is not None or result.scores is not None:
        found["segmentation"] = metrics.segmentation(result.maps, masks, result.scores, labels != pool.normal)
    if result.probabilities is not None:
        found["classification"] = metrics.classification(result.probabilities, labels)
    return found
