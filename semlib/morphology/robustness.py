"""Does an embedding keep an image's identity when the image is damaged?

Sci Rep 2026 claims that it is "robust to resolution changes, noise and artefacts" and does not
measure it. Here each image is changed, embedded again and looked up among the clean ones.
"""

import io
from functools import partial

import numpy as np
import pandas as pd
from PIL import Image
from scipy import ndimage
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score
from sklearn.preprocessing import StandardScaler, normalize
from tqdm import tqdm

from semlib.images.pyramid import pyramid
from semlib.morphology import features, search
from semlib.morphology.clustering import fit_clusters
from semlib.morphology.encoder import embed

BICUBIC = Image.Resampling.BICUBIC


def changed(name, images, *, seed=0):
    """Uint8 images (N, H, W), each changed in one way of `CHANGES`; some get smaller.

    Kinds and strengths are our choice.
    """
    if name not in CHANGES:
        raise ValueError(f"unknown change {name!r}: use one of {', '.join(CHANGES)}")
    return np.ascontiguousarray(CHANGES[name](np.asarray(images), np.random.default_rng(seed)))


def extractors(images, encoders, *, components=64):
    """Each method as a list of functions from images (N, H, W) of any size to embeddings (N, D).

    What has to be fitted is fitted to the clean `images`: standardisation of the texture features,
    PCA (of `components`, at most N), which alone needs changed images brought to the clean images'
    size. `encoders` has the encoders of each trained method, one a training.
    """
    texture = {"GLCM": features.glcm, "LBP": features.lbp, "Wavelet": features.wavelet}
    methods = {
        name: [_scaled(partial(function, progress=False), images)]
        for name, function in texture.items()
    }
    methods["PCA (raw pixels)"] = [_projection(images, min(components, len(images)))]
    for name, trained in encoders.items():
        methods[name] = [partial(embed, encoder, progress=False) for encoder in trained]
    return methods


def embed_all(methods, images, *, seed=0, progress=True):
    """Embed clean and changed images with every method of `extractors`.

    Returns a dict: method -> for each of its functions {"clean" or key of `CHANGES`: (N, D)}.
    """
    embedded = {name: [{} for _ in functions] for name, functions in methods.items()}
    for change in tqdm(["clean", *CHANGES], desc="robustness", unit="change", disable=not progress):
        shown = images if change == "clean" else changed(change, images, seed=seed)
        for name, functions in methods.items():
            for views, function in zip(embedded[name], functions, strict=True):
                views[change] = np.asarray(function(shown), dtype=np.float64)
    return embedded


def table(embedded, *, k=6, seed=0):
    """Method, change, number of trainings, and the mean over them of `agreement`: a DataFrame."""
    lines = []
    for name, trainings in embedded.items():
        models = [fit_clusters(views["clean"], k=k, seed=seed) for views in trainings]
        pairs = list(zip(trainings, models, strict=True))
        for change in CHANGES:
            each = [agreement(views["clean"], views[change], model) for views, model in pairs]
            line = {"method": name, "change": change, "trainings": len(each)}
            lines.append(line | pd.DataFrame(each).mean().to_dict())
    return pd.DataFrame(lines)


def agreement(clean, other, model):
    """Whether changed images stay where the clean ones are: a dict.

    - recall_at_1: share of the changed images (N, D) whose nearest `clean` embedding is that of
      their own original (by chance 1/N);
    - ari: adjusted Rand index of their nearest centres in `model`, the k-means of the clean ones,
      and the clean clustering (1: nothing moves);
    - alignment.
    """
    nearest = search.neighbours(clean, 1, other)[0][:, 0]
    return {
        "recall_at_1": float((nearest == np.arange(len(clean))).mean()),
        "ari": float(adjusted_rand_score(model.labels_, model.predict(other))),
        "alignment": alignment(clean, other),
    }


def alignment(first, second):
    """Mean squared distance of paired embeddings (N, D) on the unit sphere, 0 to 4.

    arXiv 2005.10242, equation 3 with exponent 2; 0: each pair agrees.
    """
    return float(((normalize(first) - normalize(second)) ** 2).sum(axis=1).mean())


def remarks(table):
    """A sentence for each change: how the SSL fares, and which method finds most originals."""
    lines = []
    for change, part in table.groupby("change", sort=False):
        best = part.loc[part["recall_at_1"].idxmax()]
        own = part.set_index("method").loc["Proposed SSL"]
        lines.append(
            f"**{change}**: SSL finds {own['recall_at_1']:.0%} of the originals, "
            f"ARI {own['ari']:.2f}, alignment {own['alignment']:.3f}; "
            f"highest recall {best['recall_at_1']:.0%} ({best['method']})."
        )
    return lines


def drifts(embedded, *, seed=0):
    """`search.drift` from one half of the images, clean, to the other half after each change."""
    lines = []
    for name, (views, *_) in embedded.items():
        half = len(views["clean"]) // 2
        for change, points in views.items() if half > 1 else ():
            test = search.drift(views["clean"][:half], points[half:], seed=seed)
            lines.append({"method": name, "second batch": change} | test)
    return pd.DataFrame(lines)


def _scaled(function, images):
    scaler = StandardScaler().fit(np.float64(function(images)))
    return lambda shown: scaler.transform(np.float64(function(shown)))


def _projection(images, components):
    side = images.shape[1:]
    model = PCA(components, svd_solver="full").fit(np.float32(images).reshape(len(images), -1))

    def project(shown):
        if shown.shape[1:] != side:
            shown = [Image.fromarray(image).resize(side[::-1], BICUBIC) for image in shown]
        return model.transform(np.float32(shown).reshape(len(shown), -1))

    return project


def _grey(values):
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _noise(images, rng):
    """Gaussian, of standard deviation 6 where Carinthia's own is 2.1 to 2.4."""
    noisy = (image + 6 * rng.standard_normal(image.shape, dtype=np.float32) for image in images)
    return np.array([_grey(image) for image in noisy])


def _border(images, _):
    """A near-black strip at the right, 3 columns of 480 as Carinthia has it, and at the top."""
    width = max(1, round(images.shape[2] * 3 / 480))
    bordered = images.copy()
    bordered[:, :, -width:] = 8
    bordered[:, :width] = 8
    return bordered


def _brighter(images, _):
    return _grey(images + 26.0)  # 0.10, as a whole number of grey levels so that none merge


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
    "noise": _noise,
    "border artefact": _border,
    "brightness +0.10": _brighter,
    "JPEG quality 30": _jpeg,
    "rotation 5°": _rotated,
    "rotation 90°": lambda images, _: np.rot90(images, axes=(1, 2)),
}
