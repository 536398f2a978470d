"""A lot of images through a learnt method: tables, masks, overlays and the page; can be resumed."""

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from tqdm import tqdm

from semlib import paths
from semlib.images import read
from semlib.semclip import gallery, learners, looking, store

CHUNK = 16  # images after which the tables are written
READ = ["range", "bar_top", "bar_bottom", "pixel_nm", "notes"]  # of `lot.describe`: in all tables
BESIDE = "die to reference"
NO_CLASSES = ["defect-free", "defect"]  # of a comparison with references alone


def inspect(learnt, place, table, out, passed_over, beside=None):
    """Work through the images; every file ends up in results.csv or skipped.csv.

    Takes a `store.Learnt`, or None where references in the folder `beside` are all there is, and
    `lot.describe` of the images. Returns the table of results.csv.
    """
    table["overlay"] = table["image_id"] + ".png"
    version = store.version(out / "model") if learnt else BESIDE
    lines, marked, todo = _continue(place, table.assign(version=version), out, beside)
    # without old lines, before an overlay is drawn anew
    write(pd.DataFrame(lines), out / "results.csv")
    unreadable = []
    for number, row in enumerate(tqdm(todo, desc="detect", unit="image"), 1):
        try:
            image, _ = read.listed(place, row)
            other = read.listed(beside, _partner(beside, row))[0] if beside else None
            line, defects = _look(learnt, row, image, out, other)
            lines.append(line)
            marked.append(defects)
        except (ValueError, OSError) as error:
            unreadable.append((row.path, str(error)))
        if number % CHUNK == 0:
            _write_tables(lines, marked, out)
    if not lines:
        raise ValueError(f"none of {len(table)} images can be used: {unreadable[0][1]}")
    _write_tables(lines, marked, out)
    skipped = pd.DataFrame(passed_over + unreadable, columns=["file", "reason"])
    write(skipped, out / "skipped.csv")
    if len(skipped):
        tqdm.write(f"{len(skipped)} files left out, listed in {out / 'skipped.csv'}")
    table = pd.read_csv(out / "results.csv", keep_default_na=False)
    method = learnt.method if learnt else BESIDE
    compared = pd.DataFrame(learnt.compared if learnt else [])
    gallery.page(out, method, compared, table, len(skipped), beside)
    return table


def write(table, file, by="file"):
    """Write a table sorted by a column, or remove that of an earlier run where it is empty."""
    if table.empty:
        file.unlink(missing_ok=True)
        return
    with paths.atomic(file) as temporary:
        table.sort_values(by, kind="stable").to_csv(temporary, index=False, lineterminator="\n")


def _write_tables(lines, marked, out):
    """Defects first: a line of results.csv says that those of its image are there."""
    defects = pd.concat(marked, ignore_index=True) if marked else pd.DataFrame()
    write(defects, out / "defects.csv")
    write(pd.DataFrame(lines), out / "results.csv")


def _look(learnt, row, image, out, other=None):
    """Write mask and overlay of an image; returns its line of results.csv and its defects."""
    pixel_nm = float(row.pixel_nm) if row.pixel_nm else None
    look = None
    if learnt:
        sides = looking.window(image.shape, learnt.shot_shape, pixel_nm, learnt.shot_nm)
        # pixels a side of the square that the model knows
        side = learnt.shots.images.shape[1] if learnt.shots else learnt.model.backbone.image_size
        look = looking.look(learnt.model, image, side, sides)
    if other is not None:
        look = looking.look_beside(look, image, other)
    mask = looking.mask_of(look.anomaly, learnt.threshold if other is None else learners.THRESHOLD)
    with paths.atomic(out / "masks" / row.overlay) as temporary:
        Image.fromarray(np.uint8(255 * mask)).save(temporary)
    picture = Image.fromarray(gallery.overlay(image, look.anomaly, mask))
    gallery.draw_scale(picture, row.pixel_nm)
    with paths.atomic(out / "overlays" / row.overlay) as temporary:
        picture.save(temporary)
    defects = looking.defects(mask, look.anomaly, pixel_nm)
    defects.insert(0, "file", row.path)
    classes = learnt.model.classes if learnt else NO_CLASSES
    line = {"file": row.path, "class": classes[int(look.probabilities.argmax())]}
    shares = [round(float(value), 4) for value in look.probabilities]
    line |= dict(zip(classes, shares, strict=True))
    line |= {"anomaly_score": round(look.score, 4), "defects": len(defects), "tiles": look.tiles}
    line |= {name: getattr(row, name) for name in ("overlay", *READ, "key")}
    return line, defects


def _partner(beside, row):
    """The row of an image's reference: the file of the same name, whatever its suffix."""
    if (beside / row.path).is_file():
        return row
    name = Path(row.path)
    folder = beside / name.parent
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    others = [f for f in files if f.stem == name.stem and f.suffix.lower() in read.SUFFIXES]
    if not others:
        raise FileNotFoundError(f"{beside} has no reference {row.path}")
    return row._replace(path=others[0].relative_to(beside).as_posix())


def _content(place, row, beside):
    """Digest of an image, and of its reference; "" where there is none: said when it is read."""
    try:
        content = paths.sha256(place / row.path)
        return content + (paths.sha256(beside / _partner(beside, row).path) if beside else "")
    except OSError:
        return ""


def _continue(place, table, out, beside=None):
    """Lines of an earlier results.csv that still hold, their defects, and the other images.

    A line holds for the same content, reading and model. Pictures of other lines are removed. The
    defects are a list of tables; each other image is a row with its key.
    """
    try:
        earlier = pd.read_csv(out / "results.csv", dtype=str, keep_default_na=False)
        earlier = {line["key"]: line for line in earlier.to_dict("records")}
    except (OSError, ValueError, KeyError):  # none yet, or none of this kind
        earlier = {}
    keys = []
    for row in table[["path", "version", "overlay", *READ]].itertuples(index=False):
        parts = _content(place, row, beside), *row
        keys.append(hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16])
    table = table.assign(key=keys)
    pictures = [out / "overlays", out / "masks"]
    drawn = [all((folder / name).is_file() for folder in pictures) for name in table["overlay"]]
    holds = table["key"].isin(list(earlier)) & np.array(drawn)
    lines = [earlier.pop(key) for key in table["key"][holds]]
    for line in earlier.values():
        for folder in pictures:
            (folder / Path(line["overlay"]).name).unlink(missing_ok=True)
    marked = []
    if lines and (out / "defects.csv").is_file():
        defects = pd.read_csv(out / "defects.csv", dtype=str, keep_default_na=False)
        marked.append(defects[defects["file"].isin([line["file"] for line in lines])])
    return lines, marked, list(table[~holds].itertuples())
