"""The data bar that instruments draw into their pictures: how many rows it takes.

A network would learn the bar instead of the wafer, and a metric would count its constant pixels.
"""

import re

import numpy as np

NEAR = (8, 24)  # levels of 255 beside the bar's grey that count as it; JPEG rings round letters
FLAT = 0.5  # share of a row that the bar's grey owns, between letters, lines and logos
GAP = 0.25  # share of the bar's rows that may own less: a line of large letters, a frame
RUN = 8  # pixels of one level side by side: a scan has noise and hardly any such place
DRAWN = 0.25  # least share of such places in a bar that was not compressed
INK = 60  # levels between the bar's grey and what is written on it
WRITTEN = (0.03, 0.45)  # share of a bar that is ink; less is hardly text, more is no ground
PURE = 0.35  # share of the ground within one level of its grey; of noise 0.2 lie there
LEAST = 0.02  # of the height; fewer rows are a frame or a dark edge
MOST = 0.3
SHARP = 2  # rows within which a bar ends; a dark region of the sample ends raggedly


def option(value):
    """Check how a data bar is to be cut: "auto", "none", or rows above and below as (int, int).

    The rows may be text, as a command or a notebook gets them: "0,60".
    """
    if isinstance(value, tuple | list):
        value = ",".join(map(str, value))
    text = str(value).strip().lower()
    if text in ("auto", "none"):
        return text
    numbers = re.fullmatch(r"(\d+)\s*,\s*(\d+)", text)
    if not numbers:
        raise ValueError(
            f"bar is {value!r}: use auto, none, or the rows to cut off above and below, such as "
            "0,60"
        )
    return int(numbers[1]), int(numbers[2])


def rows(levels, stated=None):
    """Rows of the data bar of a picture, uint8 (H, W): above, below, and how that is known.

    `stated` is of `instrument.facts`: ``rows`` (height without the bar) or ``bar`` (its rows). The
    last value is empty where there is no bar.
    """
    height = len(levels)
    stated = stated or {}
    bar = stated.get("bar") or height - stated.get("rows", height)
    if 0 < bar < height * MOST:
        why = f"a data bar of {bar} rows was cut below, as {stated['maker']} states"
        return 0, bar, why
    bottom = _band(levels[::-1])
    top = _band(levels)
    cuts = [f"{n} rows {place}" for n, place in ((top, "above"), (bottom, "below")) if n]
    return top, bottom, f"a data bar was cut by its look: {', '.join(cuts)}" if cuts else ""


def _band(levels):
    """Rows from the first one on that are a bar: one grey behind letters, ending sharply.

    A bar as it was drawn shows by places of exactly one level, one after JPEG by its letters.
    """
    for near, is_bar in zip(NEAR, (_is_drawn, _is_written), strict=True):
        length, away = _flat_rows(levels, near)
        if length and is_bar(levels[:length], away[:length]):
            return length
    return 0


def _flat_rows(levels, near):
    """How many rows from the first one on have one grey, and the distances of all from that grey.

    None where they do not end sharply.
    """
    height, width = levels.shape
    depth = int(MOST * height)
    if not depth or width <= 4 * RUN:
        return 0, None
    edge = levels[: depth + 12].astype(np.int16)
    grey = np.bincount(levels[: max(8, height // 50)].ravel(), minlength=256).argmax()
    away = np.abs(edge - grey)
    owned = (away <= near).mean(axis=1)
    flat = owned[:depth] >= FLAT
    filled = np.cumsum(flat) / np.arange(1, depth + 1)
    ends = np.flatnonzero(flat & (filled >= 1 - GAP))
    if not len(ends):
        return 0, None
    length = int(ends[-1]) + 1
    while length < depth and np.ptp(edge[length]) <= near:  # a closing line of another grey
        length += 1
    inside = np.median(owned[:length][flat[:length]])
    beyond = owned[length + SHARP : length + SHARP + 8]
    fits = LEAST * height <= length < depth and beyond.max() < inside / 2
    return length * fits, away


def _is_drawn(band, away):
    equal = np.cumsum(band[:, 1:] == band[:, :-1], axis=1)
    runs = (equal[:, RUN:] - equal[:, :-RUN] == RUN).mean()
    blank = (away <= 1).mean() >= 0.9
    return runs >= DRAWN and (blank or (away > INK).mean() >= 0.01)


def _is_written(band, away):
    ink = (away > INK).mean()
    ground = away[away <= NEAR[0]]
    return WRITTEN[0] <= ink <= WRITTEN[1] and (ground <= 1).mean() >= PURE
