"""Which values the parameters of notebooks 01 to 06 may have: a wrong one waits for no training.

What the works accept is written down here a second time, and tests compare the two: an import would
make every notebook run again after each change in them.
"""

import math

COUNTS = ("n_images", "n_seeds", "epochs", "variant_seeds", "variant_epochs", "draws")
COUNTS += ("components", "pca_components", "glcm_distances", "perplexity")
LEAST = dict.fromkeys(COUNTS, 1) | {
    "seed": 0,
    "border": 0,
    "size": 16,
    "batch_size": 2,  # batch normalisation needs two
    "learning_rate": 1e-9,
    "variant_images": 72,  # twelve of each class
    "variant_size": 16,
    "k": 2,
    "ks": 2,
    "vgg_size": 32,  # VGG16 halves it four times
    "n_neighbors": 2,
    "min_dist": 0,
}
MOST = {"learning_rate": 1, "min_dist": 1}
ONE_OF = {
    "mix": ["preset", "teaching"],
    "intensity": ["full", "stretch"],
    "pairs": ["all", "adjacent", "to-finest"],
    "glcm_levels": [2, 4, 8, 16, 32, 64, 128, 256],
    "lbp_method": ["uniform", "default"],
    "wavelet_statistics": ["mean", "std", "energy"],
    "scaling": ["standard", "none"],
}


def check(notebook, values, shape=None):
    """Refuse values with which a notebook fails late, or does something else in silence.

    ValueError names parameter, value and what fits. `shape` is that of ``level0.npy``, (N, H, W),
    as soon as it is there.
    """
    for name, value in values.items() if notebook < "07" else ():
        items = value if isinstance(value, list) else [value]
        if advice := _advice(name, items, isinstance(value, list), shape):
            raise ValueError(f"{notebook}: {name} is {value!r}: {advice}")
    if values.get("n_robust", math.inf) <= values.get("k", 0):
        raise ValueError(f"{notebook}: n_robust is {values['n_robust']}: use more than k")


def shape(notebook, place):
    """Shape of the preprocessed images, (N, H, W), if a notebook reads them; else None."""
    import numpy as np

    if "data/level0.npy" not in notebook.inputs:
        return None
    return np.load(place.level(0), mmap_mode="r").shape


def _advice(name, items, listed, shape):
    """What would fit, in words; "" where all items do."""
    if name == "wavelet_family":
        import pywt  # slow to import

        if items[0] not in pywt.wavelist(kind="discrete"):
            return "use a discrete wavelet of PyWavelets, such as db2, sym4 or haar"
    if name in ONE_OF and not (items and all(item in ONE_OF[name] for item in items)):
        return f"use {', '.join(map(str, ONE_OF[name]))}"
    if name in LEAST:
        low = LEAST[name]
        high = MOST.get(name, math.inf)
        whole = not listed or all(type(item) is int for item in items)
        if not (items and whole and all(low <= item <= high for item in items)):
            span = f"{low} to {high}" if name in MOST else f"{low} or more"
            return f"use whole numbers of {span}" if listed else f"use {span}"
    if name in ("size", "variant_size") and items[0] % 4:
        return "use a multiple of 4, as the pyramid halves it twice"
    if shape and name in ("k", "ks") and min(items) >= shape[0]:
        return f"there are {shape[0]} images: use fewer clusters, or more images"
    if shape and name == "glcm_distances" and max(items) >= shape[1]:
        return f"the images have {shape[1]} pixels a side: use less"
    return ""
