"""A folder of images classified and segmented after a few shots: the order of the work."""

from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from semlib import paths
from semlib.images import databar, folder, lot, read
from semlib.semclip import data, inspection, learners, store
from semlib.semclip.backbone import Backbone
from semlib.semclip.clip import OURS
from semlib.semclip.inspection import READ, write
from semlib.semclip.prompts import Prompts


def run(
    images,
    out,
    *,
    shots=None,
    model=None,
    reference=None,
    method=None,
    backbone=None,
    pretrained=None,
    prompts=None,
    bar=None,
):
    """Learn from labelled shots, or take a saved model, and write what it sees in a folder.

    What can learn from the shots is compared on shots left out, and the best is used, unless
    `method` names another one. Images are looked at in tiles at the scale of the shots; shots and
    images are read by one rule, which the model keeps for later lots. With the folder `reference`
    (same names) maps are what differs from those images, which needs no shots. An interrupted run
    continues; what has other content, model or reading is done again.

    `model` is the ``model/`` of an earlier run, `bar` that of `read.image`, by default the model's.
    `out` receives ``results.csv`` (also returned), ``defects.csv``, ``masks/``, ``overlays/``,
    ``index.html``, ``methods.csv``, ``model/``, ``shots.csv`` (how these were read) and
    ``skipped.csv`` (files that were not used, and why).
    """
    images = Path(images)
    out = Path(out)
    if shots is not None and model is not None or (shots is model is reference is None):
        raise ValueError("give either shots to learn from or a saved model (or a --reference)")
    if model is not None and (backbone or pretrained or prompts):
        raise ValueError("a saved model brings its own backbone and prompts: leave those out")
    if method not in (None, *learners.NAMES):
        raise ValueError(f"unknown method {method!r}: use one of {', '.join(learners.NAMES)}")
    paths.check_writable(out, "name another folder with --out")
    passed_over = [(file.as_posix(), why) for file, why in folder.listing(images).passed_over]
    if model is not None:
        learnt = store.load_learnt(model, method)
        learnt.reading["bar"] = databar.option(bar or learnt.reading["bar"])
        table = lot.describe(images, learnt.reading["bar"], masked=False)
        _read_as_taught(table, learnt.reading["range"])
    elif shots is None:
        learnt = None
        table = lot.describe(images, bar or "auto", masked=False)
    else:
        place = Path(shots)
        reading = store.READING | {"bar": databar.option(bar or "auto")}
        words = Prompts.load(prompts)
        taught = lot.describe(place, reading["bar"])
        data.check_shots(place, taught, words)
        table = lot.describe(images, reading["bar"], masked=False)
        reading["range"] = _read_alike(taught, table)
        net = Backbone(backbone or OURS, pretrained)
        learnt = _learn(net, words, place, taught, reading, out, method)
    if learnt:
        store.save_learnt(learnt, out / "model")
    beside = Path(reference) if reference else None
    return inspection.inspect(learnt, images, table, out, passed_over, beside)


def _read_alike(*tables):
    """Give several lots one rule for the grey range: as all files state it, or by quantiles."""
    rules = {rule for table in tables for rule in table["range"]}
    if len(rules) > 1:
        print("grey range: by quantiles for shots and images alike, as one does not state it")
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


def _learn(backbone, prompts, place, table, reading, out, method):
    """A `store.Learnt` from the shots that `table` describes; writes shots.csv and methods.csv.

    Without a `method` those that can learn from the shots are compared.
    """
    images, masks = data.shots(place, table, backbone.image_size)
    _note_masks(prompts, place, table, masks, out)
    shots = learners.Shots(images, table["label"].to_numpy(str), masks)
    possible = learners.possible(shots, prompts)
    compared = pd.DataFrame(columns=learners.COLUMNS)
    if not method and len(possible) == 1:
        (method,) = possible
    elif not method:
        compared = learners.compare(possible, shots, backbone, prompts)
        if compared.empty:
            method = learners.PIXELS
            print(f"one shot of each class: nothing to compare on, so {method} is used")
        else:
            method = compared["method"].iloc[0]
            count = compared["shots"].iloc[0]
            print(compared.round(3).to_string(index=False))
            print(f"used: {method}, best on {count} shots left out (--method overrules)")
    model = learners.fit(method, shots, backbone, prompts)
    used = compared["method"] == method
    write(compared.assign(used=used), out / "methods.csv", by="method")
    shapes = [read.listed(place, row)[0].shape for row in table.itertuples()]
    nm = pd.to_numeric(table["pixel_nm"], errors="coerce")
    return store.Learnt(
        method=method,
        model=model,
        prompts=prompts,
        reading=reading,
        shots=shots,
        threshold=learners.THRESHOLD if compared.empty else float(compared["threshold"].iloc[0]),
        shot_shape=tuple(int(side) for side in np.median(shapes, axis=0)),
        shot_nm=float(nm.median()) if nm.notna().all() else None,
        compared=compared.to_dict("records"),
        backbone=backbone.settings,
    )


def _note_masks(prompts, place, table, masks, out):
    """Say which masks disagree with their label, and write how each shot was read and marked."""
    masked = table["mask_path"] != ""
    marked = masks.mean((1, 2))
    normal = prompts.positions(table["label"]) == prompts.normal
    for i in np.flatnonzero(masked & ((marked > 0) == normal)):
        note = f"its mask marks {'a defect' if normal[i] else 'nothing'}"
        tqdm.write(f"{place / table['path'][i]} is {table['label'][i]!r}, but {note}")
        table.loc[i, "notes"] = f"{table['notes'][i]}; {note}".lstrip("; ")
    about = table.rename(columns={"path": "file"}).assign(marked=marked.round(4))
    columns = ["file", "label", "mask_path", "mask_rule", "marked", *READ]
    write(about[columns], out / "shots.csv")
    if not masked.any() and not normal.all():
        tqdm.write(f"{place} has no masks: the Transformation Layers stay untrained")
