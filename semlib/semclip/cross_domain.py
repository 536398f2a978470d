"""Learnt on one world, tested on another: what a method takes along when the layer changes.

Worlds are simulated (upright lines, contact holes, vias, unpatterned film) or real sets of
`real.pools`. All know two classes only, defect or not, as their defects have no class in common.
"""

from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
from tqdm import tqdm

from semlib import stats
from semlib.images import simulator
from semlib.images.simulator import patterns, presets
from semlib.semclip import filters, pixels, real, scores, study
from semlib.semclip.data import fitted
from semlib.semclip.episodes import Episode, Pool
from semlib.semclip.forest import forest
from semlib.semclip.patchcore import patchcore
from semlib.semclip.unet import unet
from semlib.workers import side_by_side

KEYS = ["method", "fit", "test"]
SCORES = ["iAUROC", "pAUROC", "F1-max"]
SEED = 77_000  # of the simulated images: far from those of the other tables
REAL = ("nanocomposites", "nasa_micronet")  # the wafer has too few points
WORDS = "patterned_wafer"  # its prompts: a clean pattern and a defect, whatever the world


class World(NamedTuple):
    """Images of one kind, 0 without and 1 with a defect, and what is drawn from them."""

    images: np.ndarray  # uint8 (N, H, W)
    masks: np.ndarray  # bool (N, H, W)
    draws: list  # of each seed (support, test), numbers of images


def kinds():
    """The simulated worlds: name -> (preset, label without a defect, labels with one)."""
    worlds = {"upright lines": (presets.SEMCLIP, 0, [1, 2, 3, 4, 5, 6])}
    for kind in (patterns.HOLES, patterns.VIAS):
        labels = [n for n, (*_, on, _) in patterns.DEFECTS.items() if n and kind in on]
        shoot = partial(presets.patterned, kind=kind)
        preset = presets.Preset(f"semnr, {kind}", dict.fromkeys([0, *labels], 1), shoot)
        worlds[kind] = preset, 0, labels
    return worlds | {"unpatterned film": (presets.CARINTHIA, 6, [1, 2, 3, 4, 5])}


def worlds(sets, *, shots, tests, seeds, size=240):
    """The simulated worlds and, of `sets` from `real.pools`, the real ones: `World` by name.

    `shots` of both classes for each of as many `seeds`, and `tests` images of each class.
    """
    made = simulated(shots=shots, tests=tests, seeds=range(seeds), size=size)
    return made | micrographs(sets, shots=shots, tests=tests, seeds=range(seeds))


def source(worlds):
    """Where the images of some worlds come from, for captions."""
    text = "synthetic images (semlib simulator, four layers)"
    return f"{text} and {real.SOURCE}" if set(worlds) & set(REAL) else text


def simulated(*, shots, tests, seeds, size=240):
    """A `World` of each of `kinds`, with one test set, which no support meets."""
    worlds = {}
    count = shots * len(seeds) + tests
    for name, (preset, free, labels) in tqdm(kinds().items(), desc="worlds", unit="world"):
        wanted = [free] * count + [labels[i % len(labels)] for i in range(count)]
        look = {"preset": preset, "size": size, "labels": wanted}
        batch = simulator.sample(2 * count, seed=SEED, **look)
        both = np.arange(2 * count).reshape(2, count)  # images without and with a defect
        test = both[:, :tests].ravel()
        supports = np.split(both[:, tests:], len(seeds), axis=1)
        draws = [(support.ravel(), test) for support in supports]
        worlds[name] = World(batch.images, batch.masks, draws)
    return worlds


def micrographs(sets, *, shots, tests, seeds):
    """A `World` of each real set of `real.pools`: shots and tests from different micrographs."""
    worlds = {}
    for name in [name for name in REAL if name in sets]:
        pool = sets[name].pool
        draws = []
        for one in real.episodes(name, sets[name], shots=(shots,), seeds=seeds):
            kinds = [one.test[pool.labels[one.test] == kind][:tests] for kind in (0, 1)]
            draws.append((one.support, np.concatenate(kinds)))
        worlds[name] = World(pool.images, pool.masks, draws)
    return worlds


