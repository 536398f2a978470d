"""The trust profile: metrics on one scale, the article's three conflict rules, its flowchart as code.

PSNR is the anchor, SSIM watches structure, FSIM edges, DISTS texture, CNR detectability. The article gives the rules
without numbers; the thresholds here are ours, are parameters, and are measured in notebook 08.
"""

from dataclasses import dataclass

import numpy as np

from semlib.semnr.degrade import without_defect
from semlib.semnr.metrics import Reference

ANCHORS = {
    "psnr": (10.0, 40.0),
    "ssim": (0.0, 1.0),
    "fsim": (0.0, 1.0),
    "dists": (1.0, 0.0),
    "cnr": (0.0, 5.0),
}
AXES = tuple(ANCHORS)
THRESHOLDS = {
    "psnr_up": 0.5,
    "fsim_down": 0.01,
    "ssim_stable": 0.05,
    "dists_worse": 0.02,
    "cnr_down": 0.1,
}


class Conflict(str):
    """Name of a conflict; `changes` maps its two metrics to after - before (for CNR the relative change)."""

    def __new__(cls, name, changes):
        self = super().__new__(cls, name)
        self.changes = changes
        return self

    def __repr__(self):
        return f"{self} ({', '.join(f'{name} {change:+.3g}' for name, change in self.changes.items())})"


@dataclass(frozen=True)
class Rule:
    """A question of the flowchart, what its yes is called, and what to try then."""

    name: str
    question: str
    next: str


RULES = (
    Rule(
        "over-smoothing", "PSNR up and\nFSIM down?", "weaker filter, or a loss\nthat weighs edges"
    ),
    Rule(
        "texture drift",
        "SSIM stable and\nDISTS worse?",
        "texture term in the loss;\nlook at flat areas",
    ),
    Rule("contrast loss", "PSNR up and\nCNR down?", "match the grey scale;\nlook at the defects"),
    Rule("no gain", "profile area\nnot larger?", "keep the noisy image,\nor more electrons"),
)
TRUSTED = Rule("no conflict", "", "check defect recall,\nthen use it")


def profile(reference, image, *, signal=None, background=None, mask=None, golden=None):
    """Metrics of a restored image, raw and on a scale from 0 to 1 where higher is better.

    Parameters
    ----------
    reference : float array (H, W) in [0, 1], or semlib.semnr.metrics.Reference
        The truth. A `Reference` is quicker for many images and brings its own regions.
    image : float array (H, W) in [0, 1]
    signal, background : bool array (H, W), optional
        Regions of CNR and gCNR.
    mask : bool array (H, W), optional
        The defect, from which the regions are derived when they are not given, and for recall.
    golden : float array (H, W), optional
        The same field without the defect; by default made from the reference with `without_defect`.

    Returns
    -------
    dict
        psnr (dB), ssim, fsim, dists (distance), cnr, gcnr, recall; scaled (dict over `AXES`, see `ANCHORS`: linear
        between the anchors, cut to 0 to 1); area (polygon, relative to the largest one); notes (list of str).
    """
    if not isinstance(reference, Reference):
        reference = prepare(
            reference, signal=signal, background=background, mask=mask, golden=golden
        )
    return profiles(reference, [image])[0]


def profiles(reference, images):
    """As `profile` for several images of one `Reference`, a list of dict; quicker than one by one."""
    return [_profile(found, reference.without_dists) for found in reference.all_scores(images)]


def _profile(found, without_dists):
    notes = [f"DISTS is not available: {without_dists}"] if np.isnan(found["dists"]) else []
    if np.isnan(found["cnr"]):
        notes.append("CNR, gCNR and recall need a mask of a defect or regions")
    scaled = {axis: _scale(found[axis], *ANCHORS[axis]) for axis in AXES}
    return found | {"scaled": scaled, "area": area(scaled.values()), "notes": notes}


