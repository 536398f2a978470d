"""Solutions of notebook 03, from your run: `python notebooks/solutions/03_pyramid.py`."""

import numpy as np

from semlib import paths, teaching

dataset = "synthetic"
levels = [np.load(paths.of(dataset).level(k)) for k in range(3)]

# 1: a quarter of the pixels, then a quarter of these
teaching.check("03.1", 1 / 4 + 1 / 16, dataset)


# 2: the same piece of the film in both levels
def noise(images):
    side = images.shape[1] // 8
    return images[:, :side, :side].std(axis=(1, 2)).mean()


teaching.check("03.2", noise(levels[0]) / noise(levels[2]), dataset)

# 3: picked, not averaged
teaching.check("03.3", noise(levels[0]) / noise(levels[0][:, ::4, ::4]), dataset)

# 4
teaching.check("03.4", "aliasing", dataset)
