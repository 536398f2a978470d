"""The trust profile: metrics on one scale, flags, the article's conflict rules, its flowchart.

PSNR is the anchor, SSIM watches structure, FSIM edges, DISTS texture, CNR detectability. The
article gives the rules without numbers; the thresholds are our choice and measured in notebook 08.
Our flags come before them, as no rule sees that an image is blank, inverted or beside its place.
"""

from functools import partial
from itertools import chain
from typing import NamedTuple

import numpy as np
import pandas as pd
from tqdm import tqdm

from semlib.semnr import dists, fsim, grain, metrics, visibility
from semlib.semnr.damage import without_defect
from semlib.semnr.faults import faults
from semlib.semnr.gains import defect_gain
from semlib.workers import side_by_side

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
LIMITS = {  # of the flags; our choice, misses and false alarms are counted in tests/semnr
    "psnr_fell": 0.5,  # dB, as much as a rise that counts
    "ssim_fell": 0.05,  # as much as still counts as stable
    "recall_left": 0.5,  # share of the pixels found in the noisy image that must stay found
    "defect_left": 0.35,  # share of a defect's contrast; light filters kept .5 in 97 of 100 cases
    "defect_fell": 0.4,  # least loss of that share, as noise alone can hide a faint defect
}


class Reference:
    """The truth, whose part of every metric is computed once for all candidates.

    `image` is float (H, W) in [0, 1] of 32 pixels a side at least, `mask` its defect, bool (H, W),
    whose `visibility.regions` CNR and gCNR compare. `golden` is the field without the defect.
    `quick` is that of `dists.Distance`.
    """

    def __init__(self, image, *, mask=None, quick=False):
        self.image = metrics.check_image(image, "reference", smallest=fsim.SMALLEST)
        self.mask = None
        if mask is not None:
            self.mask = metrics.check_mask(mask, self.image.shape)
            self.golden = without_defect(self.image, self.mask)
            self.regions = visibility.regions(self.mask)
        self.moments = metrics.moments(self.image)
        self.features = fsim.features(self.image)
        reason = dists.unavailable()
        self.distance = (lambda _: np.nan) if reason else dists.Distance(self.image, quick=quick)
        self.notes = [f"DISTS is not available: {reason}"] if reason else []
        if mask is None:
            self.notes.append("CNR, gCNR and recall need a mask of a defect")

    def scores(self, image):
        """psnr (dB), ssim, fsim, dists, cnr, gcnr, recall of a candidate; NaN if unknown."""
        psnr = metrics.psnr(self.image, image)  # which also checks the image
        image = np.asarray(image, np.float32)
        scores = {
            "psnr": psnr,
            "ssim": metrics.ssim_of(self.moments, metrics.moments(image)),
            "fsim": fsim.compare(self.features, fsim.features(image)),
            "dists": self.distance(image),
        }
        if self.mask is None:
            return scores | dict.fromkeys(("cnr", "gcnr", "recall"), np.nan)
        scores["cnr"] = metrics.cnr(image, *self.regions)
        scores["gcnr"] = metrics.gcnr(image, *self.regions)
        scores["recall"] = visibility.recall(image, self.mask, self.golden)
        return scores


def table(measure, clean, masks, title):
    """A DataFrame of the rows that ``measure(number, Reference)`` makes of each image.

    Several images are measured at a time, and DISTS is `quick`.
    """

    def measured(number):
        return [*measure(number, Reference(clean[number], mask=masks[number], quick=True))]

    jobs = [partial(measured, number) for number in range(len(clean))]
    rows = tqdm(side_by_side(jobs), title, len(jobs), unit="image")
    return pd.DataFrame(chain.from_iterable(rows))