def join(worlds, size):
    """One `Pool` of all worlds, and its runs: (world learnt from, `Episode`, world of each test).

    An episode tests on all worlds; only images that a run uses are kept.
    """
    images = []
    masks = []
    draws = {}  # of each world, renumbered
    for name, world in worlds.items():
        used = np.unique(np.concatenate([np.concatenate(draw) for draw in world.draws]))
        numbers = [[len(images) + np.searchsorted(used, part) for part in d] for d in world.draws]
        draws[name] = numbers
        images += [fitted(one, size) for one in world.images[used]]
        step = np.linspace(0, world.masks.shape[1] - 1, size).round().astype(int)
        masks += [*world.masks[used][:, step][:, :, step]]
    masks = np.stack(masks)
    labels = masks.any((1, 2)).astype(int)
    words = real.prompts(WORDS)
    pool = Pool(np.stack(images), labels, masks, words.classes, words.normal)
    runs = []
    for seed in range(min(map(len, draws.values()))):
        tests = [draws[name][seed][1] for name in draws]
        owners = np.repeat([*draws], [len(some) for some in tests])
        for name in draws:
            support, _ = draws[name][seed]
            episode = Episode(len(support) // 2, seed, support, np.concatenate(tests))
            runs.append((name, episode, owners))
    return pool, runs


def methods(backbone, pool, steps, folder, *, vgg_size):
    """The methods that learn on one world: ours, and what they compete with.

    `steps` of training by method, as in notebook 07; features are kept in `folder`.
    """
    words = real.prompts(WORDS)
    features = study.features(backbone, pool.images, folder)
    values = filters.filters(pool.images, step=pixels.STEP)
    sem_clip = study.sem_clip(features, backbone, words, {}, steps=steps["SEM-CLIP"])
    ours = pixels.sem_clip_pixels(features, filters.looks(values), backbone.grid, sem_clip)
    competing = [sem_clip, ours, forest(values), unet(steps=steps["U-Net"])]
    if vgg := study.vgg_features(pool.images, folder, size=vgg_size):
        competing.append(patchcore(vgg.tokens))
    return competing


def evaluate(backbone, worlds, *, steps, folder, vgg_size=144):
    """Mean and 95 % interval over the seeds of `SCORES` for each method and pair of worlds.

    `steps` and `vgg_size` as in `methods`; features are kept in `folder`.
    """
    pool, runs = join(worlds, backbone.image_size)
    return summarised(pool, runs, methods(backbone, pool, steps, folder, vgg_size=vgg_size))


def summarised(pool, runs, competing):
    """The table of `evaluate` from what `join` gives, for some methods."""
    jobs = [partial(_scored, pool, *run, method) for method in competing for run in runs]
    done = tqdm(side_by_side(jobs), total=len(jobs), desc="cross-domain", unit="run")
    table = pd.DataFrame([row for rows in done for row in rows])
    return stats.summarise(table, KEYS, SCORES).rename(columns={"count": "episodes"})


def _scored(pool, fit, episode, owners, method):
    """A row of scores for each world that is tested."""
    result = method.run(pool, episode)
    rows = []
    for test in dict.fromkeys(owners):
        some = owners == test
        chosen = episode.test[some]
        row = {"method": method.name, "fit": fit, "test": test, "seed": episode.seed}
        row["iAUROC"] = scores.image_auroc(result.scores[some], pool.labels[chosen] > 0)
        areas = scores.pixels(result.maps[some], pool.masks[chosen])
        rows.append(row | {name: areas[name] for name in SCORES[1:]})
    return rows


def own_and_foreign(table, score="F1-max"):
    """Each method's mean score on its own world and on the others, and what is lost between."""
    own = table["fit"] == table["test"]
    parts = {"own world": table[own], "other worlds": table[~own]}
    means = {part: some.groupby("method", sort=False)[score].mean() for part, some in parts.items()}
    both = pd.DataFrame(means)
    return both.assign(lost=both["own world"] - both["other worlds"]).reset_index()
