"""Few-shot segmentation of the real images of `semlib.semclip.micrographs` by SEM-CLIP and its competitors."""

import numpy as np
import pandas as pd

from semlib import paths
from semlib.semclip import baselines, cache, data, runs, study, tables
from semlib.semclip.episodes import Episode
from semlib.semclip.micrographs import POINTS, SOURCE, pools, prompts, summary

__all__ = ["SOURCE", "episodes", "evaluate", "examples", "methods", "pools", "prompts", "summary"]
TRIES = 1000  # random halves before giving up


def episodes(name, tiles, *, shots=(2, 4), seeds=range(3), n_test=20):
    """Draw the episodes of a data set.

    No micrograph gives both shots and tests: a seed halves the micrographs (nanocomposites) or specimens
    (nasa_micronet), such that both halves hold enough tiles of each class; the shots come from one half and up to
    `n_test` tests a class from the other. The wafer has one inspected image and one reference: seed s leaves out its
    point s, the shots are the other two points and two tiles of the reference, the tests the tile of point s and tiles
    of the inspected image away from all points. Thus it has at most three episodes, of two shots.

    Returns
    -------
    list of Episode

    Raises
    ------
    ValueError
        If no halves hold enough tiles.
    """
    if name == "patterned_wafer":
        return _leave_one_out(tiles, seeds, n_test) if 2 in shots else []
    drawn = [episode for seed in seeds for episode in _halved(name, tiles, shots, seed, n_test)]
    return sorted(drawn, key=lambda episode: episode.k)


def evaluate(
    backbone, *, sets=None, shots=(2, 4), seeds=range(3), folder=None, vgg_size=96, kept=None
):
    """SEM-CLIP and its competitors on every data set.

    Parameters
    ----------
    backbone : Backbone
    sets : dict, optional
        As `pools` returns it, which is called by default.
    shots, seeds
        See `episodes`.
    folder : Path, optional
        Keeps features and runs; ``data/real-sem`` by default.
    vgg_size : int
        Pixels that VGG16 gets for PatchCore, see `patchcore.vgg_features`.
    kept : dict, optional
        Receives for each data set its last episode and what the methods made of it, for `examples`.

    Returns
    -------
    DataFrame
        dataset and the columns of `tables.summarise`, of which the interval covers shots and tests; note, which says
        why a number of shots was not possible. Empty where there are no data.
    """
    folder = paths.data_root() / "real-sem" if folder is None else folder
    found = []
    for name, tiles in (pools() if sets is None else sets).items():
        drawn = episodes(name, tiles, shots=shots, seeds=seeds)
        if drawn:
            scores = _scores(
                name, *data.only_used(tiles.pool, drawn), backbone, folder, vgg_size, kept
            )
            found.append(tables.summarise(scores).assign(dataset=name, note=""))
        for k in sorted(set(shots) - {episode.k for episode in drawn}):
            note = f"not possible: {len(POINTS)} points, one of them tested"
            found.append(
                pd.DataFrame(
                    [{"dataset": name, "method": "all", "supervision": "–", "k": k, "note": note}]
                )
            )
    table = pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=["dataset"])
    return table[["dataset", *table.columns.drop("dataset")]]


def _scores(name, pool, drawn, backbone, folder, vgg_size, kept):
    weights = backbone.projection.cpu().numpy()
    state = cache.digest(study.HERE, backbone.settings, weights, pool.images, pool.masks, vgg_size)
    competing = methods(name, pool, backbone, folder / "features", vgg_size=vgg_size)
    made = {}
    if kept is not None:
        kept[name] = pool, drawn[-1], competing, made
    return runs.evaluate(pool, drawn, competing, folder=folder / "runs", digest=state, kept=made)[0]


def methods(name, pool, backbone, folder, *, vgg_size=96):
    """SEM-CLIP with the two prompts of a data set and its competitors, PatchCore only where VGG16's weights are."""
    words, seen = prompts(name), study.features(backbone, pool.images, folder)
    found = study.sem_clips(seen, backbone, words)
    found += [
        baselines.winclip(seen, words, backbone),
        baselines.winclip_plus(seen, words, backbone),
    ]
    found += [baselines.april_gan(seen, words, backbone), baselines.unet()]
    vgg = study.vgg_features(pool.images, folder, size=vgg_size)
    return found if vgg is None else [*found, baselines.patchcore(vgg.tokens)]


def examples(kept, shown=("SEM-CLIP", "U-Net", "PatchCore (VGG16)")):
    """One test tile of each data set with its maps, the arguments of `plots.overlays`.

    The tile is the first defective one of the last episode, whatever its maps look like.

    Parameters
    ----------
    kept : dict
        Of `evaluate`. What it read from an earlier call is made again.
    shown : sequence of str
        Names of methods; one that is not there is left out.

    Returns
    -------
    dict
        images uint8 (n, 240, 240), masks bool, maps (method -> float (n, 240, 240)), names; empty without data.
    """
    rows = []
    for name, (pool, episode, competing, made) in kept.items():
        place = np.flatnonzero(pool.labels[episode.test] != pool.normal)[0]
        found = runs.results(pool, episode, competing, shown, made)
        maps, tile = (
            {method: result.maps[place] for method, result in found.items()},
            episode.test[place],
        )
        rows.append((pool.images[tile], pool.masks[tile], maps, f"{name}\n{episode.k} shots"))
    if not rows:
        return {}
    images, masks, maps, names = zip(*rows, strict=True)
    maps = {
        method: np.stack([one[method] for one in maps]) for method in shown if method in maps[0]
    }
    return {"images": np.stack(images), "masks": np.stack(masks), "maps": maps, "names": names}


def _halved(name, tiles, shots, seed, n_test):
    """One seed's episodes, their supports nested."""
    labels, names, rng = tiles.pool.labels, np.unique(tiles.groups), np.random.default_rng(seed)
    for _ in range(TRIES):
        kept = np.isin(tiles.groups, rng.permutation(names)[: len(names) // 2])
        if all(
            (np.bincount(labels[half], minlength=2) >= max(shots)).all() for half in (kept, ~kept)
        ):
            break
    else:
        raise ValueError(
            f"{name}: no halves of its {len(names)} groups hold {max(shots)} tiles of each class; use fewer"
        )
    support, test = (
        [rng.permutation(np.flatnonzero(half & (labels == c))) for c in (0, 1)]
        for half in (kept, ~kept)
    )
    test = np.concatenate([rows[:n_test] for rows in test])
    return [Episode(k, seed, np.concatenate([rows[:k] for rows in support]), test) for k in shots]


def _leave_one_out(tiles, seeds, n_test):
    points, found = (
        [np.flatnonzero(tiles.groups == f"point {i}")[0] for i in range(len(POINTS))],
        [],
    )
    inspected, reference = (
        np.flatnonzero(tiles.groups == kind) for kind in ("inspected", "reference")
    )
    for left in sorted(set(seeds) & set(range(len(POINTS)))):
        rng = np.random.default_rng(left)
        support = np.array([*rng.permutation(reference)[:2], *np.delete(points, left)])
        test = np.array([*rng.permutation(inspected)[:n_test], points[left]])
        found.append(Episode(2, left, support, test))
    return found
