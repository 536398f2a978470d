"""Synthetic SEM images with labels, exact masks, captions and noise-free originals; an archive of them."""

import hashlib
import math
import multiprocessing
import os
import shutil
import threading
import zipfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from semlib import paths
from semlib.images import scan
from semlib.images.presets import PRESETS, mixture, render

SMALLEST = 64
SIZE = 480
MODULES = ("defects", "pattern", "presets", "scan", "simulate", "surface", "topography")


@dataclass
class SimulatedBatch:
    """`images` and `clean` uint8 (n, s, s), `labels` int (n,), `masks` bool (n, s, s), `captions` n sentences."""

    images: np.ndarray
    clean: np.ndarray
    labels: np.ndarray
    masks: np.ndarray
    captions: list


def sample(n, *, seed, preset="carinthia", size=480, mix="preset", labels=None):
    """Simulate `n` SEM images.

    Image i depends only on (seed, i, its label).

    Parameters
    ----------
    n : int
    seed : int
        Not negative.
    preset : str
        "carinthia": unpatterned film, labels 1 to 6 for the families of defects in `defects.FAMILIES`. "semnr": lines,
        contact holes, vias and film at a low dose, labels 0 to 5 for the defects in `pattern.FAMILIES`.
    size : int
        Pixels per side, at least 64; the field of view stays the same.
    mix : str
        "preset": classes in the proportions of the real set, exactly its totals at n = 4,591, none missing from
        n = 60 on ("semnr": equal shares). "teaching": the same with at least 12 images of each class, n >= 72.
    labels : sequence of int, optional
        The label of each image, instead of a mix.

    Returns
    -------
    SimulatedBatch

    Raises
    ------
    ValueError
        If an argument is unknown or out of range.
    """
    _check(n, seed, preset, size)
    labels = mixture(n, seed=seed, mix=mix, preset=preset) if labels is None else _given(labels, n, preset)
    shape, quality = (n, size, size), PRESETS[preset].quality
    batch = SimulatedBatch(np.empty(shape, np.uint8), np.empty(shape, np.uint8), labels, np.empty(shape, bool), [])
    for i in tqdm(range(n), desc="simulating", unit="image", disable=n < 50):
        image, batch.clean[i], batch.masks[i], caption = render(preset, seed, i, int(labels[i]), size)
        batch.images[i] = scan.from_jpeg(scan.to_jpeg(image, quality)) if quality else image
        batch.captions.append(caption)
    return batch


def _check(n, seed, preset, size):
    if n < 1:
        raise ValueError(f"n={n}: at least one image must be asked for")
    if seed < 0:
        raise ValueError(f"seed={seed}: a seed is not negative")
    if preset not in PRESETS:
        raise ValueError(f"unknown preset {preset!r}: use one of {', '.join(PRESETS)}")
    if size < SMALLEST:
        raise ValueError(f"size={size}: the smallest simulated image has {SMALLEST} pixels a side")


def _given(labels, n, preset):
    labels, known = np.asarray(labels, int), set(PRESETS[preset].totals)
    if labels.shape != (n,) or not set(labels.tolist()) <= known:
        values = sorted(set(labels.ravel().tolist()))
        expected = f"expected {n} integers from {min(known)} to {max(known)}"
        raise ValueError(f"labels: {expected}, got shape {labels.shape}, values {values}")
    return labels


def write_archive(path, n, *, seed, mix="preset", masks=False, workers=None):
    """Write `n` simulated images as an archive laid out like Carinthia's, or like Carinthia-S with masks.

    Finished images wait in a hidden folder beside `path`, so that a killed run goes on where it stopped. The bytes of
    the archive depend on n, seed, mix and masks only.

    Parameters
    ----------
    path : str or Path
        The zip file to write.
    n, seed, mix
        See `sample`.
    masks : bool
        Also write ``data/carinthia-s.csv`` and ``data/masks``.
    workers : int, optional
        Processes; by default one per CPU.

    Returns
    -------
    Path
    """
    _check(n, seed, "carinthia", SIZE)
    path, labels = Path(path), mixture(n, seed=seed, mix=mix)
    names = [image_name(seed, i, label) for i, label in enumerate(labels)]
    parts = _parts_folder(path)
    jobs = [(i, int(labels[i]), parts / names[i]) for i in range(n) if not (parts / f"{names[i]}.jpg").exists()]
    workers = min(workers or os.cpu_count() or 1, math.ceil(len(jobs) / 8) or 1)
    work = partial(_write_image, seed)
    with tqdm(total=n, initial=n - len(jobs), desc="simulating", unit="image") as bar:
        if workers == 1:
            for _ in map(work, jobs):
                bar.update()
        else:
            with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _end_with_parent) as pool:
                for _ in pool.map(work, jobs, chunksize=8):
                    bar.update()
    with paths.atomic(path) as temporary:
        _zip(temporary, parts, names, labels, masks)
    shutil.rmtree(parts)
    return path


def image_name(seed, index, label):
    """32 hexadecimal digits that name an image."""
    return hashlib.blake2b(f"{seed} {index} {label}".encode(), digest_size=16).hexdigest()


def sources_digest():
    """Short digest of the simulator's source: what it was, when some images were made."""
    here = Path(__file__).parent
    return hashlib.sha256(b"".join((here / f"{m}.py").read_bytes() for m in MODULES)).hexdigest()[:12]


def _parts_folder(path):
    """Folder for finished images; those of another version of the simulator are removed."""
    folder = path.with_name(f".{path.stem}-parts-{sources_digest()}")
    for stale in set(path.parent.glob(f".{path.stem}-parts-*")) - {folder}:
        shutil.rmtree(stale)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _end_with_parent():
    """In a worker: watch the process that started it, so that killing that one leaves none behind."""
    parent = multiprocessing.parent_process()
    threading.Thread(target=lambda: (parent.join(), os._exit(1)), daemon=True).start()


def _write_image(seed, job):
    index, label, stem = job
    image, _, mask, _ = render("carinthia", seed, index, label, SIZE)
    with paths.atomic(stem.with_suffix(".png")) as temporary:
        Image.fromarray(mask.astype(np.uint8) * 255).save(temporary)
    with paths.atomic(stem.with_suffix(".jpg")) as temporary:
        temporary.write_bytes(scan.to_jpeg(image, PRESETS["carinthia"].quality))


def csv_bytes(names, labels, *, masks=False):
    """The archive's CSV file, to the byte as Carinthia (`masks` False) or Carinthia-S (True) write it."""
    if masks:
        rows = ["image_path;mask_path;filename;label"]
        rows += [f"data/images/{k}.jpg;data/masks/{k}.png;{k};{c}" for k, c in zip(names, labels, strict=True)]
    else:
        rows = ["image_path;file_name;label"]
        rows += [f"data/images/{k}.jpg;{k}.jpg;{c}" for k, c in zip(names, labels, strict=True)]
    return "".join(f"{row}\r\n" for row in rows).encode()


def _zip(target, parts, names, labels, masks):
    """Stored members with a fixed date, so that equal content means equal bytes."""
    with zipfile.ZipFile(target, "w") as archive:

        def put(name, data):
            archive.writestr(zipfile.ZipInfo(name), data)

        put("data/carinthia.csv", csv_bytes(names, labels))
        if masks:
            put("data/carinthia-s.csv", csv_bytes(names, labels, masks=True))
        for name in names:
            put(f"data/images/{name}.jpg", (parts / f"{name}.jpg").read_bytes())
            if masks:
                put(f"data/masks/{name}.png", (parts / f"{name}.png").read_bytes())
