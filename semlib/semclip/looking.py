"""One image of any size through a learnt method: tiles at the scale of the shots, map, defects."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from PIL import Image
from scipy import ndimage
from skimage.measure import regionprops
from tqdm import trange

from semlib.semclip import data, reference

OVERLAP = 0.25  # of a tile's side that it shares with the next one, at least
WHOLE = 1.25  # an image up to so many times the shots' sides is looked at as a whole
BATCH = 16  # tiles at a time
SMALLEST = 9  # pixels of a defect; fewer are noise
COLUMNS = ["x", "y", "left", "top", "width", "height", "area_px", "score", "area_nm2", "size_nm"]


class Look(NamedTuple):
    """What is said of one image."""

    probabilities: np.ndarray  # (C,)
    anomaly: np.ndarray  # float32 (H, W), 0 to 1
    score: float
    tiles: int


def window(shape, shot, pixel_nm=None, shot_nm=None):
    """Height and width of a tile: the part of the world that a shot shows, within the image.

    `shot` is the shape of the shots, () for unknown: then the whole image is one tile. With both
    pixel sizes known it is brought to the image's.
    """
    if not shot:
        return tuple(shape)
    scale = shot_nm / pixel_nm if pixel_nm and shot_nm else 1.0
    sides = [max(8, round(scale * side)) for side in shot]
    return tuple(
        length if length <= WHOLE * side else side
        for length, side in zip(shape, sides, strict=True)
    )


def starts(length, side):
    """First pixels of tiles of a side that cover a length, even steps apart: list of int."""
    count = 1 + int(np.ceil(max(0, length - side) / ((1 - OVERLAP) * side)))
    return np.linspace(0, length - side, count).round().astype(int).tolist()


def tiles(shape, sides):
    """The slices of an image's tiles, row by row."""
    return [
        np.s_[top : top + sides[0], left : left + sides[1]]
        for top in starts(shape[0], sides[0])
        for left in starts(shape[1], sides[1])
    ]


def look(model, image, side, sides):
    """`Look` of a fitted method at a uint8 image (H, W), in tiles of `sides`.

    Each tile is fitted into the square of `side` pixels that the method knows. Maps are averaged
    where tiles overlap, less towards their rims; classes and score are those of the worst tile.
    """
    total = np.zeros(image.shape, np.float32)
    weight = np.zeros(image.shape, np.float32)
    fades = [np.minimum(np.arange(n) + 1, np.arange(n)[::-1] + 1) for n in sides]
    fade = np.outer(*fades).astype(np.float32)
    scores = []
    classes = []
    places = tiles(image.shape, sides)
    quiet = len(places) <= BATCH
    for start in trange(0, len(places), BATCH, desc="tiles", leave=False, disable=quiet):
        some = places[start : start + BATCH]
        prediction = model.predict(np.stack([data.fitted(image[place], side) for place in some]))
        scores.extend(model.anomaly_scores(prediction))
        classes.extend(prediction.class_probabilities)
        for place, small in zip(some, prediction.anomaly_maps, strict=True):
            small = Image.fromarray(small.astype(np.float32))
            total[place] += fade * small.resize(sides[::-1], Image.Resampling.BILINEAR)
            weight[place] += fade
    worst = int(np.argmax(scores))
    anomaly = (total / weight).clip(0, 1)
    return Look(classes[worst], anomaly, float(scores[worst]), len(places))


def look_beside(own, image, other):
    """A method's `Look` with the map of the difference from a reference image in place of its own.

    The map is 0.5 at `reference.ALARM` deviations; the score is its highest value, and without a
    method (None) the probability of a defect, too.
    """
    deviations = reference.compare(image, other)
    anomaly = deviations / (deviations + reference.ALARM)
    score = float(anomaly.max())
    if own is None:
        return Look(np.array([1 - score, score]), anomaly, score, 1)
    return own._replace(anomaly=anomaly, score=score)


def mask_of(anomaly, threshold):
    """Where a map (H, W) is at the threshold or above, without specks: bool (H, W)."""
    marked = anomaly >= threshold
    regions, count = ndimage.label(marked, np.ones((3, 3)))
    sizes = np.bincount(regions.ravel(), minlength=count + 1)
    return marked & (sizes[regions] >= SMALLEST)


def defects(mask, anomaly, pixel_nm=None):
    """Connected defects of a mask (H, W), the worst first: table of `COLUMNS`.

    x, y are the centre in pixels from the upper left, score the highest value of the map; in nm,
    where the pixel size is known, area and the diameter of a disc of that area.
    """
    regions, _ = ndimage.label(mask, np.ones((3, 3)))
    rows = []
    for region in regionprops(regions, anomaly):
        top, left, bottom, right = region.bbox
        y, x = region.centroid
        row = {"x": round(x, 1), "y": round(y, 1), "left": left, "top": top}
        row |= {"width": right - left, "height": bottom - top, "area_px": int(region.area)}
        row["score"] = round(float(region.intensity_max), 4)
        if pixel_nm:
            row["area_nm2"] = round(float(region.area * pixel_nm**2), 1)
            row["size_nm"] = round(float(region.equivalent_diameter_area * pixel_nm), 1)
        rows.append(row)
    table = pd.DataFrame(rows, columns=COLUMNS)
    return table.sort_values("score", ascending=False, kind="stable").reset_index(drop=True)
