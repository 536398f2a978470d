"""Synthetic SEM images with labels, exact masks, captions and noise-free originals; an archive of them."""

import hashlib
import math
import multiprocessing
import os
import shutil
import zipfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from semlib import paths
from semlib.images import scan, topography

CLASS_TOTALS = {1: 55, 2: 8, 3: 4008, 4: 289, 5: 4, 6: 227}
ALL_CLASSES_FROM = 60
PRESETS = ("carinthia",)
MIXES = ("preset", "teaching")
TEACHING_MINIMUM = 12
SMALLEST = 64
MODULES = ("simulate", "topography", "defects", "surface", "scan")


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
        "carinthia": unpatterned film, six families of defects, see `defects.FAMILIES`.
    size : int
        Pixels per side, at least 64; the field of view stays the same.
    mix : str
        "preset": classes in the proportions of the real set, exactly its totals at n = 4,591, none missing from
        n = 60 on. "teaching": the same with at least 12 images of each class, n >= 72.
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
    labels = mixture(n, seed=seed, mix=mix) if labels is None else _given(labels, n)
    shape = (n, size, size)
    batch = SimulatedBatch(np.empty(shape, np.uint8), np.empty(shape, np.uint8), labels, np.empty(shape, bool), [])
    for i in tqdm(range(n), desc="simulating", unit="image", disable=n < 50):
        data, batch.clean[i], batch.masks[i], caption = render(seed, i, int(labels[i]), size)
        batch.images[i] = scan.from_jpeg(data)
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


def _given(labels, n):
    labels = np.asarray(labels, int)
    if labels.shape != (n,) or not set(labels.tolist()) <= set(CLASS_TOTALS):
        values = sorted(set(labels.ravel().tolist()))
        raise ValueError(f"labels: expected {n} integers from 1 to 6, got shape {labels.shape}, values {values}")
    return labels


def mixture(n, *, seed, mix="preset"):
    """Labels of `n` images, shuffled, int (n,). See `sample` for `mix`."""
    if mix not in MIXES:
        raise ValueError(f"unknown mix {mix!r}: use one of {', '.join(MIXES)}")
    classes = np.array(list(CLASS_TOTALS))
    if mix == "teaching" and n < TEACHING_MINIMUM * len(classes):
        raise ValueError(f"n={n}: mix 'teaching' needs at least {TEACHING_MINIMUM * len(classes)} images")
    least = TEACHING_MINIMUM if mix == "teaching" else int(n >= ALL_CLASSES_FROM)
    share = n * np.array(list(CLASS_TOTALS.values())) / sum(CLASS_TOTALS.values())
    counts = np.maximum(np.floor(share + 1e-9).astype(int), least)
    order = np.argsort(np.floor(share) - share, kind="stable")
    for k in order[: max(n - counts.sum(), 0)]:
        counts[k] += 1
    counts[np.argmax(counts)] -= counts.sum() - n
    return np.random.default_rng([seed, n]).permutation(np.repeat(classes, counts))


def render(seed, index, label, size=480):
    """One image: JPEG bytes, clean uint8, mask bool, caption."""
    _keep_memory()
    rng = np.random.default_rng([seed, index, label])
    scene = topography.scene(rng, label, size)
    level = scan.FILM_GREY * rng.normal(1, 0.058) * scan.shading(size, rng)
    clean = scan.probe(scan.signal(scene, size, rng), size, rng) * level
    noisy = scan.acquire(clean, rng, dose=rng.lognormal(math.log(2600), 0.12), jitter=0.12, correlation=0.36)
    marks = scan.frame(size, rng)
    image = scan.to_8bit(scan.framed(noisy, marks))
    return scan.to_jpeg(image), scan.to_8bit(scan.framed(clean, marks)), scene.mask, scene.caption


@lru_cache(maxsize=1)
def _keep_memory():
    """Free one large block, once: glibc then keeps the memory of an image for the next, a third less time."""
    np.empty(31 << 20, np.uint8)


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
    _check(n, seed, "carinthia", 480)
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
            with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
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


def _write_image(seed, job):
    index, label, stem = job
    data, _, mask, _ = render(seed, index, label)
    with paths.atomic(stem.with_suffix(".png")) as temporary:
        Image.fromarray(mask.astype(np.uint8) * 255).save(temporary)
    with paths.atomic(stem.with_suffix(".jpg")) as temporary:
        temporary.write_bytes(data)


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
