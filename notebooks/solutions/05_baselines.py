"""Solutions of notebook 05, on the files of your run.

Run it with ``python notebooks/solutions/05_baselines.py``.
"""

import numpy as np
import pandas as pd
from scipy.stats import spearmanr
from sklearn.cluster import KMeans
from sklearn.metrics import silhouette_score

from semlib import paths, teaching

dataset = "synthetic"
seed = 0
place = paths.of(dataset)

# 1
table1 = pd.read_csv(place.figures / "table1.csv")
teaching.check("05.1", table1.nlargest(1, "silhouette")["method"].item(), dataset, seed=seed)

# 2: against numbers that never saw an image
raw = pd.read_csv(place.figures / "table1_controls.csv").query("space == 'as it is'")
noise = raw.query("method == 'noise, 1-D'")["silhouette"].item()
teaching.check("05.2", list(raw.loc[raw["silhouette"] > noise, "method"]), dataset, seed=seed)

# 3
teaching.check("05.3", spearmanr(raw["silhouette"], raw["rankme"]).statistic, dataset, seed=seed)

# 4
null = pd.read_csv(place.figures / "nmi_null.csv").query("nmi <= null_q95")
teaching.check("05.4", list(null["method"]), dataset, seed=seed)

# 5: a line of equal density
line = np.random.default_rng(0).random((len(np.load(place.level(0), mmap_mode="r")), 1))
clusters = KMeans(6, n_init=10, random_state=seed).fit_predict(line)
teaching.check("05.5", silhouette_score(line, clusters), dataset, seed=seed)
