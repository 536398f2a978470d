"""The files of a trust profile on one crop and one grey range, or a reason why not."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from semlib.images import masks, read

WHITES = tuple(2**bits - 1 for bits in (8, 10, 12, 14, 16))  # greatest numbers of detectors
FEWEST = 64  # greatest number of floats from which on they count as a detector's
HELD = 0.999  # share of the pixels that a range must hold: hot pixels do not set it
SLACK = 1.02  # times the range, as restorers overshoot a little
FACTOR = 3  # by which medians of files on one grey scale may differ; bits of detectors differ by 4
LARGEST = 2**26  # pixels, of which each takes about 200 bytes on the way


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
    images = {
        name: read.scaled(one.pixels, ranges[name]).astype(np.float32)
        for name, one in pictures.items()
    }
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

    Pictures of one kind (of one stated range, integers, floats) share a range; those of another
    kind take, of the ranges that hold them, the one that brings their median nearest to that of the
    first kind.
    """
    kinds = {}
    for name, one in pictures.items():
        kinds.setdefault(one.stated or one.pixels.dtype.kind, {})[name] = one
    # Of integers only the bits that are used are known, so the others come first
    first, *others = [kinds[kind] for kind in sorted(kinds, key=lambda kind: kind in ("i", "u"))]
    fitting = _fitting(first)
    why = "as stated" if _stated(first) else "the fewest of 8 to 16 bits that hold all images"
    if fitting == [(0.0, 1.0)]:
        why = "floats as they are"
    if not fitting and not others:
        low, high = _extent(first)
        margin = read.MARGIN * (high - low)
        fitting = [(low - margin, high + margin)]
        why = "by quantiles of all images"
    ranges = dict.fromkeys(first, fitting[0] if fitting else (0, 0))
    level = _level(first, ranges)
    for kind in others:
        levels = {each: _level(kind, dict.fromkeys(kind, each)) for each in _fitting(kind)}
        factors = {each: max(level / one, one / level) for each, one in levels.items()}
        nearest = min(factors, key=factors.get, default=None)
        if not fitting or nearest is None or factors[nearest] > FACTOR:
            names = (next(iter(kind)), next(iter(first)))
            both = [f"{files[name]} ({pictures[name].pixels.dtype})" for name in names]
            raise ValueError(f"no grey range fits {both[0]} and {both[1]}: save both in one depth")
        ranges |= dict.fromkeys(kind, nearest)
        why = "where their medians agree best"
    shown = {name: f"{low:.6g} to {high:.6g}" for name, (low, high) in ranges.items()}
    one_range = len(set(shown.values())) == 1
    said = shown["restored"] if one_range else ", ".join(map(" ".join, shown.items()))
    return ranges, f"{said}, {why}"


def _stated(kind):
    return next(iter(kind.values())).stated


def _fitting(kind):
    """Ranges that pictures of one kind may mean, the likeliest first; none for odd floats."""
    if _stated(kind):
        return [_stated(kind)]
    low, high = _extent(kind)
    is_float = any(one.pixels.dtype.kind == "f" for one in kind.values())
    whites = WHITES if not is_float else (1, *WHITES) if high >= FEWEST else (1,)
    return [
        (0.0, float(white))
        for white in whites
        if low >= (1 - SLACK) * white and high <= SLACK * white
    ]


def _extent(kind):
    """Least and greatest quantile of pictures of one kind."""
    ends = [np.quantile(one.pixels, (1 - HELD, HELD)) for one in kind.values()]
    return float(min(low for low, _ in ends)), float(max(high for _, high in ends))


def _level(kind, ranges):
    """Mean of the medians on the grey scale from 0 to 1; a little more, as it divides."""
    medians = [np.median(read.scaled(one.pixels, ranges[name])) for name, one in kind.items()]
    return float(np.mean(medians)) + 1e-3
