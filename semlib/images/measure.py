"""What is measured on SEM images and masks: the documented numbers beside those of a data set."""

import numpy as np
import pandas as pd
from scipy import ndimage

BORDER = 3
PATCH = slice(16, 80)
SMALLEST = 100  # pixels a side of an image that has such a patch

# of the Carinthia set: a range over three real images, or one number for the whole set
DOCUMENTED = {
    "body_mean": (94, 101),
    "body_std": (4, 9),
    "noise_std": (2.1, 2.4),
    "lag1_x": (0.7, 0.7),
    "lag1_y": (0.35, 0.49),
    "border_max": (0, 12),
    "set_mean": (0.3775, 0.3775),
    "set_std": (0.05, 0.05),
}
# mean and median share of the image, mean number of parts, median bounding box; class 6 has none
UNKNOWN = [np.nan] * 5
DOCUMENTED_MASKS = {
    1: (0.111, 0.079, 4.0, 480, 348),
    2: (0.0188, 0.0192, 2.5, 414, 414),
    3: (0.0197, 0.0167, 1.2, 85, 72),
    4: (0.115, 0.074, 1.2, 179, 130),
    5: (0.033, 0.027, 1.0, 102, 76),
}


def class_table(labels, published=None):
    """Images per class, beside the published totals where they are given."""
    counts = labels[labels.astype(str) != ""].value_counts().sort_index()
    if counts.empty:
        none = {"class": "none: no labels.csv", "images": len(labels), "share %": 100.0}
        return pd.DataFrame([none])
    table = pd.DataFrame({"class": counts.index.astype(str), "images": counts.values})
    table["share %"] = 100 * table["images"] / counts.sum()
    if published:
        table["Carinthia"] = [published[label] for label in counts.index]
        table["Carinthia share %"] = 100 * table["Carinthia"] / sum(published.values())
    return table


def statistics(images):
    """Brightness, noise and border of uncropped uint8 images (H, W), at least 100 pixels a side.

    A dict. Medians over the images: ``body_mean`` and ``body_std`` of an image without its three
    rightmost columns, in grey levels; ``noise_std``, ``lag1_x``, ``lag1_y``, see `noise`.
    ``border_max``: 99th percentile of the three rightmost columns, largest over the images.
    ``set_mean``, ``set_std``: over all pixels, on [0, 1].
    """
    each = []
    for image in images:
        image = np.asarray(image, float)
        body = image[:, :-BORDER]
        border = np.percentile(image[:, -BORDER:], 99)
        moments = (image.mean(), (image**2).mean())
        each.append((body.mean(), body.std(), *noise(image), border, *moments))
    each = np.array(each)
    mean, square = each[:, 6:].mean(axis=0)
    over_set = (each[:, 5].max(), mean / 255, np.sqrt(square - mean**2) / 255)
    values = (*np.median(each[:, :5], axis=0), *over_set)
    return dict(zip(DOCUMENTED, map(float, values), strict=True))


def noise(image):
    """Noise of the background: standard deviation and lag-1 correlations along x and y.

    Measured on the 64 x 64 patch that starts 16 pixels from the upper left corner, where defects
    are rare, after subtracting its least-squares plane. Fine grain of the film is part of it.
    """
    patch = np.asarray(image, float)[PATCH, PATCH]
    y, x = np.indices(patch.shape)
    plane = np.stack([np.ones(patch.size), x.ravel(), y.ravel()], axis=1)
    fit = plane @ np.linalg.lstsq(plane, patch.ravel(), rcond=None)[0]
    rest = patch - fit.reshape(patch.shape)
    variance = rest.var()  # a constant patch has no noise to correlate
    if variance < 1e-12:
        return 0.0, 0.0, 0.0
    lag_x = (rest[:, 1:] * rest[:, :-1]).mean()
    lag_y = (rest[1:] * rest[:-1]).mean()
    return float(np.sqrt(variance)), float(lag_x / variance), float(lag_y / variance)


def statistics_table(images, documented=True):
    """`statistics` beside the documented numbers; empty where the images are too small."""
    if min(min(image.shape) for image in images) < SMALLEST:
        return pd.DataFrame({"statistic": [], "documented (Carinthia)": [], "measured": []})
    ranges = ["–".join(f"{x:g}" for x in dict.fromkeys(pair)) for pair in DOCUMENTED.values()]
    table = pd.DataFrame({"statistic": list(DOCUMENTED)})
    table["documented (Carinthia)"] = ranges if documented else None
    table["measured"] = statistics(images).values()
    return table


def mask_table(masks, labels, documented=True):
    """Share of the image, number of parts and bounding box of the defects of each class.

    Empty masks are left out, and classes without any other. `documented`: the classes are
    Carinthia's. Columns class, images, mask statistic, documented (Carinthia), measured.
    """
    each = pd.DataFrame(map(_extent, masks), columns=["share", "parts", "width", "height"])
    classes = each.groupby(np.asarray(labels))
    measured = classes.agg(
        images=("share", "size"),
        mean=("share", pd.Series.mean),  # unlike "mean" it sums as NumPy does, to the last digit
        median=("share", "median"),
        parts=("parts", pd.Series.mean),
        width=("width", "median"),
        height=("height", "median"),
    )
    measured = measured.dropna().rename_axis("class").set_index("images", append=True)
    table = measured.rename_axis(columns="mask statistic").stack().reset_index(name="measured")
    published = DOCUMENTED_MASKS if documented else {}
    expected = [published.get(label, UNKNOWN) for label, _ in measured.index]
    table.insert(3, "documented (Carinthia)", np.ravel(expected))
    return table.astype({"class": str})


def _extent(mask):
    """Area fraction, number of 8-connected parts, width and height of the bounding box."""
    if not mask.any():
        return (np.nan,) * 4
    return mask.mean(), ndimage.label(mask, np.ones((3, 3)))[1], *bounding_box(mask)


def bounding_box(mask):
    """Width and height in pixels of the smallest box that holds a mask."""
    columns = np.flatnonzero(mask.any(0))
    rows = np.flatnonzero(mask.any(1))
    return int(np.ptp(columns)) + 1, int(np.ptp(rows)) + 1


def border_table(versions):
    """What the border of images adds, by name of a version of the same images (N, H, W)."""
    table = []
    for name, images in versions.items():
        stack = np.asarray(images, dtype=np.float32)
        energy = np.square(np.diff(stack, axis=2)).mean(axis=(0, 1))  # of each column's gradient
        profiles = stack.mean(axis=1) - stack.mean(axis=(1, 2))[:, None]
        alike = np.atleast_2d(np.corrcoef(profiles))[np.triu_indices(len(stack), 1)]
        share = 100 * energy[-4:].sum() / energy.sum()
        table.append((name, share, energy.mean(), alike.mean() if alike.size else np.nan))
    share = "gradient energy in the last 4 columns %"
    columns = ["images", share, "GLCM contrast", "correlation of column profiles"]
    return pd.DataFrame(table, columns=columns)