def prepare(image, *, mask=None, golden=None, **regions):
    """A `Reference` that knows its field without the defect."""
    if mask is not None and golden is None:
        golden = without_defect(image, mask)
    return Reference(image, mask=mask, golden=golden, **regions)


def area(radii):
    """Area of the polygon with these radii (0 to 1) at equal angles, relative to that with all radii 1.

    ``sum r_i r_(i+1) / n``; NaN are left out. It depends on the order of the axes. NaN for fewer than three axes.
    """
    radii = np.array([r for r in radii if not np.isnan(r)])
    return float((radii * np.roll(radii, 1)).mean()) if len(radii) >= 3 else float("nan")


def changes(before, after):
    """Change of each metric from one profile to another; for CNR relative to `before`."""
    moved = {name: after[name] - before[name] for name in ("psnr", "ssim", "fsim", "dists")}
    return moved | {"cnr": after["cnr"] / before["cnr"] - 1 if before["cnr"] > 0 else float("nan")}


def conflicts(before, after, **thresholds):
    """The article's rules: where metrics disagree about a restoration.

    Parameters
    ----------
    before, after : dict
        Profiles of the noisy and of the restored image against the same reference.
    **thresholds : float
        Those of `THRESHOLDS`: psnr_up (dB), fsim_down, ssim_stable (largest change either way), dists_worse,
        cnr_down (relative).

    Returns
    -------
    list of Conflict
        Out of "over-smoothing", "texture drift", "contrast loss"; each is a str that carries `changes`. A rule whose
        metric is NaN does not fire.

    Raises
    ------
    ValueError
        For an unknown or negative threshold.
    """
    fires = fired(changes(before, after), **thresholds)
    moved = changes(before, after)
    return [
        Conflict(name, {m: moved[m] for m in metrics})
        for name, (fire, metrics) in fires.items()
        if fire
    ]


def fired(moved, **thresholds):
    """Whether each rule fires: name -> (bool, its two metrics); `moved` is what `changes` returns, or a DataFrame."""
    limits = THRESHOLDS | thresholds
    if unknown := set(thresholds) - set(THRESHOLDS):
        raise ValueError(f"unknown threshold {sorted(unknown)}: use {', '.join(THRESHOLDS)}")
    if negative := {name: value for name, value in limits.items() if value < 0}:
        raise ValueError(f"thresholds are sizes of a change and not negative: {negative}")
    up = moved["psnr"] >= limits["psnr_up"]
    stable = abs(moved["ssim"]) <= limits["ssim_stable"]
    return {
        "over-smoothing": (up & (moved["fsim"] <= -limits["fsim_down"]), ("psnr", "fsim")),
        "texture drift": (stable & (moved["dists"] >= limits["dists_worse"]), ("ssim", "dists")),
        "contrast loss": (up & (moved["cnr"] <= -limits["cnr_down"]), ("psnr", "cnr")),
    }


@dataclass(frozen=True)
class Verdict:
    """`flag`, what to try `next`, the `path` of (question, yes or no) through the flowchart, and all `conflicts`."""

    flag: str
    next: str
    path: tuple
    conflicts: tuple


def verdict(before, after, **thresholds):
    """Walk the flowchart `RULES` from the top to the first yes; all no is "no conflict".

    Parameters as in `conflicts`.

    Returns
    -------
    Verdict
    """
    found = conflicts(before, after, **thresholds)
    answers = set(found) | ({"no gain"} if not after["area"] > before["area"] else set())
    path = []
    for rule in RULES:
        yes = rule.name in answers
        path.append((_line(rule.question), "yes" if yes else "no"))
        if yes:
            return Verdict(rule.name, _line(rule.next), tuple(path), tuple(found))
    return Verdict(TRUSTED.name, _line(TRUSTED.next), tuple(path), tuple(found))


def _line(text):
    return text.replace("\n", " ")


def _scale(value, worst, best):
    return float(np.clip((value - worst) / (best - worst), 0, 1))
