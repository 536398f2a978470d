"""Texture features, PCA of pixels, clusters and two-dimensional views."""

import os
import subprocess
import sys

import numpy as np
import pytest
import pywt
from scipy.spatial.distance import pdist
from skimage.feature import graycomatrix, graycoprops, local_binary_pattern
from sklearn import manifold
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_mutual_info_score, adjusted_rand_score, silhouette_score

from benchmarks.inputs import embeddings, images, size
from semlib import paths
from semlib.morphology import clustering, features

TEXTURES = images(size(64, 2), size(512, 32))


def glcm(image):
    """Five properties, four angles, 256 levels."""
    angles = np.deg2rad([0, 45, 90, 135])
    matrix = graycomatrix(image, [1], angles, 256, symmetric=True, normed=True)
    names = ("contrast", "dissimilarity", "homogeneity", "energy", "correlation")
    return [graycoprops(matrix, name).mean() for name in names]


def lbp(image):
    """Histogram of uniform local binary patterns."""
    codes = local_binary_pattern(image, 8, 1, "uniform").astype(int)
    return np.bincount(codes.ravel(), minlength=10) / codes.size


def wavelet(image):
    """Mean absolute value and deviation of the subbands of db2, two levels."""
    coarse, *levels = pywt.wavedec2(image / 1.0, "db2", level=2)
    bands = [coarse, *(band for level in levels for band in level)]
    return [value for band in bands for value in (np.abs(band).mean(), band.std())]


@pytest.mark.parametrize(
    ("plain", "library", "tolerance"),
    [(glcm, "scikit-image", 1e-6), (lbp, "scikit-image", 1e-6), (wavelet, "PyWavelets", 1e-4)],
)
def test_texture(compare, plain, library, tolerance):
    def reference():
        return [plain(image) for image in TEXTURES]

    def ours():
        return getattr(features, plain.__name__)(TEXTURES)

    compare(plain.__name__, library, reference, ours, len(TEXTURES), tolerance)


def variance(scores):
    """How much of it the components explain."""
    return np.square(scores, dtype=np.float64).sum() / len(scores)


@pytest.mark.parametrize(
    ("solver", "count", "judge"),
    [
        ("full", size(400, 12), {"check": pdist}),  # the signs of components are free
        ("randomized", size(1000, 40), {"better": variance}),
    ],
)
def test_pca_of_pixels(compare, tmp_path, solver, count, judge):
    components = size(64, 4)
    np.save(tmp_path / "images.npy", images(count, size(256, 16)))
    textures = np.load(tmp_path / "images.npy", mmap_mode="r")  # as after preprocessing

    def reference():
        pixels = textures.reshape(count, -1).astype(np.float32)
        return PCA(components, svd_solver=solver, random_state=0).fit_transform(pixels)

    def ours():
        return features.pca(textures, components=components)

    names = (f"PCA of {count} images' pixels", f"scikit-learn, {solver}")
    compare(*names, reference, ours, count, 1e-4, **judge, rounds=2)


def test_clusters_and_scores(compare):
    """k-means with ten starts and scores of Table 1; scikit-learn does the work on both sides."""
    vectors, labels = embeddings(size(2000, 90))

    def reference():
        assigned = KMeans(6, n_init=10, random_state=0).fit_predict(vectors.astype(np.float64))
        scores = (adjusted_mutual_info_score, adjusted_rand_score)
        return [silhouette_score(vectors, assigned), *(score(labels, assigned) for score in scores)]

    def ours():
        scores = clustering.cluster_scores(vectors, labels)
        return [scores[name] for name in ("silhouette", "ami", "ari")]

    compare("k-means and scores", "scikit-learn", reference, ours, len(vectors), 1e-6)


@pytest.mark.parametrize(
    ("name", "library", "plain"),
    [("umap", "umap-learn", "umap.UMAP"), ("tsne", "scikit-learn", "sklearn.manifold.TSNE")],
)
def test_view(compare, tmp_path, name, library, plain):
    """A layout in a new interpreter, whose start counts."""
    vectors = embeddings(size(1000, 90))[0]
    np.save(tmp_path / "vectors.npy", vectors)

    def run(program):
        lines = ["import numpy", "vectors = numpy.load('vectors.npy')", program]
        lines += ["numpy.save('layout.npy', layout)", "from benchmarks.memory import resident"]
        command = [sys.executable, "-c", "\n".join([*lines, "print(resident('VmHWM'))"])]
        environment = os.environ | {"PYTHONPATH": str(paths.ROOT)}
        peak = subprocess.check_output(command, cwd=tmp_path, env=environment)
        return np.load(tmp_path / "layout.npy"), float(peak)

    def reference():
        module = plain.rpartition(".")[0]
        return run(f"import {module}; layout = {plain}().fit_transform(vectors)")

    def ours():
        call = f"layout = views.{name}(vectors)"
        return run(f"from semlib.morphology import layout as views; {call}")

    def trustworthiness(result):
        return manifold.trustworthiness(vectors, result[0], n_neighbors=15)

    def memory(result):
        return result[1]

    names = (f"{name}, new process", f"{library}, defaults")
    options = {"better": trustworthiness, "memory": memory, "rounds": 2}
    compare(*names, reference, ours, len(vectors), 0.02, **options)
