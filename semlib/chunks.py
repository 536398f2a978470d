"""The chunks of `semlib.bulk`: what is computed for one, its file, and clusters over all of them.

A file that cannot be used leaves its row empty (NaN; 0 in images) and its reason in the record.
"""

import hashlib
import json
from functools import cache, lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.cluster import MiniBatchKMeans
from sklearn.metrics import silhouette_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from tqdm import tqdm

from semlib import paths
from semlib.images import read
from semlib.images.preprocess import preprocess
from semlib.morphology import clustering, features, layout, recipes
from semlib.morphology.encoder import embed
from semlib.semnr import dists, inputs, page, trust


def settings(stage, columns, encoder):
    """What the values of a stage depend on besides images and preprocessing."""
    own = {"stage": stage, "code": _code()}
    if stage == "embed":
        if encoder is None:
            raise ValueError("embed needs --encoder: the folder of a finished training")
        own["encoder"] = paths.sha256(Path(encoder) / "encoder.safetensors")
    if stage == "profile":
        noisy = [f"noisy_{name}" for name in page.COLUMNS if "noisy" in columns]
        own |= {"dists": dists.unavailable() is None, "columns": [*page.COLUMNS, *noisy]}
    return own


@cache
def _code():
    files = sorted(Path(__file__).parent.rglob("*.py"))
    return hashlib.sha256("".join(map(paths.sha256, files)).encode()).hexdigest()


def compute(job):
    """Write the files of a chunk that are not there yet; returns the stages that were computed."""
    files = [[name and Path(job["root"], name) for name in row] for row in job["rows"]]
    stats = [[file.stat() if file and file.exists() else None for file in row] for row in files]
    times = [[stat and (stat.st_size, stat.st_mtime_ns) for stat in row] for row in stats]
    missing = {}
    for stage, own in job["stages"].items():
        if not settings(stage, own["files"], job["encoder"]).items() <= own.items():
            raise ValueError("this worker has other semlib code, encoder or DISTS than the others")
        text = json.dumps([own, job["rows"], times], sort_keys=True)
        key = hashlib.sha256(text.encode()).hexdigest()
        record = Path(job["out"], stage, f"{job['index']:08d}.json")
        if not (record.exists() and json.loads(record.read_text())["key"] == key):
            missing[stage] = key
    if missing:
        values_of = _profiles if "profile" in missing else _features
        for stage, values, bad in values_of(files, missing, job):
            write(Path(job["out"], stage), job["index"], missing[stage], values, bad)
    return list(missing)


def _features(files, stages, job):
    """Yield stage, values and {row: reason} of unusable images; each image is decoded once."""
    own = job["stages"][next(iter(stages))]
    options = {name: own[name] for name in ("border", "size", "intensity")}
    images = np.zeros((len(files), own["size"], own["size"]), np.uint8)
    bad = {}
    for row, (file,) in enumerate(files):
        try:
            picture = read.image(file, bar=own["bar"])
            levels = picture.uint8(by_quantiles=own["range"] == "quantiles")
            images[row] = preprocess(levels, **options)
        except (ValueError, OSError) as error:
            bad[row] = str(error)
    for stage in stages:
        if stage == "preprocess":
            values = images
        elif stage == "embed":
            encoder = _encoder(job["encoder"], job["stages"]["embed"]["encoder"])
            values = embed(encoder, images, progress=False)
        else:  # image by image, that is in one thread: Dask has work for the other cores
            function = getattr(features, stage)
            values = np.concatenate([function(image[None], progress=False) for image in images])
        values[list(bad)] = 0 if stage == "preprocess" else np.nan
        yield stage, values, bad


@lru_cache(1)
def _encoder(folder, _digest):
    return recipes.load_encoder(Path(folder))


def _profiles(files, _stages, job):
    own = job["stages"]["profile"]
    values = np.full((len(files), len(own["columns"])), np.nan)
    bad = {}
    for row, named in enumerate(files):
        file = dict(zip(own["files"], named, strict=True))
        try:
            loaded = inputs.load(**file, bar=own.get("bar", "auto"))
            mask = None if loaded.mask is None else loaded.mask.tobytes()
            truth = loaded.images["reference"]
            reference = _reference(truth.shape, truth.tobytes(), mask)
            names = [name for name in ("restored", "noisy") if name in loaded.images]
            profiles = [trust.profile(reference, loaded.images[name]) for name in names]
            numbers = [profile[name] for profile in profiles for name in page.COLUMNS]
            values[row, : len(numbers)] = numbers
        except (ValueError, OSError) as error:
            bad[row] = str(error)
    yield "profile", values, bad


@lru_cache(1)
def _reference(shape, image, mask):
    """The reference of the row before may serve again, if its pixels and range are the same."""
    marked = None if mask is None else np.frombuffer(mask, bool).reshape(shape)
    return trust.Reference(np.frombuffer(image, np.float32).reshape(shape).copy(), mask=marked)


