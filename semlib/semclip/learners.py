"""What `detect` can learn from shots, behind one interface, and which of it is best for these."""

from math import isqrt
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from sklearn.metrics import precision_recall_curve
from tqdm import trange

from semlib.semclip import filters, forest, patchcore, pixels, scores, unet
from semlib.semclip.maps import enlarge, highest
from semlib.semclip.model import Prediction, SemClip

SEM_CLIP = "SEM-CLIP"
PIXELS = "SEM-CLIP + pixels"
FOREST = "random forest"
UNET = "U-Net"
PATCHCORE = "PatchCore"
NAMES = (SEM_CLIP, PIXELS, FOREST, UNET, PATCHCORE)
FOLDS = 6  # most trainings of a method for the comparison
COLUMNS = ["method", "F1-max", "pAUROC", "accuracy", "shots", "threshold"]  # of `compare`
THRESHOLD = 0.5  # of a map where nothing could be compared
VGG_SIZE = 144  # pixels that VGG16 gets for PatchCore
BANK = 1000  # patches that PatchCore keeps
FAR = 1.5  # times the largest distance of a defect-free patch from the others: a map of one half


class Shots(NamedTuple):
    """What is learnt from, every image a square of the model's size."""

    images: np.ndarray  # uint8 (N, H, W)
    labels: np.ndarray  # str (N,), names of classes
    masks: np.ndarray  # bool (N, H, W)


class Forest:
    """`forest.PixelForest` for images: ``fit(images, labels, masks).predict(images)``."""

    def __init__(self, prompts):
        self.prompts = prompts
        self.classes = prompts.classes
        self.trees = forest.PixelForest(prompts.normal)

    def fit(self, images, labels, masks):
        """Learn from uint8 images (N, H, W), names of classes and bool masks (N, H, W)."""
        values = filters.filters(images, step=pixels.STEP)
        self.trees.fit(values, masks, self.prompts.positions(labels))
        return self

    def predict(self, images):
        """`Prediction` for uint8 images (N, H, W)."""
        values = filters.filters(images, step=pixels.STEP)
        maps, whole = self.trees.predict(values, len(self.classes), images.shape[1:])
        return Prediction(whole, maps)

    def anomaly_scores(self, prediction):
        """One score an image (N,): 1 - P(defect-free)."""
        return 1 - prediction.class_probabilities[:, self.prompts.normal]


class Segmenter:
    """Maps of a U-Net, which sees the masks alone, and the classes of a fitted `SemClip`."""

    def __init__(self, model):
        self.model = model
        self.classes = model.classes

    def fit(self, images, labels, masks):
        """Learn from uint8 images (N, H, W) and bool masks (N, H, W)."""
        self.network = unet.train(images, masks)
        return self

    def predict(self, images):
        """`Prediction` for uint8 images (N, H, W)."""
        maps, _ = unet.segment(self.network, images)
        return Prediction(self.model.predict(images).class_probabilities, maps)

    def anomaly_scores(self, prediction):
        """One score an image (N,): mean of the map's highest 0.25 %."""
        return highest(prediction.anomaly_maps, forest.TOP)


class PatchCore:
    """Distance to defect-free patches, where nothing but defect-free shots is given.

    Maps are 0.5 where a patch is `FAR` times as far as the farthest of any shot is from the others.
    """

    classes = ["defect-free", "defect"]

    def fit(self, images, labels=None, masks=None):
        """Learn from defect-free uint8 images (N, H, W), two or more of them."""
        if len(images) < 2:
            raise ValueError("one defect-free shot tells no limit: give two or more")
        points = torch.from_numpy(patchcore.vgg_features(images, size=VGG_SIZE).tokens).float()
        farthest = 0.0
        for i, shot in enumerate(points):  # leave one out: how far defect-free patches may be
            others = torch.cat([points[:i], points[i + 1 :]]).flatten(0, 1)
            squared, _ = patchcore.nearest(shot, patchcore.coreset(others, BANK))
            farthest = max(farthest, float(squared.max().sqrt()))
        self.limit = FAR * farthest
        self.memory = patchcore.coreset(points.flatten(0, 1), BANK)
        return self

    def predict(self, images):
        """`Prediction` for uint8 images (N, H, W)."""
        points = torch.from_numpy(patchcore.vgg_features(images, size=VGG_SIZE).tokens).float()
        distances = torch.stack([patchcore.nearest(one, self.memory)[0].sqrt() for one in points])
        side = isqrt(points.shape[1])
        maps = enlarge(distances.view(-1, side, side), images.shape[1:]).numpy()
        maps = maps / (maps + self.limit)
        defect = maps.max((1, 2))
        return Prediction(np.stack([1 - defect, defect], 1), maps)

    def anomaly_scores(self, prediction):
        """One score an image (N,): the highest of its map."""
        return prediction.class_probabilities[:, 1]


