"""A folder of images classified and segmented after a few shots: a table and overlay pictures."""

import filecmp
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib import colormaps
from PIL import Image
from skimage.segmentation import find_boundaries
from tqdm import tqdm

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

    Parameters
    ----------
    images : Path
        Folder of images of any size and bit depth; only its top level is searched.
    out : Path
        Receives ``results.csv`` (file, class, a column for each class with its probability,
        anomaly_score; also returned), ``overlays/<name>.png``, ``model/`` and, where files cannot
        be read, ``skipped.csv``.
    shots, model : Path
        Either a folder as `data.shots` reads it, or the ``model/`` of an earlier run.
    backbone, pretrained, prompts
        See `clip.read` and `Prompts.load`.
    """
    images = Path(images)
    out = Path(out)
    files = [images / row["path"] for row in datasets.list_folder(_existing(images))]
    if (shots is None) == (model is None):
        raise ValueError("give either shots to learn from or a saved model")
    if model is None:
        network = Backbone(backbone or OURS, pretrained)
        fitted = _fit(network, Prompts.load(prompts), _existing(Path(shots)))
    elif backbone or pretrained or prompts:
        raise ValueError("a saved model brings its own backbone and prompts: leave those out")
    else:
        fitted = store.load(model)
    return _detect(fitted, files, out, _keep(fitted, out / "model"))


def overlay(image, anomaly):
    """Image uint8 (H, W) with the anomaly map, 0 to 1, in colour: uint8 (H, W, 3).

    The colour is more opaque where the anomaly is higher; where it is `OUTLINED` there is a line.
    """
    colour = colormaps["inferno"](anomaly)[..., :3] * 255
    opacity = OPACITY * anomaly[..., None]
    mixed = np.rint((1 - opacity) * image[..., None] + opacity * colour).astype(np.uint8)
    mixed[find_boundaries(anomaly >= OUTLINED, mode="inner")] = (0, 255, 255)
    return mixed


def _existing(place):
    if not place.is_dir():
        raise FileNotFoundError(f"{place} is not a folder")
    return place


def _fit(backbone, prompts, place):
    normal = prompts.classes[prompts.normal]
    images, labels, masks = data.shots(place, backbone.image_size, normal)
    if masks is None:
        tqdm.write(f"{place} has no masks: the Transformation Layers stay untrained")
    features = backbone.encode_images(images, progress=True)
    return SemClip(backbone, prompts, transformation=masks is not None).fit(features, labels, masks)


def _keep(model, place):
    """Save a model unless the same is there; returns when it was saved, in seconds."""
    with tempfile.TemporaryDirectory() as fresh:
        store.save(model, fresh)
        names = (store.TENSORS, store.ABOUT)
        _, differing, missing = filecmp.cmpfiles(fresh, place, names, shallow=False)
    if differing or missing:
        store.save(model, place)
    return (place / store.TENSORS).stat().st_mtime


def _detect(model, files, out, saved):
    """Work through the files by chunks; all of them end up in results.csv or skipped.csv."""
    table = out / "results.csv"
    earlier = pd.read_csv(table).to_dict("records") if table.is_file() else []
    earlier = {row["file"]: row for row in earlier}
    done = {}
    for file in files:
        overlay = out / "overlays" / f"{file.stem}.png"
        newest = max(file.stat().st_mtime, saved)
        if file.name in earlier and overlay.is_file() and overlay.stat().st_mtime >= newest:
            done[file.name] = earlier[file.name]
    todo = [file for file in files if file.name not in done]
    unreadable = []
    with tqdm(total=len(files), initial=len(done), desc="detect", unit="image") as bar:
        for start in range(0, len(todo), CHUNK):
            chunk = todo[start : start + CHUNK]
            done |= _chunk(model, chunk, out / "overlays", unreadable)
            _write([done[file.name] for file in files if file.name in done], table)
            bar.update(len(chunk))
    if len(unreadable) == len(files):
        reason = unreadable[0]["reason"]
        raise ValueError(f"none of {len(files)} images can be used: {reason}")
    ordered = [done[file.name] for file in files if file.name in done]
    _write(ordered, table)
    _write(unreadable, out / "skipped.csv")
    if unreadable:
        tqdm.write(f"{len(unreadable)} images left out, listed in {out / 'skipped.csv'}")
    return pd.DataFrame(ordered)


def _chunk(model, files, overlays, unreadable):
    """Write the overlays of some files; lines of results.csv by name; adds to the unreadable."""
    images = {}
    for file in files:
        image, reason = read.try_image(file)
        if image is None:
            unreadable.append({"file": file.name, "reason": reason})
        else:
            images[file] = image
    if not images:
        return {}
    side = model.backbone.image_size
    prediction = model.predict(np.stack([data.fitted(one, side) for one in images.values()]))
    scores = model.anomaly_scores(prediction)
    lines = {}
    for i, (file, image) in enumerate(images.items()):
        small = Image.fromarray(prediction.anomaly_maps[i])
        anomaly = np.asarray(small.resize(image.shape[::-1], Image.Resampling.BILINEAR))
        with atomic(overlays / f"{file.stem}.png") as temporary:
            Image.fromarray(overlay(image, anomaly)).save(temporary)
        odds = [round(float(p), 4) for p in prediction.class_probabilities[i]]
        odds = dict(zip(model.classes, odds, strict=True))
        lines[file.name] = {"file": file.name, "class": max(odds, key=odds.get)} | odds
        lines[file.name]["anomaly_score"] = round(float(scores[i]), 4)
    return lines


def _write(lines, file):
    """Write a table, or remove that of an earlier run where there is no line."""
    if not lines:
        file.unlink(missing_ok=True)
        return
    with atomic(file) as temporary:
        pd.DataFrame(lines).to_csv(temporary, index=False, lineterminator="\n")
