"""A folder of images classified and segmented after a few shots: a table and overlay pictures."""

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib import colormaps
from PIL import Image, ImageDraw, ImageFont
from skimage.segmentation import find_boundaries
from tqdm import tqdm, trange

from semlib import paths, plots
from semlib.images import databar, folder, lot, read
from semlib.semclip import data, store
from semlib.semclip.backbone import Backbone
from semlib.semclip.clip import OURS
from semlib.semclip.model import SemClip
from semlib.semclip.prompts import Prompts

CHUNK = 16
OUTLINED = 0.5  # anomaly from which a pixel lies within the outline
OPACITY = 0.6  # of the colour where the anomaly is 1
READ = ["range", "bar_top", "bar_bottom", "pixel_nm", "notes"]  # of `lot.describe`: in all tables


def run(
    images, out, *, shots=None, model=None, backbone=None, pretrained=None, prompts=None, bar=None
):
    """Learn from labelled shots, or take a saved model, and write what it sees in a folder.

    The whole image without its data bar is fitted into the backbone's square, and the map goes back
    to the image's own size. Shots and images are read by one rule, which the model keeps for later
    lots. An interrupted run continues; what has other content, model or reading is done again.

    `model` is the ``model/`` of an earlier run, `bar` that of `read.image`, by default the model's.
    `out` receives ``results.csv`` (also returned), ``overlays/``, ``model/``, ``shots.csv`` (how
    these were read) and ``skipped.csv`` (files that were not used, and why).
    """
    images = Path(images)
    out = Path(out)
    if (shots is None) == (model is None):
        raise ValueError("give either shots to learn from or a saved model")
    if model is not None and (backbone or pretrained or prompts):
        raise ValueError("a saved model brings its own backbone and prompts: leave those out")
    reading = dict(store.READING if model is None else store.reading(model))
    reading["bar"] = databar.option(bar or reading["bar"])
    paths.check_writable(out, "name another folder with --out")
    passed_over = [(file.as_posix(), why) for file, why in folder.listing(images).passed_over]
    if model is not None:
        table = lot.describe(images, reading["bar"], masked=False)
        fitted = store.load(model)
        _read_as_taught(table, reading["range"])
    else:
        words = Prompts.load(prompts)
        taught = lot.describe(Path(shots), reading["bar"])
        data.check_shots(Path(shots), taught, words)
        table = lot.describe(images, reading["bar"], masked=False)
        reading["range"] = _read_alike(taught, table)
        fitted = _fit(Backbone(backbone or OURS, pretrained), words, Path(shots), taught, out)
    store.save(fitted, out / "model", reading)
    return _detect(fitted, images, table, out, passed_over)


def overlay(image, anomaly):
    """Image uint8 (H, W) with the anomaly map, 0 to 1, in colour: uint8 (H, W, 3).

    The colour is more opaque where the anomaly is higher; where it is `OUTLINED` there is a line.
    """
    colour = colormaps["inferno"](anomaly)[..., :3] * 255
    opacity = OPACITY * anomaly[..., None]
    mixed = np.rint((1 - opacity) * image[..., None] + opacity * colour).astype(np.uint8)
    mixed[find_boundaries(anomaly >= OUTLINED, mode="inner")] = (0, 255, 255)
    return mixed


def _read_alike(*tables):
    """Give several lots one rule for the grey range: as all files state it, or by quantiles."""
    rules = {rule for table in tables for rule in table["range"]}
    if len(rules) > 1:
        print(
            "grey range: by quantiles for shots and images alike, as one folder does not state it"
        )
    rule = "quantiles" if "quantiles" in rules else "stated"
    for table in tables:
        table["range"] = rule
    return rule


def _read_as_taught(table, rule):
    """Give a lot the rule by which the shots of its model were read, as far as it can be."""
    if rule == "stated" and "quantiles" in set(table["range"]):
        note = "grey range by quantiles, while the model learnt from files that state theirs"
        print(f"{note}: better learn anew from the shots, with these images as --images")
        table["notes"] = [f"{notes}; {note}".lstrip("; ") for notes in table["notes"]]
    else:
        table["range"] = rule


def _fit(backbone, prompts, place, table, out):
    """Train on a folder of shots, and write down how each was read and marked."""
    images, masks = data.shots(place, table, backbone.image_size)
    masked = (table["mask_path"] != "").to_numpy()
    marked = masks.mean((1, 2))
    normal = prompts.positions(table["label"]) == prompts.normal
    for i in np.flatnonzero(masked & ((marked > 0) == normal)):
        note = f"its mask marks {'a defect' if normal[i] else 'nothing'}"
        tqdm.write(f"{place / table['path'][i]} is {table['label'][i]!r}, but {note}")
        table.loc[i, "notes"] = f"{table['notes'][i]}; {note}".lstrip("; ")
    about = table.rename(columns={"path": "file"}).assign(marked=marked.round(4))
    _write(about[["file", "label", "mask_path", "mask_rule", "marked", *READ]], out / "shots.csv")
    if not masked.any():
        tqdm.write(f"{place} has no masks: the Transformation Layers stay untrained")
    model = SemClip(backbone, prompts, transformation=bool(masked.any()))
    return model.fit(images, table["label"], masks if masked.any() else None)


