"""What a method costs and saves: annotation, compute, false alarms and missed defects, by shots."""

from dataclasses import dataclass, fields

import numpy as np
import pandas as pd

from semlib.semclip.findings import summarise

SHOWN = ["annotation_minutes", "seconds", "false_per_1000", "missed_per_1000", "total_minutes"]


@dataclass(frozen=True)
class Assumptions:
    """What people and defects cost: ours, to be replaced by those of a fab."""

    images: int = 10_000  # to be inspected after learning
    defective: float = 0.05  # share of them with a defect
    label_minutes: float = 0.1  # to name the class of an image
    mask_minutes: float = 2.0  # to outline the defect of an image
    look_minutes: float = 0.1  # to judge one image by eye, also one that was called defective
    missed_minutes: float = 30.0  # of work that a missed defect costs later
    eye_missed: float = 0.1  # share of the defects that an eye misses

    def __post_init__(self):
        wrong = [one.name for one in fields(self) if getattr(self, one.name) < 0]
        if wrong or self.images < 1 or max(self.defective, self.eye_missed) > 1:
            raise ValueError(f"an assumption is out of its range: {self}")


def annotation(supervision, k, classes, assumptions):
    """Minutes of a person for `k` shots of each of the classes, one of which has no defect."""
    labels = k * classes * assumptions.label_minutes
    masks = k * (classes - 1) * assumptions.mask_minutes
    return {
        "none": 0.0,
        "normals": k * assumptions.label_minutes,
        "labels": labels,
        "masks": k * assumptions.label_minutes + masks,
        "labels + masks": labels + masks,
    }[supervision]


def table(decisions, classes, assumptions):
    """Costs by method and shots, from `study.decisions`.

    Each row has annotation_minutes, seconds (measured: training and the tests of an episode), false
    and missed images per 1,000 with intervals, total_minutes of people for all `images`, those of
    inspection by eye and of a U-Net with 10 times the masks, where it was run. Computers' time is
    stated and not counted: it is nobody's time.
    """
    means = summarise(decisions)
    costs = means[["method", "supervision", "k", "episodes"]].copy()
    asked = zip(means["supervision"], means["k"], strict=True)
    costs["annotation_minutes"] = [annotation(*one, classes, assumptions) for one in asked]
    costs["seconds"] = means["seconds"]
    defective = 1000 * assumptions.defective
    free = 1000 * (1 - assumptions.defective)
    for end in ("", "_lo", "_hi"):
        # Student's interval of a few shares can leave 0 to 1, where no share is
        costs[f"false_per_1000{end}"] = free * means[f"false alarms{end}"].clip(0, 1)
        costs[f"missed_per_1000{end}"] = defective * means[f"missed{end}"].clip(0, 1)
    # people look at all alarms, false or true, and pay for what was missed
    alarms = costs["false_per_1000"] + (defective - costs["missed_per_1000"])
    missed = costs["missed_per_1000"] * assumptions.missed_minutes
    review = assumptions.images / 1000 * (alarms * assumptions.look_minutes + missed)
    costs["total_minutes"] = costs["annotation_minutes"] + review
    costs["by_eye_minutes"] = by_eye(assumptions)
    unet = costs[costs["method"] == "U-Net"].set_index("k")["total_minutes"]
    costs["unet_10x_minutes"] = costs["k"].map(lambda k: unet.get(10 * k, np.nan))
    return costs


def by_eye(assumptions):
    """Minutes to inspect all images by eye, what the eye misses included."""
    missed = assumptions.defective * assumptions.eye_missed * assumptions.missed_minutes
    return assumptions.images * (assumptions.look_minutes + missed)


def break_even(costs):
    """The fewest shots from which each method costs less than inspection by eye; none: NaN.

    Table of method, least k, hours saved at the best k, and that k.
    """
    rows = []
    for method, some in costs.groupby("method", sort=False):
        saved = some["by_eye_minutes"] - some["total_minutes"]
        best = saved.idxmax()
        row = {"method": method, "break-even K": some["k"][saved > 0].min()}
        rows.append(row | {"hours saved at best": saved[best] / 60, "best K": some["k"][best]})
    return pd.DataFrame(rows)
