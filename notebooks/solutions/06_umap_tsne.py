"""Solutions of notebook 06, on the files of your run.

Run it with ``python notebooks/solutions/06_umap_tsne.py``.
"""

import numpy as np
import pandas as pd
from scipy.spatial.distance import cdist
from sklearn.metrics import adjusted_rand_score

from semlib import paths, teaching

dataset = "synthetic"
seed = 0
place = paths.of(dataset)

# 1
robust = pd.read_csv(place.figures / "robustness.csv").query("method == 'Proposed SSL'")
teaching.check("06.1", robust.nsmallest(1, "recall_at_1")["change"].item(), dataset, seed=seed)

# 2
flat = pd.read_csv(place.figures / "embedding_2d.csv")
agreement = adjusted_rand_score(flat["Proposed SSL cluster"], flat["PCA (raw pixels) cluster"])
teaching.check("06.2", agreement, dataset, seed=seed)


# 3: the nearest other point, by all distances
def nearest(points):
    distances = cdist(points, points)
    np.fill_diagonal(distances, np.inf)
    return distances.argmin(axis=1)


first, second = (np.load(place.ssl(s) / "embeddings.npy") for s in (seed, seed + 1))
view = flat[["Proposed SSL UMAP 1", "Proposed SSL UMAP 2"]]
teaching.check("06.3", np.mean(nearest(first) == nearest(view)), dataset, seed=seed)

# 4: another start of the same recipe
teaching.check("06.4", np.mean(nearest(first) == nearest(second)), dataset, seed=seed)
