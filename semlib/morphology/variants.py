"""Which parts make up our recipe: chosen on one simulated set, reported on another.

``python -m semlib.morphology.variants`` writes ``ssl_variants.csv`` beside this file (the stored
table: ``--seeds 3``), which also holds recipes that were tried and dropped.
"""

import json
from dataclasses import replace
from pathlib import Path

import click
import numpy as np
import pandas as pd
import torch
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from semlib import paths, workers
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


def study(folder, count, *, size=128, names=tuple(VARIANTS), seeds, epochs):
    """Train the variants on both simulated sets of `count` images and score them and baselines.

    L0 has `size` pixels. Finished trainings, in ``<folder>/<set>/<variant>/seed-<s>``, are taken as
    they are. Images this small do not keep two cores busy, so each training has one core and
    several run at a time. Returns the `summary`.
    """
    processes = None if best_device() == "cpu" else 1  # a GPU trains one at a time
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
        trained = workers.spread(_trained, jobs, processes, 1)
        for line in tqdm(trained, total=len(jobs), desc="variants", unit="training"):
            lines.append({"set": set_name} | line)
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
    vectors = {}
    for name, method in features.TEXTURE.items():
        vectors[name] = clustering.standardise(method(images))
    for name in ("GLCM", "Wavelet"):
        points = torch.as_tensor(vectors[name], dtype=torch.float32)
        readout = Readout(points.shape[1]).fit(points).eval()
        vectors[f"{name} with readout"] = readout(points).numpy()
    vectors["PCA (raw pixels)"] = features.pca(images, components=min(128, len(images)))
    return vectors


def _trained(job):
    levels, labels, folder, name, seed, epochs = job
    place = folder / name.replace(",", "").replace(" ", "-") / f"seed-{seed}"
    options = {"method": VARIANTS[name], "seed": seed, "epochs": epochs, "labels": labels}
    with threadpool_limits(1):
        train.train(levels, place, **options, progress=False)
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
    """Set, method, seeds; mean over them of `SCORES` and seconds of a training; ``_sd``; why.

    `runs` has a row for each set, method and seed.
    """
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


def stored():
    """The `study` that comes with semlib."""
    return pd.read_csv(STORED)


@click.command()
@click.option("--seeds", default=5, show_default=True, help="Trainings of each recipe.")
@click.option("--out", type=click.Path(path_type=Path), default=STORED, help="Where to.")
def main(seeds, out):
    """Compare all recipes, 10 epochs on 400 images of each set; a killed run goes on."""
    folder = paths.of("synthetic").variants.with_name("ssl-variants-400-10")
    table = study(folder, 400, seeds=range(seeds), epochs=10)
    with paths.atomic(out) as temporary:
        table.round(4).to_csv(temporary, index=False)
    click.echo(table[["set", "method", *SCORES, "seconds"]].round(3).to_string())


if __name__ == "__main__":
    main()
