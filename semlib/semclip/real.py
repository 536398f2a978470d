"""Real micrographs with marked defects, where `images.micrographs` has them.

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
from skimage.util import view_as_blocks

from semlib import paths
from semlib.images import micrographs, read
from semlib.semclip import filters, findings, pixels, study, winclip
from semlib.semclip.april_gan import april_gan
from semlib.semclip.data import fitted
from semlib.semclip.episodes import Episode, Pool, nested, only_used
from semlib.semclip.forest import forest
from semlib.semclip.patchcore import patchcore
from semlib.semclip.prompts import HERE, Prompts
from semlib.semclip.unet import unet

SOURCE = (
    "real SEM images (nanocomposites, doi 10.1049/nde2.12034; NASA MicroNet; a patterned wafer)"
)
NAMES = ("nanocomposites", "nasa_micronet", "patterned_wafer")
SHOTS = (2, 4)
TESTS = 20  # most test tiles of a class
VGG_SIZE = 96  # pixels that VGG16 gets for PatchCore
SHOWN = ("SEM-CLIP", pixels.NAME, "random forest", "U-Net", "PatchCore (VGG16)")
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


def pools():
    """`Tiles` of the data sets that are there, by name; the others are said and left out."""
    if absent := micrographs.missing(NAMES):
        print(f"left out: {absent}")
    sets = {}
    for name in NAMES:
        if not micrographs.files(name):
            continue
        cut = _wafer if name == "patterned_wafer" else _masked
        cuts, marks, groups = (np.concatenate(part) for part in zip(*cut(name), strict=True))
        images = np.stack([fitted(one, SIZE) for one in cuts])
        masks = marks.repeat(SIZE // cuts.shape[1], 1).repeat(SIZE // cuts.shape[1], 2)
        words = prompts(name)
        labels = marks.any((1, 2)).astype(int)
        sets[name] = Tiles(Pool(images, labels, masks, words.classes, words.normal), groups)
    return sets


def _levels(name, stem):
    """Levels of a file of a data set, all its rows: a picture, or a mask whose levels are told."""
    if stem not in (files := micrographs.files(name)):
        raise FileNotFoundError(f"{paths.micrographs() / name} has no image {stem}: fetch it again")
    return read.image(files[stem], bar="none").pixels


def _masked(name):
    """(tiles, marks, groups) of every micrograph of a data set, at most `EACH` of a class."""
    parts = []
    masks = [stem for stem in micrographs.files(name) if stem.endswith("_mask")]
    for number, mask in enumerate(masks):
        stem = mask.removesuffix("_mask")
        cuts = _cut(_levels(name, stem), SIDE)
        values = _cut(_levels(name, mask), SIDE)
        if name == "nanocomposites":  # 0 is particle, 255 background
            marks = values < 128
            usable = True
            group = stem
        else:  # 0 background, 1 oxide, 2 crack; a file is called <specimen>_<micrograph>
            marks = values == 2
            usable = (values > 0).mean((1, 2)) >= OXIDE
            group = stem.rsplit("_", 1)[0]
        marked = marks.mean((1, 2))
        rng = np.random.default_rng(number)
        for chosen in (marked == 0, marked >= LEAST):
            some = rng.permutation(np.flatnonzero(usable & chosen))[:EACH]
            parts.append((cuts[some], marks[some], [group] * len(some)))
    return parts


def _wafer(name):
    """All tiles that the episodes may draw from; those of points have them off their centre."""
    inspected = _levels(name, "case1_inspected_image")
    reference = _levels(name, "case1_reference_image")
    rows, columns = np.indices(inspected.shape)
    discs = [np.hypot(rows - y, columns - x) <= RADIUS for x, y in POINTS]
    marks = np.any(discs, axis=0)
    near = np.zeros(inspected.shape, bool)
    rng = np.random.default_rng(0)
    parts = []
    for number, (x, y) in enumerate(POINTS):
        top, left = np.array([y, x]) - WAFER_SIDE // 2 + rng.integers(-JITTER, JITTER + 1, 2)
        tile = np.s_[top : top + WAFER_SIDE, left : left + WAFER_SIDE]
        near[tile] = True
        parts.append((inspected[tile][None], marks[tile][None], [f"point {number}"]))
    free = _cut(inspected, WAFER_SIDE)[~_cut(near, WAFER_SIDE).any((1, 2))]
    for kind, cuts in {"inspected": free, "reference": _cut(reference, WAFER_SIDE)}.items():
        parts.append((cuts, np.zeros(cuts.shape, bool), [kind] * len(cuts)))
    return parts


def _cut(array, side):
    """Square tiles (n, side, side), row by row; what is left over is dropped."""
    rows, columns = (length // side * side for length in array.shape)
    return view_as_blocks(array[:rows, :columns], (side, side)).reshape(-1, side, side)


def episodes(name, tiles, *, shots=SHOTS, seeds=range(3)):
    """Draw the episodes of a data set; no micrograph gives both shots and tests.

    A seed halves the micrographs or specimens such that both halves hold enough tiles of each
    class; shots come from one half, up to `TESTS` tests a class from the other. On the wafer seed
    s leaves out point s: shots are the other two points and two tiles of the reference image, tests
    are point s and inspected tiles away from all points. So it has three episodes of two shots.
    """
    if name == "patterned_wafer":
        return [_leave_one_out(tiles, seed) for seed in seeds if seed < len(POINTS)]
    return nested({seed: _halved(tiles, max(shots), seed) for seed in seeds}, shots)


def _halved(tiles, most, seed):
    """Shuffled tiles by class of one half of the groups, and the test tiles of the other."""
    labels = tiles.pool.labels
    groups = np.unique(tiles.groups)
    rng = np.random.default_rng(seed)
    for _ in range(TRIES):
        chosen = np.isin(tiles.groups, rng.permutation(groups)[: len(groups) // 2])
        parts = [np.flatnonzero(half & (labels == c)) for half in (chosen, ~chosen) for c in (0, 1)]
        if min(map(len, parts)) >= most:
            *support, free, defective = map(rng.permutation, parts)
            return support, np.concatenate([free[:TESTS], defective[:TESTS]])
    raise ValueError(f"no halves of the groups {groups} hold {most} tiles of each class")


def _leave_one_out(tiles, left_out):
    points = np.flatnonzero(tiles.pool.labels)
    reference, inspected = (np.flatnonzero(tiles.groups == k) for k in ("reference", "inspected"))
    rng = np.random.default_rng(left_out)
    support = np.array([*rng.permutation(reference)[:2], *np.delete(points, left_out)])
    test = np.array([*rng.permutation(inspected)[:TESTS], points[left_out]])
    return Episode(2, left_out, support, test)


def evaluate(backbone, sets, *, seeds=range(3), folder=None):
    """SEM-CLIP and its competitors on the data sets of `pools`.

    Returns what `findings.summarise` gives (the interval covers shots and tests), with dataset and
    note, which says why a number of shots was not possible; SEM-CLIP + pixels minus each method of
    the most shots, as `findings.against` gives it, with dataset and k; and arguments of
    `plots.overlays` for a tile of each set. All are empty without data.
    """
    if not sets:
        return pd.DataFrame(), pd.DataFrame(), {}
    folder = folder or paths.data_root() / "real-sem"
    tables = []
    differences = []
    panels = {"names": [], "images": [], "masks": [], "maps": {}}
    for name, tiles in sets.items():
        pool, drawn = only_used(tiles.pool, episodes(name, tiles, seeds=seeds))
        competing = methods(name, backbone, pool, folder / "features")
        settings = backbone.settings, backbone.projection.numpy(), prompts(name), VGG_SIZE
        keep = {"folder": folder / "runs", "depends_on": settings}
        scores, _ = study.evaluate(pool, drawn, competing, **keep)
        tables.append(findings.summarise(scores).assign(note=""))
        tables[-1].insert(0, "dataset", name)
        for k in sorted(set(SHOTS) - {episode.k for episode in drawn}):
            note = f"not possible: {len(POINTS)} points, one of them tested"
            absent = {"dataset": name, "method": "all", "supervision": "–", "k": k, "note": note}
            tables.append(pd.DataFrame([absent]))
        paired = findings.against(scores, findings.MAIN[:3], drawn[-1].k, method=pixels.NAME)
        differences.append(paired.assign(dataset=name, k=drawn[-1].k))
        last = drawn[-1]  # its first defective tile is shown, whatever the maps look like
        place = np.flatnonzero(pool.labels[last.test] != pool.normal)[0]
        panels["names"].append(f"{name}\n{last.k} shots")
        panels["images"].append(pool.images[last.test[place]])
        panels["masks"].append(pool.masks[last.test[place]])
        for method, result in study.results(pool, last, competing, SHOWN).items():
            panels["maps"].setdefault(method, []).append(result.maps[place])
    return (*(pd.concat(some, ignore_index=True) for some in (tables, differences)), panels)


def methods(name, backbone, pool, folder):
    """SEM-CLIP, ours beyond it, and all competitors that segment; features are kept in `folder`."""
    words = prompts(name)
    features = study.features(backbone, pool.images, folder)
    values = filters.filters(pool.images, step=pixels.STEP)
    sem_clips = study.sem_clips(features, backbone, words, {})
    given = features, words, backbone
    competing = [winclip.winclip(*given), winclip.winclip_plus(*given), april_gan(*given), unet()]
    competing += pixels.methods(features, values, backbone.grid, sem_clips[0])
    competing.append(forest(values))
    if vgg := study.vgg_features(pool.images, folder, size=VGG_SIZE):
        competing.append(patchcore(vgg.tokens))
    return sem_clips + competing
