"""What `detect` can learn from shots, behind one interface, and which of it is best for these."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from sklearn.metrics import precision_recall_curve
from tqdm import tqdm

from semlib.semclip import filters, forest, patchcore, pixels, scores
from semlib.semclip.episodes import Pool
from semlib.semclip.maps import enlarge
from semlib.semclip.model import Prediction, SemClip

SEM_CLIP = "SEM-CLIP"
PIXELS = "SEM-CLIP + pixels"
FOREST = "random forest"
PATCHCORE = "PatchCore"
NAMES = (SEM_CLIP, PIXELS, FOREST, PATCHCORE)
FOLDS = 6  # most trainings of a method for the comparison
THRESHOLD = 0.5  # of a map where nothing could be compared
VGG_SIZE = 144  # pixels that VGG16 gets for PatchCore
SCORES = ["F1-max", "pAUROC", "accuracy"]
FAR = 1.5  # times the largest distance of a defect-free patch from the others: a map of one half


class Shots(NamedTuple):
    """What is learnt from, every image a square of the model's size."""

    images: np.ndarray  # uint8 (N, H, W)
    labels: np.ndarray  # str (N,), names of classes
    masks: np.ndarray  # bool (N, H, W)


class Forest:
    """The random forest of `forest.forest` for images: ``fit(...).predict(images)``."""

    def __init__(self, prompts, *, seed=0):
        self.prompts = prompts
        self.classes = prompts.classes
        self.seed = seed

    def fit(self, images, labels, masks):
        """Learn from uint8 images (N, H, W), names of classes and bool masks (N, H, W)."""
        values = filters.filters(images, step=pixels.STEP)
        numbers = self.prompts.positions(labels)
        normal = self.prompts.normal
        kinds = filters.classes_of_pixels(masks, numbers, normal, values.shape[1:3])
        self.setting = forest.chosen(values, kinds, normal, self.seed)
        inputs = forest.look(values, self.setting)
        self.trees = forest.fitted(inputs, kinds, self.setting, self.seed, forest.TREES)
        return self

    def predict(self, images):
        """`Prediction` for uint8 images (N, H, W)."""
        values = filters.filters(images, step=pixels.STEP)
        inputs = (forest.look(values[[i]], self.setting) for i in range(len(values)))
        nothing = np.zeros(len(images), int)
        pool = Pool(images, nothing, images, self.classes, self.prompts.normal)
        result = forest.result(self.trees, inputs, pool)
        return Prediction(result.probabilities, result.maps)

    def anomaly_scores(self, prediction):
        """One score an image (N,): 1 - P(defect-free)."""
        return 1 - prediction.class_probabilities[:, self.prompts.normal]


class PatchCore:
    """Distance to defect-free patches, where nothing but defect-free shots is given.

    Maps are 0.5 where a patch is `FAR` times as far as the farthest of any shot is from the others.
    """

    classes = ["defect-free", "defect"]

    def fit(self, images, labels=None, masks=None):
        """Learn from defect-free uint8 images (N, H, W), two or more of them."""
        if len(images) < 2:
            raise ValueError("one defect-free shot tells no limit: give two or more")
        tokens = patchcore.vgg_features(images, size=VGG_SIZE).tokens
        points = [torch.from_numpy(one).float() for one in tokens]
        farthest = 0.0
        for i, one in enumerate(points):  # leave one shot out: what defect-free patches may be
            others = torch.cat(points[:i] + points[i + 1 :])
            squared, _ = patchcore.nearest(one, patchcore.coreset(others, 1000))
            farthest = max(farthest, float(squared.max().sqrt()))
        self.limit = FAR * farthest
        self.memory = patchcore.coreset(torch.cat(points), 1000)
        return self

    def predict(self, images):
        """`Prediction` for uint8 images (N, H, W)."""
        tokens = patchcore.vgg_features(images, size=VGG_SIZE).tokens
        side = round(tokens.shape[1] ** 0.5)
        maps = []
        for one in tokens:
            squared, _ = patchcore.nearest(torch.from_numpy(one).float(), self.memory)
            maps.append(squared.sqrt().view(side, side))
        maps = enlarge(torch.stack(maps), images.shape[1:]).numpy()
        maps = maps / (maps + self.limit)
        defect = maps.max((1, 2))
        return Prediction(np.stack([1 - defect, defect], 1), maps)

    def anomaly_scores(self, prediction):
        """One score an image (N,): the highest of its map."""
        return prediction.class_probabilities[:, 1]


