"""Labelled shots: read from a folder, and checked before anything learns from them."""

import numpy as np
from PIL import Image
from tqdm import tqdm

from semlib.images import datasets
from semlib.images import read as files


def read(place, size, normal):
    """Labelled images and masks of a folder, all fitted into a square of `size` pixels.

    Parameters
    ----------
    place : Path
        Layout as in `semlib.images.datasets.list_folder`: images, ``labels.csv``, ``masks/<name of the image>.png``; a
        defect-free image needs no mask. A pixel of the square is defect where any part of it is.
    size : int
    normal : str
        Label of the defect-free class.

    Returns
    -------
    images : uint8 (N, size, size)
    labels : list of str
    masks : bool (N, size, size), or None where the folder has no mask at all

    Raises
    ------
    ValueError
        If an image has no label, a defect has no mask though others have one, a mask differs in size from its image,
        or a file cannot be read.
    """
    rows, images, masks = datasets.list_folder(place), [], []
    masked = any(row["mask_path"] for row in rows)
    for row in tqdm(rows, desc="read shots", unit="image"):
        file = place / row["path"]
        if not row["label"]:
            raise ValueError(f"{file} has no label: name it in {place / 'labels.csv'} (file,label)")
        if masked and not row["mask_path"] and row["label"] != normal:
            raise ValueError(
                f"{file} has no mask: draw {place / 'masks' / file.stem}.png, white on black"
            )
        image = files.image(file)
        mask = (
            files.mask(place / row["mask_path"])
            if row["mask_path"]
            else np.zeros(image.shape, bool)
        )
        if mask.shape != image.shape:
            raise ValueError(
                f"{place / row['mask_path']} has {mask.shape} pixels, its image {image.shape}"
            )
        images.append(fitted(image, size))
        area = Image.fromarray(mask.astype(np.float32)).resize((size, size), Image.Resampling.BOX)
        masks.append(np.asarray(area) > 0)
    return np.stack(images), [row["label"] for row in rows], np.stack(masks) if masked else None


def fitted(image, size):
    """The whole uint8 image, bicubic, in a square of `size` pixels."""
    return np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BICUBIC))


def positions(labels, prompts):
    """Labels as positions in ``prompts.classes``, int array (N,).

    Parameters
    ----------
    labels : sequence (N,)
        Names of the prompts' classes, or their labels as int or str.
    prompts : Prompts

    Raises
    ------
    ValueError
        For a label that the prompts do not know.
    """
    numbers = {name: i for i, name in enumerate(prompts.classes)}
    numbers |= {kind(label): i for i, label in enumerate(prompts.labels) for kind in (int, str)}
    labels = np.asarray(labels).tolist()
    if unknown := sorted({str(label) for label in labels if label not in numbers}):
        known = ", ".join(
            f"{label} {name}" for label, name in zip(prompts.labels, prompts.classes, strict=True)
        )
        hint = "name others in a copy of semlib/semclip/prompts.csv (--prompts)"
        raise ValueError(f"unknown class {', '.join(unknown)}: the prompts have {known}; {hint}")
    return np.array([numbers[label] for label in labels], int)


def class_numbers(labels, prompts):
    """`positions` of the labels of shots, of which each class must have one.

    Raises
    ------
    ValueError
        For a label that the prompts do not know, and for a class without a shot.
    """
    found = positions(labels, prompts)
    if prompts.normal not in found:
        raise ValueError(
            f"no defect-free shot: give at least one of class {prompts.classes[prompts.normal]!r}"
        )
    if missing := [name for i, name in enumerate(prompts.classes) if i not in found]:
        raise ValueError(
            f"no shot of {', '.join(missing)}: give one or more of each, or take it off the prompts"
        )
    return found


def check_masks(masks, shape):
    """Masks as bool array of such a shape (N, H, W).

    Raises
    ------
    ValueError
        If there are none, their shape is another, or none of them marks a defect.
    """
    if masks is None:
        raise ValueError(
            "the Transformation Layers need masks; without any, use SemClip(transformation=False)"
        )
    masks = np.asarray(masks)
    if masks.shape != shape:
        raise ValueError(
            f"masks have shape {masks.shape}, expected {shape}: one for each image, and of its size"
        )
    if not masks.any():
        raise ValueError("no mask marks a defect: draw them, or use SemClip(transformation=False)")
    return masks.astype(bool)
