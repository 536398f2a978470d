"""Somebody's own pictures restored with the networks we ship: files in, files of their kind out.

The network sees grey values over the range of each file (`read.Picture.span`); what it returns goes
back to the numbers of the file: 16 bits in, 16 bits out. A data bar is copied as it is.
"""

import time
from functools import partial
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
from tqdm import tqdm

from semlib.images import folder, read
from semlib.paths import sha256, write_text
from semlib.semnr import denoise, picture_file, second_scan, spread, tiles

COLUMNS = ["name", "file", "restored", "uncertainty", "trust", "method", "seconds", "notes", "key"]


def run(images, out, *, method="semnr", reference=None):
    """Restore a picture file or all pictures of a folder.

    A run that was interrupted continues; a picture is done again when it, its reference, the
    method or its weights have changed.

    Parameters
    ----------
    images : file, or folder in a layout of `folder`
    out : folder
        Receives the restored pictures under their own names, as TIFF where the file is one and else
        as PNG; ``uncertainty/``, half the width of the 90 % interval in the numbers of the file,
        where the network has one; ``trust/``; ``restored.csv``; ``skipped.csv``, what is unreadable
    method : one of `methods`
    reference : path, optional
        A slower scan or a second frame of each place under the same name, a file or a folder:
        gives a page of the trust profile for each picture, in ``trust/``.

    Returns ``restored.csv``, a row for each picture with `COLUMNS`; ValueError for an unknown
    method, a missing reference, or if no picture can be restored.
    """
    if method not in methods():
        raise ValueError(f"no network called {method!r} is here: use one of {', '.join(methods())}")
    images = Path(images)
    out = Path(out)
    files = listed(images)
    if out.resolve() in {file.resolve().parent for file in files.values()}:
        raise ValueError(f"{out} holds the pictures themselves: name another folder")
    references = second_scan.partners(files, reference) if reference else {}
    # those of the method alone: "semnr-x.safetensors" is of another one
    networks = [denoise.MODELS / f"{method}{end}.safetensors" for end in ("", spread.ENDING)]
    about = [method, tiles.TILE, tiles.OVERLAP, *map(sha256, filter(Path.is_file, networks))]
    pairs = {name: filter(None, (files[name], references.get(name))) for name in files}
    keys = {name: joblib.hash([about, *map(sha256, pair)]) for name, pair in pairs.items()}
    rows = _earlier(out, keys)
    skipped = []
    todo = [name for name in files if name not in rows]
    for name in tqdm(todo, "restore", len(files), initial=len(rows), unit="image"):
        file = files[name]
        try:
            made = _restored(file, out, name, method, references.get(name))
            rows[name] = {"name": name, "file": file.name} | made | {"key": keys[name]}
        except (ValueError, OSError) as error:
            tqdm.write(f"left out: {error}")
            skipped.append({"name": name, "file": file.name, "reason": str(error)})
        _write([rows[one] for one in files if one in rows], COLUMNS, out / "restored.csv")
    _write(skipped, ("name", "file", "reason"), out / "skipped.csv")
    if not rows:
        raise ValueError(f"none of {len(files)} pictures was restored: {skipped[0]['reason']}")
    return _write([rows[one] for one in files if one in rows], COLUMNS, out / "restored.csv")


def methods():
    """Kinds of the networks whose weights are here."""
    files = denoise.MODELS.glob("*.safetensors")
    return sorted(file.stem for file in files if not file.stem.endswith(spread.ENDING))


def listed(images):
    """Picture files by name: place in the folder without ending."""
    if not images.exists():
        raise FileNotFoundError(f"{images}: no such file or folder")
    if images.is_file():
        return {images.stem: images}
    rows = folder.listing(images).images
    return {Path(row["path"]).with_suffix("").as_posix(): images / row["path"] for row in rows}


def _restored(file, out, name, method, partner):
    """Restore one file and write all that is made of it: the columns of its row."""
    start = time.perf_counter()
    picture = read.image(file)
    low, high = picture.span()
    if high <= low:
        raise ValueError(f"{file}: all pixels are {low:g}, so there is nothing to restore")
    image = read.scaled(picture.pixels, (low, high)).astype(np.float32)
    restored = tiles.restore(partial(denoise.restore, denoise.network(method)), image).clip(0, 1)
    ending = file.suffix if file.suffix.lower() in picture_file.TIFF else ".png"  # which loses none
    target = out / f"{name}{ending}"
    picture_file.write(target, file, picture, low + (high - low) * restored)
    notes = list(picture.notes)
    if outside := int(((picture.pixels < low) | (picture.pixels > high)).sum()):
        notes.append(f"{outside} numbers outside {low:g} to {high:g} were clipped")
    row = {"restored": target, "uncertainty": None, "trust": None}
    if spread.is_there(method):
        row["uncertainty"] = out / "uncertainty" / f"{name}.tif"
        width = tiles.restore(partial(spread.half_width, method), image, restored)
        picture_file.write_floats(row["uncertainty"], file, picture, (high - low) * width)
    if partner:
        row["trust"] = second_scan.page(partner, file, picture, restored, out / "trust" / name)
    row = {part: path and path.relative_to(out).as_posix() for part, path in row.items()}
    seconds = round(time.perf_counter() - start, 2)
    return row | {"method": method, "seconds": seconds, "notes": "; ".join(notes)}


def _earlier(out, keys):
    """Rows by name, of pictures whose files an earlier run made from the same things."""
    if not (out / "restored.csv").is_file():
        return {}
    table = pd.read_csv(out / "restored.csv", dtype=str, keep_default_na=False)
    rows = {}
    for row in table.to_dict("records"):
        if row.get("key", "") == keys.get(row["name"]):
            made = [row[part] for part in ("restored", "uncertainty", "trust") if row[part]]
            if all((out / path).is_file() for path in made):
                rows[row["name"]] = row
    return rows


def _write(rows, columns, file):
    """Write a table, or remove that of an earlier run where there is no row; the table."""
    table = pd.DataFrame(rows, columns=list(columns))
    if table.empty:
        file.unlink(missing_ok=True)
        return table
    write_text(file, table.to_csv(index=False, lineterminator="\n"))
    return table
