"""A folder of images classified and segmented after a few shots: CSV of probabilities and scores, overlay pictures."""

import filecmp
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib import colormaps
from PIL import Image
from skimage.segmentation import find_boundaries
from tqdm import tqdm

from semlib.images import datasets
from semlib.images.read import try_image
from semlib.paths import atomic
from semlib.semclip import shots as shot_files
from semlib.semclip.backbone import Backbone
from semlib.semclip.checkpoint import OURS
from semlib.semclip.model import SemClip
from semlib.semclip.prompts import Prompts

CHUNK = 16
OUTLINED = 0.5  # anomaly from which a pixel lies within the outline
OPACITY = 0.6  # of the colour where the anomaly is 1


def run(images, out, *, shots=None, model=None, backbone=None, pretrained=None, prompts=None):
    """Learn from labelled shots, or take a saved model, and write what it finds in each image of a folder.

    Images of any size and bit depth are read (`semlib.images.read.image`); the whole image is fitted into the
    backbone's square, and the map goes back to the image's own size. Files that cannot be read are left out and listed
    in ``skipped.csv``. An interrupted run continues; images are done again when they or the model are newer.

    Parameters
    ----------
    images : Path
        Folder; only its top level is searched.
    out : Path
        Receives ``results.csv`` (file, class, a column for each class with its probability, anomaly_score),
        ``overlays/<name>.png``, ``model/`` and perhaps ``skipped.csv``.
    shots : Path, optional
        Folder of images with ``labels.csv`` (columns file,label) and ``masks/``, see `semlib.semclip.shots.read`.
    model : Path, optional
        A ``model/`` that an earlier run wrote, in place of shots.
    backbone, pretrained
        See `semlib.semclip.backbone.Backbone`.
    prompts : Path, optional
        CSV of classes and their states, see `semlib.semclip.prompts.Prompts`.

    Returns
    -------
    DataFrame
        ``results.csv``.

    Raises
    ------
    ValueError
        With both or neither of shots and model, bad shots, or no image that can be read.
    """
    images, out = Path(images), Path(out)
    files = [images / row["path"] for row in datasets.list_folder(_existing(images))]
    if (shots is None) == (model is None):
        raise ValueError("give either shots to learn from or a saved model")
    if model is None:
        fitted = _fit(
            Backbone(backbone or OURS, pretrained), Prompts.load(prompts), _existing(Path(shots))
        )
    elif backbone or pretrained or prompts:
        raise ValueError(
            "a saved model brings its own backbone and prompts: leave those options out"
        )
    else:
        fitted = SemClip.load(model)
    return _detect(fitted, files, out, _keep(fitted, out / "model"))


def overlay(image, anomaly):
    """Image with the anomaly map in colour (more opaque where it is higher) and an outline at `OUTLINED`.

    Parameters
    ----------
    image : uint8 array (H, W)
    anomaly : float array (H, W), 0 to 1

    Returns
    -------
    uint8 array (H, W, 3)
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
    images, labels, masks = shot_files.read(
        place, backbone.image_size, prompts.classes[prompts.normal]
    )
    if masks is None:
        tqdm.write(f"{place} has no masks: the Transformation Layers stay untrained")
    features = backbone.encode_images(images, progress=True)
    return SemClip(backbone, prompts, transformation=masks is not None).fit(features, labels, masks)


def _keep(model, place):
    """Save a model unless the same is there; returns when it was saved, in seconds."""
    file = place / "model.safetensors"
    with tempfile.TemporaryDirectory() as fresh:
        model.save(fresh)
        names = [item.name for item in Path(fresh).iterdir()]
        _, differing, missing = filecmp.cmpfiles(fresh, place, names, shallow=False)
    if differing or missing:
        model.save(place)
    return file.stat().st_mtime


def _detect(model, files, out, since):
    """Work through the files, a chunk at a time; whatever is not done ends up in results.csv or skipped.csv."""
    known = {row["file"]: row for row in _table(out / "results.csv")}
    rows = {
        file.name: known[file.name]
        for file in files
        if file.name in known and _newer(out, file, since)
    }
    todo, bad = [file for file in files if file.name not in rows], []
    with tqdm(total=len(files), initial=len(rows), desc="detect", unit="image") as bar:
        for start in range(0, len(todo), CHUNK):
            found, unreadable = _chunk(model, todo[start : start + CHUNK], out / "overlays")
            rows |= {row["file"]: row for row in found}
            bad += unreadable
            _write(_ordered(rows, files), out / "results.csv")
            bar.update(len(found) + len(unreadable))
    if bad and len(bad) == len(files):
        raise ValueError(f"none of {len(files)} images can be used: {bad[0]['reason']}")
    _write(_ordered(rows, files), out / "results.csv")
    _write(bad, out / "skipped.csv")
    if bad:
        tqdm.write(f"{len(bad)} images left out, listed in {out / 'skipped.csv'}")
    return pd.DataFrame(_ordered(rows, files))


def _chunk(model, files, overlays):
    """Write the overlays of some files; their rows of results.csv, and the rows of skipped.csv."""
    read = [(file, *try_image(file)) for file in files]
    good = [(file, image) for file, image, _ in read if image is not None]
    bad = [{"file": file.name, "reason": reason} for file, image, reason in read if image is None]
    if not good:
        return [], bad
    prediction = model.predict(
        np.stack([shot_files.fitted(image, model.backbone.image_size) for _, image in good])
    )
    rows = []
    for (file, image), odds, anomaly, score in zip(
        good, *prediction, model.anomaly_scores(prediction), strict=True
    ):
        large = Image.fromarray(anomaly).resize(image.shape[::-1], Image.Resampling.BILINEAR)
        with atomic(overlays / f"{file.stem}.png") as temporary:
            Image.fromarray(overlay(image, np.asarray(large))).save(temporary)
        odds = {name: round(float(p), 4) for name, p in zip(model.classes, odds, strict=True)}
        best = max(odds, key=odds.get)
        rows.append(
            {"file": file.name, "class": best, **odds, "anomaly_score": round(float(score), 4)}
        )
    return rows, bad


def _newer(out, file, since):
    """Whether the overlay of an image is there and newer than the image and the model."""
    made = out / "overlays" / f"{file.stem}.png"
    return made.is_file() and made.stat().st_mtime >= max(file.stat().st_mtime, since)


def _table(file):
    return pd.read_csv(file).to_dict("records") if file.is_file() else []


def _ordered(rows, files):
    return [rows[file.name] for file in files if file.name in rows]


def _write(rows, file):
    """Write a table, or remove that of an earlier run where there is no row."""
    if not rows:
        file.unlink(missing_ok=True)
        return
    with atomic(file) as temporary:
        pd.DataFrame(rows).to_csv(temporary, index=False, lineterminator="\n")
