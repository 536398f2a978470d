"""Competitors of SEM-CLIP on the same episodes; each factory makes a `Method` that names the supervision it uses.

| method | supervision | module |
| --- | --- | --- |
| `winclip` | none | `semlib.semclip.winclip` |
| `winclip_plus` | normals | `semlib.semclip.winclip` |
| `patchcore` | normals | `semlib.semclip.patchcore` |
| `linear_probe`, `nearest_neighbour` | labels | here |
| `april_gan` | masks | `semlib.semclip.april_gan` |
| `unet` | masks | `semlib.semclip.unet` |
"""

import numpy as np
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler, normalize

from semlib.semclip.april_gan import april_gan
from semlib.semclip.episodes import Method, Result
from semlib.semclip.patchcore import patchcore, vgg_features
from semlib.semclip.unet import unet
from semlib.semclip.winclip import winclip, winclip_plus

__all__ = [
    "april_gan", "linear_probe", "nearest_neighbour", "patchcore", "unet", "vgg_features", "winclip", "winclip_plus",
]  # fmt: skip


def linear_probe(features, name, *, strength=1.0):
    """Logistic regression on standardised features of whole images.

    Parameters
    ----------
    features : float array (N, D)
        One row for each image of the pool.
    name : str
        What the features are; the method is called "linear probe (<name>)".
    strength : float
        Inverse of the regularisation, scikit-learn's C.

    Returns
    -------
    Method
        Gives probabilities and, as score, 1 - p(defect-free).
    """
    features = _checked(features, name)

    def run(pool, episode):
        model = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=1000))
        model.fit(features[episode.support], pool.labels[episode.support])
        probabilities = np.zeros((len(episode.test), len(pool.classes)))
        probabilities[:, model.classes_] = model.predict_proba(features[episode.test])
        return Result(probabilities, scores=1 - probabilities[:, pool.normal])

    return Method(f"linear probe ({name})", "labels", run)


def nearest_neighbour(features, name, *, temperature=0.07):
    """Class of the support image with the largest cosine similarity.

    The probabilities are a softmax over the classes of the largest similarity to an image of the class (our choice);
    the likeliest class is that of the nearest neighbour.

    Parameters
    ----------
    features : float array (N, D)
        One row for each image of the pool.
    name : str
        What the features are; the method is called "1-NN (<name>)".
    temperature : float
        Divides the similarities in the softmax.

    Returns
    -------
    Method
        Gives probabilities and, as score, 1 - p(defect-free).
    """
    features = normalize(_checked(features, name))

    def run(pool, episode):
        similarity = features[episode.test] @ features[episode.support].T
        labels = pool.labels[episode.support]
        best = np.full((len(episode.test), len(pool.classes)), -np.inf)
        for label in np.unique(labels):
            best[:, label] = similarity[:, labels == label].max(1)
        probabilities = softmax(best / temperature, axis=1)
        return Result(probabilities, scores=1 - probabilities[:, pool.normal])

    return Method(f"1-NN ({name})", "labels", run)


def _checked(features, name):
    features = np.asarray(features, dtype=np.float64)
    if features.ndim != 2 or not np.isfinite(features).all():
        raise ValueError(
            f"features {name!r} must be finite numbers (N, D), got shape {features.shape}"
        )
    return features
