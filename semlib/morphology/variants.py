"""Which parts make up our recipe: chosen on one simulated set, reported on another.

``training/ssl_variants.py`` makes the larger comparison that is stored beside this file.
"""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from semlib import workers
from semlib.images import preprocess, pyramid, simulator
from semlib.images.simulator import microscope
from semlib.morphology import clustering, controls, features, recipes, train
from semlib.morphology.encoder import Readout, best_device

STORED = Path(__file__).with_name("ssl_variants.csv")
BEAT = ["nmi", "ari", "knn_macro", "probe"]  # scores on which ours is to beat all of Table 1
SCORES = [*BEAT, "silhouette", "silhouette_5", "rankme"]
PAPER = recipes.METHODS["paper"]
OURS = recipes.METHODS["ours"]
VARIANTS = {
    "paper": PAPER,
    "paper, standardised": replace(PAPER, standardise=True),
    "paper, standardised, max": replace(PAPER, standardise=True, pooling="max"),
    "ours without readout": replace(OURS, readout=False),
    "ours": OURS,
    "ours, no changes": replace(OURS, changes=()),
    "ours, not masked": replace(OURS, changes=("flip", "warp", "dose")),
    "ours, not warped": replace(OURS, changes=("flip", "dose", "mask")),
    "ours, mean pooling": replace(OURS, pooling="mean"),
    "ours, cosine": replace(OURS, loss="cosine"),
    "paper with readout": replace(PAPER, readout=True),
}
WHY = {  # each was kept or dropped when the set "selection" was looked at
    "paper": "reference; its embedding follows brightness",
    "paper, standardised": "kept: brightness no longer decides",
    "paper, standardised, max": "kept: keeps the small defect",
    "ours without readout": "readout kept: common images fill most clusters without it",
    "ours": "the winner",
    "ours, no changes": "dropped: NMI and ARI below those with all changes",
    "ours, not masked": "mask kept: NMI and ARI lower without, probe higher",
    "ours, not warped": "warp kept: neighbours and probe worse without",
    "ours, mean pooling": "dropped: dilutes small defects",
    "ours, cosine": "dropped: clusters, neighbours and probe worse",
    "paper with readout": "control: the readout alone",
}


def study(folder, count, *, names=tuple(VARIANTS), size=128, seeds, epochs):
    """`summary` of variants and baselines on both simulated sets of `count` images.

    L0 has `size` pixels. Finished trainings in `folder` are taken as they are.
    """
    lines = []
    for set_name, simulate in SETS.items():
        images, labels = simulate(count)
        border = 4 * images.shape[1] // 480 + 1
        images = [preprocess.preprocess(image, border=border, size=size) for image in images]
        levels = pyramid.pyramid(np.stack(images))
        for name, embeddings in _baselines(levels[0]).items():
            line = {"set": set_name, "method": name, "why": "baseline"}
            lines += [line | score(embeddings, labels, seed) for seed in seeds]
        place = folder / set_name
        jobs = [(levels, labels, place, name, seed, epochs) for name in names for seed in seeds]
        # images this small do not keep two cores busy: several trainings at a time, one on a GPU
        trained = workers.spread(_trained, jobs, None if best_device() == "cpu" else 1, 1)
        trained = tqdm(trained, total=len(jobs), desc="variants", unit="training")
        lines += [{"set": set_name} | line for line in trained]
    return summary(pd.DataFrame(lines))


def _selection(count):
    """The teaching mix of defects, at least 72 images, by the simulator's own microscope."""
    batch = simulator.sample(count, seed=1001, mix="teaching")
    return batch.images, batch.labels


def _report(count):
    """Another seed, fewer pixels, half the electrons, more jitter, brighter, stronger JPEG."""
    batch = simulator.sample(count, seed=2002, size=400, mix="teaching")
    rng = np.random.default_rng(2002)
    fast_scan = {"dose": 1200, "jitter": 0.2, "correlation": 0.25}
    shots = [microscope.acquire(1.1 * image, rng, **fast_scan) for image in batch.clean]
    files = [microscope.to_jpeg(microscope.to_8bit(shot), 65) for shot in shots]
    return np.stack([microscope.from_jpeg(file) for file in files]), batch.labels


SETS = {"selection": _selection, "report": _report}


def _baselines(images):
    """The baselines of Table 1, and two of them with our readout: what does that alone bring?"""
    texture = features.TEXTURE.items()
    vectors = {name: clustering.standardise(method(images)) for name, method in texture}
    for name in ("GLCM", "Wavelet"):
        points = torch.as_tensor(vectors[name], dtype=torch.float32)
        readout = Readout(points.shape[1]).fit(points).eval()
        vectors[f"{name} with readout"] = readout(points).numpy()
    vectors["PCA (raw pixels)"] = features.pca(images, components=min(128, len(images)))
    return vectors


def _trained(job):
    levels, labels, folder, name, seed, epochs = job
    place = folder / name.replace(",", "").replace(" ", "-") / f"seed-{seed}"
    options = {"seed": seed, "epochs": epochs, "labels": labels, "progress": False}
    with threadpool_limits(1):
        train.train(levels, place, method=VARIANTS[name], **options)
        scores = score(np.load(place / "embeddings.npy"), labels, seed)
    cost = json.loads((place / "cost.json").read_text())
    return {"method": name, "why": WHY[name]} | scores | cost


def score(embeddings, labels, seed):
    """`SCORES` of embeddings (N, D); silhouette_5 is that of `controls.reduce`: dict."""
    _, scores = clustering.measure(embeddings, labels, seed=seed)
    equal = clustering.cluster_scores(controls.reduce(embeddings), seed=seed)
    scores["silhouette_5"] = equal["silhouette"]
    return {name: scores[name] for name in SCORES}


def summary(runs):
    """Mean and deviation over the seeds of each set and method, which have a row each in `runs`."""
    grouped = runs.groupby(["set", "method"], sort=False)
    parts = [grouped.size().rename("seeds"), grouped[[*SCORES, "seconds"]].mean()]
    parts += [grouped[SCORES].std(ddof=0).add_suffix("_sd"), grouped["why"].first()]
    return pd.concat(parts, axis=1).reset_index()


def verdicts(table):
    """Ours against the best of Table 1's rows (silhouette_5: the paper's recipe) for each set."""
    lines = []
    for name, part in table.groupby("set", sort=False):
        means = part.set_index("method")
        for column in [*BEAT, "silhouette_5"]:
            names = [*features.BASELINES, "paper"] if column in BEAT else ["paper"]
            rivals = means.loc[names, column]
            ours = means.loc["ours", column]
            lines.append([name, column, ours, rivals.max(), rivals.idxmax(), ours > rivals.max()])
    names = ["set", "score", "ours", "best", "best_method", "better"]
    return pd.DataFrame(lines, columns=names)
