"""What is right, computed from the files of the run: a number, a set of names one of which is asked for, or a frozenset
of names all of which are.

Each function takes the paths of a data set and the first seed. Nothing here imports one of the three works, so that a
change in them does not make every notebook run again.
"""

import math

import numpy as np
import pandas as pd
from PIL import Image

from semlib.images.datasets import CLASS_TOTALS
from semlib.teaching import files


def majority_share(where, seed):
    """Accuracy of an answer that is always the largest class."""
    return files.labels(where).value_counts(normalize=True).iloc[0]


def majority_recall(where, seed):
    """The same averaged over classes: all of one class, none of the others."""
    return 1 / files.labels(where).nunique()


def smallest_defects(where, seed):
    table = files.table(where, "mask_statistics")
    means = table[table["mask statistic"] == "mean"].set_index("class")["measured"]
    return files.least(means)


def images_for_a_dozen(where, seed):
    """Images to draw at Carinthia's class shares until a dozen of the rarest class are expected."""
    return math.ceil(12 * sum(CLASS_TOTALS.values()) / min(CLASS_TOTALS.values()))


def dark_columns(where, seed):
    """Columns at the right edge whose mean grey level is below half of that of the whole first image."""
    first = pd.read_csv(where.manifest)["path"].iloc[0]
    with Image.open(where.raw / first) as image:
        grey = np.asarray(image.convert("L"), dtype=float)
    bright = grey.mean(axis=0)[::-1] >= grey.mean() / 2
    return int(np.argmax(bright))


def border_energy_ratio(where, seed):
    with_border, cropped = files.table(where, "preprocess_border")[
        "gradient energy in the last 4 columns %"
    ]
    return with_border / cropped


def stretch_factor(where, seed):
    """What stretching each image does to the spread of mean grey levels."""
    before, after = [], []
    for image in np.load(where.level(0), mmap_mode="r"):
        low, high = np.percentile(image, [1, 99])
        before.append(image.mean())
        after.append(np.clip((image - low) / max(high - low, 1) * 255, 0, 255).mean())
    return np.std(after) / np.std(before)


def pyramid_memory(where, seed):
    sizes = [np.load(where.level(k), mmap_mode="r").nbytes for k in range(3)]
    return (sizes[1] + sizes[2]) / sizes[0]


