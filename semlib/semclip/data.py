"""Images of the few-shot study, the simulator's or a data set's, and labelled shots of a folder."""

import numpy as np
from PIL import Image
from tqdm import tqdm

from semlib import paths
from semlib.images import datasets, read, simulator
from semlib.images.preprocess import preprocess
from semlib.images.simulator import presets, words
from semlib.semclip.episodes import Pool
from semlib.semclip.prompts import CARINTHIA, Prompts

BORDER = 4  # pixels that `preprocess` crops


def prompts_of(dataset, file=""):
    """Prompts of a study: those in `file`, neutral ones for Carinthia, else the paper's classes."""
    own = CARINTHIA if paths.of(dataset).name in ("carinthia", "carinthia-s") else None
    return Prompts.load(file or own)


def unusable(dataset, prompts):
    """Why a data set cannot serve the study, "" if it can: it needs masks and known labels."""
    if paths.of(dataset).name == "synthetic":
        return ""
    table = _labelled(dataset)
    if table.empty or (table["mask_path"] == "").all():
        return f"{dataset} has no labels or no masks (Carinthia's are in 'carinthia-s')"
    try:
        positions = prompts.positions(table["label"])
    except ValueError as error:
        return f"{dataset}: {error}"
    normal = prompts.classes[prompts.normal]
    return "" if prompts.normal in positions else f"{dataset} has no image of {normal!r}"


def images(dataset, *, n=1332, size=240, seed=0, prompts=None):
    """`Pool` of all images of a study, `size` pixels a side.

    For "synthetic" these are `n` images (the paper's counts) of the simulator's preset "semclip";
    otherwise the labelled images of the manifest, of which one without a mask shows no defect.
    """
    prompts = prompts or prompts_of(dataset)
    place = paths.of(dataset)
    if place.name == "synthetic":
        return _simulated(place.data / "semclip", n, size, seed, prompts)
    table = _labelled(dataset)
    pictures = []
    masks = []
    for row in tqdm(table.itertuples(), total=len(table), desc="read", unit="image"):
        image, mask = _pair(place.raw, row.path, row.mask_path)
        pictures.append(preprocess(image, border=BORDER, size=size))
        side = min(mask.shape) - 2 * BORDER
        top, left = ((length - side) // 2 for length in mask.shape)
        masks.append(_covered(mask[top : top + side, left : left + side], size) >= 0.5)
    labels = prompts.positions(table["label"])
    return Pool(np.stack(pictures), labels, np.stack(masks), prompts.classes, prompts.normal)


def shots(place, size, normal):
    """Labelled images and masks of a folder, fitted into a square of `size` pixels.

    An image of class `normal` needs no mask. A pixel of the square is defect where any part of it
    is. Returns uint8 images, labels list of str and bool masks, or None if the folder has no mask.
    """
    table = datasets.list_folder(place)
    masked = any(row["mask_path"] for row in table)
    images = []
    masks = []
    for row in tqdm(table, desc="read shots", unit="image"):
        file = place / row["path"]
        if not row["label"]:
            raise ValueError(f"{file} has no label: name it in {place / 'labels.csv'} (file,label)")
        if masked and not row["mask_path"] and row["label"] != normal:
            drawing = place / "masks" / f"{file.stem}.png"
            raise ValueError(f"{file} has no mask: draw {drawing}, white on black")
        image, mask = _pair(place, row["path"], row["mask_path"])
        images.append(fitted(image, size))
        masks.append(_covered(mask, size) > 0)
    return np.stack(images), [row["label"] for row in table], np.stack(masks) if masked else None


def fitted(image, size):
    """The whole uint8 image, bicubic, in a square of `size` pixels."""
    return np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BICUBIC))


def burn_text(images, *, seed=0):
    """The images with text burnt in, and where it stands: uint8 and bool (N, H, W)."""
    free = np.zeros(images.shape[1:], bool)
    written = []
    places = []
    for i, image in enumerate(images):
        grey, covered = words.overlay(np.random.default_rng([seed, i]), len(image), free)
        written.append(np.where(covered, grey, image))
        places.append(covered)
    return np.stack(written), np.stack(places)


def _simulated(place, n, size, seed, prompts):
    place = place / f"images-{n}-{size}-{seed}-{simulator.sources_digest()}"
    simulator.write_arrays(place, n, seed=seed, size=size)
    names = ("images", "labels", "masks")
    images, labels, masks = (np.load(place / f"{name}.npy", mmap_mode="r") for name in names)
    text = [presets.has_text(seed, i, label) for i, label in enumerate(labels.tolist())]
    return Pool(images, labels, masks, prompts.classes, prompts.normal, np.array(text))


def _pair(root, path, mask_path):
    """An image of a folder and its mask, empty where there is none."""
    image = read.image(root / path)
    return image, read.mask(root / mask_path, image) if mask_path else np.zeros(image.shape, bool)


def _covered(mask, size):
    """Part of each pixel of a square that a mask covers."""
    area = Image.fromarray(mask.astype(np.float32))
    return np.asarray(area.resize((size, size), Image.Resampling.BOX))


def _labelled(dataset):
    table = datasets.load_manifest(dataset)
    return table[table["label"] != ""]
