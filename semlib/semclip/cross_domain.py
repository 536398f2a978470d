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
from semlib.semclip.prompts import HERE, Prompts
from semlib.semclip.unet import unet
from semlib.workers import side_by_side

KEYS = ["method", "fit", "test"]
SCORES = ["iAUROC", "pAUROC", "F1-max"]
SEED = 77_000  # of the simulated images: far from those of the other tables
REAL = ("nanocomposites", "nasa_micronet")  # the wafer has too few points


class World(NamedTuple):
    """Images of one kind, 0 without and 1 with a defect, and what is drawn from them."""

    images: np.ndarray  # uint8 (N, H, W)
    masks: np.ndarray  # bool (N, H, W)
    draws: list  # of each seed (support, test), numbers of images


def prompts():
    """A clean pattern and a defect in words, whatever the world."""
    return Prompts.load(HERE / "prompts_patterned_wafer.csv", HERE / "templates_real.csv")


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
    """The simulated worlds and, of `sets` from `real.pools`, the real ones."""
    drawn = range(seeds)
    made = simulated(shots=shots, tests=tests, seeds=drawn, size=size)
    return made | micrographs(sets, shots=shots, tests=tests, seeds=drawn)


def source(worlds):
    """Where the images of some worlds come from, for captions."""
    text = "synthetic images (semlib simulator, four layers)"
    return f"{text} and {real.SOURCE}" if set(worlds) & set(REAL) else text


def simulated(*, shots, tests, seeds, size=240, seed=0):
    """A `World` of each of `kinds`: `shots` of both classes for each of `seeds`, one test set.

    `tests` is the number of test images of each class, which no support meets.
    """
    worlds = {}
    count = shots * len(seeds) + tests
    for name, (preset, free, labels) in tqdm(kinds().items(), desc="worlds", unit="world"):
        wanted = [free] * count + [labels[i % len(labels)] for i in range(count)]
        batch = simulator.sample(
            2 * count, seed=SEED + seed, preset=preset, size=size, labels=wanted
        )
        draws = []
        for number in range(len(seeds)):
            first = tests + number * shots
            support = [*range(first, first + shots), *range(count + first, count + first + shots)]
            draws.append(
                (np.array(support), np.array([*range(tests), *range(count, count + tests)]))
            )
        worlds[name] = World(batch.images, batch.masks, draws)
    return worlds


def micrographs(sets, *, shots, tests, seeds):
    """A `World` of each real set of `real.pools`: shots and tests from different micrographs."""
    worlds = {}
    for name in REAL:
        if name in sets:
            drawn = real.episodes(name, sets[name], shots=(shots,), seeds=seeds)
            labels = sets[name].pool.labels
            draws = [(one.support, _some(one.test, labels, tests)) for one in drawn]
            worlds[name] = World(sets[name].pool.images, sets[name].pool.masks, draws)
    return worlds


def _some(chosen, labels, count):
    """The first `count` of each class among some images."""
    kinds = [chosen[labels[chosen] == kind][:count] for kind in (0, 1)]
    return np.concatenate(kinds)


def join(worlds, size):
    """One `Pool` of all worlds, and its runs: (world learnt from, `Episode`, world of each test).

    An episode tests on all worlds; only images that a run uses are kept.
    """
    words = prompts()
    images = []
    masks = []
    numbers = {}
    for name, world in worlds.items():
        used = np.unique(np.concatenate([np.concatenate(draw) for draw in world.draws]))
        first = sum(len(part) for part in images)
        numbers[name] = dict(zip(used.tolist(), range(first, first + len(used)), strict=True))
        images.append(np.stack([fitted(one, size) for one in world.images[used]]))
        step = np.linspace(0, world.masks.shape[1] - 1, size).round().astype(int)
        masks.append(world.masks[used][:, step][:, :, step])
    masks = np.concatenate(masks)
    labels = masks.any((1, 2)).astype(int)
    pool = Pool(np.concatenate(images), labels, masks, words.classes, words.normal)
    runs = []
    for seed in range(min(len(world.draws) for world in worlds.values())):
        tests = {n: [numbers[n][i] for i in w.draws[seed][1].tolist()] for n, w in worlds.items()}
        owners = np.concatenate([[name] * len(some) for name, some in tests.items()])
        test = np.concatenate([*tests.values()])
        for name, world in worlds.items():
            support = np.array([numbers[name][i] for i in world.draws[seed][0].tolist()])
            runs.append((name, Episode(len(support) // 2, seed, support, test), owners))
    return pool, runs


def methods(backbone, pool, steps, folder, *, vgg_size):
    """The methods that learn on one world: ours, and what they compete with.

    `steps` of training by method, as in notebook 07; features are kept in `folder`.
    """
    words = prompts()
    features = study.features(backbone, pool.images, folder)
    values = filters.filters(pool.images, step=pixels.STEP)
    sem_clip = study.sem_clip(features, backbone, words, {}, steps=steps["SEM-CLIP"])
    ours = [sem_clip, pixels.sem_clip_pixels(features, values, backbone.grid, sem_clip)]
    competing = [*ours, forest(values), unet(steps=steps["U-Net"])]
    if vgg := study.vgg_features(pool.images, folder, size=vgg_size):
        competing.append(patchcore(vgg.tokens))
    return competing


def evaluate(backbone, worlds, *, steps, folder, vgg_size=144):
    """Mean and 95 % interval over the seeds of `SCORES` for each method and pair of worlds.

    `steps` and `vgg_size` as in `methods`; features are kept in `folder`.
    """
    size = backbone.image_size
    pool, runs = join(worlds, size)
    return summarised(pool, runs, methods(backbone, pool, steps, folder, vgg_size=vgg_size))


def summarised(pool, runs, competing):
    """The table of `evaluate` from what `join` gives and some methods."""
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
    means = {
        "own world": table[own].groupby("method", sort=False)[score].mean(),
        "other worlds": table[~own].groupby("method", sort=False)[score].mean(),
    }
    both = pd.DataFrame(means)
    return both.assign(lost=both["own world"] - both["other worlds"]).reset_index()
