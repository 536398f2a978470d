"""Does an embedding keep an image's identity when the image is damaged? Sci Rep 2026 claims so and never measures it.

"Robust to resolution changes, noise and artefacts" is taken at its word: each image is changed, embedded again and
looked up among the clean ones.
"""

import io
from functools import partial

import numpy as np
import pandas as pd
from PIL import Image
from scipy import ndimage
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler
from tqdm import tqdm

from semlib.images.pyramid import pyramid
from semlib.morphology import evaluate, features, probe, train


def changed(name, images, *, seed=0):
    """Change every image in one way; kinds and strengths are our choice.

    Parameters
    ----------
    name : str
        A key of `CHANGES`.
    images : uint8 array (N, H, W)
    seed : int
        Of the noise.

    Returns
    -------
    uint8 array (N, H, W), or of half or a quarter of the sides

    Raises
    ------
    ValueError
        If the name is unknown.
    """
    if name not in CHANGES:
        raise ValueError(f"unknown change {name!r}: use one of {', '.join(CHANGES)}")
    return np.ascontiguousarray(CHANGES[name](np.asarray(images), np.random.default_rng(seed)))


def extractors(images, encoders, *, components=64):
    """Each method as functions from images to embeddings, fitted to the clean images where it has something to fit.

    The texture features are standardised with the clean images' means and deviations. PCA takes changed images brought
    to the clean images' size, and is the only method that has to.

    Parameters
    ----------
    images : uint8 array (N, H, W)
        Clean.
    encoders : dict of str to list of torch module
        Name of a trained method and its encoders, one for each training.
    components : int
        Of the PCA, at most N.

    Returns
    -------
    dict of str to list of callable
        Each takes uint8 (N, H, W) of any size and gives (N, D).
    """
    plain = {"GLCM": features.glcm, "LBP": features.lbp, "Wavelet": features.wavelet}
    found = {
        name: [_scaled(partial(function, progress=False), images)]
        for name, function in plain.items()
    }
    found["PCA (raw pixels)"] = [_projection(images, min(components, len(images)))]
    for name, trained in encoders.items():
        found[name] = [partial(train.embed, encoder, progress=False) for encoder in trained]
    return found


def embed_all(methods, images, *, seed=0, progress=True):
    """Embed clean and changed images with every method.

    Parameters
    ----------
    methods : dict of str to list of callable
        From `extractors`.
    images : uint8 array (N, H, W)

    Returns
    -------
    dict of str to list of dict of str to array (N, D)
        Method -> for each of its functions, "clean" and every key of `CHANGES` -> embeddings.
    """
    found = {name: [{} for _ in functions] for name, functions in methods.items()}
    for change in tqdm(["clean", *CHANGES], desc="robustness", unit="change", disable=not progress):
        shown = images if change == "clean" else changed(change, images, seed=seed)
        for name, functions in methods.items():
            for store, function in zip(found[name], functions, strict=True):
                store[change] = np.asarray(function(shown), dtype=np.float64)
    return found


def table(embedded, *, k=6, seed=0):
    """Scores of every method under every change.

    Parameters
    ----------
    embedded : dict
        From `embed_all`.
    k, seed : int
        Of the k-means on the clean images.

    Returns
    -------
    DataFrame
        method, change, trainings, and the mean over trainings of `agreement`.
    """
    rows = []
    for name, trainings in embedded.items():
        models = [evaluate.fit_clusters(views["clean"], k=k, seed=seed) for views in trainings]
        for change in CHANGES:
            each = [
                agreement(v["clean"], v[change], m) for v, m in zip(trainings, models, strict=True)
            ]
            rows.append(
                {"method": name, "change": change, "trainings": len(each)}
                | pd.DataFrame(each).mean().to_dict()
            )
    return pd.DataFrame(rows)


def agreement(clean, other, model):
    """Whether changed images stay where the clean ones are.

    Parameters
    ----------
    clean, other : array (N, D)
        Embeddings of the same images before and after the change.
    model : KMeans
        Fitted to `clean`, see `evaluate.fit_clusters`.

    Returns
    -------
    dict
        recall_at_1: share of changed images whose nearest clean embedding is that of their own original (by chance
        1/N); ari: adjusted Rand index of their nearest cluster centres and the clean clustering (1: nothing moves);
        alignment: `probe.alignment` of the pairs.
    """
    nearest = (
        NearestNeighbors(n_neighbors=1).fit(clean).kneighbors(other, return_distance=False)[:, 0]
    )
    return {
        "recall_at_1": float((nearest == np.arange(len(clean))).mean()),
        "ari": float(adjusted_rand_score(model.labels_, model.predict(other))),
        "alignment": probe.alignment(clean, other),
    }


def _scaled(function, images):
    scaler = StandardScaler().fit(np.float64(function(images)))
    return lambda shown: scaler.transform(np.float64(function(shown)))


def _projection(images, components):
    side = images.shape[1:]
    model = PCA(components, svd_solver="full").fit(np.float32(images).reshape(len(images), -1))
    return lambda shown: model.transform(np.float32(_resized(shown, side)).reshape(len(shown), -1))


def _resized(images, side):
    if images.shape[1:] == side:
        return images
    return np.array(
        [Image.fromarray(image).resize(side[::-1], Image.Resampling.BICUBIC) for image in images]
    )


def _grey(values):
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _noise(images, rng):
    return np.array(
        [_grey(image + 6 * rng.standard_normal(image.shape, dtype=np.float32)) for image in images]
    )


def _border(images, _):
    """A near-black strip at the right, three columns of 480, as the raw images of Carinthia have it, and at the top."""
    width, result = max(1, round(images.shape[2] * 3 / 480)), images.copy()
    result[:, :, -width:] = result[:, :width] = 8
    return result


def _jpeg(images, _):
    def through(image):
        file = io.BytesIO()
        Image.fromarray(image).save(file, "JPEG", quality=30)
        return np.asarray(Image.open(file))

    return np.array([through(image) for image in images])


def _rotated(images, _):
    turn = partial(ndimage.rotate, angle=5, reshape=False, order=1, mode="reflect")
    return np.array([turn(image) for image in images])


CHANGES = {
    "half size": lambda images, _: pyramid(images)[1],
    "quarter size": lambda images, _: pyramid(images)[2],
    "noise": _noise,  # standard deviation 6, where Carinthia's own is 2.1 to 2.4
    "border artefact": _border,
    "brightness +0.10": lambda images, _: _grey(
        images + 26.0
    ),  # a whole number of grey levels, so that none merge
    "JPEG quality 30": _jpeg,
    "rotation 5°": _rotated,
    "rotation 90°": lambda images, _: np.rot90(images, axes=(1, 2)),
}
