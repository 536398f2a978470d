"""Random forest on multi-scale filters of each pixel: what engineers use on a few marked images."""

from itertools import product

import numpy as np
import torch
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import average_precision_score

from semlib.semclip.episodes import Method, Result
from semlib.semclip.filters import KINDS, classes_of_pixels, draw, standardised
from semlib.semclip.maps import enlarge

TOP = 0.0025  # part of the pixels, the likeliest defects, that speak for an image
TREES = 40
LEAF = 3  # least pixels of a leaf
FOLDS = 4
# standardised images or not, Gaussians (the finest ones, of 4 or 16 pixels at most), depth
SETTINGS = [*product((True, False), (6, 4), (None, 8))]


def forest(values, *, seed=0):
    """Random forest of pixels; `values` are the `filters.filters` of all images of the pool.

    Standardised images or not, width of the filters and depth are chosen on the shots alone, see
    `chosen`. The map is 1 - P(defect-free), the image's score and classes are those of its
    likeliest 0.25 % of pixels. All of it is our choice.
    """

    def run(pool, episode):
        shots = episode.support
        grid = values.shape[1:3]
        pixels = classes_of_pixels(pool.masks[shots], pool.labels[shots], pool.normal, grid)
        setting = chosen(values[shots], pixels, pool.normal, seed)
        trees = fitted(look(values[shots], setting), pixels, setting, seed, TREES)
        inputs = (look(values[[i]], setting) for i in episode.test)
        return result(trees, inputs, pool)

    return Method("random forest", "labels + masks", run)


def result(trees, inputs, pool):
    """`Result` of a fitted classifier of pixels for inputs (1, h, w, F) of one image after another.

    Probabilities of the classes are the mean over the `TOP` of the pixels, the likeliest defects.
    """
    maps = []
    whole = []
    for one in inputs:
        probabilities = pixel_probabilities(trees, one[0], len(pool.classes))  # h w C
        maps.append(1 - probabilities[..., pool.normal])
        whole.append(top_mean(probabilities, pool.normal))
    whole = np.stack(whole)
    maps = enlarge(torch.from_numpy(np.stack(maps)), pool.images.shape[1:]).numpy()
    return Result(whole, maps, 1 - whole[:, pool.normal])


def pixel_probabilities(trees, inputs, count):
    """Probabilities float32 (h, w, C) of `count` classes; those without a pixel get 0."""
    flat = trees.predict_proba(inputs.reshape(-1, inputs.shape[-1]))
    probabilities = np.zeros((len(flat), count), np.float32)
    probabilities[:, trees.classes_] = flat
    return probabilities.reshape(*inputs.shape[:-1], count)


def top_mean(probabilities, normal):
    """Mean probabilities (C,) of the pixels (h, w, C) that are least likely of class `normal`."""
    flat = probabilities.reshape(-1, probabilities.shape[-1])
    kept = max(1, round(TOP * len(flat)))
    return flat[np.argpartition(flat[:, normal], kept - 1)[:kept]].mean(0)


def chosen(values, pixels, normal, seed):
    """The one of `SETTINGS` with the best average precision on shots that its forest did not see.

    Takes filters (n, h, w, F) and classes of pixels (n, h, w) of the shots, see `folds`. With
    defects in less than two images nothing can be compared: it is the first.
    """
    marked = (pixels != normal).any((1, 2))
    if marked.sum() < 2:
        return SETTINGS[0]
    drawn = draw(pixels, np.random.default_rng(seed), each=150, most=4000)
    fold = folds(marked)[drawn // pixels[0].size]  # of each drawn pixel
    truth = pixels.ravel()[drawn] != normal
    weights = _stand_for(pixels, drawn)
    looks = {}  # of the drawn pixels; a setting with fewer Gaussians takes the first columns
    for standard in (True, False):
        inputs = look(values, (standard, values.shape[-1] // KINDS, None))
        looks[standard] = inputs.reshape(-1, inputs.shape[-1])[drawn]
    scores = []
    for setting in SETTINGS:
        standard, scales, _ = setting
        flat = looks[standard][:, : KINDS * scales]
        defect = np.zeros(len(drawn))
        for number in range(fold.max() + 1):
            held = fold == number
            trees = _forest(setting, seed, 10).fit(flat[~held], truth[~held])
            defect[held] = trees.predict_proba(flat[held])[:, 1]
        scores.append(average_precision_score(truth, defect, sample_weight=weights))
    return SETTINGS[int(np.argmax(scores))]


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


def fitted(inputs, pixels, setting, seed, count):
    """A forest of `count` trees, learnt from pixels drawn from inputs (n, h, w, F)."""
    drawn = draw(pixels, np.random.default_rng(seed))
    flat = inputs.reshape(-1, inputs.shape[-1])[drawn]
    return _forest(setting, seed, count).fit(flat, pixels.ravel()[drawn])


def _forest(setting, seed, count):
    options = {"max_depth": setting[2], "min_samples_leaf": LEAF, "random_state": seed}
    return RandomForestClassifier(count, **options)
