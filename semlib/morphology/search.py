"""The embedding as a tool: nearest and unusual images, drift, and what notebooks stored."""

import hashlib
import json
from pathlib import Path

import numpy as np
from scipy.spatial.distance import cdist
from sklearn.neighbors import NearestNeighbors

from semlib import paths
from semlib.images import databar, datasets, preprocess
from semlib.morphology.encoder import embed
from semlib.morphology.features import BASELINES
from semlib.morphology.recipes import load_encoder


def neighbours(points, count, query=None):
    """Indices and distances, each (M, count), of the `points` (N, D) nearest to `query` (M, D).

    Euclidean, exact, nearest first; `count` is cut to as many as there are. Without `query`: those
    of each point among all others, M = N.
    """
    available = len(points) - (query is None)  # a point is not its own neighbour
    model = NearestNeighbors(n_neighbors=min(count, available)).fit(points)
    distances, indices = model.kneighbors(query)
    return indices, distances


def unusualness(embeddings, *, count=5):
    """Mean distance of each embedding (N, D) to its `count` nearest others: (N,).

    Angiulli and Pizzuti 2002, doi 10.1007/3-540-45681-3_2. The mean over several keeps a pair of
    equal outliers from hiding each other.
    """
    return neighbours(embeddings, count)[1].mean(axis=1)


def drift(first, second, *, draws=500, seed=0):
    """Energy distance of two batches (N, D) and (M, D), with a permutation test: dict.

    ``E = 2 mean|x - y| - mean|x - x'| - mean|y - y'|`` is zero only for equal distributions
    (Szekely and Rizzo 2013, doi 10.1016/j.jspi.2013.03.018). null_q95 is its 95th percentile over
    `draws` permutations of the pooled batch; p the share that reach it, the observed one included.
    """
    sizes = len(first), len(second)
    pooled = np.concatenate([first, second]).astype(np.float64)
    distances = cdist(pooled, pooled)
    # E = -w' D w with weights 1/N and -1/M, so that a permutation of w is all that a draw needs
    weights = np.repeat([1 / sizes[0], -1 / sizes[1]], sizes)
    rng = np.random.default_rng(seed)
    orders = np.array([weights, *(rng.permutation(weights) for _ in range(draws))])
    energies = -((orders @ distances) * orders).sum(axis=1)
    reached = energies[1:] >= energies[0] * (1 - 1e-9)  # equal but for rounding counts
    return {
        "energy": float(energies[0]),
        "null_q95": float(np.quantile(energies[1:], 0.95)),
        "p": float((1 + reached.sum()) / (draws + 1)),
    }


def trainings(dataset, seed=0, method="paper"):
    """Folders of the trainings with seed, seed + 1, ... that have the settings of the first."""
    place = paths.of(dataset)
    folders = []
    settings = []
    folder = place.ssl(seed, method)
    while (folder / "embeddings.npy").exists():
        settings.append(json.loads((folder / "config.json").read_text()) | {"seed": None})
        if settings[-1] != settings[0]:
            break
        folders.append(folder)
        folder = place.ssl(seed + len(folders), method)
    if not folders:
        raise FileNotFoundError(f"{folder} holds no finished training: run notebook 04")
    return folders


def trainings_of_ours(dataset, seed=0):
    """`trainings` of our recipe that saw what the paper's saw; empty where there are none."""
    configs = [paths.of(dataset).ssl(seed, method) / "config.json" for method in ("paper", "ours")]
    if not all(file.exists() for file in configs):  # the profile paper trains the paper's alone
        return []
    paper, ours = (json.loads(file.read_text()) for file in configs)
    same = all(paper[name] == ours[name] for name in ("data", "levels", "epochs"))
    return trainings(dataset, seed, "ours") if same else []


def methods(dataset, seed=0):
    """Stored embeddings by method: the SSL as a list over trainings, a baseline as one (N, D)."""
    folders = trainings(dataset, seed)
    embeddings = {"Proposed SSL": [np.load(folder / "embeddings.npy") for folder in folders]}
    for name, method in BASELINES.items():
        file = paths.of(dataset).features(method)
        if not file.exists():
            raise FileNotFoundError(f"{file} is missing: run notebook 05")
        embeddings[name] = np.load(file)
    return embeddings


