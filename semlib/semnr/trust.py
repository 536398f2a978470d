"""The trust profile: metrics on one scale, the article's conflict rules, its flowchart as code.

PSNR is the anchor, SSIM watches structure, FSIM edges, DISTS texture, CNR detectability. The
article gives the rules without numbers; the thresholds are our choice and measured in notebook 08.
"""

from typing import NamedTuple

import numpy as np
from tqdm import tqdm

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

    `image` is float (H, W) in [0, 1] of 32 pixels a side at least, `mask` its defect, bool (H, W),
    whose `visibility.regions` CNR and gCNR compare. `golden` is the field without the defect.
    """

    def __init__(self, image, *, mask=None):
        self.image = metrics.check_image(image, "reference", smallest=fsim.SMALLEST)
        self.mask = None
        if mask is not None:
            self.mask = metrics.check_mask(mask, self.image.shape)
            self.golden = without_defect(self.image, self.mask)
            self.regions = visibility.regions(self.mask)
        self.moments = metrics.moments(self.image)
        self.features = fsim.features(self.image)
        reason = dists.unavailable()
        self.distance = (lambda _: np.nan) if reason else dists.Distance(self.image)
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


def references(clean, masks, title):
    """Yield number and `Reference` of each image, with a progress bar."""
    images = tqdm(zip(clean, masks, strict=True), title, len(clean), unit="image")
    for number, (truth, mask) in enumerate(images):
        yield number, Reference(truth, mask=mask)


def profile(reference, image):
    """Metrics of a restored image, raw and on a scale from 0 to 1 where higher is better.

    A dict of `Reference.scores`, scaled (dict, linear between the `ANCHORS`), area and notes.
    """
    scores = reference.scores(image)
    scaled = {}
    for axis, (worst, best) in ANCHORS.items():
        scaled[axis] = float(np.clip((scores[axis] - worst) / (best - worst), 0, 1))
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
    rules = fired(changes(before, after))
    return [name for name, fires in rules.items() if fires]


class Rule(NamedTuple):
    """A question of the flowchart, what its yes is called, and what to try then."""

    name: str
    question: str
    next: str


SMOOTHED = "weaker filter, or a loss\nthat weighs edges"
DRIFTED = "texture term in the loss;\nlook at flat areas"
RULES = (
    Rule("over-smoothing", "PSNR up and\nFSIM down?", SMOOTHED),
    Rule("texture drift", "SSIM stable and\nDISTS worse?", DRIFTED),
    Rule("contrast loss", "PSNR up and\nCNR down?", "match the grey scale;\nlook at the defects"),
    Rule("no gain", "profile area\nnot larger?", "keep the noisy image,\nor more electrons"),
)
TRUSTED = Rule("no conflict", "", "check defect recall,\nthen use it")


def verdict(before, after):
    """The first `Rule` of the flowchart that is answered with yes, or `TRUSTED`."""
    answers = conflicts(before, after)
    if not after["area"] > before["area"]:
        answers.append("no gain")
    return next((rule for rule in RULES if rule.name in answers), TRUSTED)
