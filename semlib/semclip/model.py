"""SEM-CLIP (arXiv 2502.14884): few-shot classification and segmentation with texts, two paths and two small layers."""

from copy import copy
from typing import NamedTuple

import numpy as np
import torch
from scipy.special import softmax

from semlib.semclip import maps, shots, store, tune
from semlib.semclip.backbone import Backbone
from semlib.semclip.features import Features
from semlib.semclip.prompts import Prompts

CHUNK = 8  # images whose tokens are in float32 at a time; few stay in the cache
TOP = 0.01  # part of the pixels whose mean is the map's say in the anomaly score


class Prediction(NamedTuple):
    """`class_probabilities` float32 (N, C), in the order of the prompts' classes; `anomaly_maps` float32 (N, H, W)."""

    class_probabilities: np.ndarray
    anomaly_maps: np.ndarray


class SemClip:
    """Few-shot defect detection: ``SemClip().fit(images, labels, masks).predict(images)``.

    Segmentation: each patch token of each path and level goes through its Transformation Layer and is compared with
    the texts of all classes, whose redundant part is removed (`maps.distinct`); log odds of defect against defect-free
    become a map (`maps.defect_logit`), averaged over levels; the maps of the original path and of the V-V path are
    added, A = A_F + A_V, and halved to stay within 0 and 1. Classification: ``P = w softmax(s <image, text>) +
    (1 - w) softmax(head)`` with CLIP's own scale s. What the paper does not state is our choice and a parameter here.

    Parameters
    ----------
    backbone : Backbone, optional
        Our embedded model by default.
    prompts : Prompts, optional
        Those of the paper's seven classes by default.
    vv : bool
        Add the V-V path's map (ablation: False).
    remove_redundant : bool
        Remove what is common to all classes (ablation: False).
    transformation : bool
        Train the Transformation Layers (ablation: False); without them no masks are needed.
    levels : "all" or "last"
        Tapped blocks that take part (ablation: "last").
    fusion : float, 0 to 1
        Weight w of CLIP's score; 1 is CLIP's score alone and trains no head, 0 the head alone.
    temperature : float
        Of the similarities in the maps.
    blur : float
        Smoothing of the enlarged maps: standard deviation of a Gaussian in patches.
    steps, learning_rate
        Training of the Transformation Layers, see `tune.transformation_layers`.
    strength : float
        Inverse L2 penalty of the Classification Head, see `tune.classification_head`.
    seed : int

    Raises
    ------
    ValueError
        For an option out of its range.
    """

    def __init__(
        self, backbone=None, prompts=None, *, vv=True, remove_redundant=True, transformation=True, levels="all",
        fusion=0.5, temperature=0.07, blur=0.25, steps=60, learning_rate=0.05, strength=10.0, seed=0,
    ):  # fmt: skip
        if levels not in ("all", "last"):
            raise ValueError(f"levels {levels!r}: use 'all' or 'last'")
        if not 0 <= fusion <= 1 or temperature <= 0 or blur < 0 or steps < 0 or strength <= 0:
            raise ValueError(
                f"fusion {fusion}, temperature {temperature}, blur {blur}, steps {steps}, strength {strength}: "
                "expected 0 <= fusion <= 1, blur and steps 0 or more, temperature and strength above 0"
            )
        self.backbone, self.prompts = backbone or Backbone(), prompts or Prompts.load()
        self.options = {
            "vv": vv, "remove_redundant": remove_redundant, "transformation": transformation, "levels": levels,
            "fusion": fusion, "temperature": temperature, "blur": blur, "steps": steps,
            "learning_rate": learning_rate, "strength": strength, "seed": seed,
        }  # fmt: skip
        self.texts = self.prompts.embed(self.backbone)
        self.scale = float(self.backbone.model.logit_scale.detach().exp())
        self.transform = self.head = None

    @property
    def classes(self):
        """Names of the classes, in the order of the probabilities."""
        return list(self.prompts.classes)

    def fit(self, images, labels, masks=None):
        """Train the Transformation Layers and the Classification Head on a few shots of each class.

        Parameters
        ----------
        images : uint8 array (N, H, W), or Features
        labels : sequence (N,)
            Names of the prompts' classes, or their labels.
        masks : bool array (N, H, W), optional
            Defects; needed unless ``transformation=False``.

        Returns
        -------
        SemClip
            Itself.

        Raises
        ------
        ValueError
            For labels that the prompts do not know, a class without a shot, masks of another size or without a defect,
            images that are not uint8 (N, H, W).
        """
        if len(images) != len(labels):
            raise ValueError(
                f"{len(images)} images, {len(labels)} labels: expected one label an image"
            )
        classes = shots.class_numbers(labels, self.prompts)
        if self.options["transformation"]:
            like = masks if isinstance(images, Features) else images
            masks = shots.check_masks(masks, (len(images), *np.shape(like)[1:3]))
        features = self._features(images)
        self.transform = self._train(features, masks) if self.options["transformation"] else None
        if self.options["fusion"] < 1:
            seen = self._describe(features, self._patch_maps(features, self._layers()))
            self.head = tune.classification_head(
                seen, classes, len(self.classes), strength=self.options["strength"]
            )
        return self

    def predict(self, images, shape=None):
        """Class probabilities and anomaly maps.

        Parameters
        ----------
        images : uint8 array (N, H, W), or Features
        shape : (int, int), optional
            Size of the maps; that of the images, or the backbone's own for Features, when not given.

        Returns
        -------
        Prediction

        Raises
        ------
        ValueError
            Before `fit`, where the options ask for trained parts.
        """
        self.check_fitted()
        return self._predict(images, shape, self._layers(), self.options["fusion"])

    def check_fitted(self):
        """Raise ValueError where the options ask for trained parts and there are none yet."""
        options = self.options
        if (options["transformation"] and self.transform is None) or (
            options["fusion"] < 1 and self.head is None
        ):
            raise ValueError(
                "this model is not fitted: call fit first, or zero_shot for what needs no training"
            )

    def zero_shot(self, images, shape=None):
        """What `predict` gives without trained parts: the projection for Transformation Layers, CLIP's score alone."""
        return self._predict(images, shape, self.backbone.projection.detach(), 1.0)

    def anomaly_scores(self, prediction):
        """One score an image, float32 (N,), 0 to 1: mean of the map's highest hundredth and of 1 - P(defect-free).

        Both halves and the hundredth are our choice; the paper reports an image-level AUROC without saying of what.
        """
        probabilities, anomaly = prediction
        pixels = anomaly.reshape(len(anomaly), -1)
        kept = max(1, round(TOP * pixels.shape[1]))
        top = np.partition(pixels, -kept, axis=1)[:, -kept:].mean(1)
        return (top + 1 - probabilities[:, self.prompts.normal]) / 2

    def again(self, seed):
        """The same model with another seed, not fitted; the texts are not embedded again."""
        other = copy(self)
        other.options, other.transform, other.head = self.options | {"seed": seed}, None, None
        return other

    def fused(self, fusion):
        """The same model, fitted as it is, with another weight of CLIP's score; training does not depend on it."""
        if not 0 <= fusion <= 1:
            raise ValueError(f"fusion {fusion}: expected 0 to 1")
        other = copy(self)
        other.options = self.options | {"fusion": fusion}
        return other

    def save(self, folder):
        """Write ``model.safetensors`` and ``model.json``, from which `load` makes the same model again."""
        store.save(self, folder)

    @classmethod
    def load(cls, folder, backbone=None):
        """Read a saved model; see `semlib.semclip.store.load`."""
        return store.load(cls, folder, backbone)

    def _features(self, images):
        """Features with the paths and levels that take part."""
        features = images if isinstance(images, Features) else self.backbone.encode_images(images)
        paths = slice(None if self.options["vv"] else 1)
        levels = slice(-1 if self.options["levels"] == "last" else 0, None)
        return Features(features.image, features.tokens[:, paths, levels])

    def _map_texts(self):
        texts = torch.from_numpy(self.texts)
        return maps.distinct(texts) if self.options["remove_redundant"] else texts

    def _train(self, features, masks):
        options = self.options
        return tune.transformation_layers(
            torch.from_numpy(features.tokens), masks, self.backbone.projection.detach().cpu(), self._map_texts(),
            normal=self.prompts.normal, grid=self.backbone.grid, temperature=options["temperature"],
            steps=options["steps"], learning_rate=options["learning_rate"], seed=options["seed"],
        )  # fmt: skip

    def _layers(self):
        """The Transformation Layers (p, L, d, e), or the projection (d, e) in their place."""
        return self.backbone.projection.detach().cpu() if self.transform is None else self.transform

    @torch.inference_mode()
    def _patch_maps(self, features, layers):
        """A = (A_F + A_V) / 2 on the patches, tensor (N, P): mean over paths and levels of the odds' probabilities."""
        texts, found = self._map_texts(), []
        for start in range(0, len(features), CHUNK):
            tokens = (
                torch.from_numpy(features.tokens[start : start + CHUNK])
                .float()
                .permute(1, 2, 0, 3, 4)
            )
            similarities = maps.similarity(tokens.flatten(2, 3), layers, texts)
            logits = maps.defect_logit(
                similarities, self.prompts.normal, self.options["temperature"]
            )
            found.append(logits.sigmoid().mean((0, 1)).unflatten(0, tokens.shape[2:4]))
        return torch.cat(found)

    @torch.inference_mode()
    def _predict(self, images, shape, layers, fusion):
        shape = (
            shape or (self.backbone.image_size,) * 2
            if isinstance(images, Features)
            else shape or images.shape[1:]
        )
        features = self._features(images)
        patches = self._patch_maps(features, layers)
        probabilities = softmax(self.scale * features.image @ self.texts.T, axis=1)
        if fusion < 1:
            head = self.head
            logits = (self._describe(features, patches) - head["mean"]) @ head["weight"].T + head[
                "bias"
            ]
            probabilities = fusion * probabilities + (1 - fusion) * softmax(logits, axis=1)
        anomaly = maps.enlarge(
            patches.unflatten(1, self.backbone.grid), shape, self.options["blur"]
        ).clamp(0, 1)
        return Prediction(probabilities.astype(np.float32), anomaly.numpy())

    def _describe(self, features, patches):
        return tune.describe(features.image, torch.from_numpy(features.tokens), patches)
