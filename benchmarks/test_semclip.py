"""SEM-CLIP: features, one episode, and the pixel metrics of a test set."""

import numpy as np
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score

from benchmarks.inputs import images, size
from semlib.images import simulator
from semlib.semclip import scores
from semlib.semclip.backbone import Backbone
from semlib.semclip.model import SemClip
from semlib.semclip.prompts import Prompts

BACKBONE = Backbone()


def test_features(compare):
    """Patch tokens of both paths."""
    textures = images(size(48, 2), size(240, 64))

    def reference():
        return [BACKBONE.encode_images(image[None]) for image in textures]

    def ours():
        return [BACKBONE.encode_images(textures)]

    def tokens(parts):
        return np.concatenate([part.tokens for part in parts])

    names = ("SEM-CLIP features", "image by image")
    compare(*names, reference, ours, len(textures), 0.01, check=tokens)


def test_episode(compare):
    """Fit on two images a class and predict; ours has the features, as in all but one episode."""
    side = size(120, 64)
    labels = [*range(7)] * size(5, 3)
    batch = simulator.sample(len(labels), seed=0, preset="semclip", size=side, labels=labels)
    features = BACKBONE.encode_images(batch.images)
    prompts = Prompts.load()
    shown = [prompts.classes[label] for label in labels[:14]], batch.masks[:14]

    def reference():
        model = SemClip(BACKBONE, prompts).fit(batch.images[:14], *shown)
        return model.predict(batch.images[14:])

    def ours():
        model = SemClip(BACKBONE, prompts).fit(features[:14], *shown)
        return model.predict(features[14:], shape=(side, side))

    def predictions(result):
        return np.concatenate([part.ravel() for part in result])

    names = ("SEM-CLIP episode", "nothing kept")
    compare(*names, reference, ours, len(labels), 0.02, check=predictions, rounds=2)


def test_pixel_metrics(compare):
    """AUROC, largest F1 and average precision over all pixels; ours gives PRO, too."""
    count, side = size((100, 240), (4, 32))
    rng = np.random.default_rng(0)
    masks = np.zeros((count, side, side), bool)
    masks[::2, 5:17, 8:20] = True
    maps = rng.standard_normal(masks.shape, np.float32) + 2 * masks

    def reference():
        pixels = masks.ravel(), maps.ravel()
        precision, recall, _ = precision_recall_curve(*pixels)
        f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
        return [roc_auc_score(*pixels), f1.max(), average_precision_score(*pixels)]

    def ours():
        pixels = scores.pixels(maps, masks)
        return [pixels[name] for name in ("pAUROC", "F1-max", "AP")]

    compare("pixel metrics", "scikit-learn", reference, ours, count, 1e-4, rounds=2)
