"""A folder of images classified and segmented after a few shots: a table and overlay pictures."""

import filecmp
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib import colormaps
from PIL import Image
from skimage.segmentation import find_boundaries
from tqdm import tqdm, trange

from semlib.images import datasets, read
from semlib.paths import atomic
from semlib.semclip import data, store
from semlib.semclip.backbone import Backbone
from semlib.semclip.clip import OURS
from semlib.semclip.model import SemClip
from semlib.semclip.prompts import Prompts

CHUNK = 16
OUTLINED = 0.5  # anomaly from which a pixel lies within the outline
OPACITY = 0.6  # of the colour where the anomaly is 1


def run(images, out, *, shots=None, model=None, backbone=None, pretrained=None, prompts=None):
    """Learn from labelled shots, or take a saved model, and write what it sees in a folder.

    The whole image is fitted into the backbone's square, and the map goes back to the image's own
    size. An interrupted run continues; images are done again when they or the model are newer.

    `model` is the ``model/`` of an earlier run. `out` receives ``results.csv`` (also returned),
    ``overlays/``, ``model/`` and, where files cannot be read, ``skipped.csv``.
    """
    out = Path(out)
    files = [Path(images) / row["path"] for row in datasets.list_folder(images)]
    if (shots is None) == (model is None):
        raise ValueError("give either shots to learn from or a saved model")
    if model is None:
        network = Backbone(backbone or OURS, pretrained)
        fitted = _fit(network, Prompts.load(prompts), Path(shots))
    elif backbone or pretrained or prompts:
        raise ValueError("a saved model brings its own backbone and prompts: leave those out")
    else:
        fitted = store.load(model)
    with tempfile.TemporaryDirectory() as fresh:
        store.save(fitted, fresh)
        names = (store.TENSORS, store.ABOUT)
        same, *_ = filecmp.cmpfiles(fresh, out / "model", names, shallow=False)
    if len(same) < len(names):  # results of another model are removed
        (out / "results.csv").unlink(missing_ok=True)
        store.save(fitted, out / "model")
    return _detect(fitted, files, out)


def overlay(image, anomaly):
    """Image uint8 (H, W) with the anomaly map, 0 to 1, in colour: uint8 (H, W, 3).

    The colour is more opaque where the anomaly is higher; where it is `OUTLINED` there is a line.
    """
    colour = colormaps["inferno"](anomaly)[..., :3] * 255
    opacity = OPACITY * anomaly[..., None]
    mixed = np.rint((1 - opacity) * image[..., None] + opacity * colour).astype(np.uint8)
    mixed[find_boundaries(anomaly >= OUTLINED, mode="inner")] = (0, 255, 255)
    return mixed


def _fit(backbone, prompts, place):
    images, labels, masks = data.shots(
        place, backbone.image_size, [*prompts.states][prompts.normal]
    )
    if masks is None:
        tqdm.write(f"{place} has no masks: the Transformation Layers stay untrained")
    return SemClip(backbone, prompts, transformation=masks is not None).fit(images, labels, masks)


def _detect(model, files, out):
    """Work through the files by chunks; all of them end up in results.csv or skipped.csv."""
    table = out / "results.csv"
    overlays = {file: out / "overlays" / f"{file.stem}.png" for file in files}
    lines = {}  # of results.csv by name
    if table.is_file():
        earlier = pd.read_csv(table).set_index("file", drop=False).to_dict("index")
        for file, picture in overlays.items():
            drawn = picture.is_file() and picture.stat().st_mtime >= file.stat().st_mtime
            if drawn and file.name in earlier:
                lines[file.name] = earlier[file.name]
    todo = [file for file in files if file.name not in lines]
    unreadable = {}
    for start in trange(0, len(todo), CHUNK, desc="detect", unit="chunk"):
        images = {}
        for file in todo[start : start + CHUNK]:
            image, reason = read.try_image(file)
            if image is None:
                unreadable[file.name] = {"file": file.name, "reason": reason}
            else:
                images[file] = image
        lines |= _look(model, images, overlays) if images else {}
        _write(lines, table)
    results = _write(lines, table)
    if results.empty:
        reason = unreadable[files[0].name]["reason"]
        raise ValueError(f"none of {len(files)} images can be used: {reason}")
    _write(unreadable, out / "skipped.csv")
    if unreadable:
        tqdm.write(f"{len(unreadable)} images left out, listed in {out / 'skipped.csv'}")
    return results


def _look(model, images, overlays):
    """Write the overlays of some images, by file; lines of results.csv by name."""
    side = model.backbone.image_size
    prediction = model.predict(np.stack([data.fitted(one, side) for one in images.values()]))
    for (file, image), small in zip(images.items(), prediction.anomaly_maps, strict=True):
        large = Image.fromarray(small).resize(image.shape[::-1], Image.Resampling.BILINEAR)
        with atomic(overlays[file]) as temporary:
            Image.fromarray(overlay(image, np.asarray(large))).save(temporary)
    table = pd.DataFrame(prediction.class_probabilities.astype(float), columns=model.classes)
    table.insert(0, "file", [file.name for file in images])
    table.insert(1, "class", table[model.classes].idxmax(axis=1))
    table["anomaly_score"] = model.anomaly_scores(prediction).astype(float)
    return table.round(4).set_index("file", drop=False).to_dict("index")


def _write(lines, file):
    """Write a table sorted by file, or remove that of an earlier run where there is no line."""
    table = pd.DataFrame([lines[name] for name in sorted(lines)])
    if table.empty:
        file.unlink(missing_ok=True)
    else:
        with atomic(file) as temporary:
            table.to_csv(temporary, index=False, lineterminator="\n")
    return table