def fit(method, shots, backbone, prompts):
    """Train one of `NAMES` on `Shots`; refuse one that cannot learn from these."""
    if method not in (names := possible(shots, prompts)):
        raise ValueError(f"{method} cannot learn from these shots: use {', '.join(names)}")
    return _fitted([method], shots, backbone, prompts)[method]


def _fitted(names, shots, backbone, prompts):
    """Methods that learnt from `Shots`, by name; those with a `SemClip` share one."""
    if {SEM_CLIP, PIXELS, UNET} & set(names):
        sem_clip = SemClip(backbone, prompts, transformation=bool(shots.masks.any())).fit(*shots)
    fitted = {
        SEM_CLIP: lambda: sem_clip,
        PIXELS: lambda: pixels.SemClipPixels(sem_clip).fit_pixels(*shots),
        FOREST: lambda: Forest(prompts).fit(*shots),
        UNET: lambda: Segmenter(sem_clip).fit(*shots),
        PATCHCORE: lambda: PatchCore().fit(*shots),
    }
    return {name: fitted[name]() for name in names}


def possible(shots, prompts):
    """Names of the methods that can learn from these shots."""
    defect = prompts.positions(shots.labels) != prompts.normal
    if not defect.any():
        return [PATCHCORE]
    return [SEM_CLIP, PIXELS, FOREST, UNET] if shots.masks.any() else [SEM_CLIP]


def folds(labels):
    """Fold of each shot, int (N,), -1 for the only one of its class, which is never left out.

    With up to `FOLDS` shots a class each fold leaves out one of each.
    """
    of_class = pd.Series(labels).groupby(labels)
    fold = of_class.cumcount() % FOLDS
    return fold.where(of_class.transform("size") > 1, -1).to_numpy()


def compare(names, shots, backbone, prompts):
    """Score methods on shots that they did not learn from.

    Returns a table of `COLUMNS`, the best first: by the mean of F1-max of all pixels and accuracy.
    `shots` are those left out in turn; `threshold` of a map is that of its F1-max. Where every
    class has but one shot nothing can be left out, and the table is empty.
    """
    fold = folds(shots.labels)
    left_out = fold >= 0
    truth = shots.masks[left_out]
    if not truth.any():
        return pd.DataFrame(columns=COLUMNS)
    maps = {name: np.zeros(shots.images.shape, np.float32) for name in names}
    classes = {name: np.zeros(len(fold), int) for name in names}
    for number in trange(fold.max() + 1, desc="compare methods", unit="fold"):
        held = fold == number
        seen = Shots(*(part[~held] for part in shots))
        for name, model in _fitted(names, seen, backbone, prompts).items():
            prediction = model.predict(shots.images[held])
            maps[name][held] = prediction.anomaly_maps
            classes[name][held] = prediction.class_probabilities.argmax(1)
    lines = []
    for name in names:
        areas = scores.pixels(maps[name][left_out], truth)
        line = {"method": name, "F1-max": areas["F1-max"], "pAUROC": areas["pAUROC"]}
        line["accuracy"] = (classes[name] == prompts.positions(shots.labels))[left_out].mean()
        threshold = best_threshold(maps[name][left_out], truth)
        lines.append(line | {"shots": len(truth), "threshold": threshold})
    table = pd.DataFrame(lines)
    order = (table["F1-max"] + table["accuracy"]).sort_values(ascending=False, kind="stable").index
    return table.loc[order].reset_index(drop=True)


def best_threshold(maps, truth):
    """The value of maps (n, H, W) from which on F1 with the truth is highest."""
    precision, recall, thresholds = precision_recall_curve(truth.ravel(), maps.ravel())
    total = np.maximum(precision + recall, 1e-12)
    return float(thresholds[np.argmax((2 * precision * recall / total)[:-1])])
