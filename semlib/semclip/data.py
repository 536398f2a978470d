"""Images of the few-shot study: the simulator's line layer, or a data set with labels and masks."""

from dataclasses import replace

import numpy as np
from PIL import Image
from tqdm import tqdm

from semlib import paths
from semlib.images import datasets, preprocess, simulator
from semlib.images import read as files
from semlib.images.simulator import presets, words
from semlib.semclip import shots
from semlib.semclip.episodes import Pool
from semlib.semclip.prompts import CARINTHIA, Prompts


def prompts_of(dataset, file=""):
    """Prompts of a study: those in `file`, neutral ones for Carinthia, else those of the paper's seven classes."""
    own = CARINTHIA if paths.of(dataset).name in ("carinthia", "carinthia-s") else None
    return Prompts.load(file or own)


def unusable(dataset, prompts):
    """Why a data set cannot serve the study, "" if it can: it needs masks, and labels that the prompts know."""
    if paths.of(dataset).name == "synthetic":
        return ""
    table = _labelled(dataset)
    if table.empty or (table["mask_path"] == "").all():
        return f"{dataset} has no labels or no masks (Carinthia's are in 'carinthia-s')"
    try:
        found = shots.positions(table["label"].to_list(), prompts)
    except ValueError as error:
        return f"{dataset}: {error}"
    return (
        ""
        if prompts.normal in found
        else f"{dataset} has no image of {prompts.classes[prompts.normal]!r}"
    )


def images(dataset, *, n=1332, size=240, seed=0, prompts=None):
    """All images of a study with their classes and masks.

    Parameters
    ----------
    dataset : str
        "synthetic": `n` images of the simulator's preset "semclip", kept in ``data/synthetic/semclip``; otherwise the
        labelled images of the data set's manifest; one without a mask shows no defect.
    n, seed : int
        For "synthetic"; 1,332 images are the paper's counts.
    size : int
        Pixels a side.
    prompts : Prompts, optional
        Give the classes; those of the data set by default.

    Returns
    -------
    Pool

    Raises
    ------
    ValueError
        If the data set is `unusable`.
    """
    where, prompts = paths.of(dataset), prompts or prompts_of(dataset)
    if reason := unusable(dataset, prompts):
        raise ValueError(reason)
    if where.name == "synthetic":
        code = simulator.sources_digest()
        folder = where.data / "semclip" / f"images-{n}-{size}-{seed}-{code}"
        simulator.write_arrays(folder, n, seed=seed, size=size)
        arrays = [
            np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("images", "labels", "masks")
        ]
        written = np.array(
            [presets.has_text(seed, i, int(label)) for i, label in enumerate(arrays[1])]
        )
        return Pool(*arrays, prompts.classes, prompts.normal, written)
    table, read, masks = _labelled(dataset), [], []
    for row in tqdm(table.itertuples(), total=len(table), desc="read", unit="image"):
        image = files.image(where.raw / row.path)
        read.append(preprocess.preprocess(image, size=size))
        mask = (
            files.mask(where.raw / row.mask_path)
            if row.mask_path
            else np.zeros(image.shape, bool)
        )
        if mask.shape != image.shape:
            raise ValueError(
                f"{where.raw / row.mask_path} has {mask.shape} pixels, its image {image.shape}"
            )
        masks.append(_like(mask, size))
    numbers = shots.positions(table["label"].to_list(), prompts)
    return Pool(np.stack(read), numbers, np.stack(masks), prompts.classes, prompts.normal)


def only_used(pool, episodes):
    """The pool without the images that no episode uses, and the episodes with the numbers that this gives."""
    used = np.unique(np.concatenate([np.concatenate([e.support, e.test]) for e in episodes]))
    place = {index: i for i, index in enumerate(used.tolist())}
    moved = [
        replace(
            e,
            support=np.array([place[i] for i in e.support]),
            test=np.array([place[i] for i in e.test]),
        )
        for e in episodes
    ]
    return pool.take(used), moved


def burn_text(images, *, seed=0):
    """The images with text burnt in, and where it stands: uint8 and bool (N, H, W)."""
    nothing, written, places = np.zeros(images.shape[1:], bool), [], []
    for i, image in enumerate(images):
        marks = words.overlay(np.random.default_rng([seed, i]), image.shape[0], nothing)
        written.append(marks.on(image))
        places.append(marks.covered)
    return np.stack(written), np.stack(places)


def _labelled(dataset):
    table = datasets.load_manifest(dataset)
    return table[table["label"] != ""]


def _like(mask, size, border=4):
    """A mask cropped and resized as `preprocess` does with its image."""
    cut = Image.fromarray(mask[border:-border, border:-border].astype(np.uint8) * 255)
    return np.asarray(cut.resize((size, size), Image.Resampling.BOX)) >= 128
