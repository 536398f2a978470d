"""Solutions of notebook 07, on the files of your run: this file, run by python, prints them."""

import pandas as pd

from semlib import paths, teaching

dataset = "synthetic"
where = paths.of(dataset)
scores, areas, ablated = (
    pd.read_csv(where.figures / f"semclip_{name}.csv")
    for name in ("classification", "segmentation", "ablation")
)

# 1
best = scores.query("k == k.max()").nlargest(1, "accuracy")
teaching.check("07.1", best["method"].item(), dataset)

# 2: no masks of defects
blind = areas.query("k == k.max() and supervision in ('none', 'normals', 'labels')")
teaching.check("07.2", blind.nlargest(1, "pAUROC")["method"].item(), dataset)

# 3
ours = areas.query("method == 'SEM-CLIP'").set_index("k")["iAUROC"]
teaching.check("07.3", ours[ours.index.max()] - ours[ours.index.min()], dataset)

# 4: what is lost without it
parts = ablated.query("k == k.max() and variant != 'full'")
teaching.check("07.4", parts.nlargest(1, "pAUROC gain")["variant"].item(), dataset)