def write(folder, index, key, values, bad):
    """Write ``<index>.npy``, then its record, which so never lies beside values of another key."""
    record = folder / f"{index:08d}.json"
    record.unlink(missing_ok=True)
    with paths.atomic(record.with_suffix(".npy")) as temporary:
        np.save(temporary, values)
    paths.write_text(record, json.dumps({"key": key, "rows": len(values), "bad": bad}, indent=1))


class Chunks:
    """The finished chunks in a folder OUT/STAGE: `count`, of `size` rows each, `rows` in all."""

    def __init__(self, folder):
        self.folder = Path(folder)
        total = json.loads((self.folder / "complete.json").read_text())
        self.rows = total["rows"]
        self.count = total["chunks"]
        self.size = json.loads((self.folder / "settings.json").read_text())["chunk"]

    def load(self, index):
        return np.load(self.folder / f"{index:08d}.npy", mmap_mode="r")

    def finite(self, order, title):
        """Yield row numbers and float64 values of chunks in this order, without rows of NaN."""
        for index in tqdm(order, title, unit="chunk"):
            values = self.load(index)
            good = np.isfinite(values).all(axis=1)
            if good.any():
                yield index * self.size + np.flatnonzero(good), values[good].astype(np.float64)

    def sample(self, count, rng):
        """Numbers, ascending, and float64 values of random rows, without rows of NaN."""
        rows = np.sort(rng.choice(self.rows, min(count, self.rows), replace=False))
        owner = rows // self.size
        parts = [self.load(i)[rows[owner == i] - i * self.size] for i in np.unique(owner)]
        values = np.concatenate(parts).astype(np.float64)
        good = np.isfinite(values).all(axis=1)
        return rows[good], values[good]


def cluster(folder, *, k=6, standardise=False, seed=0):
    """k-means over the rows of a finished stage, which need not fit into memory.

    The k-means of the notebooks on 10,000 rows gives the centres from which mini-batch k-means
    (Sculley 2010, doi 10.1145/1772690.1772862) goes on, each chunk a batch, once; our choice.
    """
    chunks = Chunks(folder)
    rng = np.random.default_rng(seed)
    sample = chunks.sample(10_000, rng)[1]
    scaler = StandardScaler().fit(sample) if standardise else FunctionTransformer()
    start = clustering.fit_clusters(scaler.transform(sample), k=k, seed=seed).cluster_centers_
    means = MiniBatchKMeans(k, init=start, n_init=1, reassignment_ratio=0, random_state=seed)
    for _, values in chunks.finite(rng.permutation(chunks.count), "mini-batch k-means"):
        means.partial_fit(scaler.transform(values))
    model = make_pipeline(scaler, means)
    labels = np.full(chunks.rows, -1, np.int16)
    for rows, values in chunks.finite(range(chunks.count), "assign"):
        labels[rows] = model.predict(values)
    sizes = np.bincount(labels[labels >= 0], minlength=k).tolist()
    summary = {"k": k, "seed": seed, "standardise": standardise, "sizes": sizes}
    summary |= silhouette(chunks, model, seed=seed)
    for name, array in (("clusters", labels), ("centres", means.cluster_centers_)):
        with paths.atomic(chunks.folder / f"{name}.npy") as temporary:
            np.save(temporary, array)
    paths.write_text(chunks.folder / "clusters.json", json.dumps(summary, indent=1))
    return summary


def silhouette(chunks, model, *, draws=10, sample=1000, seed=0):
    """Mean silhouette within disjoint random samples (cut if needed), and its standard error."""
    rng = np.random.default_rng(seed)
    values = rng.permutation(chunks.sample(draws * sample, rng)[1])
    sample = min(sample, len(values) // draws)
    if sample < 2 * model[-1].n_clusters:
        raise ValueError(f"{len(values)} usable rows are too few for {draws} samples")
    values = model[0].transform(values[: draws * sample])
    parts = zip(np.split(values, draws), np.split(model[-1].predict(values), draws), strict=True)
    scores = [silhouette_score(part, own) if np.ptp(own) else 0.0 for part, own in parts]
    error = float(np.std(scores, ddof=1) / np.sqrt(draws))
    return {"silhouette": float(np.mean(scores)), "error": error, "draws": draws, "sample": sample}


def view(folder, *, sample, seed=0):
    """UMAP of random rows of a finished, clustered stage, ``umap.csv``; returns their number."""
    chunks = Chunks(folder)
    rows, values = chunks.sample(sample, np.random.default_rng(seed))
    x, y = layout.umap(values, seed=seed).T
    clusters = np.load(chunks.folder / "clusters.npy")[rows]
    table = pd.DataFrame({"row": rows, "x": x, "y": y, "cluster": clusters})
    paths.write_text(chunks.folder / "umap.csv", table.to_csv(index=False))
    return len(rows)
