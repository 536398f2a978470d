"""Synthetic SEM images with labels, exact masks, captions and noise-free originals; an archive of them."""

import hashlib
import json
import shutil
import zipfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from semlib import paths
from semlib.images import scan
from semlib.images.presets import PRESETS, render, requested
from semlib.workers import parts_folder, spread

SIZE = 480
BLOCK = 32
MODULES = ("defects", "pattern", "presets", "scan", "simulate", "surface", "topography")
ALL_RENDERERS = (*sorted({*MODULES, "captions", "layers", "lines", "text"} - {"simulate"}),)


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
        "semclip": dense upright lines, labels 0 to 6 for `lines.FAMILIES`, some with text (`presets.has_text`).
        "semvlm": the same families at other settings and with varied captions, to train a vision-language model on.
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
    labels = requested(n, seed, preset, size, mix, labels)
    shape = (n, size, size)
    batch = SimulatedBatch(
        np.empty(shape, np.uint8), np.empty(shape, np.uint8), labels, np.empty(shape, bool), []
    )
    for i in tqdm(range(n), desc="simulating", unit="image", disable=n < 50):
        batch.images[i], batch.clean[i], batch.masks[i], caption = _image(
            preset, seed, i, int(labels[i]), size
        )
        batch.captions.append(caption)
    return batch


def _image(preset, seed, index, label, size):
    """`render` and, where the preset has a quality, JPEG."""
    image, *rest = render(preset, seed, index, label, size)
    quality = PRESETS[preset].quality
    return scan.from_jpeg(scan.to_jpeg(image, quality)) if quality else image, *rest


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
    path, labels = Path(path), requested(n, seed, "carinthia", SIZE, mix)
    names = [image_name(seed, i, label) for i, label in enumerate(labels)]
    parts = parts_folder(path, sources_digest())
    jobs = [
        (i, int(labels[i]), parts / names[i])
        for i in range(n)
        if not (parts / f"{names[i]}.jpg").exists()
    ]
    with tqdm(total=n, initial=n - len(jobs), desc="simulating", unit="image") as bar:
        for _ in spread(partial(_write_image, seed), jobs, workers, 8):
            bar.update()
    with paths.atomic(path) as temporary:
        _zip(temporary, parts, names, labels, masks)
    shutil.rmtree(parts)
    return path


def write_arrays(
    folder, n, *, seed, preset="semclip", size=240, mix="preset", labels=None, workers=None
):
    """Write `n` simulated images as arrays that need not fit in memory: read them with ``np.load(..., mmap_mode="r")``.

    The images are those of `sample` for the same arguments, whatever the number of workers. They wait in a hidden
    folder beside `folder` until all are there, so that a killed run goes on where it stopped.

    Parameters
    ----------
    folder : str or Path
        Receives ``images.npy`` uint8 (n, s, s), ``masks.npy`` bool (n, s, s), ``labels.npy`` int (n,) and
        ``captions.json``, a list of n sentences. If it already holds this very set, nothing is done.
    n, seed, preset, size, mix, labels
        See `sample`.
    workers : int, optional
        Processes; by default one per CPU.

    Returns
    -------
    Path

    Raises
    ------
    ValueError
        If an argument is unknown or out of range, or `folder` holds something else.
    """
    labels = requested(n, seed, preset, size, mix, labels)
    folder, request = (
        Path(folder),
        f"{sources_digest(ALL_RENDERERS)} {n} {seed} {preset} {size} {labels.tolist()}",
    )
    key = hashlib.sha256(request.encode()).hexdigest()[:12]
    if folder.exists():
        if (folder / f"{key}.set").exists():
            return folder
        raise ValueError(
            f"{folder} holds something else, or is of another simulator: name a new folder or remove it"
        )
    parts = parts_folder(folder, key)
    jobs = [range(i, min(i + BLOCK, n)) for i in range(0, n, BLOCK)]
    if not (parts / "labels.npy").exists():
        for name, dtype in (("images", np.uint8), ("masks", bool)):
            np.lib.format.open_memmap(parts / f"{name}.npy", "w+", dtype, (n, size, size)).flush()
        with paths.atomic(parts / "labels.npy") as temporary:
            np.save(temporary, labels)
    left = [job for job in jobs if not _block(parts, job).exists()]
    with tqdm(total=n, initial=n - sum(map(len, left)), desc="simulating", unit="image") as bar:
        for made in spread(partial(_write_block, parts, seed, preset, size), left, workers, 1):
            bar.update(made)
    captions = [caption for job in jobs for caption in json.loads(_block(parts, job).read_text())]
    (parts / "captions.json").write_text(json.dumps(captions, indent=0))
    (parts / f"{key}.set").touch()
    parts.rename(folder)
    for job in jobs:
        _block(folder, job).unlink()
    return folder


def _block(parts, job):
    """The captions of a block of images; where this file is, its images are in place, too."""
    return parts / f"captions-{job.start:09d}.json"


def _write_block(parts, seed, preset, size, job):
    """Put a block of images into the arrays; their number."""
    images, masks = (np.load(parts / f"{name}.npy", mmap_mode="r+") for name in ("images", "masks"))
    labels, captions = np.load(parts / "labels.npy"), []
    for i in job:
        images[i], _, masks[i], caption = _image(preset, seed, i, int(labels[i]), size)
        captions.append(caption)
    images.flush()
    masks.flush()
    with paths.atomic(_block(parts, job)) as temporary:
        temporary.write_text(json.dumps(captions))
    return len(job)


def image_name(seed, index, label):
    """32 hexadecimal digits that name an image."""
    return hashlib.blake2b(f"{seed} {index} {label}".encode(), digest_size=16).hexdigest()


def sources_digest(modules=MODULES):
    """Short digest of the simulator's source, by default as an archive needs it: what it was, when images were made."""
    here = Path(__file__).parent
    return hashlib.sha256(b"".join((here / f"{m}.py").read_bytes() for m in modules)).hexdigest()[
        :12
    ]


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
        rows += [
            f"data/images/{k}.jpg;data/masks/{k}.png;{k};{c}"
            for k, c in zip(names, labels, strict=True)
        ]
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
