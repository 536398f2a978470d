"""Cases of images and baselines: preprocessing, textures, PCA of pixels, simulator."""

import os
import tempfile
from pathlib import Path
from unittest import mock

import numpy as np

from semlib.bench.case import Case, example_images


def preprocess(count=256, size=480, side=512):
    """Decode JPEG files, crop, resize and downsample twice, from files to files."""
    from PIL import Image
    from skimage.transform import downscale_local_mean

    from semlib.images import datasets, preprocess, pyramid

    folder = Path(tempfile.mkdtemp())
    raw = folder / "images"
    raw.mkdir()
    for i, image in enumerate(example_images(count, size)):
        Image.fromarray(image).save(raw / f"{i:05}.jpg", quality=80)
    with mock.patch.dict(os.environ, SEMLIB_DATA=str(folder)):
        datasets.manifest(raw)

    def reference():
        levels = [[], [], []]
        for file in sorted(raw.iterdir()):
            image = np.array(Image.open(file).convert("L"))[4:-4, 4:-4]
            fine = np.array(Image.fromarray(image).resize((side, side), Image.Resampling.BICUBIC))
            means = [downscale_local_mean(fine.astype(float), (s, s)) for s in (2, 4)]
            for level, values in zip(levels, [fine, *means], strict=True):
                level.append(np.floor(values + 0.5).astype(np.uint8))
        files = [folder / f"reference{k}.npy" for k in range(3)]
        for file, level in zip(files, levels, strict=True):
            np.save(file, np.stack(level))
        return files

    def ours():
        with mock.patch.dict(os.environ, SEMLIB_DATA=str(folder)):
            return [preprocess.preprocess_dataset(raw, size=side), *pyramid.build_pyramid(raw)]

    return Case(
        "decode, preprocess, pyramid", "Pillow + scikit-image", reference, ours, "images", count, 0,
        check=lambda files: np.concatenate([np.load(file).ravel() for file in files]),
    )  # fmt: skip


def glcm(count=64, size=512):
    """Five GLCM properties, four angles, 256 levels."""
    from skimage.feature import graycomatrix, graycoprops

    from semlib.morphology import features

    images = example_images(count, size)
    angles = np.deg2rad([0, 45, 90, 135])
    names = ("contrast", "dissimilarity", "homogeneity", "energy", "correlation")

    def reference():
        matrices = (
            graycomatrix(image, [1], angles, 256, symmetric=True, normed=True) for image in images
        )
        return np.array(
            [[graycoprops(matrix, name).mean() for name in names] for matrix in matrices]
        )

    def ours():
        return features.glcm(images, progress=False)

    return Case("GLCM", "scikit-image", reference, ours, "images", count, 1e-6)


def lbp(count=64, size=512):
    """Histograms of uniform local binary patterns."""
    from skimage.feature import local_binary_pattern

    from semlib.morphology import features

    images = example_images(count, size)

    def reference():
        codes = (local_binary_pattern(image, 8, 1, "uniform").astype(int) for image in images)
        return np.array([np.bincount(code.ravel(), minlength=10) / code.size for code in codes])

    return Case(
        "LBP",
        "scikit-image",
        reference,
        lambda: features.lbp(images, progress=False),
        "images",
        count,
        1e-6,
    )


def wavelet(count=64, size=512):
    """Mean absolute value and deviation of the subbands of db2, two levels."""
    import pywt

    from semlib.morphology import features

    images = example_images(count, size)

    def reference():
        rows = []
        for image in images:
            coarse, *levels = pywt.wavedec2(image / 1.0, "db2", level=2)
            bands = [coarse, *(band for level in levels for band in level)]
            rows.append([value for band in bands for value in (np.abs(band).mean(), band.std())])
        return np.array(rows)

    return Case(
        "wavelet",
        "PyWavelets, loop",
        reference,
        lambda: features.wavelet(images, progress=False),
        "images",
        count,
        1e-4,
    )


def pca(count=400, size=256, components=64):
    """Exact PCA of all pixels."""
    from scipy.spatial.distance import pdist
    from sklearn.decomposition import PCA

    from semlib.morphology import features

    images = example_images(count, size)

    def reference():
        return PCA(components, svd_solver="full").fit_transform(
            images.reshape(count, -1).astype(np.float32)
        )

    def ours():
        return features.pca(images, components=components, progress=False)

    return Case(
        "PCA of all pixels, exact", "scikit-learn, full SVD", reference, ours, "images", count, 1e-4,
        check=pdist, compared="distances between images", work=_gram(count, size),
    )  # fmt: skip


def pca_randomised(count=1000, size=256, components=128, block=64):
    """PCA of all pixels against the approximate solver; the images lie on the disk, as after preprocessing."""
    from sklearn.decomposition import PCA

    from semlib.morphology import features

    file = tempfile.mkdtemp() + "/level0.npy"
    images = np.lib.format.open_memmap(file, "w+", np.uint8, (count, size, size))
    rng, walks = np.random.default_rng(0), example_images(block, size)
    for start in range(0, count, block):
        rows = images[start : start + block]
        rows[:] = np.roll(walks, rng.integers(size, size=2), axis=(1, 2))[: len(rows)] // 2
        rows += rng.integers(128, size=rows.shape, dtype=np.uint8)
    del images, rows
    images = np.load(file, mmap_mode="r")

    def reference():
        pixels = images.reshape(count, -1).astype(np.float32)
        return PCA(components, svd_solver="randomized", random_state=0).fit_transform(pixels)

    def ours():
        return features.pca(images, components=components, progress=False)

    return Case(
        "PCA of all pixels", "scikit-learn, randomised", reference, ours, "images", count, 1e-4,
        check=lambda scores: np.square(scores, dtype=np.float64).sum() / count, compared="variance explained",
        quality=True, work=_gram(count, size),
    )  # fmt: skip


def _gram(count, size):
    """Operations of half of the symmetric Gram matrix, and bytes: uint8 read, float32 written, centred and read."""
    pixels = count * size**2
    return count * pixels, (1 + 4 * 4) * pixels


def simulate(count=60, size=480):
    """Images of the film preset, with masks."""
    from semlib.images import simulator

    folder = Path(tempfile.mkdtemp())

    def reference():
        return simulator.sample(count, seed=0, preset="carinthia", size=size).images

    def ours():
        name = folder / f"{len(list(folder.iterdir()))}"
        return np.load(
            simulator.write_arrays(name, count, seed=0, preset="carinthia", size=size)
            / "images.npy"
        )

    return Case("simulator", "one process", reference, ours, "images", count, 0)
