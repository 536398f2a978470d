"""Candidates for a better training recipe, compared under one budget: chosen on one simulated set, reported on another.

``python -m semlib.morphology.variants`` writes ``ssl_variants.csv`` beside this file (the stored table: ``--seeds 3``).
"""

import dataclasses
import json
from functools import partial
from pathlib import Path

import click
import numpy as np
import pandas as pd
import torch
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from semlib import paths
from semlib.images import preprocess, pyramid, simulator
from semlib.images.simulator import microscope
from semlib.morphology import controls, evaluate, features, recipe, train
from semlib.morphology.device import best_device
from semlib.morphology.encoder import Readout
from semlib.workers import spread

STORED = Path(__file__).with_name("ssl_variants.csv")
SCORES = ["nmi", "ari", "knn_macro", "probe", "silhouette", "silhouette_5", "rankme"]
BEAT = [
    "nmi",
    "ari",
    "knn_macro",
    "probe",
]  # against every row of Table 1; silhouette_5 against the paper's recipe
PAPER, OURS = recipe.METHODS["paper"], recipe.METHODS["ours"]
_ours = partial(dataclasses.replace, OURS)
VARIANTS = {  # name: recipe, why it was kept or dropped when `SETS["selection"]` was looked at
    "paper": (PAPER, "reference; its embedding follows brightness"),
    "paper, standardised": (dataclasses.replace(PAPER, standardise=True), "kept: brightness no longer decides"),
    "paper, standardised, max": (_ours(loss="cosine", changes=(), readout=False), "kept: keeps the small defect"),
    "ours without readout": (_ours(readout=False), "readout kept: common images fill most clusters without it"),
    "ours": (OURS, "the winner"),
    "ours, no changes": (_ours(changes=()), "dropped: NMI and ARI below those with all changes"),
    "ours, not masked": (_ours(changes=OURS.changes[:-1]), "mask kept: NMI and ARI lower without, probe higher"),
    "ours, not warped": (_ours(changes=("flip", "dose", "mask")), "warp kept: neighbours and probe worse without"),
    "ours, contrast": (_ours(changes=(*OURS.changes, "contrast")), "dropped: standardisation undoes it"),
    "ours, mean pooling": (_ours(pooling="mean"), "dropped: dilutes small defects"),
    "ours, attention": (_ours(pooling="attention"), "dropped: worse clusters and neighbours than the maximum"),
    "ours, cosine": (_ours(loss="cosine"), "dropped: clusters, neighbours and probe worse"),
    "ours, BYOL": (_ours(loss="byol"), "dropped: NMI and ARI below those with VICReg"),
    "ours, Barlow": (_ours(loss="barlow"), "dropped: no better than VICReg"),
    "ours, wider": (_ours(channels=(48, 96, 192)), "dropped: no better, for twice the arithmetic"),
    "paper with readout": (dataclasses.replace(PAPER, readout=True), "control: the readout alone"),
}  # fmt: skip


def simulated(name, count, *, size=128):
    """Pyramid and labels of the "selection" or the "report" set.

    Both are the teaching mix of defects. "selection" is seen by the simulator's own microscope; "report" has another
    seed, 400 instead of 480 pixels before resizing, half the electrons, more jitter, less correlated noise, brighter
    images and stronger JPEG compression.

    Parameters
    ----------
    name : {"selection", "report"}
    count : int
        Images, at least 72.
    size : int
        Side of L0 in pixels.

    Returns
    -------
    tuple of three uint8 arrays (N, s, s), int array (N,)

    Raises
    ------
    ValueError
        If the name is unknown or there are too few images.
    """
    if name not in SETS:
        raise ValueError(f"unknown set {name!r}: use one of {', '.join(SETS)}")
    images, labels = SETS[name](count)
    border = 4 * images.shape[1] // 480 + 1
    return pyramid.pyramid(
        np.stack([preprocess.preprocess(x, border=border, size=size) for x in images])
    ), labels


def _selection(count):
    batch = simulator.sample(count, seed=1001, mix="teaching")
    return batch.images, batch.labels


def _report(count):
    batch, rng = (
        simulator.sample(count, seed=2002, size=400, mix="teaching"),
        np.random.default_rng(2002),
    )
    shots = [
        microscope.acquire(1.1 * image, rng, dose=1200, jitter=0.2, correlation=0.25)
        for image in batch.clean
    ]
    return np.stack(
        [microscope.from_jpeg(microscope.to_jpeg(microscope.to_8bit(shot), 65)) for shot in shots]
    ), batch.labels


SETS = {"selection": _selection, "report": _report}


