"""Every method on every episode: the scores of each run, kept so that a killed study goes on where it stopped."""

import hashlib
import json
import re
import time
from functools import partial
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from semlib.paths import atomic
from semlib.semclip import metrics
from semlib.workers import side_by_side


def evaluate(pool, episodes, methods, *, folder=None, digest="", kept=None):
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
        Stands for everything else that a result depends on (images, weights, settings, code); another runs anew.
    kept : dict, optional
        Receives the `Result` of each method on the last episode, for `results`; of a run read from `folder` there is
        none.

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
    wanted = [
        (method, episode, _key(method, episode, digest))
        for method in methods
        for episode in episodes
    ]
    last = {
        _key(method, episodes[-1], digest) for method in methods if kept is not None and episodes
    }
    known, tables = (
        _known(pool, wanted, folder, last, kept),
        {"segmentation": [], "classification": []},
    )
    for method, episode, key in wanted:
        head = {
            "method": method.name,
            "supervision": method.supervision,
            "k": episode.k,
            "seed": episode.seed,
        }
        for name, rows in tables.items():
            if known[key][name]:
                rows.append(head | known[key][name])
    columns = ["method", "supervision", "k", "seed"]
    segmentation = pd.DataFrame(tables["segmentation"], columns=[*columns, *metrics.SEGMENTATION])
    return segmentation, pd.DataFrame(
        tables["classification"], columns=[*columns, *metrics.CLASSIFICATION]
    )


def results(pool, episode, methods, names, kept=None):
    """Results of the methods that are named on one episode: those that `evaluate` kept of it, the others run again.

    Parameters
    ----------
    pool : Pool
    episode : Episode
        With `kept`: the last one of `evaluate`.
    methods : list of Method
    names : sequence of str
        One without a method is left out.
    kept : dict, optional

    Returns
    -------
    dict of str to Result
    """
    kept, named = (
        dict(kept or {}),
        {method.name: method for method in methods if method.name in names},
    )
    missing = [name for name in named if name not in kept]
    done = side_by_side([partial(named[name].run, pool, episode) for name in missing])
    kept.update(zip(missing, done, strict=True))
    return {name: kept[name] for name in names if name in named}


def times(folder):
    """Seconds of every run kept in `folder`: DataFrame with method, k, seed, seconds."""
    columns = ["method", "k", "seed", "seconds"]
    found = [
        json.loads(path.read_text(encoding="utf-8")) for path in sorted(Path(folder).glob("*.json"))
    ]
    return pd.DataFrame([{name: run[name] for name in columns} for run in found], columns=columns)


def _known(pool, wanted, folder, last, kept):
    """Key -> run, read where it is there, else done, several at a time; `kept` gets the results of the keys `last`."""
    jobs = {}
    for method, episode, key in wanted:
        path = folder and Path(folder) / f"{key}.json"
        jobs.setdefault(
            key, partial(_read_or_run, pool, episode, method, path, kept if key in last else None)
        )
    done = side_by_side(list(jobs.values()))
    return dict(zip(jobs, tqdm(done, total=len(jobs), desc="episodes", unit="run"), strict=True))


def _read_or_run(pool, episode, method, path, kept):
    return _read(path) or _run(pool, episode, method, path, kept)


def _key(method, episode, digest):
    """Name of a run: readable, and a hash of all it depends on."""
    drawn, where = (
        [episode.k, episode.seed, episode.support.tolist()],
        f"k{episode.k}-seed{episode.seed}",
    )
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


def _run(pool, episode, method, path, kept):
    start = time.perf_counter()
    try:
        result = method.run(pool, episode)
        seconds = time.perf_counter() - start
        run = {"method": method.name, "k": episode.k, "seed": episode.seed, "seconds": seconds}
        run |= _scores(pool, episode, result)
    except Exception as error:
        raise RuntimeError(
            f"{method.name} failed on {episode.k} shots, seed {episode.seed}: {error}"
        ) from error
    if kept is not None:
        kept[method.name] = result
    if path is not None:
        with atomic(path) as temporary:
            temporary.write_text(json.dumps(run, indent=1), encoding="utf-8")
    return run


def _scores(pool, episode, result):
    labels, masks = pool.labels[episode.test], pool.masks[episode.test]
    found = {"segmentation": None, "classification": None}
    if result.maps is not None or result.scores is not None:
        found["segmentation"] = metrics.segmentation(
            result.maps, masks, result.scores, labels != pool.normal
        )
    if result.probabilities is not None:
        found["classification"] = metrics.classification(result.probabilities, labels)
    return found
