"""The files of a trust profile on one crop and one grey range, or a reason why not."""

from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import numpy as np

from semlib.images import masks, read

BITS = (8, 10, 12, 14, 16)  # of detectors, whose greatest number is white
FEWEST = 64  # greatest number of floats from which on they count as a detector's
HELD = 0.999  # share of the pixels that a range must hold: hot pixels do not set it
SLACK = 0.02  # of the range, by which restorers overshoot it
APART = 4  # times; medians of files on one grey scale lie nearer
LARGEST = 2**26  # pixels; FSIM alone takes about 200 bytes for each


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
    files = {name: Path(file) for name, file in files.items() if file}
    for (name, file), (other, same) in combinations(files.items(), 2):
        if file.resolve() == same.resolve():
            raise ValueError(f"{name} and {other} are one file, {file}: give two")
    pictures = {name: read.image(file, bar=bar) for name, file in files.items()}
    if (pixels := pictures["reference"].pixels.size) > LARGEST:
        raise ValueError(f"{reference} has {pixels:,} pixels, more than {LARGEST:,}: cut it up")
    pictures, crop = _cropped(files, pictures)
    notes = [f"{name}: {note}" for name, one in pictures.items() for note in one.notes]
    marked = None
    if mask:
        decided = masks.decide(mask, pictures["reference"])
        marked = decided.marked
        if marked.all() or not marked.any():
            extent = "everything" if marked.all() else f"nothing ({decided.rule})"
            raise ValueError(f"{mask} marks {extent}: mark the pixels of the defect")
        notes.append(f"mask: {'; '.join(filter(None, [decided.rule, decided.doubt]))}")
    ranges, said = _ranges(files, pictures)
    scaled = {name: read.scaled(one.pixels, ranges[name]) for name, one in pictures.items()}
    images = {name: image.astype(np.float32) for name, image in scaled.items()}
    stated = [(one.facts or {}).get("pixel_nm") for one in pictures.values()]
    return Inputs(images, marked, said, crop, next(filter(None, stated), None), notes)


def _cropped(files, pictures):
    """Cut from every picture the rows that a data bar takes in any of them."""
    top, bottom = (max(one.bar[side] for one in pictures.values()) for side in (0, 1))
    sizes = {name: one.full_shape for name, one in pictures.items()}
    for name, size in sizes.items():
        if size != sizes["reference"]:
            shown = [f"{height} x {width}" for height, width in (size, sizes["reference"])]
            raise ValueError(
                f"shapes differ: {files[name]} has {shown[0]} pixels, {files['reference']} "
                f"{shown[1]}: they must fit pixel by pixel"
            )
    cut = {}
    for name, one in pictures.items():
        height = len(one.pixels) - (bottom - one.bar[1])
        pixels = one.pixels[top - one.bar[0] : height]
        cut[name] = replace(one, pixels=pixels, bar=(top, bottom))
    said = f"{top} rows above and {bottom} below cut from all images"
    return cut, said if top + bottom else "nothing cut, no data bar"


def _ranges(files, pictures):
    """Black and white of every picture, and how they were found, in words.

    Pictures of one kind share a range; those of another kind take, of the ranges that hold them,
    the one that brings their median nearest to that of the first kind.
    """
    first, *others = _kinds(pictures)
    fitting = _fitting(first)
    if not others:
        fitting = fitting or {_by_quantiles(first): "by quantiles of all images"}
        (low, high), why = next(iter(fitting.items()))
        return dict.fromkeys(first, (low, high)), f"{low:.6g} to {high:.6g}, {why}"
    ranges = dict.fromkeys(first, next(iter(fitting), (0, 0)))
    level = _level(first, ranges)
    for kind in others:
        levels = {each: _level(kind, dict.fromkeys(kind, each)) for each in _fitting(kind)}
        ratios = {each: max(level / one, one / level) for each, one in levels.items()}
        nearest = min(ratios, key=ratios.get, default=None)
        if not fitting or nearest is None or ratios[nearest] > APART:
            names = (next(iter(kind)), next(iter(first)))
            both = [f"{files[name]} ({pictures[name].pixels.dtype})" for name in names]
            raise ValueError(f"no grey range fits {both[0]} and {both[1]}: save both in one depth")
        ranges |= dict.fromkeys(kind, nearest)
    said = (f"{name} {low:.6g} to {high:.6g}" for name, (low, high) in ranges.items())
    return ranges, ", ".join(said)


def _kinds(pictures):
    """Pictures (name -> Picture) by kind: bytes, longer integers, floats; stated ranges first."""
    kinds = {}
    for name, one in pictures.items():
        dtype = one.pixels.dtype
        kind = "floats" if dtype.kind == "f" else min(dtype.itemsize, 2)
        kinds.setdefault(kind, {})[name] = one
    return sorted(kinds.values(), key=lambda kind: not any(one.stated for one in kind.values()))


def _fitting(kind):
    """Ranges that pictures of one kind may mean and why, the likeliest first; {} for odd floats."""
    stated = [one.stated for one in kind.values() if one.stated]
    widest = (min(low for low, _ in stated), max(high for _, high in stated)) if stated else None
    if len(stated) == len(kind):
        return {widest: "as the files state"}
    low, high = _extent(kind)
    possible = {widest: "as a file states"} if stated else {}
    if any(one.pixels.dtype.kind == "f" for one in kind.values()):
        possible[0.0, 1.0] = "floats as they are"
    if (0.0, 1.0) not in possible or high >= FEWEST:
        possible |= {(0.0, 2.0**bits - 1): f"the {bits} bits that are used" for bits in BITS}
    slack = {ends: SLACK * (ends[1] - ends[0]) for ends in possible}
    return {
        ends: why
        for ends, why in possible.items()
        if ends[0] - slack[ends] <= low and high <= ends[1] + slack[ends]
    }


def _extent(kind):
    """Least and greatest quantile of pictures of one kind."""
    ends = [np.quantile(one.pixels, (1 - HELD, HELD)) for one in kind.values()]
    return float(min(low for low, _ in ends)), float(max(high for _, high in ends))


def _by_quantiles(kind):
    low, high = _extent(kind)
    margin = read.MARGIN * (high - low)
    return low - margin, high + margin


def _level(kind, ranges):
    """Mean of the medians on the grey scale from 0 to 1; a little more, as it divides."""
    medians = [np.median(read.scaled(one.pixels, ranges[name])) for name, one in kind.items()]
    return float(np.mean(medians)) + 1e-3
