"""SEM-CLIP + pixels (ours): what its tokens see, joined with filters, decided pixel by pixel."""

import numpy as np
import torch
from sklearn.ensemble import ExtraTreesClassifier

from semlib.semclip import filters, forest
from semlib.semclip.episodes import Method, Result
from semlib.semclip.maps import enlarge, highest
from semlib.semclip.model import Prediction, SemClip

NAME = "SEM-CLIP + pixels (ours)"
ALONE = "pixels without tokens"
DIRECTIONS = 8  # in which the tokens of a path differ most
TREES = 40
LEAF = 3  # least pixels of a leaf
STEP = 2  # pixels a side of a cell that is decided as one; 1 takes twice as long
BLUR = 2.0  # pixels, standard deviation of the Gaussian over a map: trees speckle


class PixelTrees:
    """Extremely randomised trees that give each pixel a class, learnt from a few marked images.

    A pixel is described by multi-scale filters, three times: as they are, of the standardised image
    and relative to the image's own medians (`filters.looks`); and by the patch tokens of both
    paths, last level, reduced to the `DIRECTIONS` of most variance among the shots and enlarged to
    the pixels. The reduction sees no label, so that shots and tests look alike to the trees.

    Parameters
    ----------
    grid : tuple
        Rows and columns of patches, `Backbone.grid`; None leaves the tokens out (ablation).
    normal : int
        Number of the defect-free class.
    seed : int
        Of the pixels that are drawn and of the trees.
    """

    def __init__(self, grid, normal, *, seed=0):
        self.grid = grid
        self.normal = normal
        self.seed = seed
        self.basis = None  # mean (2, 1, 1, d) and directions (2, 1, d, q) of the tokens
        self.trees = None

    def fit(self, looks, tokens, masks, classes):
        """Learn from looks (n, h, w, 3 F), tokens (n, 2, L, P, d), masks (n, H, W), classes (n,).

        Tokens are those of `Backbone.encode_images`. Returns the object itself.
        """
        pixels = filters.classes_of_pixels(masks, classes, self.normal, looks.shape[1:3])
        if (pixels == self.normal).all():
            raise ValueError("no mask marks a defect: pixels cannot be told apart")
        drawn = filters.draw(pixels, np.random.default_rng(self.seed))
        if self.grid:
            self.basis = principal(_last(tokens), DIRECTIONS)
        parts = []
        each = pixels[0].size
        for i in range(len(looks)):  # one image at a time: the inputs of all would be gigabytes
            inputs = self._inputs(looks[[i]], None if tokens is None else tokens[[i]])
            parts.append(inputs.reshape(each, -1)[drawn[drawn // each == i] % each])
        self.trees = ExtraTreesClassifier(TREES, min_samples_leaf=LEAF, random_state=self.seed)
        self.trees.fit(np.concatenate(parts), pixels.ravel()[drawn])
        return self

    def predict(self, looks, tokens, count, shape):
        """Maps float32 (n, H, W) of a `shape`, 0 to 1, and probabilities of `count` classes (n, C).

        See `forest.read_off`.
        """
        parts = forest.parts(len(looks))
        inputs = (self._inputs(looks[part], tokens[part]) for part in parts)
        blur = BLUR * looks.shape[1] / shape[0]
        maps, whole = forest.read_off(self.trees, inputs, count, self.normal, shape, blur)
        return maps.clip(0, 1), whole

    def _inputs(self, looks, tokens):
        """What the trees see of each pixel, float32 (n, h, w, 3 F + 2 q)."""
        inputs = [looks]
        if self.grid:
            mean, directions = self.basis
            reduced = torch.from_numpy((_last(tokens) - mean) @ directions)  # 2 n P q
            reduced = enlarge(reduced.mT.unflatten(-1, self.grid), looks.shape[1:3])  # 2 n q h w
            inputs += [path.permute(0, 2, 3, 1).numpy() for path in reduced]
        return np.concatenate(inputs, -1, dtype=np.float32)


class SemClipPixels:
    """Few-shot defects at full resolution: ``fit(images, labels, masks).predict(images)``.

    The map is that of `PixelTrees`; SEM-CLIP names the classes, the likeliest pixels beside its
    head (our choice, made on other presets than the one reported).

    Parameters
    ----------
    model : SemClip, optional
        Our embedded one by default; `fit` trains it, too.
    seed : int
    """

    def __init__(self, model=None, *, seed=0):
        self.model = model or SemClip()
        self.classes = self.model.classes  # names in the order of the probabilities
        self.pixels = PixelTrees(self.model.backbone.grid, self.model.prompts.normal, seed=seed)

    def fit(self, images, labels, masks):
        """Learn from uint8 images (N, H, W), N classes or labels, and bool masks (N, H, W)."""
        self.model.fit(images, labels, masks)
        return self.fit_pixels(images, labels, masks)

    def fit_pixels(self, images, labels, masks):
        """The same beside a model that is fitted already."""
        features = self.model.backbone.encode_images(images)
        looks = filters.looks(filters.filters(images, step=STEP))
        numbers = self.model.prompts.positions(labels)
        self.pixels.fit(looks, features.tokens, masks, numbers)
        return self

    def predict(self, images):
        """`Prediction` for uint8 images (N, H, W), with maps of their size."""
        if self.pixels.trees is None:
            raise ValueError("this model is not fitted: call fit first")
        features = self.model.backbone.encode_images(images)
        looks = filters.looks(filters.filters(images, step=STEP))
        given = looks, features.tokens, len(self.classes), images.shape[1:]
        maps, pooled = self.pixels.predict(*given)
        return Prediction(self.model.predict(features, beside=pooled).class_probabilities, maps)

    def anomaly_scores(self, prediction):
        """One score an image (N,): mean of the map's highest 0.25 %."""
        return highest(prediction.anomaly_maps, forest.TOP)


def sem_clip_pixels(features, looks, grid, sem_clip):
    """SEM-CLIP + pixels as a method of the study.

    `features` and `looks` are the backbone's and the `filters.looks` of all images of the pool;
    `sem_clip` is the `study.sem_clip` that names the classes, None for filters alone (ablation).
    """

    def run(pool, episode):
        shots = episode.support
        trees = PixelTrees(sem_clip and grid, pool.normal)
        given = looks[shots], features.tokens[shots], pool.masks[shots], pool.labels[shots]
        trees.fit(*given)
        asked = looks[episode.test], features.tokens[episode.test], len(pool.classes)
        maps, whole = trees.predict(*asked, pool.images.shape[1:])
        if sem_clip:
            whole = sem_clip.run(pool, episode, beside=whole).probabilities
        return Result(whole, maps, highest(maps, forest.TOP))

    return Method(NAME if sem_clip else ALONE, "labels + masks", run)


def methods(features, values, grid, sem_clip):
    """SEM-CLIP + pixels and, as its ablation, the same trees without tokens.

    `values` are the `filters.filters` of all images of the pool.
    """
    looks = filters.looks(values)
    return [sem_clip_pixels(features, looks, grid, one) for one in (sem_clip, None)]


def principal(tokens, count):
    """Mean (2, 1, 1, d) and directions (2, 1, d, q) of most variance of tokens (2, n, P, d).

    Projections on the directions have a variance of 1 among these tokens.
    """
    flat = tokens.reshape(len(tokens), -1, tokens.shape[-1])
    mean = flat.mean(1, keepdims=True)
    covariance = (flat - mean).mT @ (flat - mean) / flat.shape[1]
    variances, vectors = np.linalg.eigh(covariance)  # ascending
    scale = np.sqrt(variances[:, None, -count:].clip(1e-12))
    return mean[:, None], (vectors[..., -count:] / scale)[:, None]


def _last(tokens):
    """Tokens (n, 2, L, P, d) of both paths, last level: float32 (2, n, P, d)."""
    return np.moveaxis(tokens[:, :, -1], 1, 0).astype(np.float32)