def noise_ratio(where, seed):
    """Standard deviation in the upper left corner, L0 over L2, each a mean over images."""
    fine, coarse = (np.load(where.level(k), mmap_mode="r") for k in (0, 2))
    side = fine.shape[1] // 8
    return files.corner_std(fine, side) / files.corner_std(coarse, side // 4)


def decimated_ratio(where, seed):
    """The same with every fourth pixel of L0 in place of L2."""
    fine = np.load(where.level(0), mmap_mode="r")
    side = fine.shape[1] // 8
    return files.corner_std(fine, side) / files.corner_std(fine[:, ::4, ::4], side // 4)


def aliasing(where, seed):
    return {"aliasing", "alias", "spectral folding", "folding"}


def rankme_kept(where, seed):
    values = files.history(where, seed)["rankme"]
    return values.iloc[-1] / values.iloc[0]


def first_component(where, seed):
    """Share of the variance of the embeddings along their first principal component, in per cent."""
    values = np.linalg.svd(files.centred(where, seed), compute_uv=False) ** 2
    return 100 * values[0] / values.sum()


def clusters_of_a_line(where, seed):
    """NMI between k-means (k = 6) of the embeddings and k-means of their first principal component alone."""
    from sklearn.metrics import normalized_mutual_info_score

    centred = files.centred(where, seed)
    direction = np.linalg.svd(centred, full_matrices=False)[2][0]
    return normalized_mutual_info_score(
        files.kmeans(centred, seed), files.kmeans(centred @ direction[:, None], seed)
    )


def best_recipe(where, seed):
    table = files.table(where, "ssl_variants")
    return files.most(table[table["set"] == "report"].set_index("method")["knn_macro"])


def best_silhouette(where, seed):
    return files.most(files.table(where, "table1").set_index("method")["silhouette"])


def above_noise(where, seed):
    scores = files.as_it_is(where)["silhouette"]
    return frozenset(scores.index[scores > scores["noise, 1-D"]])


def silhouette_and_rankme(where, seed):
    """Spearman's rank correlation over the methods and controls."""
    table = files.as_it_is(where)
    return table["silhouette"].corr(table["rankme"], method="spearman")


def no_better_than_chance(where, seed):
    table = files.table(where, "nmi_null").set_index("method")
    return frozenset(table.index[table["nmi"] <= table["null_q95"]])


def uniform_line(where, seed):
    """Silhouette of six k-means clusters of as many uniform numbers as there are images."""
    from sklearn.metrics import silhouette_score

    count = len(np.load(where.level(0), mmap_mode="r"))
    line = np.random.default_rng(0).random((count, 1))
    return silhouette_score(line, files.kmeans(line, seed))


def worst_change(where, seed):
    table = files.table(where, "robustness")
    return files.least(table[table["method"] == "Proposed SSL"].set_index("change")["recall_at_1"])


def ssl_and_pca_clusters(where, seed):
    from sklearn.metrics import adjusted_rand_score

    table = files.table(where, "embedding_2d")
    return adjusted_rand_score(table["Proposed SSL cluster"], table["PCA (raw pixels) cluster"])


def neighbours_kept_by_umap(where, seed):
    """Share of images whose nearest neighbour in the embedding is their nearest in the UMAP of it, too."""
    flat = files.table(where, "embedding_2d")[["Proposed SSL UMAP 1", "Proposed SSL UMAP 2"]]
    return np.mean(files.nearest(flat.to_numpy()) == files.nearest(files.embeddings(where, seed)))


def neighbours_kept_by_training(where, seed):
    """Share of images whose nearest neighbour is the same in the first and in the second training."""
    if not where.ssl(seed + 1).exists():
        raise ValueError(
            "exercise 06.4 compares two trainings: run notebook 04 with n_seeds of 2 or more"
        )
    return np.mean(
        files.nearest(files.embeddings(where, seed))
        == files.nearest(files.embeddings(where, seed + 1))
    )


def best_classifier(where, seed):
    return files.most(
        files.most_shots(where, "semclip_classification").set_index("method")["accuracy"]
    )


def best_without_masks(where, seed):
    """Highest pixel AUROC among the methods that see no mask of a defect."""
    table = files.most_shots(where, "semclip_segmentation")
    return files.most(
        table[~table["supervision"].str.contains("masks")].set_index("method")["pAUROC"]
    )


def gain_of_shots(where, seed):
    """Image AUROC of SEM-CLIP with the most shots minus that with the fewest."""
    table = files.table(where, "semclip_segmentation")
    scores = table[table["method"] == "SEM-CLIP"].sort_values("k")["iAUROC"]
    return scores.iloc[-1] - scores.iloc[0]


def most_useful_part(where, seed):
    table = files.most_shots(where, "semclip_ablation")
    return files.most(table[table["variant"] != "full"].set_index("variant")["pAUROC gain"])


def best_psnr(where, seed):
    return files.most(files.denoisers(where)["psnr"])


def error_factor(where, seed):
    """By how much the best PSNR's root mean squared error is smaller than that of the noisy image."""
    values = files.denoisers(where)["psnr"]
    return 10 ** ((values.max() - values["identity"]) / 20)


def praised_while_losing(where, seed):
    """Damages that raise PSNR and lower the recall of the defect at full severity, on average."""
    table = files.table(where, "semnr_stress")
    hardest = table[table["severity"] == table["severity"].max()]
    return frozenset(hardest.loc[(hardest["d_psnr"] > 0) & (hardest["d_recall"] < 0), "stress"])


def most_sensitive_rule(where, seed):
    table = files.table(where, "semnr_conflicts")
    return files.most(table[table["kind"] == "article"].set_index("rule")["sensitivity"])
