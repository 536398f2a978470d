"""Does an embedding keep an image's identity when the image is damaged?

Sci Rep 2026, section 5.5, claims so; here each changed image is looked up among the clean ones.
"""

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
from semlib.images.simulator.microscope import from_jpeg, to_jpeg
from semlib.morphology import features, search
from semlib.morphology.clustering import fit_clusters
from semlib.morphology.encoder import embed


def extractors(images, encoders, *, components=64):
    """Functions from images (N, H, W) of any size to embeddings (N, D), by (method, training).

    Standardisation and PCA (of `components`, at most N) are fitted to the clean `images`.
    `encoders` has a list of each trained method's encoders.
    """
    functions = {}
    for name, function in features.TEXTURE.items():
        functions[name, 0] = _scaled(partial(function, progress=False), images)
    functions["PCA (raw pixels)", 0] = _projection(images, min(components, len(images)))
    for name, trained in encoders.items():
        for training, encoder in enumerate(trained):
            functions[name, training] = partial(embed, encoder, progress=False)
    return functions


def _scaled(function, images):
    scaler = StandardScaler().fit(np.float64(function(images)))
    return lambda shown: scaler.transform(np.float64(function(shown)))


def _projection(images, components):
    height, width = images.shape[1:]
    model = PCA(components, svd_solver="full").fit(np.float32(images).reshape(len(images), -1))

    def project(shown):
        if shown.shape[1:] != (height, width):  # raw pixels alone need images of one size
            bicubic = Image.Resampling.BICUBIC
            shown = [Image.fromarray(image).resize((width, height), bicubic) for image in shown]
        return model.transform(np.float32(shown).reshape(len(shown), -1))

    return project


def embed_all(functions, images, *, seed=0):
    """Embeddings by `extractors`: (method, training) -> {"clean" or key of `CHANGES`: (N, D)}."""
    embedded = {key: {} for key in functions}
    for change in tqdm(["clean", *CHANGES], "robustness", unit="change"):
        shown = images
        if change != "clean":
            shown = np.ascontiguousarray(CHANGES[change](images, np.random.default_rng(seed)))
        for key, function in functions.items():
            embedded[key][change] = np.asarray(function(shown), dtype=np.float64)
    return embedded


def table(embedded, *, k=6, seed=0):
    """Method, change, trainings, and the mean over them of `agreement`: a DataFrame."""
    lines = []
    for (name, _), views in embedded.items():
        model = fit_clusters(views["clean"], k=k, seed=seed)
        for change in CHANGES:
            line = {"method": name, "change": change}
            lines.append(line | agreement(views["clean"], views[change], model))
    grouped = pd.DataFrame(lines).groupby(["method", "change"], sort=False)
    trainings = grouped.size().rename("trainings")
    return pd.concat([trainings, grouped.agg(pd.Series.mean)], axis=1).reset_index()


def agreement(clean, other, model):
    """Whether changed images stay where the clean ones are: a dict.

    - recall_at_1: share of changed images whose nearest `clean` embedding is their own original's;
    - ari: adjusted Rand index of their nearest centres in `model`, the k-means of the clean ones,
      and the clean clustering (1: nothing moves);
    - alignment: mean squared distance of pairs on the unit sphere, 0 to 4 (arXiv 2005.10242,
      equation 3 with exponent 2).
    """
    nearest = search.neighbours(clean, 1, other)[0][:, 0]
    return {
        "recall_at_1": float((nearest == np.arange(len(clean))).mean()),
        "ari": float(adjusted_rand_score(model.labels_, model.predict(other))),
        "alignment": float(((normalize(clean) - normalize(other)) ** 2).sum(axis=1).mean()),
    }


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
    for (name, training), views in embedded.items():
        half = len(views["clean"]) // 2
        if training == 0 and half > 1:
            for change, points in views.items():
                test = search.drift(views["clean"][:half], points[half:], seed=seed)
                lines.append({"method": name, "second batch": change} | test)
    return pd.DataFrame(lines)


def _grey(values):
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _border(images, _):  # at the right, 3 columns of 480 as Carinthia has it, and at the top
    width = max(1, round(images.shape[2] * 3 / 480))
    bordered = images.copy()
    bordered[:, :, -width:] = 8
    bordered[:, :width] = 8
    return bordered


ROTATION = {"angle": 5, "axes": (1, 2), "reshape": False, "order": 1, "mode": "reflect"}
CHANGES = {  # kinds and strengths are our choice
    "half size": lambda images, _: pyramid(images)[1],
    "quarter size": lambda images, _: pyramid(images)[2],
    # standard deviation 6 where Carinthia's own is 2.1 to 2.4
    "noise": lambda x, rng: _grey(x + 6 * rng.standard_normal(x.shape, dtype=np.float32)),
    "border artefact": _border,
    # 0.10 as a whole number of grey levels, so that none merge
    "brightness +0.10": lambda images, _: _grey(images + 26.0),
    "JPEG quality 30": lambda images, _: np.array([from_jpeg(to_jpeg(x, 30)) for x in images]),
    "rotation 5°": lambda images, _: ndimage.rotate(images, **ROTATION),
    "rotation 90°": lambda images, _: np.rot90(images, axes=(1, 2)),
}
