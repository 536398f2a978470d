"""Solutions of notebook 01, from your run: `python notebooks/solutions/01_download.py`."""

import math

import numpy as np

from semlib import paths, teaching
from semlib.images import datasets, read

dataset = "synthetic"
where = paths.of(dataset)
manifest = datasets.load_manifest(dataset)
names, counts = np.unique(datasets.labels(dataset), return_counts=True)

# 1: right for every image of the class that is always named
teaching.check("01.1", counts.max() / counts.sum(), dataset)

# 2: recall 1 for that class and 0 for the others
teaching.check("01.2", np.mean(counts == counts.max()), dataset)

# 3: from the masks themselves; a class without defects has none to compare
areas = {}
for label, own in manifest.groupby("label"):
    masks = [read.mask(where.raw / path, bright=True) for path in own["mask_path"]]
    area = np.mean([mask.mean() for mask in masks])
    if area:
        areas[label] = area
teaching.check("01.3", min(areas, key=areas.get), dataset)

# 4: one image of the rarest class among so many, twelve times
totals = datasets.CLASS_TOTALS.values()
teaching.check("01.4", math.ceil(12 / (min(totals) / sum(totals))), dataset)
