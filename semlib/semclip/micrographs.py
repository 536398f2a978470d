"""Real micrographs with marked defects, cut into tiles, if they lie in ``../shared/real-sem`` beside the clone.

| data set | defect | tiles | shots and test come from |
| --- | --- | --- | --- |
| nanocomposites | particle (mask) | 120 px | different micrographs |
| nasa_micronet | crack (mask) | 120 px, a fifth or more of it the oxide layer | different specimens |
| patterned_wafer | marked point, a disc for a mask | 60 px | the tested point is left out |

All of it is our choice, made before any method ran. A side of 120 pixels: in tiles of 240 pixels, which the backbone
sees, six of the eight nanocomposites have no tile without a particle. The tiles are enlarged to 240 pixels. Cracks are
marked in the oxide layer alone, so that elsewhere a tile without a mark need not be without a crack.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd

from semlib import paths
from semlib.images import read
from semlib.semclip.episodes import Pool
from semlib.semclip.prompts import FILE, Prompts
from semlib.semclip.shots import fitted

FOLDER = paths.ROOT.parent / "shared" / "real-sem"
SOURCE = (
    "real SEM images (nanocomposites, doi 10.1049/nde2.12034; NASA MicroNet; a patterned wafer)"
)
SIZE = 240  # pixels a side of every tile after enlarging
SIDE = 120  # pixels a side before
OXIDE = 0.2  # least part of a tile that is oxide layer
LEAST = 0.005  # least part of a tile that is defect; with less, but some, it counts neither as defective nor as free
POINTS = ((149, 334), (82, 245), (97, 82))  # x, y of the wafer's defects
RADIUS = 8  # pixels of a disc; its true outlines are not published
WAFER_SIDE = 60  # of two points 89 pixels apart each has a tile of its own
JITTER = 14  # pixels that a point's tile may lie off the point; no two of these tiles meet


class Tiles(NamedTuple):
    """Tiles of a data set as a `Pool`, and the micrograph, specimen or point that each comes from (str array (N,))."""

    pool: Pool
    groups: np.ndarray


def prompts(name):
    """The two classes of a data set in words, see ``prompts_<name>.csv``."""
    return Prompts.load(FILE.with_name(f"prompts_{name}.csv"), FILE.with_name("templates_real.csv"))


def pools(root=None, *, names=None, each=6):
    """Read the data sets that are there; those that are not are left out with a message.

    Parameters
    ----------
    root : Path, optional
        Holds a folder for each data set; ``../shared/real-sem`` by default.
    names : sequence of str, optional
        Some of the data sets; all by default.
    each : int
        Most tiles of each class from one micrograph, drawn with a fixed seed.

    Returns
    -------
    dict of str to Tiles

    Raises
    ------
    FileNotFoundError
        If a mask has no image, or one of the wafer's two images is missing.
    ValueError
        If a file is no image, an image and its mask differ in size, or a folder holds no mask.
    """
    root, found = FOLDER if root is None else root, {}
    for name in READERS if names is None else names:
        if (root / name).is_dir():
            found[name] = READERS[name](root / name, prompts(name), each)
        else:
            print(f"real images: no folder {name} in shared/real-sem beside the clone, left out")
    return found


def summary(sets):
    """DataFrame of what `pools` found: dataset, class, groups, tiles, defect area (part of these tiles)."""
    rows = []
    for name, (pool, groups) in sets.items():
        for label, kind in enumerate(pool.classes):
            own = pool.labels == label
            head = {
                "dataset": name,
                "class": kind,
                "groups": len(set(groups[own])),
                "tiles": int(own.sum()),
            }
            rows.append(head | {"defect area": float(pool.masks[own].mean())})
    return pd.DataFrame(rows)


def _nanocomposites(folder, words, each):
    """0 is particle in these masks, 255 background."""
    pairs = _pairs(folder, ".jpg")
    return _tiles(
        [(name, image, mask < 128, np.ones_like(mask)) for name, image, mask in pairs], words, each
    )


def _nasa_micronet(folder, words, each):
    """0 background, 1 oxide, 2 crack; a file is called <specimen>_<micrograph>."""
    pairs = _pairs(folder, ".png")
    return _tiles(
        [(name.rsplit("_", 1)[0], image, mask == 2, mask > 0) for name, image, mask in pairs],
        words,
        each,
    )


def _pairs(folder, ending):
    """Name, image and mask (uint8) of every micrograph of a folder."""
    if not (files := sorted(folder.glob("*_mask.png"))):
        raise ValueError(f"{folder} holds no <name>_mask.png")
    found = []
    for file in files:
        name = file.stem.removesuffix("_mask")
        image, mask = read.image(folder / f"{name}{ending}"), read.image(file)
        if image.shape != mask.shape:
            raise ValueError(f"{file} has {mask.shape} pixels, its image {image.shape}")
        found.append((name, image, mask))
    return found


def _tiles(micrographs, words, each):
    """At most `each` tiles of a class from every (group, image, mask, layer), where there is enough of the layer."""
    parts = []
    for number, (group, image, mask, layer) in enumerate(micrographs):
        cuts, marks, layers = (_cut(array, SIDE) for array in (image, mask, layer))
        marked, usable, rng = (
            marks.mean((1, 2)),
            layers.mean((1, 2)) >= OXIDE,
            np.random.default_rng(number),
        )
        for chosen in (marked == 0, marked >= LEAST):
            rows = rng.permutation(np.flatnonzero(usable & chosen))[:each]
            parts.append((cuts[rows], marks[rows], [group] * len(rows)))
    return _pool(parts, words)


def _patterned_wafer(folder, words, _):
    """All tiles that the episodes may draw from, the points' ones with the point off their centre."""
    inspected, reference = (
        read.image(folder / f"case1_{kind}_image.png") for kind in ("inspected", "reference")
    )
    rng, rows, columns = np.random.default_rng(0), *np.indices(inspected.shape)
    near, marks, parts = np.zeros(inspected.shape, bool), np.zeros(inspected.shape, bool), []
    for x, y in POINTS:
        marks |= np.hypot(rows - y, columns - x) <= RADIUS
    for number, (x, y) in enumerate(POINTS):
        top, left = np.array([y, x]) - WAFER_SIDE // 2 + rng.integers(-JITTER, JITTER + 1, 2)
        tile = np.s_[None, top : top + WAFER_SIDE, left : left + WAFER_SIDE]
        near[tile[1:]] = True
        parts.append((inspected[tile], marks[tile], [f"point {number}"]))
    free = _cut(inspected, WAFER_SIDE)[~_cut(near, WAFER_SIDE).any((1, 2))]
    for kind, cuts in {"inspected": free, "reference": _cut(reference, WAFER_SIDE)}.items():
        parts.append((cuts, np.zeros(cuts.shape, bool), [kind] * len(cuts)))
    return _pool(parts, words)


READERS = {
    "nanocomposites": _nanocomposites,
    "nasa_micronet": _nasa_micronet,
    "patterned_wafer": _patterned_wafer,
}


def _cut(array, side):
    """Square tiles (n, side, side) of an array, row by row from its upper left corner; what is left over is dropped."""
    rows, columns = (length // side for length in array.shape)
    array = array[: rows * side, : columns * side]
    return array.reshape(rows, side, columns, side).swapaxes(1, 2).reshape(-1, side, side)


def _pool(parts, words):
    """`Tiles` of (tiles, marks, groups), enlarged to `SIZE`: the tiles bicubically, a mark's pixels repeated."""
    cuts, marks, groups = (np.concatenate(part) for part in zip(*parts, strict=True))
    times = SIZE // cuts.shape[1]
    images = np.stack([fitted(cut, SIZE) for cut in cuts])
    masks = marks.repeat(times, 1).repeat(times, 2)
    return Tiles(
        Pool(images, marks.any((1, 2)).astype(int), masks, words.classes, words.normal), groups
    )
