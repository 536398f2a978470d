"""What the metrics and denoisers take: grey images as floats in [0, 1] and masks, checked once with one clear error."""

import numpy as np


def images(*arrays, smallest=1, names=("reference", "image")):
    """Check images that belong together and return them as float32.

    Parameters
    ----------
    *arrays : array (H, W) or (N, H, W)
        Grey values in [0, 1], all of one shape.
    smallest : int
        Least number of pixels a side.
    names : sequence of str
        What the error messages call the arrays.

    Returns
    -------
    list of float32 array

    Raises
    ------
    ValueError
        For colour images, integers, NaN, values outside [0, 1], shapes that differ and images that are too small.
    """
    checked = [_image(array, smallest, name) for array, name in zip(arrays, names, strict=False)]
    shapes = [array.shape for array in checked]
    if len(set(shapes)) > 1:
        said = ", ".join(f"{name} {shape}" for name, shape in zip(names, shapes, strict=False))
        raise ValueError(f"shapes differ: {said}; crop or resample to one shape first")
    return checked


def mask(array, shape, name="mask"):
    """Check a mask of the given image shape and return it as bool; values other than 0 are True.

    Raises
    ------
    ValueError
        If the shape is another, if nothing is marked or if everything is.
    """
    array = np.asarray(array)
    if array.shape != tuple(shape):
        raise ValueError(
            f"{name} has shape {array.shape}, the image {tuple(shape)}: both must be the same"
        )
    marked = array != 0
    if not marked.any():
        raise ValueError(f"{name} is empty: contrast and recall need at least one marked pixel")
    if marked.all():
        raise ValueError(f"{name} covers the whole image: nothing is left as background")
    return marked


def _image(array, smallest, name):
    array = np.asarray(array)
    if array.ndim == 4 or (array.ndim == 3 and array.shape[-1] in (3, 4)):
        raise ValueError(
            f"{name} has shape {array.shape}, which looks like colour: convert it to one grey channel"
        )
    if array.ndim not in (2, 3) or array.size == 0:
        raise ValueError(
            f"{name} has shape {array.shape}: expected (height, width) or (count, height, width)"
        )
    if array.dtype.kind not in "f":
        raise ValueError(
            f"{name} has type {array.dtype}: give floats in [0, 1], for 8-bit images image / 255"
        )
    if min(array.shape[-2:]) < smallest:
        raise ValueError(
            f"{name} has {array.shape[-2]} x {array.shape[-1]} pixels, fewer than {smallest} a side"
        )
    low, high = array.min(), array.max()
    if not np.isfinite([low, high]).all():
        raise ValueError(
            f"{name} holds {int((~np.isfinite(array)).sum())} values that are NaN or infinite"
        )
    if low < 0 or high > 1:
        raise ValueError(
            f"{name} has values from {low:.4g} to {high:.4g}, outside [0, 1]: scale or clip it"
        )
    return array.astype(np.float32, copy=False)
