"""SEM-CLIP (arXiv 2502.14884): few-shot classes and maps from words and two small layers."""

from copy import copy
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from scipy.special import softmax

from semlib.semclip import maps, tune
from semlib.semclip.backbone import Backbone, Features
from semlib.semclip.prompts import Prompts

TOP = 0.01  # part of the pixels whose mean is the map's say in the anomaly score


class Prediction(NamedTuple):
    """What a model says of N images."""

    class_probabilities: np.ndarray  # float32 (N, C), in the order of the prompts' classes
    anomaly_maps: np.ndarray  # float32 (N, H, W), 0 to 1


@dataclass(frozen=True)
class Options:
    """What the paper does not state (our choice), or what an ablation leaves out."""

    vv: bool = True  # add the V-V path's map (ablation: False)
    remove_redundant: bool = True  # from the texts, see `maps.distinct` (ablation: False)
    transformation: bool = True  # train the Transformation Layers; without them no mask is needed
    levels: str = "all"  # tapped blocks that take part, or "last" (ablation)
    # weight w of CLIP's score, by default `tune.trust`; 1 trains no head, 0 is the head alone
    fusion: float | None = None
    temperature: float = 0.07  # of the similarities in the maps
    blur: float = 0.25  # standard deviation of a Gaussian over the enlarged maps, in patches
    steps: int = 60  # of the Transformation Layers, see `tune.transformation_layers`
    learning_rate: float = 0.05
    strength: float = 10.0  # inverse L2 penalty of the head, see `tune.classification_head`
    seed: int = 0

    def __post_init__(self):
        too_small = min(self.blur, self.steps) < 0 or min(self.temperature, self.strength) <= 0
        if too_small or self.levels not in ("all", "last") or not 0 <= (self.fusion or 0) <= 1:
            raise ValueError(f"an option is out of its range: {self}")


class SemClip:
    """Few-shot defect detection: ``SemClip().fit(images, labels, masks).predict(images)``.

    Segmentation: each patch token of each path and level goes through its Transformation Layer and
    is compared with the texts of all classes, from which the redundant part is removed. The odds of
    defect against defect-free become maps, and those of both paths are added, A = A_F + A_V.
    Classification: ``P = w softmax(s <image, text>) + (1 - w) softmax(head)``, s CLIP's own scale.
    The paper does not state w: ours is the part of the shots that words name rightly, `tune.trust`.

    By default with our embedded model and the prompts of the paper's classes; see `Options`.
    """

    def __init__(self, backbone=None, prompts=None, **options):
        self.options = Options(**options)
        self.backbone = backbone or Backbone()
        self.prompts = prompts or Prompts.load()
        self.classes = self.prompts.classes  # names in the order of the probabilities
        self.texts = self.prompts.embed(self.backbone)  # C e
        self.scale = float(self.backbone.model.logit_scale.detach().exp())
        self.transform = None  # Transformation Layers, tensor (p, L, d, e)
        self.head = None  # Classification Head, dict of arrays

    def fit(self, images, labels, masks=None):
        """Train both small layers on a few shots of each class; returns the model itself.

        Takes uint8 images (N, H, W) or `Features`, N names or labels of the prompts' classes, and
        bool masks (N, H, W) of the defects, which are needed unless ``transformation=False``.
        """
        options = self.options
        given = [len(part) for part in (images, labels, masks) if part is not None]
        if len(set(given)) > 1:
            raise ValueError(f"images, labels and masks are not as many each: {given}")
        classes = self.prompts.positions(labels)
        self.prompts.check_complete(classes)
        if options.transformation and (masks is None or not np.any(masks)):
            raise ValueError("no mask marks a defect: give masks, or transformation=False")
        features = self._features(images)
        layers = self.backbone.projection
        if options.transformation:
            given = torch.from_numpy(features.tokens), masks, layers, self.backbone.grid
            training = {name: getattr(options, name) for name in ("steps", "learning_rate", "seed")}
            layers = tune.transformation_layers(*given, **self._look(), **training)
            self.transform = layers
        if options.fusion != 1:
            patches = maps.anomaly(features.tokens, layers, **self._look())
            inputs = tune.describe(features, patches)
            self.head = tune.classification_head(inputs, classes, strength=options.strength)
            self.head["trust"] = tune.trust(self._words(features), classes)
        return self

    def predict(self, images, shape=None, beside=None):
        """`Prediction` for uint8 images (N, H, W) or Features, with maps of a `shape`.

        When not given it is that of the images, or the backbone's own for Features. `beside` (N, C)
        are probabilities by something else that learnt from the shots; they count like the head's.
        """
        self.check_fitted()
        layers = self.backbone.projection if self.transform is None else self.transform
        fusion = self.options.fusion
        if fusion is None:
            fusion = float(self.head["trust"][0])
        return self._predict(images, shape, layers, fusion, beside)

    def zero_shot(self, images, shape=None):
        """What `predict` gives without trained parts: the projection and CLIP's score alone."""
        return self._predict(images, shape, self.backbone.projection, 1.0)

    def check_fitted(self):
        """Raise ValueError where a trained part that the options ask for is missing."""
        untrained_layers = self.options.transformation and self.transform is None
        if untrained_layers or (self.options.fusion != 1 and self.head is None):
            raise ValueError("this model is not fitted: call fit first, or zero_shot")

    def anomaly_scores(self, prediction):
        """One score an image (N,): mean of the map's highest hundredth and of 1 - P(defect-free).

        Our choice; the paper reports an image-level AUROC without saying of what.
        """
        top = maps.highest(prediction.anomaly_maps, TOP)
        return (top + 1 - prediction.class_probabilities[:, self.prompts.normal]) / 2

    def changed(self, **options):
        """The same model, fitted or not, with other options; embeds no text again."""
        other = copy(self)
        other.options = replace(self.options, **options)
        return other

    @torch.inference_mode()
    def _predict(self, images, shape, layers, fusion, beside=None):
        if shape is None:
            own = (self.backbone.image_size,) * 2
            shape = own if isinstance(images, Features) else images.shape[1:]
        features = self._features(images)
        patches = maps.anomaly(features.tokens, layers, **self._look())  # N P: (A_F + A_V) / 2
        probabilities = self._words(features)
        if fusion < 1:
            inputs = tune.describe(features, patches) - self.head["mean"]
            learnt = softmax(inputs @ self.head["weight"].T + self.head["bias"], axis=1)
            learnt = learnt if beside is None else (learnt + beside) / 2
            probabilities = fusion * probabilities + (1 - fusion) * learnt
        grids = patches.unflatten(1, self.backbone.grid)  # N h w
        anomaly = maps.enlarge(grids, shape, self.options.blur).clamp(0, 1)  # N H W
        return Prediction(probabilities.astype(np.float32), anomaly.numpy())

    def _words(self, features):
        """CLIP's score: probabilities (N, C) by the class texts alone."""
        return softmax(self.scale * features.image @ self.texts.T, axis=1)

    def _features(self, images):
        """Features with the paths and levels that take part."""
        features = images if isinstance(images, Features) else self.backbone.encode_images(images)
        paths = slice(None if self.options.vv else 1)
        levels = slice(-1 if self.options.levels == "last" else 0, None)
        return Features(features.image, features.tokens[:, paths, levels])

    def _look(self):
        """Texts that the maps compare with, and the other settings of `maps.anomaly`."""
        texts = torch.from_numpy(self.texts)
        texts = maps.distinct(texts) if self.options.remove_redundant else texts
        temperature = self.options.temperature
        return {"texts": texts, "normal": self.prompts.normal, "temperature": temperature}
