"""Competitors that see labels and whole images alone: linear probe and nearest neighbour.

The others, by the supervision that their `Method` names: none `winclip.winclip`; defect-free images
`winclip.winclip_plus`, `patchcore.patchcore`; masks `april_gan.april_gan`, `unet.unet`; labels and
masks `forest.forest`, and ours beyond SEM-CLIP, `pixels.sem_clip_pixels`.
"""

import numpy as np
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler, normalize

from semlib.semclip.episodes import Method, Result


def linear_probe(features, name):
    """Logistic regression on standardised features (N, D), which are `name`, of the whole pool."""
    features = np.asarray(features, dtype=np.float64)

    def run(pool, episode):
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
        model.fit(features[episode.support], pool.labels[episode.support])
        probabilities = np.zeros((len(episode.test), len(pool.classes)))
        probabilities[:, model.classes_] = model.predict_proba(features[episode.test])
        return Result(probabilities, scores=1 - probabilities[:, pool.normal])

    return Method(f"linear probe ({name})", "labels", run)


def nearest_neighbour(features, name, *, temperature=0.07):
    """Class of the support image with the largest cosine similarity of features (N, D).

    Probabilities (our choice): softmax over the classes of the largest similarity / temperature.
    """
    features = normalize(np.asarray(features, dtype=np.float64))

    def run(pool, episode):
        similarity = features[episode.test] @ features[episode.support].T
        labels = pool.labels[episode.support]
        best = np.full((len(episode.test), len(pool.classes)), -np.inf)
        for label in np.unique(labels):
            best[:, label] = similarity[:, labels == label].max(1)
        probabilities = softmax(best / temperature, axis=1)
        return Result(probabilities, scores=1 - probabilities[:, pool.normal])

    return Method(f"1-NN ({name})", "labels", run)
