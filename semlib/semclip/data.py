"""Images of the few-shot study, the simulator's or a data set's, and labelled shots of a folder."""

from dataclasses import replace
from functools import partial

import numpy as np
from PIL import Image
from tqdm import tqdm

from semlib import paths
from semlib.images import datasets, read
from semlib.images.preprocess import central_square, preprocess
from semlib.images.simulator import batch, presets, words
from semlib.semclip.episodes import Pool
from semlib.semclip.prompts import CARINTHIA, Prompts
from semlib.workers import spread

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


def listed(dataset, *, n=1332, seed=0, prompts=None):
    """`Pool` of all images of a study as numbers, without pictures: enough to draw episodes from.

    For "synthetic" these are `n` images (the paper's counts) of the simulator's preset "semclip";
    otherwise the labelled images of the manifest. Where a defect's image has no mask nobody knows
    which pixels are defect: it is left out, and the count is said.
    """
    prompts = prompts or prompts_of(dataset)
    if paths.of(dataset).name == "synthetic":
        labels = _simulated_labels(n, seed)
        numbers = np.arange(n)
        text = np.array([presets.has_text(seed, i, label) for i, label in enumerate(labels)])
    else:
        table = _labelled(dataset)
        labels = prompts.positions(table["label"])
        usable = (table["mask_path"] != "").to_numpy() | (labels == prompts.normal)
        if not usable.all():
            print(f"{dataset}: left out {(~usable).sum()} images of a defect without a mask")
        numbers = np.flatnonzero(usable)
        labels = labels[numbers]
        text = None
    return Pool(numbers, labels, numbers, prompts.classes, prompts.normal, text)


def images(dataset, pool, *, n=1332, seed=0, size=240):
    """What is left of a `listed` pool with pictures and masks, `size` pixels a side.

    A defect-free image of a manifest needs no mask.
    """
    place = paths.of(dataset)
    if place.name == "synthetic":
        labels = _simulated_labels(n, seed)
        jobs = [(int(i), int(labels[i])) for i in pool.images]
        made = spread(partial(presets.SEMCLIP.finished, seed, size), jobs, None, 8)
        shown = tqdm(made, total=len(jobs), desc="simulating", unit="image")
        pairs = [(image, mask) for image, _, mask, _ in shown]
    else:
        rows = _labelled(dataset).iloc[pool.images].itertuples()
        pairs = []
        for row in tqdm(rows, total=len(pool.images), desc="read", unit="image"):
            image, mask = _pair(place.raw, row)
            small = _covered(central_square(mask, BORDER), size) >= 0.5
            pairs.append((preprocess(image, border=BORDER, size=size), small))
    pictures, masks = map(np.stack, zip(*pairs, strict=True))
    return replace(pool, images=pictures, masks=masks)


def check_shots(place, table, prompts):
    """Refuse shots, as `lot.describe` lists them, that nothing can learn from.

    Only images of classes with a defect need a mask, and none where there is no mask at all.
    """
    masked = (table["mask_path"] != "").any()
    for row in table.itertuples():
        file = place / row.path
        if not row.bar_top:  # it could not be read
            read.image(file)
        if not row.label:
            raise ValueError(f"{file} has no label: name it in {place / 'labels.csv'} (file,label)")
        if masked and not row.mask_path and prompts.positions([row.label]) != prompts.normal:
            drawing = place / "masks" / f"{file.stem}.png"
            raise ValueError(f"{file} has no mask: draw {drawing}, white on black")
    numbers = prompts.positions(table["label"])
    if (numbers != prompts.normal).any():  # defect-free shots alone suffice for PatchCore
        prompts.check_complete(numbers)


def shots(place, table, size):
    """Images and masks of a described folder, fitted into a square of `size` pixels.

    A pixel of the square is defect where any part of it is. Returns uint8 images and bool masks.
    """
    images = []
    masks = []
    for row in tqdm(table.itertuples(), total=len(table), desc="read shots", unit="image"):
        image, mask = _pair(place, row)
        images.append(fitted(image, size))
        masks.append(_covered(mask, size) > 0)
    return np.stack(images), np.stack(masks)


def reading(dataset):
    """How a later lot is to be read like the images of a study, see `store.save`."""
    table = [] if dataset == "synthetic" else datasets.load_manifest(dataset)
    return {"range": table["range"].iloc[0] if "range" in table else "stated", "bar": "auto"}


def fitted(image, size):
    """The whole uint8 image, bicubic, in a square of `size` pixels."""
    return np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BICUBIC))


def without_text(pool, chosen):
    """Defect-free images among these of a pool, uint8 (n, H, W), without burnt-in text."""
    chosen = chosen[pool.labels[chosen] == pool.normal]
    if pool.text is not None:
        chosen = chosen[~pool.text[chosen]]
    return pool.images[chosen]


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


def _simulated_labels(n, seed):
    return batch.labels_of(n, seed, presets.SEMCLIP, batch.SMALLEST)


def _pair(root, row):
    """An image of a manifest and its mask, empty where there is none."""
    image, picture = read.listed(root, row)
    mask = read.listed_mask(root, row, picture)
    return image, np.zeros(image.shape, bool) if mask is None else mask


def _covered(mask, size):
    """Part of each pixel of a square that a mask covers."""
    area = Image.fromarray(mask.astype(np.float32))
    return np.asarray(area.resize((size, size), Image.Resampling.BOX))


def _labelled(dataset):
    table = datasets.load_manifest(dataset)
    return table[table["label"] != ""]