def profile(reference, image, *, noisy=None):
    """Metrics of a restored image, raw and on a scale from 0 to 1 where higher is better.

    A dict of `Reference.scores`, scaled (dict, linear between the `ANCHORS`), area, the share of
    the defect's contrast that is left (defect, NaN without a mask), the grain that the `noisy`
    image before the restoration does not explain (grain, NaN without one), `faults` and notes.
    """
    scores = reference.scores(image)
    scores["grain"] = np.nan if noisy is None else grain.unexplained(reference, noisy, image)
    scaled = {}
    for axis, (worst, best) in ANCHORS.items():
        scaled[axis] = float(np.clip((scores[axis] - worst) / (best - worst), 0, 1))
    scores["faults"] = faults(reference.image, np.asarray(image, np.float32))
    scores["defect"] = np.nan if reference.mask is None else defect_gain(reference, image)
    if {"blank", "inverted"} & set(scores["faults"]) and reference.mask is not None:
        scores["defect"] = 0.0  # what its grey has in common with a defect is no defect
    return scores | {"scaled": scaled, "area": area(scaled.values()), "notes": [*reference.notes]}


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
    limit = THRESHOLDS | thresholds
    psnr_up = moved["psnr"] >= limit["psnr_up"]
    ssim_stable = abs(moved["ssim"]) <= limit["ssim_stable"]
    return {
        "over-smoothing": psnr_up & (moved["fsim"] <= -limit["fsim_down"]),
        "texture drift": ssim_stable & (moved["dists"] >= limit["dists_worse"]),
        "contrast loss": psnr_up & (moved["cnr"] <= -limit["cnr_down"]),
    }


def conflicts(before, after):
    """Names of the article's rules that fire between two profiles; without its metric none does."""
    return [name for name, fires in fired(changes(before, after)).items() if fires]


def flags(before, after):
    """What nobody should overlook in a restored image, name -> sentence, in the order of `FLAGS`.

    `before` is the profile of the noisy image, or None: then nothing is said of a fall.
    """
    raised = dict(after.get("faults", {}))
    before = before or {}
    defect = (min(before.get("defect", 1), 1), after.get("defect", 1))
    if defect[1] < LIMITS["defect_left"] and defect[0] - defect[1] >= LIMITS["defect_fell"]:
        raised["defect erased"] = f"{max(defect[1], 0):.0%} of the defect's contrast is left"
    recall = (before.get("recall", 0), after.get("recall", 1))
    if recall[0] >= visibility.FOUND and recall[1] < LIMITS["recall_left"] * recall[0]:
        raised["recall collapse"] = "{:.0%} of the defect was found, {:.0%} is".format(*recall)
    if after.get("grain", 0) > grain.LIMIT:
        strength = f"{after['grain']:.0%} as strong as that of the noise"
        raised["invented texture"] = f"flat areas have new grain, {strength}"
    for name, unit in {"psnr": " dB", "ssim": ""}.items():
        fall = before.get(name, after[name]) - after[name]
        if fall >= LIMITS[f"{name}_fell"]:
            raised[f"{name.upper()} fell"] = f"by {fall:.2f}{unit}"
    return raised


class Rule(NamedTuple):
    """A question of the flowchart, what its yes is called, and what to try then."""

    name: str
    question: str
    next: str


SMOOTHED = "weaker filter, or a loss\nthat weighs edges"
DRIFTED = "texture term in the loss;\nlook at flat areas"
FLAGS = (
    Rule("blank", "no contrast\nleft?", "look at the output\nof the restorer"),
    Rule("inverted", "dark and bright\nexchanged?", "turn it; a file may\nbe MinIsWhite"),
    Rule("shifted", "beside the\nreference?", "register the images"),
    Rule("defect erased", "defect's contrast\ngone?", "do not use it"),
    Rule("recall collapse", "defect found\nno more?", "do not use it for\nsuch defects"),
    Rule("invented texture", "grain that the\nnoise had not?", "look at flat areas"),
    Rule("PSNR fell", "PSNR clearly\ndown?", "keep the noisy image"),
    Rule("SSIM fell", "SSIM clearly\ndown?", "keep the noisy image"),
)
RULES = (
    Rule("over-smoothing", "PSNR up and\nFSIM down?", SMOOTHED),
    Rule("texture drift", "SSIM stable and\nDISTS worse?", DRIFTED),
    Rule("contrast loss", "PSNR up and\nCNR down?", "match the grey scale;\nlook at the defects"),
    Rule("no gain", "profile area\nnot larger?", "keep the noisy image,\nor more electrons"),
)
TRUSTED = Rule("no conflict", "", "check defect recall,\nthen use it")
UNJUDGED = Rule("not judged", "", "give the noisy image, too")


def verdict(before, after):
    """The first of `FLAGS` and `RULES` that is answered with yes, or `TRUSTED`.

    Without the profile `before` a flag of the restored image alone, or `UNJUDGED`.
    """
    answers = [*flags(before, after)]
    if before:
        answers += conflicts(before, after)
        answers += [] if after["area"] > before["area"] else ["no gain"]
    otherwise = TRUSTED if before else UNJUDGED
    return next((rule for rule in (*FLAGS, *RULES) if rule.name in answers), otherwise)
