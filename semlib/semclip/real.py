"""Real micrographs with marked defects, if they lie in ``../shared/real-sem`` beside the clone.

| data set | defect | tiles | shots and test come from |
| --- | --- | --- | --- |
| nanocomposites | particle (mask) | 120 px | different micrographs |
| nasa_micronet | crack (mask) | 120 px, a fifth or more oxide layer | different specimens |
| patterned_wafer | marked point, a disc for a mask | 60 px | the tested point is left out |

All of it is our choice, made before any method ran. Tiles of 240 pixels, which the backbone sees,
would leave six of the eight nanocomposites without a tile free of particles; so smaller ones are
enlarged. Cracks are marked in the oxide layer alone: elsewhere a tile without a mark may hold one.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd

from semlib import paths
from semlib.images import read
from semlib.semclip import findings, study, winclip
from semlib.semclip.april_gan import april_gan
from semlib.semclip.data import fitted
from semlib.semclip.episodes import Episode, Pool, only_used
from semlib.semclip.patchcore import patchcore
from semlib.semclip.prompts import HERE, Prompts
from semlib.semclip.unet import unet

SOURCE = (
    "real SEM images (nanocomposites, doi 10.1049/nde2.12034; NASA MicroNet; a patterned wafer)"
)
SHOTS = (2, 4)
VGG_SIZE = 96  # pixels that VGG16 gets for PatchCore
SHOWN = ("SEM-CLIP", "U-Net", "PatchCore (VGG16)")
FOLDER = paths.ROOT.parent / "shared" / "real-sem"
NAMES = ("nanocomposites", "nasa_micronet", "patterned_wafer")
SIZE = 240  # pixels a side of every tile after enlarging
SIDE = 120  # pixels a side before
EACH = 6  # most tiles of a class from one micrograph
OXIDE = 0.2  # least part of a tile that is oxide layer
LEAST = 0.005  # least part of a tile that is defect; a tile with some, but less, takes no part
POINTS = ((149, 334), (82, 245), (97, 82))  # x, y of the wafer's defects
RADIUS = 8  # pixels of a disc; its true outlines are not published
WAFER_SIDE = 60  # of two points 89 pixels apart each has a tile of its own
JITTER = 14  # pixels that a point's tile may lie off the point; no two of these tiles meet
TRIES = 1000  # random halves before giving up


class Tiles(NamedTuple):
    """Tiles of a data set, and where each comes from."""

    pool: Pool
    groups: np.ndarray  # str (N,): micrograph, specimen or point


def prompts(name):
    """The two classes of a data set in words, see ``prompts_<name>.csv``."""
    return Prompts.load(HERE / f"prompts_{name}.csv", HERE / "templates_real.csv")


def pools(root=FOLDER):
    """`Tiles` of the data sets that are there, by name; the others are said and left out."""
    sets = {}
    for name in NAMES:
        if not (root / name).is_dir():
            print(f"real images: no folder {name} in shared/real-sem beside the clone, left out")
            continue
        read = _wafer if name == "patterned_wafer" else _masked
        parts = read(name, root / name)
        cuts, marks, groups = (np.concatenate(part) for part in zip(*parts, strict=True))
        images = np.stack([fitted(cut, SIZE) for cut in cuts])
        times = SIZE // cuts.shape[1]
        masks = marks.repeat(times, 1).repeat(times, 2)
        words = prompts(name)
        labels = marks.any((1, 2)).astype(int)
        sets[name] = Tiles(Pool(images, labels, masks, words.classes, words.normal), groups)
    return sets


def _masked(name, folder):
    """(tiles, marks, groups) of every micrograph of a folder, at most `EACH` of a class."""
    files = sorted(folder.glob("*_mask.png"))
    if not files:
        raise ValueError(f"{folder} holds no <name>_mask.png")
    composites = name == "nanocomposites"
    parts = []
    for number, file in enumerate(files):
        stem = file.stem.removesuffix("_mask")
        image = read.image(folder / f"{stem}{'.jpg' if composites else '.png'}")
        values = read.image(file)
        if image.shape != values.shape:
            raise ValueError(f"{file} has {values.shape} pixels, its image {image.shape}")
        if composites:  # 0 is particle, 255 background
            mask = values < 128
            layer = np.ones_like(values)
            group = stem
        else:  # 0 background, 1 oxide, 2 crack; a file is called <specimen>_<micrograph>
            mask = values == 2
            layer = values > 0
            group = stem.rsplit("_", 1)[0]
        cuts, marks, layers = (_cut(array, SIDE) for array in (image, mask, layer))
        usable = layers.mean((1, 2)) >= OXIDE
        marked = marks.mean((1, 2))
        rng = np.random.default_rng(number)
        for chosen in (marked == 0, marked >= LEAST):
            some = rng.permutation(np.flatnonzero(usable & chosen))[:EACH]
            parts.append((cuts[some], marks[some], [group] * len(some)))
    return parts


def _wafer(_, folder):
    """All tiles that the episodes may draw from; those of points have them off their centre."""
    inspected = read.image(folder / "case1_inspected_image.png")
    reference = read.image(folder / "case1_reference_image.png")
    rng = np.random.default_rng(0)
    rows, columns = np.indices(inspected.shape)
    marks = np.zeros(inspected.shape, bool)
    for x, y in POINTS:
        marks |= np.hypot(rows - y, columns - x) <= RADIUS
    near = np.zeros(inspected.shape, bool)
    parts = []
    for number, (x, y) in enumerate(POINTS):
        off = rng.integers(-JITTER, JITTER + 1, 2)
        top, left = np.array([y, x]) - WAFER_SIDE // 2 + off
        tile = np.s_[top : top + WAFER_SIDE, left : left + WAFER_SIDE]
        near[tile] = True
        parts.append((inspected[tile][None], marks[tile][None], [f"point {number}"]))
    free = _cut(inspected, WAFER_SIDE)[~_cut(near, WAFER_SIDE).any((1, 2))]
    for kind, cuts in {"inspected": free, "reference": _cut(reference, WAFER_SIDE)}.items():
        parts.append((cuts, np.zeros(cuts.shape, bool), [kind] * len(cuts)))
    return parts


def _cut(array, side):
    """Square tiles (n, side, side), row by row; what is left over is dropped."""
    rows, columns = (length // side for length in array.shape)
    tiles = array[: rows * side, : columns * side].reshape(rows, side, columns, side)
    return tiles.swapaxes(1, 2).reshape(-1, side, side)


def episodes(name, tiles, *, shots=SHOTS, seeds=range(3), n_test=20):
    """Draw the episodes of a data set; no micrograph gives both shots and tests.

    A seed halves the micrographs or specimens such that both halves hold enough tiles of each
    class; shots come from one half, up to `n_test` tests a class from the other. On the wafer seed
    s leaves out point s: shots are the other two points and two tiles of the reference image, tests
    are point s and inspected tiles away from all points. So it has three episodes of two shots.
    """
    if name == "patterned_wafer":
        return _leave_one_out(tiles, seeds, n_test) if 2 in shots else []
    drawn = [one for seed in seeds for one in _halved(name, tiles, shots, seed, n_test)]
    return sorted(drawn, key=lambda episode: episode.k)


def _halved(name, tiles, shots, seed, n_test):
    """One seed's episodes, their supports nested."""
    labels = tiles.pool.labels
    groups = np.unique(tiles.groups)
    rng = np.random.default_rng(seed)
    for _ in range(TRIES):
        chosen = np.isin(tiles.groups, rng.permutation(groups)[: len(groups) // 2])
        counts = [np.bincount(labels[half], minlength=2) for half in (chosen, ~chosen)]
        if np.min(counts) >= max(shots):
            break
    else:
        raise ValueError(
            f"{name}: no halves of its {len(groups)} groups hold {max(shots)} tiles of each class"
        )
    support, test = (
        [rng.permutation(np.flatnonzero(half & (labels == c))) for c in (0, 1)]
        for half in (chosen, ~chosen)
    )
    test = np.concatenate([some[:n_test] for some in test])
    return [Episode(k, seed, np.concatenate([some[:k] for some in support]), test) for k in shots]


def _leave_one_out(tiles, seeds, n_test):
    points = [np.flatnonzero(tiles.groups == f"point {i}")[0] for i in range(len(POINTS))]
    inspected = np.flatnonzero(tiles.groups == "inspected")
    reference = np.flatnonzero(tiles.groups == "reference")
    drawn = []
    for left_out in sorted(set(seeds) & set(range(len(POINTS)))):
        rng = np.random.default_rng(left_out)
        support = np.array([*rng.permutation(reference)[:2], *np.delete(points, left_out)])
        test = np.array([*rng.permutation(inspected)[:n_test], points[left_out]])
        drawn.append(Episode(2, left_out, support, test))
    return drawn


def evaluate(backbone, *, sets=None, seeds=range(3), folder=None, kept=None):
    """SEM-CLIP and its competitors on every data set that is there.

    `sets` are those of `pools` by default; `folder` keeps features and scores; the dict `kept`
    receives what `examples` needs. Returns a DataFrame of dataset and the columns of
    `findings.summarise`, of which the interval covers shots and tests; note says why a number of
    shots was not possible. Empty without data.
    """
    folder = folder or paths.data_root() / "real-sem"
    parts = []
    for name, tiles in (pools() if sets is None else sets).items():
        drawn = episodes(name, tiles, seeds=seeds)
        if drawn:
            pool, drawn = only_used(tiles.pool, drawn)
            competing = methods(name, pool, backbone, folder / "features")
            made = {}
            settings = backbone.settings, backbone.projection.numpy(), prompts(name), VGG_SIZE
            keep = {"folder": folder / "runs", "depends_on": settings}
            scores, _ = study.evaluate(pool, drawn, competing, kept=made, **keep)
            parts.append(findings.summarise(scores).assign(dataset=name, note=""))
            if kept is not None:
                kept[name] = pool, drawn[-1], competing, made
        for k in sorted(set(SHOTS) - {episode.k for episode in drawn}):
            note = f"not possible: {len(POINTS)} points, one of them tested"
            absent = {"dataset": name, "method": "all", "supervision": "–", "k": k, "note": note}
            parts.append(pd.DataFrame([absent]))
    table = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["dataset"])
    return table[["dataset", *table.columns.drop("dataset")]]


def methods(name, pool, backbone, folder):
    """SEM-CLIP and its competitors, PatchCore only where VGG16 is there."""
    words = prompts(name)
    features = study.features(backbone, pool.images, folder)
    given = features, words, backbone
    competing = study.sem_clips(features, backbone, words, {})
    competing += [winclip.winclip(*given), winclip.winclip_plus(*given), april_gan(*given), unet()]
    vgg = study.vgg_features(pool.images, folder, size=VGG_SIZE)
    return competing if vgg is None else [*competing, patchcore(vgg.tokens)]


def examples(kept):
    """One test tile of each data set with the maps of `SHOWN`, the arguments of `plots.overlays`.

    It is the first defective one of the last episode, whatever its maps look like.
    """
    tiles = []
    for name, (pool, episode, competing, made) in kept.items():
        place = np.flatnonzero(pool.labels[episode.test] != pool.normal)[0]
        results = study.results(pool, episode, competing, SHOWN, made)
        maps = {method: result.maps[place] for method, result in results.items()}
        index = episode.test[place]
        title = f"{name}\n{episode.k} shots"
        tiles.append((pool.images[index], pool.masks[index], maps, title))
    if not tiles:
        return {}
    images, masks, maps, names = zip(*tiles, strict=True)
    maps = {method: np.stack([one[method] for one in maps]) for method in maps[0]}
    return {"images": np.stack(images), "masks": np.stack(masks), "maps": maps, "names": names}
