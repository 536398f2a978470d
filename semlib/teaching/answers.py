"""What is right, computed from the files of one's own run.

Each function returns a number, a set of names one of which is asked for (several where they tie),
or a frozenset of names all of which are. Nothing here imports one of the three works, so that a
change in them does not make every notebook run again.
"""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from semlib.images import datasets, read
from semlib.paths import Paths


@dataclass
class Run:
    """The files of a run, and the first of its seeds."""

    place: Paths
    seed: int

    def table(self, name, rows="index >= 0"):
        """The chosen rows of a table, with full precision."""
        file = self.place.figures / f"{name}.csv"
        return pd.read_csv(file, keep_default_na=False, na_values=[""]).query(rows)  # NA is a name

    def labels(self):
        """The labels of the labelled images."""
        labels = pd.read_csv(self.place.manifest, dtype=str, keep_default_na=False)["label"]
        if not labels.any():
            raise ValueError(f"this exercise needs labels, and {self.place.manifest} has none")
        return labels[labels != ""]

    def level(self, k):
        """A level of the pyramid, (N, S, S)."""
        return np.load(self.place.level(k), mmap_mode="r")

    def embeddings(self, later=0):
        """Embeddings (N, 128) of the paper's recipe, of the first training or a later one."""
        return np.load(self.place.ssl(self.seed + later) / "embeddings.npy").astype(float)


# Answers that are read from a table
def extreme(run, which, table, name, column, rows="index >= 0"):
    """All names that reach the "max" or "min" of a column, in the chosen rows of a table."""
    chosen = run.table(table, rows)
    return set(chosen.loc[chosen[column] == chosen[column].agg(which), name])


def every(run, table, name, rows):
    """All names in the chosen rows of a table."""
    return frozenset(run.table(table, rows)[name])


def _clusters(points, seed):
    """Cluster of each point, k = 6."""
    from sklearn.cluster import KMeans

    return KMeans(6, n_init=10, random_state=seed).fit_predict(points)


def _nearest(points):
    """Index of the nearest other point of each point."""
    from sklearn.neighbors import NearestNeighbors

    return NearestNeighbors(n_neighbors=1).fit(points).kneighbors(return_distance=False)[:, 0]


# Notebook 01: images and masks
def majority_share(run):
    """Accuracy of an answer that is always the largest class."""
    return run.labels().value_counts(normalize=True).iloc[0]


def majority_recall(run):
    """The same averaged over classes: all of one class, none of the others."""
    return 1 / run.labels().nunique()


def images_for_a_dozen(run):
    """Images to draw at Carinthia's class shares until a dozen of the rarest are expected."""
    totals = datasets.CLASS_TOTALS.values()
    return math.ceil(12 * sum(totals) / min(totals))


# Notebook 02: what the instrument writes
def dark_columns(run):
    """Columns at the right edge of the first image that are darker than half of its mean."""
    row = next(datasets.load_manifest(run.place.dataset).itertuples())
    grey, _ = read.listed(run.place.raw, row)
    return int(np.argmax(grey.mean(axis=0)[::-1] >= grey.mean() / 2))  # the first bright one


def border_energy_ratio(run):
    column = "gradient energy in the last 4 columns %"
    with_border, cropped = run.table("preprocess_border")[column]
    return with_border / cropped


def stretch_factor(run):
    """What stretching each image does to the spread of mean grey levels."""
    images = run.level(0)
    stretched = []
    for image in images:
        low, high = np.percentile(image, [1, 99])
        stretched.append(np.clip((image - low) / max(high - low, 1) * 255, 0, 255).mean())
    return np.std(stretched) / np.std(images.mean(axis=(1, 2)))


# Notebook 03: the pyramid
def pyramid_memory(run):
    return (run.level(1).nbytes + run.level(2).nbytes) / run.level(0).nbytes


def noise_ratio(run, k, step):
    """Deviation in the upper left corner of L0, over that of each `step`-th pixel of level k."""
    return _corner_noise(run.level(0)) / _corner_noise(run.level(k)[:, ::step, ::step])


def _corner_noise(level):
    side = level.shape[1] // 8
    return level[:, :side, :side].std(axis=(1, 2)).mean()


def aliasing(run):
    return {"aliasing", "alias", "spectral folding", "folding"}


# Notebook 04: the training
def rankme_kept(run):
    rankme = pd.read_csv(run.place.ssl(run.seed) / "history.csv")["rankme"]
    return rankme.iloc[-1] / rankme.iloc[0]


def first_component(run):
    """Share of the variance along the first principal component, in per cent."""
    points = run.embeddings()
    variances = np.linalg.svd(points - points.mean(axis=0), compute_uv=False) ** 2
    return 100 * variances[0] / variances.sum()


def clusters_of_a_line(run):
    """NMI between clusters of the embeddings and clusters of their first component alone."""
    from sklearn.metrics import normalized_mutual_info_score

    points = run.embeddings()
    points -= points.mean(axis=0)
    line = points @ np.linalg.svd(points, full_matrices=False)[2][0][:, None]
    return normalized_mutual_info_score(_clusters(points, run.seed), _clusters(line, run.seed))


# Notebook 05: Table 1 and its controls
def above_noise(run):
    scores = run.table("table1_controls", "space == 'as it is'").set_index("method")["silhouette"]
    return frozenset(scores.index[scores > scores["noise, 1-D"]])


def silhouette_and_rankme(run):
    """Spearman's rank correlation over the methods and controls, in their own dimensions."""
    table = run.table("table1_controls", "space == 'as it is'")
    return table["silhouette"].corr(table["rankme"], method="spearman")


def uniform_line(run):
    """Silhouette of six k-means clusters of as many uniform numbers as there are images."""
    from sklearn.metrics import silhouette_score

    line = np.random.default_rng(0).random((len(run.level(0)), 1))
    return silhouette_score(line, _clusters(line, run.seed))


# Notebook 06: views
def ssl_and_pca_clusters(run):
    from sklearn.metrics import adjusted_rand_score

    table = run.table("embedding_2d")
    return adjusted_rand_score(table["Proposed SSL cluster"], table["PCA (raw pixels) cluster"])


def neighbours_kept_by_umap(run):
    """Share of images whose nearest neighbour is the same in the embedding and in its UMAP."""
    view = run.table("embedding_2d")[["Proposed SSL UMAP 1", "Proposed SSL UMAP 2"]]
    return np.mean(_nearest(view.to_numpy()) == _nearest(run.embeddings()))


def neighbours_kept_by_training(run):
    """Share of images whose nearest neighbour is the same in the first two trainings."""
    if not run.place.ssl(run.seed + 1).exists():
        raise ValueError("exercise 06.4 compares two trainings: run 04 with n_seeds of 2 or more")
    return np.mean(_nearest(run.embeddings()) == _nearest(run.embeddings(later=1)))


# Notebook 07: few shots
def gain_of_shots(run):
    """Image AUROC of SEM-CLIP with the most shots minus that with the fewest."""
    scores = run.table("semclip_segmentation", "method == 'SEM-CLIP'").set_index("k")["iAUROC"]
    return scores[scores.index.max()] - scores[scores.index.min()]


# Notebook 08: denoisers
def error_factor(run):
    """By how much the best PSNR's root mean squared error is below that of the noisy image."""
    psnr = run.table("semnr_profile", "input == 'noisy'").set_index("denoiser")["psnr"]
    return 10 ** ((psnr.max() - psnr["identity"]) / 20)
