"""What is measured on SEM images and masks to compare simulated with real ones."""

import numpy as np
from scipy import ndimage

BORDER = 3
PATCH = slice(16, 80)
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
# mean and median area fraction, mean number of parts, median bounding box (width, height); class 6 has empty masks
DOCUMENTED_MASKS = {
    1: {"mean": 0.111, "median": 0.079, "parts": 4.0, "width": 480, "height": 348},
    2: {"mean": 0.0188, "median": 0.0192, "parts": 2.5, "width": 414, "height": 414},
    3: {"mean": 0.0197, "median": 0.0167, "parts": 1.2, "width": 85, "height": 72},
    4: {"mean": 0.115, "median": 0.074, "parts": 1.2, "width": 179, "height": 130},
    5: {"mean": 0.033, "median": 0.027, "parts": 1.0, "width": 102, "height": 76},
}


def statistics(images, masks=None, labels=None):
    """Brightness, noise, border and, where there are masks, defect statistics of a set of images.

    Parameters
    ----------
    images : array (N, H, W) or sequence of (H, W), uint8
        Uncropped, at least 100 pixels a side; real or simulated.
    masks : array (N, H, W) or sequence, bool, optional
    labels : sequence of int, optional
        Classes for the mask statistics; without them all images are one class, "all".

    Returns
    -------
    dict
        ``body_mean``, ``body_std``: mean and standard deviation of an image without its three rightmost columns, grey
        levels, median over the images. ``noise_std``, ``lag1_x``, ``lag1_y``: see `noise`, median over
        the images. ``border_max``: 99th percentile of the three rightmost columns, largest over the
        images. ``set_mean``, ``set_std``: over all pixels of all images, on [0, 1]. ``masks``: per class the
        ``count`` of images, ``empty`` (share of empty masks) and, over the other masks, the keys of `DOCUMENTED_MASKS`.

    Raises
    ------
    ValueError
        If there is no image, an image is too small, or the lengths differ.
    """
    if len(images) == 0:
        raise ValueError("no image to measure")
    for name, other in (("masks", masks), ("labels", labels)):
        if other is not None and len(other) != len(images):
            raise ValueError(f"{len(images)} images but {len(other)} {name}")
    rows = np.array([_one(np.asarray(image)) for image in images])
    typical = np.median(rows, axis=0)
    result = dict(
        zip(
            ("body_mean", "body_std", "noise_std", "lag1_x", "lag1_y"),
            typical[:5].tolist(),
            strict=True,
        )
    )
    whole, square = rows[:, 6:].mean(axis=0)
    result |= {
        "border_max": float(rows[:, 5].max()),
        "set_mean": float(whole / 255),
        "set_std": float(np.sqrt(square - whole**2) / 255),
    }
    if masks is not None:
        result["masks"] = _by_class(
            masks, ["all"] * len(images) if labels is None else list(labels)
        )
    return result


def _one(image):
    if image.ndim != 2 or min(image.shape) < 100:
        raise ValueError(
            f"image of shape {image.shape}: expected (height, width) of at least 100 pixels each"
        )
    image = image.astype(float)
    body, border = image[:, :-BORDER], image[:, -BORDER:]
    return (
        body.mean(),
        body.std(),
        *noise(image),
        np.percentile(border, 99),
        image.mean(),
        (image**2).mean(),
    )


def noise(image):
    """Noise of the background: standard deviation and lag-1 correlations along x and y.

    Measured on the 64 x 64 patch that starts 16 pixels from the upper left corner, where defects are
    rare, after subtracting its least-squares plane. Grain of the film finer than the patch is part of it.

    Returns
    -------
    tuple of float
        Standard deviation in grey levels, correlation of horizontal neighbours, of vertical neighbours.
    """
    patch = np.asarray(image, float)[PATCH, PATCH]
    y, x = np.mgrid[: patch.shape[0], : patch.shape[1]]
    plane = np.stack([np.ones(patch.size), x.ravel(), y.ravel()], axis=1)
    rest = patch - (plane @ np.linalg.lstsq(plane, patch.ravel(), rcond=None)[0]).reshape(
        patch.shape
    )
    variance = rest.var()
    if variance < 1e-12:
        return 0.0, 0.0, 0.0
    lag_x, lag_y = (rest[:, 1:] * rest[:, :-1]).mean(), (rest[1:] * rest[:-1]).mean()
    return float(np.sqrt(variance)), float(lag_x / variance), float(lag_y / variance)


def _by_class(masks, labels):
    table = {}
    for label in sorted(set(labels)):
        mine = [np.asarray(mask, bool) for mask, k in zip(masks, labels, strict=True) if k == label]
        rows = np.array([_extent(mask) for mask in mine if mask.any()])
        table[label] = {"count": len(mine), "empty": 1 - len(rows) / len(mine)}
        if len(rows):
            fraction, parts, width, height = rows.T
            table[label] |= {
                "mean": float(fraction.mean()),
                "median": float(np.median(fraction)),
                "parts": float(parts.mean()),
                "width": float(np.median(width)),
                "height": float(np.median(height)),
            }
    return table


def _extent(mask):
    """Area fraction, number of 8-connected parts, width and height of the bounding box."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    parts = ndimage.label(mask, CONNECTED)[1]
    return mask.mean(), parts, columns[-1] - columns[0] + 1, rows[-1] - rows[0] + 1
