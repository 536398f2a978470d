"""What is measured on SEM images and masks: the documented numbers beside those of a data set."""

import numpy as np
import pandas as pd
from scipy import ndimage

BORDER = 3
PATCH = slice(16, 80)
SMALLEST = 100  # pixels a side of an image that has such a patch
CONNECTED = np.ones((3, 3), bool)

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
MASKS = ("mean", "median", "parts", "width", "height")
UNKNOWN = [np.nan] * len(MASKS)
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
    """Brightness, noise and border of a set of images.

    Parameters
    ----------
    images : array (N, H, W) or sequence of (H, W), uint8
        Uncropped, at least 100 pixels a side; real or simulated.

    Returns
    -------
    dict
        ``body_mean``, ``body_std``: mean and standard deviation of an image without its three
        rightmost columns, in grey levels. ``noise_std``, ``lag1_x``, ``lag1_y``: see `noise`. All
        five are medians over the images. ``border_max``: 99th percentile of the three rightmost
        columns, largest over the images. ``set_mean``, ``set_std``: over all pixels, on [0, 1].
    """
    if len(images) == 0:
        raise ValueError("no image to measure")
    each = np.array([_one(np.asarray(image)) for image in images])
    typical = np.median(each[:, :5], axis=0).tolist()
    mean, square = each[:, 6:].mean(axis=0)
    return dict(zip(list(DOCUMENTED)[:5], typical, strict=True)) | {
        "border_max": float(each[:, 5].max()),
        "set_mean": float(mean / 255),
        "set_std": float(np.sqrt(square - mean**2) / 255),
    }


def _one(image):
    if image.ndim != 2 or min(image.shape) < SMALLEST:
        raise ValueError(
            f"image of shape {image.shape}: expected at least {SMALLEST} pixels a side"
        )
    image = image.astype(float)
    body = image[:, :-BORDER]
    border_max = np.percentile(image[:, -BORDER:], 99)
    return body.mean(), body.std(), *noise(image), border_max, image.mean(), (image**2).mean()


def noise(image):
    """Noise of the background: standard deviation and lag-1 correlations along x and y.

    Measured on the 64 x 64 patch that starts 16 pixels from the upper left corner, where defects
    are rare, after subtracting its least-squares plane. Fine grain of the film is part of it.

    Returns
    -------
    tuple of float
        Standard deviation in grey levels, correlation of horizontal, of vertical neighbours.
    """
    patch = np.asarray(image, float)[PATCH, PATCH]
    y, x = np.mgrid[: patch.shape[0], : patch.shape[1]]
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
    measured = statistics(images)
    ranges = ["–".join(f"{x:g}" for x in dict.fromkeys(DOCUMENTED[name])) for name in measured]
    return pd.DataFrame(
        {
            "statistic": list(measured),
            "documented (Carinthia)": ranges if documented else None,
            "measured": list(measured.values()),
        }
    )


def mask_table(masks, labels, documented=True):
    """Share of the image, number of parts and bounding box of the defects of each class.

    Columns class, images, mask statistic (one of `MASKS`), documented (Carinthia), measured. Empty
    masks are left out, and classes without any other. `documented`: the classes are Carinthia's.
    """
    if len(masks) != len(labels):
        raise ValueError(f"{len(masks)} masks but {len(labels)} labels")
    lines = []
    for label in sorted(set(labels)):
        own = [np.asarray(mask) for mask, k in zip(masks, labels, strict=True) if k == label]
        extents = np.array([_extent(mask) for mask in own if mask.any()])
        if not len(extents):
            continue
        share, parts, width, height = extents.T
        measured = share.mean(), np.median(share), parts.mean(), np.median(width), np.median(height)
        expected = DOCUMENTED_MASKS.get(label, UNKNOWN) if documented else UNKNOWN
        for name, number, value in zip(MASKS, expected, measured, strict=True):
            lines.append((str(label), len(own), name, number, value))
    columns = ["class", "images", "mask statistic", "documented (Carinthia)", "measured"]
    return pd.DataFrame(lines, columns=columns)


def _extent(mask):
    """Area fraction, number of 8-connected parts, width and height of the bounding box."""
    return mask.mean(), ndimage.label(mask, CONNECTED)[1], *bounding_box(mask)


def bounding_box(mask):
    """Width and height in pixels of the smallest box that holds a mask."""
    columns = np.flatnonzero(mask.any(0))
    rows = np.flatnonzero(mask.any(1))
    return int(np.ptp(columns)) + 1, int(np.ptp(rows)) + 1


def border_table(versions):
    """What the border of images adds, by name of a version of the same images (N, H, W)."""
    lines = []
    for name, images in versions.items():
        stack = np.asarray(images, dtype=np.float32)
        energy = np.square(np.diff(stack, axis=2)).mean(axis=(0, 1))  # of each column's gradient
        profiles = stack.mean(axis=1) - stack.mean(axis=(1, 2))[:, None]
        alike = np.atleast_2d(np.corrcoef(profiles))[np.triu_indices(len(stack), 1)]
        line = {
            "images": name,
            "gradient energy in the last 4 columns %": 100 * energy[-4:].sum() / energy.sum(),
            "GLCM contrast": energy.mean(),
            "correlation of column profiles": alike.mean() if alike.size else np.nan,
        }
        lines.append(line)
    return pd.DataFrame(lines)