def makers(backbone, prompts, *, masked):
    """Functions that make each method anew, unfitted, by name; `masked`: shots have masks."""
    sem_clip = SemClip(backbone, prompts, transformation=masked)
    return {
        SEM_CLIP: sem_clip.changed,
        PIXELS: lambda: pixels.SemClipPixels(sem_clip.changed()),
        FOREST: lambda: Forest(prompts),
        PATCHCORE: PatchCore,
    }


def possible(shots, prompts):
    """Names of the methods that can learn from these shots."""
    defect = prompts.positions(shots.labels) != prompts.normal
    if not defect.any():
        return [PATCHCORE]
    return [SEM_CLIP, PIXELS, FOREST] if shots.masks.any() else [SEM_CLIP]


def folds(labels):
    """Fold of each shot, int (N,), -1 for the only one of its class, which is never left out.

    With up to `FOLDS` shots a class each fold leaves out one of each.
    """
    fold = np.full(len(labels), -1)
    for name in np.unique(labels):
        places = np.flatnonzero(labels == name)
        if len(places) > 1:
            fold[places] = np.arange(len(places)) % FOLDS
    return fold


def compare(make: dict[str, Callable], names, shots, prompts):
    """Score methods on shots that they did not learn from.

    Returns a table of method, `SCORES`, shots (left out in turn) and threshold, the best first: by
    the mean of F1-max of all pixels and accuracy. `threshold` of a map is that of its F1-max. Where
    every class has but one shot there is nothing to leave out, and the table is empty.
    """
    fold = folds(shots.labels)
    left_out = np.flatnonzero(fold >= 0)
    numbers = prompts.positions(shots.labels)
    if not len(left_out) or not shots.masks[left_out].any():
        return pd.DataFrame(columns=["method", *SCORES, "shots", "threshold"])
    rows = []
    jobs = [(name, number) for name in names for number in range(fold.max() + 1)]
    maps = {name: np.zeros(shots.images.shape, np.float32) for name in names}
    named = {name: np.zeros(len(numbers), int) for name in names}
    for name, number in tqdm(jobs, desc="compare methods", unit="training"):
        held = fold == number
        taught = (part[~held] for part in shots)
        prediction = make[name]().fit(*taught).predict(shots.images[held])
        maps[name][held] = prediction.anomaly_maps
        named[name][held] = prediction.class_probabilities.argmax(1)
    for name in names:
        values = maps[name][left_out]
        truth = shots.masks[left_out]
        areas = scores.pixels(values, truth)
        right = (named[name] == numbers)[left_out].mean()
        line = {"method": name, **{key: areas[key] for key in SCORES[:2]}, "accuracy": right}
        rows.append(line | {"shots": len(left_out), "threshold": best_threshold(values, truth)})
    table = pd.DataFrame(rows)
    order = (table["F1-max"] + table["accuracy"]).sort_values(ascending=False, kind="stable").index
    return table.loc[order].reset_index(drop=True)


def best_threshold(maps, truth):
    """The value of maps (n, H, W) from which on F1 with the truth is highest."""
    precision, recall, thresholds = precision_recall_curve(truth.ravel(), maps.ravel())
    total = np.maximum(precision + recall, 1e-12)
    return float(thresholds[np.argmax((2 * precision * recall / total)[:-1])])