def similar(image, dataset, *, count=11, bar="auto", seed=0, out=None):
    """The images of a data set nearest to an image file, as a contact sheet and a CSV.

    A file of the data set itself is looked up; any other is preprocessed as they were and embedded.
    `bar` is its data bar, see `read.image`. Returns the table and `out`, both files without ending.
    """
    image = Path(image)
    paths.check_name(image)
    bar = databar.option(bar)  # before any file is opened
    place = paths.of(dataset)
    folder, embeddings, manifest, images = _prepared(dataset, seed)
    files = [(place.raw / path).resolve() for path in manifest["path"]]
    if image.resolve() in files:
        row = files.index(image.resolve())
        shown = images[row]
        pixel_nm = manifest["pixel_nm"].iloc[row]
        indices, distances = neighbours(embeddings, count)
    else:
        row = 0
        shown, pixel_nm = preprocess.like(image, dataset, bar=bar)
        query = embed(load_encoder(folder), shown[None], progress=False)
        indices, distances = neighbours(embeddings, count, query)
    out = Path(out or place.figures / f"similar_{image.stem}")
    query = [(f"query\n{image.name}", shown, pixel_nm)]
    return _write(out, dataset, manifest, images, indices[row], distances[row], query)


def outliers(dataset, *, count=18, neighbours=5, seed=0, out=None):
    """The images of largest `unusualness` in a data set, first the largest; else as `similar`."""
    _, embeddings, manifest, images = _prepared(dataset, seed)
    distances = unusualness(embeddings, count=neighbours)
    order = np.argsort(-distances, kind="stable")[:count]
    out = Path(out or paths.of(dataset).figures / "outliers")
    return _write(out, dataset, manifest, images, order, distances[order], [])


def _prepared(dataset, seed):
    folder = trainings(dataset, seed)[0]
    manifest = datasets.load_manifest(dataset)
    images = np.load(paths.of(dataset).level(0), mmap_mode="r")
    embeddings = np.load(folder / "embeddings.npy")
    pixel_nm = preprocess.settings(dataset)["pixel_nm"]
    trained_on = json.loads((folder / "config.json").read_text())["data"]
    same = len(embeddings) == len(images) == len(manifest) == len(pixel_nm)
    if not same or hashlib.sha256(images).hexdigest() != trained_on:
        raise ValueError(f"{dataset} mixes different runs: run notebooks 01 to 04 again")
    return folder, embeddings, manifest.assign(pixel_nm=pixel_nm), images


def _write(out, dataset, manifest, images, chosen, distances, query):
    """Write a contact sheet of the query, (title, image, pixel size), and the chosen images."""
    import matplotlib.pyplot as plt  # slow to import

    from semlib import plots, saving

    table = manifest.iloc[chosen][["image_id", "path", "label"]].assign(distance=distances)
    table = table.reset_index(drop=True)
    table.insert(0, "rank", table.index + 1)
    pictures = list(query)
    for line, i in zip(table.itertuples(), chosen, strict=True):
        title = f"{line.rank}. {line.image_id[:12]}\nlabel {line.label or '–'}, {line.distance:.3g}"
        pictures.append((title, images[i], manifest["pixel_nm"].iloc[i]))
    titles, shown, pixel_nm = zip(*pictures, strict=True)
    with plt.rc_context():
        saving.style()
        figure = plots.image_grid(shown, titles, pixel_nm=pixel_nm)
        stamp = {"ha": "right", "va": "top", "fontsize": 7, "color": "0.35"}
        figure.text(0.995, -0.005, saving.source(dataset), **stamp)
        with paths.atomic(out.with_name(f"{out.name}.png")) as temporary:
            figure.savefig(temporary)
        plt.close(figure)
    paths.write_text(out.with_name(f"{out.name}.csv"), table.to_csv(index=False))
    return table, out