def compare(
    levels,
    labels,
    folder,
    *,
    seeds=range(2),
    epochs=10,
    names=tuple(VARIANTS),
    workers=None,
    progress=True,
):
    """Train every variant with every seed and score it beside the baselines.

    Images this small do not keep two cores busy, so each training has one core and several run at a time.

    Parameters
    ----------
    levels : sequence of uint8 array (N, H, W)
        L0 first.
    labels : sequence (N,)
        For the scores and the history only.
    folder : Path
        Trainings go to ``<variant>/seed-<s>`` below it; finished ones are taken as they are.
    seeds : sequence of int
    epochs : int
        The same for all.
    names : sequence of str
        Keys of `VARIANTS`.
    workers : int, optional
        Trainings at a time, one a CPU when not given; one on a GPU. The results do not depend on it.
    progress : bool

    Returns
    -------
    DataFrame
        One row a method and seed: method, seed, `SCORES`, seconds (training, NaN for baselines), why. silhouette_5 is
        that of the first five principal components at standard deviation 1, `controls.reduce`.
    """
    rows = []
    for name, embeddings in _baselines(levels[0]).items():
        rows += [
            {"method": name, "seed": s} | score(embeddings, labels, seed=s) | {"why": "baseline"}
            for s in seeds
        ]
    runs = [(name, s) for name in names for s in seeds]
    places = [folder / name.replace(",", "").replace(" ", "-") / f"seed-{s}" for name, s in runs]
    jobs = [
        (levels, labels, place, name, s, epochs)
        for place, (name, s) in zip(places, runs, strict=True)
    ]
    workers = 1 if best_device() != "cpu" else workers
    found = spread(_trained, jobs, workers, 1)
    rows += tqdm(found, total=len(jobs), desc="variants", unit="training", disable=not progress)
    return pd.DataFrame(rows)


def _trained(job):
    """One training of `compare` and its row."""
    levels, labels, place, name, seed, epochs = job
    chosen, why = VARIANTS[name]
    with threadpool_limits(1):
        train.train(
            levels, place, method=chosen, seed=seed, epochs=epochs, labels=labels, progress=False
        )
        scores = score(np.load(place / "embeddings.npy"), labels, seed=seed)
    cost = json.loads((place / "cost.json").read_text())["seconds"]
    return {"method": name, "seed": seed} | scores | {"seconds": cost, "why": why}


def score(embeddings, labels, *, seed=0):
    """`SCORES` of embeddings (N, D): dict."""
    found = evaluate.all_scores(embeddings, labels, seed=seed)
    found["silhouette_5"] = evaluate.cluster_scores(controls.reduce(embeddings), seed=seed)[
        "silhouette"
    ]
    return {name: found[name] for name in SCORES}


def _baselines(images):
    """The four baselines of Table 1, and two of them with our readout: what does that alone bring?"""
    found = {
        "GLCM": features.glcm(images),
        "LBP": features.lbp(images),
        "Wavelet": features.wavelet(images),
    }
    found = {name: evaluate.standardise(values) for name, values in found.items()}
    for name in ("GLCM", "Wavelet"):
        values = torch.as_tensor(found[name], dtype=torch.float32)
        found[f"{name} with readout"] = Readout(values.shape[1]).fit(values).eval()(values).numpy()
    return found | {"PCA (raw pixels)": features.pca(images, components=min(128, len(images)))}


def summary(runs):
    """Mean over seeds of the scores of `compare`, with standard deviations (``<score>_sd``): one row a method."""
    columns = [*SCORES, "seconds"]
    grouped = runs.groupby("method", sort=False)
    spread = grouped[SCORES].std(ddof=0).add_suffix("_sd")
    count = grouped["seed"].count().rename("seeds")
    return pd.concat(
        [count, grouped[columns].mean(), spread, grouped["why"].first()], axis=1
    ).reset_index()


def verdict(table):
    """Ours against the best of Table 1's five rows, score by score: score, ours, best, best_method, better.

    For silhouette_5 the paper's recipe alone is the rival.
    """
    means, rows = table.set_index("method"), []
    for name in [*BEAT, "silhouette_5"]:
        rivals = means.loc[[*evaluate.BASELINES, "paper"] if name in BEAT else ["paper"], name]
        ours = means.loc["ours", name]
        row = {"score": name, "ours": ours, "best": rivals.max(), "best_method": rivals.idxmax()}
        rows.append(row | {"better": bool(ours > rivals.max())})
    return pd.DataFrame(rows)


def study(
    folder, count=400, *, size=128, seeds=range(2), epochs=10, names=tuple(VARIANTS), progress=True
):
    """`summary` of both simulated sets, with the column set first; trainings go to ``<folder>/<set>``.

    Parameters as in `simulated` and `compare`.
    """
    tables = []
    for name in SETS:
        levels, labels = simulated(name, count, size=size)
        place = folder / name
        found = summary(
            compare(
                levels, labels, place, seeds=seeds, epochs=epochs, names=names, progress=progress
            )
        )
        tables.append(found.assign(set=name)[["set", *found.columns]])
    return pd.concat(tables, ignore_index=True)


def stored():
    """The table of ``python -m semlib.morphology.variants`` that comes with semlib, as `study` returns it."""
    return pd.read_csv(STORED)


@click.command()
@click.option(
    "--images", default=400, show_default=True, help="Simulated images in each of the two sets."
)
@click.option("--epochs", default=10, show_default=True, help="Passes over the images.")
@click.option("--seeds", default=5, show_default=True, help="Trainings of each recipe.")
@click.option(
    "--out", type=click.Path(path_type=Path), default=STORED, show_default="beside the module"
)
def main(images, epochs, seeds, out):
    """Compare all recipes on both simulated sets and write the table; a killed run goes on."""
    folder = paths.of("synthetic").variants.with_name(f"ssl-variants-{images}-{epochs}")
    result = study(folder, images, seeds=range(seeds), epochs=epochs)
    with paths.atomic(out) as temporary:
        result.round(4).to_csv(temporary, index=False)
    click.echo(result[["set", "method", *SCORES, "seconds"]].round(3).to_string())


if __name__ == "__main__":
    main()
