"""The files of a trust profile on one crop and one grey range, or a reason why not."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from semlib.images import masks, read

WHITES = tuple(2**bits - 1 for bits in (8, 10, 12, 14, 16))  # greatest numbers of detectors
FEWEST = 64  # greatest number of floats from which on they count as a detector's
HELD = 0.999  # share of the pixels that a range must hold: hot pixels do not set it
SLACK = 0.02  # of the range, by which restorers overshoot it
FACTOR = 3  # by which means of files on one grey scale may differ; bits of detectors differ by 4
LARGEST = 2**25  # pixels, each of which takes 170 bytes on the way: 6 GB


@dataclass(frozen=True)
class Inputs:
    """Images that can be compared pixel by pixel."""

    images: dict  # reference, noisy (if there is one), restored: float32 (H, W) in [0, 1]
    mask: np.ndarray | None  # bool (H, W)
    range: str  # which numbers of the files became 0 and 1, in words
    crop: str  # the rows that were cut from all of them, in words
    pixel_nm: float | None  # as an instrument states it
    notes: list


def load(reference, restored, *, noisy=None, mask=None, bar="auto"):
    """Read the files of a profile by one grey range, without the data bar of any; `Inputs`.

    Parameters are paths, and `bar` that of `read.image`. ValueError or FileNotFoundError names the
    file that cannot be read or does not fit the others.
    """
    files = {"reference": reference, "noisy": noisy, "restored": restored}
    files = {name: file for name, file in files.items() if file}
    for name in ("noisy", "restored"):
        if name in files and Path(files[name]).resolve() == Path(reference).resolve():
            raise ValueError(f"reference and {name} are one file, {reference}: name two")
    pictures = {name: read.image(file, bar=bar) for name, file in files.items()}
    pictures, crop = _cropped(files, pictures)
    notes = [f"{name}: {note}" for name, one in pictures.items() for note in one.notes]
    marked = None
    if mask:
        decided = masks.decide(mask, pictures["reference"])
        marked = decided.marked
        if marked.all() or not marked.any():
            extent = "everything" if marked.all() else "nothing"
            raise ValueError(f"{mask} marks {extent} ({decided.rule}): mark the defect")
        notes.append("; ".join(filter(None, [f"mask: {decided.rule}", decided.doubt])))
    ranges, said = _ranges(files, pictures)
    images = {name: np.float32(read.scaled(x.pixels, ranges[name])) for name, x in pictures.items()}
    pixel_sizes = [(one.facts or {}).get("pixel_nm") for one in pictures.values()]
    return Inputs(images, marked, said, crop, next(filter(None, pixel_sizes), None), notes)


def _cropped(files, pictures):
    """Cut from every picture the rows that a data bar takes in any of them."""
    height, width = pictures["reference"].full_shape
    if height * width > LARGEST:
        raise ValueError(f"{files['reference']}: more than {LARGEST:,} pixels: cut it up")
    top, bottom = (max(one.bar[side] for one in pictures.values()) for side in (0, 1))
    cut = {}
    for name, one in pictures.items():
        if one.full_shape != (height, width):
            size = " x ".join(map(str, one.full_shape))
            raise ValueError(
                f"shapes differ: {files[name]} has {size} pixels, {files['reference']} "
                f"{height} x {width}: they must fit pixel by pixel"
            )
        inside = slice(top - one.bar[0], height - one.bar[0] - bottom)
        cut[name] = replace(one, pixels=one.pixels[inside], bar=(top, bottom))
    said = f"{top} rows above and {bottom} below cut from all images"
    return cut, said if top + bottom else "nothing cut, no data bar"


def _ranges(files, pictures):
    """Black and white of every picture, and how they were found, in words.

    Pictures of one kind (of one stated range, integers, floats) share a range. Those of another
    kind take, of the ranges that hold them, the one that puts their mean nearest to the first's.
    """
    kinds = _kinds(pictures)
    ranges = {}
    level = None
    # Of integers only the bits that are used are known, so the others come first
    for kind in sorted(kinds, key=lambda kind: kind != "f" and not isinstance(kind, tuple)):
        numbers = np.concatenate([pictures[name].pixels.ravel() for name in kinds[kind]])
        levels = _levels(kind, numbers)
        level = level or next(iter(levels.values()), None)
        fitting = {ends: max(one / level, level / one) for ends, one in levels.items()}
        ends = min(fitting, key=fitting.get, default=None)
        why = "as stated" if ends == kind else "the least usual range that holds all images"
        if len(kinds) == 1 and ends is None:
            low, high = np.quantile(numbers, (1 - HELD, HELD))
            margin = read.MARGIN * (high - low)
            ends = (low - margin, high + margin)
            why = "by quantiles of all images"
        elif ends is None or (fitting[ends] > FACTOR and np.ptp(numbers)):
            name = kinds[kind][0]
            file = f"{files[name]} ({pictures[name].pixels.dtype})"
            raise ValueError(f"no grey range fits {file} and the others: save all in one depth")
        ranges |= dict.fromkeys(kinds[kind], ends)
    shown = {name: f"{low:.6g} to {high:.6g}" for name, (low, high) in ranges.items()}
    if len(kinds) == 1:
        return ranges, f"{shown['restored']}, {why}"
    return ranges, ", ".join(map(" ".join, shown.items())) + ", where their means agree best"


def _kinds(pictures):
    """Names of pictures by their stated range, or "f" for floats, or "u" and the like."""
    kinds = {}
    for name, one in pictures.items():
        kinds.setdefault(one.stated or one.pixels.dtype.kind, []).append(name)
    for kind in {"i", "u"} & set(kinds):
        scans = [pictures[name].pixels for name in kinds[kind] if np.ptp(pictures[name].pixels)]
        means = [float(pixels.mean()) + 1 for pixels in scans] or [0.0]
        if 0 < FACTOR * min(means) < max(means):  # such as counts of 12 bits beside full 16
            kinds |= {f"{kind} of {name}": [name] for name in kinds.pop(kind)}
    return kinds


def _levels(kind, numbers):
    """Ranges that numbers of a kind may mean, and their mean on each; the likeliest first."""
    low, high = np.quantile(numbers, (1 - HELD, HELD))
    whites = WHITES
    if kind == "f":
        whites = (1, *WHITES) if high >= FEWEST else (1,)
    holding = [(0.0, float(x)) for x in whites if -SLACK * x <= low and high <= x + SLACK * x]
    possible = [kind] if isinstance(kind, tuple) else holding
    # a little more than the mean, as it divides
    return {ends: float(read.scaled(numbers, ends).mean()) + 1e-3 for ends in possible}
