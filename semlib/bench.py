"""``python -m semlib.bench``: each fast path beside its plain reference, in one run, with the same values.

A stage is a function that makes its input and returns a `Case`; add one to `STAGES` to have it measured.
"""

import io
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from semlib import paths


@dataclass
class Case:
    """One comparison: two functions without arguments that give the same array."""

    stage: str
    reference_name: str
    reference: Callable
    ours: Callable
    unit: str  # what `count` counts
    count: int
    tolerance: float  # largest absolute difference that counts as equal


def example_images(count, size):
    """Random textures, uint8 (count, size, size): smooth in part, so that ties and equal neighbours occur."""
    rng = np.random.default_rng(0)
    walk = np.cumsum(rng.normal(size=(count, size, size)), axis=2)
    return (128 + 3 * walk).clip(0, 255).astype(np.uint8)


def preprocessing():
    """Decode, crop, resize and downsample 64 JPEG images of 480 x 480."""
    from PIL import Image
    from skimage.transform import downscale_local_mean

    from semlib.images import preprocess, pyramid

    files = []
    for image in example_images(64, 480):
        files.append(io.BytesIO())
        Image.fromarray(image).save(files[-1], "JPEG", quality=80)

    def reference():
        levels = []
        for file in files:
            image = np.array(Image.open(file).convert("L"))[4:-4, 4:-4]
            fine = np.array(Image.fromarray(image).resize((512, 512), Image.Resampling.BICUBIC))
            means = [downscale_local_mean(fine.astype(float), (s, s)) for s in (2, 4)]
            levels.append([np.floor(mean + 0.5).astype(np.uint8) for mean in means])
        return np.array([level[1] for level in levels])

    def ours():
        level0 = np.stack([preprocess.preprocess(preprocess.decode(file)) for file in files])
        return pyramid.pyramid(level0)[2]

    return Case("decode, crop, resize, pyramid", "Pillow + scikit-image", reference, ours, "images", 64, 0)


def glcm():
    """Five GLCM properties, four angles, 256 levels, 512 x 512."""
    from skimage.feature import graycomatrix, graycoprops

    from semlib.morphology import features

    images = example_images(24, 512)
    angles = np.deg2rad([0, 45, 90, 135])
    names = ("contrast", "dissimilarity", "homogeneity", "energy", "correlation")

    def reference():
        matrices = [graycomatrix(image, [1], angles, 256, symmetric=True, normed=True) for image in images]
        return np.array([[graycoprops(matrix, name).mean() for name in names] for matrix in matrices])

    return Case(
        "GLCM", "scikit-image", reference, lambda: features.glcm(images, progress=False), "images", len(images), 1e-3
    )


def lbp():
    """Uniform LBP histograms, 512 x 512."""
    from skimage.feature import local_binary_pattern

    from semlib.morphology import features

    images = example_images(24, 512)

    def reference():
        codes = [local_binary_pattern(image, 8, 1, "uniform").astype(int) for image in images]
        return np.array([np.bincount(code.ravel(), minlength=10) / code.size for code in codes])

    return Case("LBP", "scikit-image", reference, lambda: features.lbp(images, progress=False), "images", 24, 1e-6)


def pca():
    """PCA of 256 x 256 pixels to 64 components; distances between images, since signs are free."""
    from scipy.spatial.distance import pdist
    from sklearn.decomposition import PCA

    from semlib.morphology import features

    images = example_images(400, 256)

    def reference():
        return pdist(PCA(64, svd_solver="full").fit_transform(images.reshape(400, -1).astype(np.float32)))

    def ours():
        return pdist(features.pca(images, components=64, progress=False))

    return Case("PCA of raw pixels", "scikit-learn, full SVD", reference, ours, "images", len(images), 1.0)


