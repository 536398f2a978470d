"""Solutions of notebook 04, on the files of your run.

Run it with ``python notebooks/solutions/04_ssl_training.py``.
"""

import numpy as np
import pandas as pd
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.metrics import normalized_mutual_info_score

from semlib import paths, teaching

dataset = "synthetic"
seed = 0
place = paths.of(dataset)

# 1
history = pd.read_csv(place.figures / "ssl_history.csv")
rankme = history[(history["method"] == "paper") & (history["seed"] == seed)].set_index("epoch")[
    "rankme"
]
teaching.check("04.1", rankme[rankme.index.max()] / rankme[rankme.index.min()], dataset, seed=seed)

# 2
embeddings = np.load(place.ssl(seed) / "embeddings.npy").astype(float)
pca = PCA(1, svd_solver="full").fit(embeddings)
teaching.check("04.2", 100 * pca.explained_variance_ratio_[0], dataset, seed=seed)

# 3: all dimensions against one
kmeans = KMeans(6, n_init=10, random_state=seed)
whole = kmeans.fit_predict(embeddings)
line = kmeans.fit_predict(pca.transform(embeddings))
teaching.check("04.3", normalized_mutual_info_score(whole, line), dataset, seed=seed)

# 4: on the set where nothing was chosen
compared = pd.read_csv(place.figures / "ssl_variants.csv").query("set == 'report'")
teaching.check("04.4", compared.nlargest(1, "knn_macro")["method"].item(), dataset, seed=seed)
