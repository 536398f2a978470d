"""From which dose on does a restorer lose the defect? Scores against electrons a pixel.

Every image is scanned at every dose; defects are graded in contrast and size. The classical filter
is the best that `calibrate` finds on the noisy images of a dose, without their truth.
"""

from functools import lru_cache, partial
from pathlib import Path
from typing import NamedTuple

import joblib
import numpy as np
import pandas as pd
from tqdm import tqdm

from semlib.semnr import calibrate, damage, denoise, dists, fsim, metrics, visibility
from semlib.workers import side_by_side

DOSES = (3, 5, 10, 20, 40, 80, 200, 400)  # electrons a pixel
CONTRASTS = (0.3, 0.6, 1.0)  # of the defect, 1 as it was simulated
SIZES = (160, 240, 360)  # pixels of the field's side, with which the defect grows
CROP = 96  # pixels around the defect
NEAR = 48  # pixels around it that DISTS sees: it is dear, and the rest only dilutes the defect
KINDS = ("mse", "semnr", "n2n")
NOISY = "noisy"
CLASSICAL = "classical filter"
TRUTH = "truth"
NAMES = {kind: name for name, kind in denoise.LEARNED.items()}
CALIBRATED_ON = 4  # images of each dose that choose filter and setting
SCORES = ("psnr", "fsim", "dists", "recall")


class Field(NamedTuple):
    """A piece of a simulated wafer around one defect, images float32 (CROP, CROP) in [0, 1]."""

    truth: np.ndarray
    golden: np.ndarray  # without the defect
    mask: np.ndarray  # bool, of the defect
    about: dict  # image (number), contrast, size (pixels of the field's side), area (pixels)


@lru_cache(maxsize=1)  # a notebook shows some of those that it has measured
def fields(count, *, seed, crop=CROP):
    """Simulated fields; their defects go through `SIZES` and `CONTRASTS` in turn: list of Field."""
    scenes = {}
    for number, size in enumerate(SIZES[:count]):
        share = len(range(number, count, len(SIZES)))
        scenes[size] = damage.scenes(share, seed=seed + number, size=size)
    graded = []
    for number in range(count):
        turn, place = divmod(number, len(SIZES))
        size = SIZES[place]
        contrast = CONTRASTS[turn % len(CONTRASTS)]
        whole = scenes[size].clean[turn] / np.float32(255)
        mask = scenes[size].masks[turn]
        golden = damage.without_defect(whole, mask)
        # the same field with a fainter defect lies between the two
        truth = golden + contrast * (whole - golden)
        window = visibility.around(mask, crop)
        parts = [np.ascontiguousarray(part[window]) for part in (truth, golden, mask)]
        about = {"image": number, "contrast": contrast, "size": size, "area": int(parts[2].sum())}
        graded.append(Field(*parts, about))
    return graded


def scan(field, dose, seed):
    """A noisy scan of a field."""
    return damage.acquire(field.truth, seed=[seed, field.about["image"], dose], dose=dose)


def evaluate(count=40, *, seed=0, doses=DOSES, kinds=KINDS, crop=CROP, folder=None):
    """Scores of every restorer on `count` fields at every dose.

    `kinds` are networks for `denoise.load`, `crop` the pixels a side of a field; `folder` keeps
    what is done of each field, so that a killed run goes on where it stopped. A DataFrame of image,
    contrast, size, area, dose, restorer ("truth", "noisy", "classical filter", the networks'
    names), filter (which, with its setting), psnr (dB), fsim, dists (NaN without weights) and
    recall, see `visibility.recall`. Of the truth there is the recall only.
    """
    graded = fields(count, seed=seed, crop=crop)
    scans = [[scan(one, dose, seed) for one in graded[:CALIBRATED_ON]] for dose in doses]
    best = side_by_side([partial(calibrate.best, of_dose) for of_dose in scans])
    filters = dict(zip(doses, tqdm(best, "calibration", len(doses), unit="dose"), strict=True))
    weights = [(denoise.MODELS / f"{kind}.safetensors").read_bytes() for kind in kinds]
    code = [file.read_bytes() for file in sorted(Path(__file__).parent.glob("*.py"))]
    # joblib itself hashes `_scores` alone
    key = joblib.hash((code, weights, kinds, filters, seed, dists.unavailable()))
    kept = joblib.Memory(folder, verbose=0).cache(_scores, ignore=["field", "filters", "kinds"])
    jobs = [partial(kept, key, joblib.hash(one), one, seed, filters, kinds) for one in graded]
    tables = tqdm(side_by_side(jobs), "dose experiment", len(jobs), unit="image")
    return pd.concat(tables, ignore_index=True)


def restored(noisy, restorer, chosen=None):
    """What a restorer makes of a noisy image; `chosen` is (filter, settings) of the classical."""
    if restorer == NOISY:
        return noisy
    if restorer == CLASSICAL:
        name, settings = chosen
        return denoise.denoise(name, noisy, **settings)
    return denoise.restore(denoise.network(restorer), noisy).clip(0, 1)


def _scores(key, digest, field, seed, filters, kinds):
    """Scores of all restorers on one field: DataFrame."""
    features = fsim.features(field.truth)
    rows = []
    images = []
    for dose, chosen in filters.items():
        named = " ".join([chosen[0], *(f"{name} {x:.3g}" for name, x in chosen[1].items())])
        noisy = scan(field, dose, seed)
        for restorer in (NOISY, CLASSICAL, *kinds):
            image = restored(noisy, restorer, chosen)
            row = field.about | {"dose": dose, "restorer": NAMES.get(restorer, restorer)}
            row["filter"] = named if restorer == CLASSICAL else ""
            row["psnr"] = metrics.psnr(field.truth, image)
            row["fsim"] = fsim.compare(features, fsim.features(image))
            rows.append(row | {"recall": visibility.recall(image, field.mask, field.golden)})
            images.append(image)
    table = pd.DataFrame(rows)
    table["dists"] = np.nan
    if not dists.unavailable():
        near = visibility.around(field.mask, min(NEAR, len(field.mask)))
        distance = dists.Distance(field.truth[near], quick=True)
        table["dists"] = distance.together([image[near] for image in images])
    recall = visibility.recall(field.truth, field.mask, field.golden)
    truth = [{"dose": dose, "restorer": TRUTH, "filter": "", "recall": recall} for dose in filters]
    whole = pd.concat([pd.DataFrame([field.about | one for one in truth]), table])
    return whole.sort_values("dose", kind="stable")
