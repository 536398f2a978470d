"""Random forest on multi-scale filters of each pixel: what engineers use on a few marked images."""

from itertools import product

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import average_precision_score
from sklearn.model_selection import PredefinedSplit, cross_val_predict

from semlib.semclip.episodes import Method, Result
from semlib.semclip.filters import CHUNK, KINDS, classes_of_pixels, draw, standardised
from semlib.semclip.maps import enlarge

TOP = 0.0025  # part of the pixels, the likeliest defects, that speak for an image
TREES = 40
LEAF = 3  # least pixels of a leaf
FOLDS = 4
# standardised images or not, Gaussians (the finest ones, of 4 or 16 pixels at most), depth
SETTINGS = [*product((True, False), (6, 4), (None,))]
SHALLOW = 8  # the other depth, tried with the best of these


def forest(values):
    """`PixelForest` as a method; `values` are the `filters.filters` of all images of the pool."""

    def run(pool, episode):
        shots = episode.support
        trees = PixelForest(pool.normal)
        trees.fit(values[shots], pool.masks[shots], pool.labels[shots])
        shape = pool.images.shape[1:]
        maps, whole = trees.predict(values[episode.test], len(pool.classes), shape)
        return Result(whole, maps, 1 - whole[:, pool.normal])

    return Method("random forest", "labels + masks", run)


class PixelForest:
    """Random forest that gives each pixel a class by its filters, learnt from a few marked images.

    Standardised images or not, width of the filters and depth are chosen on the shots alone, see
    `chosen`. All of it is our choice.

    `normal` is the number of the defect-free class, `seed` that of the pixels drawn and the trees.
    """

    def __init__(self, normal, *, seed=0):
        self.normal = normal
        self.seed = seed

    def fit(self, values, masks, classes):
        """Learn from filters (n, h, w, F), masks (n, H, W) and classes (n,); returns itself."""
        pixels = classes_of_pixels(masks, classes, self.normal, values.shape[1:3])
        self.setting = chosen(values, pixels, self.normal, self.seed)
        drawn = draw(pixels, np.random.default_rng(self.seed))
        inputs = look(values, self.setting)
        inputs = inputs.reshape(-1, inputs.shape[-1])[drawn]
        self.trees = _forest(self.setting, TREES, self.seed).fit(inputs, pixels.ravel()[drawn])
        return self

    def predict(self, values, count, shape):
        """`read_off` for filters (n, h, w, F)."""
        inputs = (look(values[part], self.setting) for part in parts(len(values)))
        return read_off(self.trees, inputs, count, self.normal, shape)


def parts(count):
    """Slices of a few images each: the inputs of all would be gigabytes."""
    return [slice(start, start + CHUNK) for start in range(0, count, CHUNK)]


def read_off(trees, inputs, count, normal, shape, blur=0.0):
    """Maps float32 (n, H, W) of a `shape`, and probabilities of `count` classes (n, C).

    Takes fitted trees and what they see of a few images after others, (m, h, w, F). A map is 1 -
    P(defect-free) of the pixels, smoothed by `blur` of them; the probabilities of an image are
    those of its likeliest defects, see `top_mean`.
    """
    maps = []
    whole = []
    for some in inputs:
        probabilities = np.zeros((*some.shape[:3], count), np.float32)  # a class without shots: 0
        likely = trees.predict_proba(some.reshape(-1, some.shape[-1]))
        probabilities[..., trees.classes_] = likely.reshape(*some.shape[:3], -1)
        probabilities = gaussian_filter(probabilities, blur, axes=(1, 2))
        maps.append(1 - probabilities[..., normal])
        whole += [top_mean(one, normal) for one in probabilities]
    return enlarge(torch.from_numpy(np.concatenate(maps)), shape).numpy(), np.stack(whole)


def top_mean(probabilities, normal):
    """Mean probabilities (C,) of the pixels (h, w, C) that are least likely of class `normal`."""
    flat = probabilities.reshape(-1, probabilities.shape[-1])
    kept = max(1, round(TOP * len(flat)))
    return flat[np.argpartition(flat[:, normal], kept - 1)[:kept]].mean(0)


def chosen(values, pixels, normal, seed):
    """The one of `SETTINGS` with the best average precision on shots that its forest did not see.

    Takes filters (n, h, w, F) and classes of pixels (n, h, w) of the shots, see `folds`. The best
    is compared once more, with trees that are `SHALLOW`. With defects in less than two images
    nothing can be compared: it is the first.
    """
    marked = (pixels != normal).any((1, 2))
    if marked.sum() < 2:
        return SETTINGS[0]
    drawn = draw(pixels, np.random.default_rng(seed), each=150, most=4000)
    split = PredefinedSplit(folds(marked)[drawn // pixels[0].size])  # by the image of each pixel
    truth = pixels.ravel()[drawn] != normal
    weights = _stand_for(pixels, drawn)
    looks = {}  # of the drawn pixels; a setting with fewer Gaussians takes the first columns
    for standard in (True, False):
        inputs = look(values, (standard, values.shape[-1] // KINDS, None))
        looks[standard] = inputs.reshape(-1, inputs.shape[-1])[drawn]

    def precision(setting):
        standard, scales, _ = setting
        flat = looks[standard][:, : KINDS * scales]
        held_out = {"cv": split, "method": "predict_proba"}
        defect = cross_val_predict(_forest(setting, 10, seed), flat, truth, **held_out)[:, 1]
        return average_precision_score(truth, defect, sample_weight=weights)

    scores = {setting: precision(setting) for setting in SETTINGS}
    best = max(scores, key=scores.get)
    shallow = (*best[:2], SHALLOW)
    return shallow if precision(shallow) > scores[best] else best


def _stand_for(pixels, drawn):
    """How many pixels each drawn one stands for, (m,): those of its class in its image."""
    count = pixels.max() + 1
    stratum = np.arange(len(pixels))[:, None, None] * count + pixels
    of_drawn = stratum.ravel()[drawn]
    return np.bincount(stratum.ravel())[of_drawn] / np.bincount(of_drawn)[of_drawn]


def folds(marked):
    """Fold of each image, int (n,): each leaves one marked image out, or a quarter of them."""
    order = np.argsort(~marked, kind="stable")
    fold = np.empty(len(marked), int)
    fold[order] = np.arange(len(marked)) % min(FOLDS, marked.sum())
    return fold


def look(values, setting):
    """What a forest of one of the `SETTINGS` sees of filters (n, h, w, F)."""
    standard, scales, _ = setting
    values = values[..., : KINDS * scales]
    return standardised(values) if standard else values.astype(np.float32)


def _forest(setting, count, seed):
    options = {"max_depth": setting[2], "min_samples_leaf": LEAF, "random_state": seed}
    return RandomForestClassifier(count, **options)
