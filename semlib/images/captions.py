"""Sentences about simulated images: position, size, count and contrast of the defects, their layer, burnt-in text."""

import re

import numpy as np

from semlib.images.surface import pick

NAMES = {
    0: (
        "no defect",
        "a defect-free pattern",
        "a clean surface",
        "nothing unusual",
        "an intact structure",
        "no anomaly",
    ),
    1: (
        "bridge",
        "bridging defect",
        "short circuit",
        "bridge between neighbours",
        "bridged feature",
        "unwanted link",
    ),
    2: (
        "copper residue",
        "metal residue",
        "leftover copper film",
        "unpolished copper patch",
        "residual copper flake",
    ),
    3: ("hole", "void", "missing spot", "dark opening", "hole in the pattern", "pit"),
    4: (
        "infilm defect",
        "buried defect",
        "embedded defect",
        "defect under the film",
        "in-film bump",
        "subsurface bump",
    ),
    5: (
        "particle",
        "foreign grain",
        "surface contaminant",
        "fallen-on particle",
        "lump of dirt",
        "debris particle",
    ),
    6: (
        "scratch",
        "long thin scratch",
        "polishing scratch",
        "linear mark",
        "scrape across the pattern",
    ),
}
COUNTS = {2: "two", 3: "three"}
LARGE = 0.18
SMALL = 0.08


def position(mask):
    """Where the centre of a mask lies: "centre", "upper left", "left" ...; thirds of the field."""
    rows, columns = np.nonzero(mask)
    third_y = min(int(3 * (rows.mean() + 0.5) / mask.shape[0]), 2)
    third_x = min(int(3 * (columns.mean() + 0.5) / mask.shape[1]), 2)
    words = " ".join(
        filter(None, (("upper", "", "lower")[third_y], ("left", "", "right")[third_x]))
    )
    return {"": "centre", "upper": "top", "lower": "bottom"}.get(words, words)


def extent(mask):
    """Longest side of the bounding box of a mask as a fraction of the field."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return (max(np.ptp(rows), np.ptp(columns)) + 1) / len(mask)


def plain(facts, name, mask, text):
    """All that is known of an image in one fixed form."""
    found = "no defect"
    if facts.count:
        found = f"{facts.count} x {name}, {position(mask)}, extent {extent(mask):.2f} of the field"
    return f"Synthetic SEM image of {facts.layer}: {found}{', with burnt-in text' if text else ''}."


def varied(rng, facts, mask, text):
    """One of many sentences about an image; some of the facts are left out."""
    name, layer = pick(rng, NAMES[facts.label]), _layer(rng, facts.layer)
    note = (
        pick(rng, (" with burnt-in text", " with a text label", ", text in the image"))
        if text
        else ""
    )
    note = note if rng.random() < 0.7 else ""
    if not facts.count:
        return pick(
            rng,
            (
                f"{layer}, {name}{note}",
                f"a SEM image of {layer} showing {name}{note}",
                f"{name}, {layer}{note}",
            ),
        )
    what = _defect(rng, facts, name, mask)
    where = _where(rng, mask) if facts.count == 1 and rng.random() < 0.6 else ""
    forms = (
        f"a SEM image of {layer} with {what}{where}{note}",
        f"{what} on {layer}{where}{note}",
        f"{what}{where}{note}",
        f"electron micrograph: {what}{where}, {layer}{note}",
        f"{layer} showing {what}{where}{note}",
        f"an inspection image with {what}{where}{note}",
    )
    return pick(rng, forms)


def _layer(rng, layer):
    if layer == "film":
        return pick(rng, ("an unpatterned film", "a plain film", "a blanket layer"))
    if layer.endswith("lines"):
        direction = layer.split()[0]
        plain = pick(rng, ("lines", "line and space pattern", "metal lines", "dense lines"))
        return f"{direction} {plain}" if rng.random() < 0.5 else plain
    return layer if rng.random() < 0.6 else f"an array of {layer}"


def _defect(rng, facts, name, mask):
    strength = ""
    if rng.random() < 0.5:
        faint, strong = (
            pick(rng, ("faint", "weak", "low-contrast")),
            pick(rng, ("strong", "clear", "high-contrast")),
        )
        strength = faint if facts.strength < 0.3 else strong if facts.strength > 0.7 else ""
    if facts.count > 1:
        return " ".join(
            filter(None, (pick(rng, (COUNTS[facts.count], "several")), strength, plural(name)))
        )
    size = ""
    if rng.random() < 0.6:
        long = extent(mask)
        size = (
            pick(rng, ("large", "big"))
            if long > LARGE
            else pick(rng, ("small", "tiny"))
            if long < SMALL
            else ""
        )
    words = " ".join(filter(None, (size, strength, name)))
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def plural(name):
    """Plural of a name such as "bridge between neighbours"."""
    head, *tail = re.split(r"(?= (?:between|in|under|of|across) )", name)
    return head + ("es" if head.endswith("ch") else "s") + "".join(tail)


def _where(rng, mask):
    place = position(mask)
    return pick(rng, (f" at the {place}", f", {place}", f", in the {place} of the image"))
