"""The trust profile: metrics on one scale, the article's conflict rules, its flowchart as code.

PSNR is the anchor, SSIM watches structure, FSIM edges, DISTS texture, CNR detectability. The
article gives the rules without numbers; the thresholds are our choice and measured in notebook 08.
"""

from functools import cached_property
from typing import NamedTuple

import numpy as np

from semlib.semnr import dists, fsim, metrics, visibility
from semlib.semnr.damage import without_defect

# worst and best value of each axis of the profile
ANCHORS = {"psnr": (10, 40), "ssim": (0, 1), "fsim": (0, 1), "dists": (1, 0), "cnr": (0, 5)}
AXES = tuple(ANCHORS)
THRESHOLDS = {
    "psnr_up": 0.5,  # dB
    "fsim_down": 0.01,
    "ssim_stable": 0.05,  # largest change either way
    "dists_worse": 0.02,
    "cnr_down": 0.1,  # relative
}


class Reference:
    """The truth, whose part of every metric is computed once for all candidates.

    Parameters
    ----------
    image : float array (H, W), in [0, 1], 32 pixels a side at least
    mask : bool array (H, W), optional
        The defect. Without it, and without regions, CNR, gCNR and recall are NaN.
    signal, background : bool array (H, W), optional
        By default those of `visibility.regions`.
    golden : float array (H, W), optional
        The field without the defect; by default made by `damage.without_defect`.
    """

    def __init__(self, image, *, mask=None, signal=None, background=None, golden=None):
        (self.image,) = metrics.check_images(image, smallest=fsim.SMALLEST, names=("reference",))
        if self.image.ndim != 2:
            raise ValueError(f"reference has shape {self.image.shape}: one image at a time")
        if (signal is None) != (background is None):
            raise ValueError("signal and background belong together: give both or none")
        self.mask = None if mask is None else metrics.check_mask(mask, self.image.shape)
        if self.mask is not None and signal is None:
            signal, background = visibility.regions(self.mask)
        if self.mask is not None and golden is None:
            golden = without_defect(self.image, self.mask)
        self.regions = None if signal is None else (signal, background)
        self.golden = golden

    def scores(self, image):
        """psnr (dB), ssim, fsim, dists, cnr, gcnr, recall of a candidate; NaN if unknown."""
        _, image = metrics.check_images(self.image, image)
        scores = {
            "psnr": metrics.psnr(self.image, image),
            "ssim": metrics.ssim_of(self._moments, metrics.moments(image)),
            "fsim": fsim.compare(self._fsim, fsim.features(image)),
            "dists": np.nan if dists.unavailable() else self._dists(image),
            "cnr": metrics.cnr(image, *self.regions) if self.regions else np.nan,
            "gcnr": metrics.gcnr(image, *self.regions) if self.regions else np.nan,
            "recall": np.nan,
        }
        if self.mask is not None:
            scores["recall"] = visibility.recall(image, self.mask, golden=self.golden)
        return scores

    @cached_property
    def _moments(self):
        return metrics.moments(self.image)

    @cached_property
    def _fsim(self):
        return fsim.features(self.image)

    @cached_property
    def _dists(self):
        return dists.Distance(self.image)


def profile(reference, image, **regions):
    """Metrics of a restored image, raw and on a scale from 0 to 1 where higher is better.

    `reference` is an image (H, W) with `regions` (mask, signal, background, golden), or a
    `Reference`, which has its own and is quicker for many images.

    Returns
    -------
    dict
        Those of `Reference.scores`; scaled (dict over `AXES`: linear between the `ANCHORS`, cut to
        0 to 1); area (polygon, relative to the largest one); notes (list of str).
    """
    if not isinstance(reference, Reference):
        reference = Reference(reference, **regions)
    scores = reference.scores(image)
    scaled = {}
    for axis, (worst, best) in ANCHORS.items():
        scaled[axis] = float(np.clip((scores[axis] - worst) / (best - worst), 0, 1))
    notes = []
    if reason := dists.unavailable():
        notes.append(f"DISTS is not available: {reason}")
    if not reference.regions:
        notes.append("CNR, gCNR and recall need a mask of a defect or regions")
    return scores | {"scaled": scaled, "area": area(scaled.values()), "notes": notes}


def area(radii):
    """Area of the polygon with these radii at equal angles, relative to that with all radii 1.

    ``sum r_i r_(i+1) / n`` without NaN; it depends on the order. NaN for fewer than three radii.
    """
    radii = np.array([radius for radius in radii if not np.isnan(radius)])
    return float((radii * np.roll(radii, 1)).mean()) if len(radii) >= 3 else float("nan")


def changes(before, after):
    """Change of each metric from one profile to another; for CNR relative to `before`."""
    moved = {name: after[name] - before[name] for name in ("psnr", "ssim", "fsim", "dists")}
    moved["cnr"] = after["cnr"] / before["cnr"] - 1 if before["cnr"] > 0 else float("nan")
    return moved


def fired(moved, **thresholds):
    """Whether each of the article's three rules fires on `changes`, or on a table of them: dict."""
    if unknown := set(thresholds) - set(THRESHOLDS):
        raise ValueError(f"unknown threshold {sorted(unknown)}: use {', '.join(THRESHOLDS)}")
    if negative := {name: value for name, value in thresholds.items() if value < 0}:
        raise ValueError(f"thresholds are sizes of a change and not negative: {negative}")
    limit = THRESHOLDS | thresholds
    psnr_up = moved["psnr"] >= limit["psnr_up"]
    ssim_stable = abs(moved["ssim"]) <= limit["ssim_stable"]
    return {
        "over-smoothing": psnr_up & (moved["fsim"] <= -limit["fsim_down"]),
        "texture drift": ssim_stable & (moved["dists"] >= limit["dists_worse"]),
        "contrast loss": psnr_up & (moved["cnr"] <= -limit["cnr_down"]),
    }


def conflicts(before, after, **thresholds):
    """Where the metrics of a restoration disagree, by the article's rules; list of their names.

    `before` and `after` are profiles of the noisy and the restored image against one reference,
    `thresholds` other values for `THRESHOLDS`. A rule whose metric is NaN does not fire.
    """
    rules = fired(changes(before, after), **thresholds)
    return [name for name, fires in rules.items() if fires]


class Rule(NamedTuple):
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


def verdict(before, after, **thresholds):
    """The first `Rule` of the flowchart that is answered with yes, or `TRUSTED`; as `conflicts`."""
    answers = conflicts(before, after, **thresholds)
    if not after["area"] > before["area"]:
        answers.append("no gain")
    return next((rule for rule in RULES if rule.name in answers), TRUSTED)
