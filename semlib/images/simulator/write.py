"""Simulated sets on the disk, an archive or arrays. A killed run goes on where it stopped."""

import hashlib
import json
import shutil
import zipfile
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from semlib.images.simulator import presets
from semlib.images.simulator.batch import labels_of
from semlib.images.simulator.microscope import to_jpeg
from semlib.paths import atomic, write_text
from semlib.workers import parts_folder, spread

SIZE = 480  # of the images in an archive
BLOCK = 32  # images of arrays that a process makes at a time, and that a kill loses at most


def sources_digest():
    """Short digest of the simulator's source: a set made by another simulator is made anew."""
    sources = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in sources)).hexdigest()[:12]


def write_archive(path, n, *, seed, mix="preset", workers=None):
    """Write `n` simulated images as an archive laid out like Carinthia and Carinthia-S together.

    Its bytes depend on n, seed and mix only, see `sample`. Finished images wait in a hidden folder
    beside `path`. `workers`: processes; by default one per CPU.
    """
    path = Path(path)
    labels = labels_of(n, seed, presets.CARINTHIA, SIZE, mix).tolist()
    keys = (f"{seed} {i} {label}".encode() for i, label in enumerate(labels))
    names = [hashlib.blake2b(key, digest_size=16).hexdigest() for key in keys]
    parts = parts_folder(path, sources_digest())
    jobs = [(i, label, parts / names[i]) for i, label in enumerate(labels)]
    left = [job for job in jobs if not job[2].with_suffix(".jpg").exists()]
    with tqdm(total=n, initial=n - len(left), desc="simulating", unit="image") as bar:
        for _ in spread(partial(_write_image, seed), left, workers, 8):
            bar.update()
    with atomic(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, content in _members(parts, names, labels):
            # stored, with a fixed date, so that equal content means equal bytes
            archive.writestr(zipfile.ZipInfo(f"data/{name}"), content)
    shutil.rmtree(parts)
    return path


def _write_image(seed, job):
    index, label, stem = job
    image, _, mask, _ = presets.CARINTHIA.render(seed, SIZE, index, label)
    with atomic(stem.with_suffix(".png")) as temporary:
        Image.fromarray(mask.astype(np.uint8) * 255).save(temporary)
    with atomic(stem.with_suffix(".jpg")) as temporary:
        temporary.write_bytes(to_jpeg(image, presets.CARINTHIA.quality))


def csv_bytes(names, labels, *, masks=False):
    """The archive's CSV file, to the byte as in Carinthia, or with masks as in Carinthia-S."""
    header = "image_path;file_name;label"
    line = "data/images/{0}.jpg;{0}.jpg;{1}"
    if masks:
        header = "image_path;mask_path;filename;label"
        line = "data/images/{0}.jpg;data/masks/{0}.png;{0};{1}"
    lines = [header, *(line.format(*one) for one in zip(names, labels, strict=True))]
    return "".join(f"{line}\r\n" for line in lines).encode()


def _members(parts, names, labels):
    yield "carinthia.csv", csv_bytes(names, labels)
    yield "carinthia-s.csv", csv_bytes(names, labels, masks=True)
    for name in names:
        yield f"images/{name}.jpg", (parts / f"{name}.jpg").read_bytes()
        yield f"masks/{name}.png", (parts / f"{name}.png").read_bytes()


def write_arrays(folder, n, *, seed, preset="semclip", size=240, workers=None):
    """Write the images of `sample` as arrays that need not fit in memory.

    `folder` receives ``images.npy`` uint8 (n, s, s), ``masks.npy`` bool (n, s, s), ``labels.npy``
    int (n,) and ``captions.json``. If it holds this very set, nothing is done; if anything else, it
    is a ValueError. `workers`: processes; by default one per CPU.
    """
    folder = Path(folder)
    preset = presets.of(preset)
    labels = labels_of(n, seed, preset, size)
    request = f"{sources_digest()} {n} {seed} {preset.name} {size}"
    key = hashlib.sha256(request.encode()).hexdigest()[:12]
    if (folder / f"{key}.set").exists():
        return folder
    if folder.exists():
        raise ValueError(f"{folder} holds something else: name a new folder or remove it")
    parts = parts_folder(folder, key)
    progress = parts / "captions.json"  # of the images whose pixels are in place
    captions = json.loads(progress.read_text()) if progress.exists() else []
    mode = "r+" if captions else "w+"
    images = np.lib.format.open_memmap(parts / "images.npy", mode, np.uint8, (n, size, size))
    masks = np.lib.format.open_memmap(parts / "masks.npy", mode, bool, (n, size, size))
    jobs = list(enumerate(labels.tolist()))[len(captions) :]
    made = spread(partial(preset.finished, seed, size), jobs, workers, BLOCK)
    bar = tqdm(made, total=n, initial=len(captions), desc="simulating", unit="image")
    for i, (image, _, mask, caption) in enumerate(bar, start=len(captions)):
        images[i] = image
        masks[i] = mask
        captions.append(caption)
        if len(captions) % BLOCK == 0 or len(captions) == n:
            write_text(progress, json.dumps(captions, indent=0))
    np.save(parts / "labels.npy", labels)
    (parts / f"{key}.set").touch()
    parts.rename(folder)
    return folder