def _detect(model, place, table, out, passed_over):
    """Work through the images by chunks; every file ends up in results.csv or skipped.csv."""
    results = out / "results.csv"
    version = [paths.sha256(out / "model" / name) for name in (store.TENSORS, store.ABOUT)]
    table["overlay"] = table["image_id"] + ".png"
    lines, todo = _continue(place, table.assign(version="".join(version)), out)
    _write(pd.DataFrame(lines), results)  # without old lines, before an overlay is drawn anew
    unreadable = []
    for start in trange(0, len(todo), CHUNK, desc="detect", unit="chunk"):
        levels = []
        readable = []
        for row in todo[start : start + CHUNK]:
            try:
                levels.append(read.listed(place, row)[0])
                readable.append(row)
            except (ValueError, OSError) as error:
                unreadable.append((row.path, str(error)))
        if readable:
            lines += _look(model, readable, levels, out / "overlays")
            _write(pd.DataFrame(lines), results)
    if not lines:
        raise ValueError(f"none of {len(table)} images can be used: {unreadable[0][1]}")
    skipped = pd.DataFrame(passed_over + unreadable, columns=["file", "reason"])
    _write(skipped, out / "skipped.csv")
    if len(skipped):
        tqdm.write(f"{len(skipped)} files left out, listed in {out / 'skipped.csv'}")
    return pd.read_csv(results, keep_default_na=False)


def _continue(place, table, out):
    """Lines of an earlier results.csv that still hold, and the other images, with their keys.

    A line holds for the same content, reading and model. Overlays of other lines are removed.
    """
    try:
        earlier = pd.read_csv(out / "results.csv", dtype=str, keep_default_na=False)
        earlier = {line["key"]: line for line in earlier.to_dict("records")}
    except (OSError, ValueError, KeyError):  # none yet, or none of this kind
        earlier = {}
    keys = []
    for row in table[["path", "version", "overlay", *READ]].itertuples(index=False):
        try:
            content = paths.sha256(place / row.path)
        except OSError:  # said when it is read
            content = ""
        keys.append(hashlib.sha256("\0".join([content, *row]).encode()).hexdigest()[:16])
    table = table.assign(key=keys)
    drawn = np.array([(out / "overlays" / name).is_file() for name in table["overlay"]])
    holds = table["key"].isin(list(earlier)) & drawn
    lines = [earlier.pop(key) for key in table["key"][holds]]
    for line in earlier.values():
        (out / "overlays" / Path(line["overlay"]).name).unlink(missing_ok=True)
    return lines, list(table[~holds].itertuples())


def _look(model, rows, images, overlays):
    """Write the overlays of some images of a lot; returns their lines of results.csv."""
    side = model.backbone.image_size
    prediction = model.predict(np.stack([data.fitted(one, side) for one in images]))
    for row, image, small in zip(rows, images, prediction.anomaly_maps, strict=True):
        large = Image.fromarray(small).resize(image.shape[::-1], Image.Resampling.BILINEAR)
        picture = Image.fromarray(overlay(image, np.asarray(large)))
        _draw_scale(picture, row.pixel_nm)
        with paths.atomic(overlays / row.overlay) as temporary:
            picture.save(temporary)
    table = pd.DataFrame(prediction.class_probabilities.astype(float), columns=model.classes)
    table.insert(0, "file", [row.path for row in rows])
    table.insert(1, "class", table[model.classes].idxmax(axis=1))
    table["anomaly_score"] = model.anomaly_scores(prediction).astype(float)
    for name in ("overlay", *READ, "key"):
        table[name] = [getattr(row, name) for row in rows]
    return table.round(4).to_dict("records")


def _draw_scale(picture, pixel_nm):
    """Draw a scale bar where the pixel size is known, without a ground: it hides no part."""
    if not (scale := plots.scale(picture.width, pixel_nm)):
        return
    length, label = scale
    gap = picture.width // 100 + 2
    right = picture.width - 2 * gap
    low = picture.height - 2 * gap
    draw = ImageDraw.Draw(picture)
    draw.rectangle((right - length - 1, low - gap, right + 1, low), "white", "black")
    look = {"font": ImageFont.load_default(max(10, picture.width // 32)), "anchor": "ms"}
    look |= {"fill": "white", "stroke_width": 1, "stroke_fill": "black"}
    draw.text((right - length / 2, low - 2 * gap), label, **look)


def _write(table, file):
    """Write a table sorted by its files, or remove that of an earlier run where it is empty."""
    if table.empty:
        file.unlink(missing_ok=True)
        return
    with paths.atomic(file) as temporary:
        table.sort_values("file").to_csv(temporary, index=False, lineterminator="\n")