def trust_profile():
    """PSNR, SSIM, FSIM and DISTS of eight candidates against one reference, 512 x 512."""
    import piq
    import torch

    from semlib.semnr import metrics

    clean = example_images(1, 512)[0] / np.float32(255)
    noise = np.random.default_rng(1).normal(size=(8, 512, 512))
    candidates = np.clip(clean + 0.02 * np.arange(1, 9)[:, None, None] * noise, 0, 1).astype(np.float32)
    tensors = [torch.from_numpy(image)[None, None] for image in (clean, *candidates)]
    missing = metrics.Reference(clean).without_dists
    dists = None if missing else _piq_dists()

    def pair(a, b):
        values = [piq.psnr(a, b), piq.ssim(a, b, downsample=False), piq.fsim(a, b, chromatic=False)]
        values += [dists(a.expand(-1, 3, -1, -1), b.expand(-1, 3, -1, -1))] if dists else []
        return [value.item() for value in values]

    def reference():
        with torch.inference_mode():
            return [pair(tensors[0], other) for other in tensors[1:]]

    def ours():
        known = metrics.Reference(clean)
        names = ("psnr", "ssim", "fsim", "dists")[: 4 if dists else 3]
        found = [known.scores(candidate) for candidate in candidates]
        return [[one[name] for name in names] for one in found]

    name = "trust profile" if dists else "trust profile, no DISTS"
    return Case(name, "piq, pair by pair", reference, ours, "candidates", len(candidates), 1e-4)


def _piq_dists():
    """piq's DISTS with the weights of `semlib.weights` instead of its own download."""
    from unittest import mock

    import piq
    import torch
    from torchvision.models import vgg16

    from semlib import weights

    network = vgg16(weights=None)
    network.load_state_dict({k: torch.from_numpy(v) for k, v in weights.load("vgg16").items()}, strict=False)
    coefficients = {name: torch.from_numpy(values) for name, values in weights.load("dists").items()}
    with (
        mock.patch.object(torch.hub, "load_state_dict_from_url", lambda *_, **__: coefficients),
        mock.patch.object(piq.perceptual, "vgg16", lambda **_: network),
    ):
        return piq.DISTS().eval()


STAGES = [preprocessing, glcm, lbp, pca, trust_profile]


def measure(case, repeats=3):
    """Time both functions of a case alternately; best of `repeats`, and the largest difference of their values."""
    seconds = {"reference": [], "ours": []}
    for _ in range(repeats):
        values = {}
        for name in seconds:
            start = time.perf_counter()
            values[name] = np.asarray(getattr(case, name)(), dtype=float)
            seconds[name].append(time.perf_counter() - start)
    difference = float(np.abs(values["reference"] - values["ours"]).max())
    best = {name: min(times) for name, times in seconds.items()}
    return {
        "stage": case.stage, "reference": case.reference_name, "reference_seconds": best["reference"],
        "ours_seconds": best["ours"], "ratio": best["reference"] / best["ours"],
        f"{case.unit}_per_second": case.count / best["ours"],
        "difference": difference, "tolerance": case.tolerance, "equal": difference <= case.tolerance,
    }  # fmt: skip


def main():
    """Measure every stage, print a table and write ``figures/bench.json``; exit code 1 if values differ."""
    rows = [measure(stage()) for stage in tqdm(STAGES, desc="bench", unit="stage")]
    print(f"{'stage':32}{'reference':26}{'reference s':>12}{'ours s':>9}{'ratio':>7}  values")
    for row in rows:
        equal = "equal" if row["equal"] else "DIFFER"
        numbers = f"{row['reference_seconds']:12.2f}{row['ours_seconds']:9.2f}{row['ratio']:7.1f}"
        print(f"{row['stage']:32}{row['reference']:26}{numbers}  {equal} ({row['difference']:.1e})")
    machine = {"cpu_count": os.cpu_count(), "machine": platform.machine(), "python": platform.python_version()}
    with paths.atomic(paths.figures_root() / "bench.json") as temporary:
        temporary.write_text(json.dumps({"machine": machine, "stages": rows}, indent=1) + "\n")
    return int(not all(row["equal"] for row in rows))


if __name__ == "__main__":
    sys.exit(main())
