"""What was learnt, on the disk and without pickle: tensors, shots as PNG, everything else as JSON.

Of a SEM-CLIP model its trained parts and text features are kept. Of what `detect` learnt the shots
are kept, too: trees and memory banks are learnt again from them when it is read, which takes
seconds and gives the same ones, as all draws have a seed.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from semlib.paths import atomic, sha256, write_text
from semlib.semclip import learners
from semlib.semclip.backbone import Backbone
from semlib.semclip.learners import Shots
from semlib.semclip.model import SemClip
from semlib.semclip.prompts import Prompts
from semlib.weights import digest

TENSORS = "model.safetensors"
MODEL = "model.json"
DETECT = "detect.json"
SHOTS = "shots"
READING = {"range": "stated", "bar": "auto"}  # see `images.lot.describe`


def save(model, folder, reading=READING):
    """Write ``model.safetensors`` (trained parts, text features) and ``model.json`` (the rest).

    The backbone's weights are not written, only its name, settings and a digest of its projection.
    `reading` is how the shots were read, so that later images can be read alike.
    """
    model.check_fitted()
    tensors = {"texts": model.texts}
    if model.transform is not None:
        tensors["transform"] = model.transform.numpy()
    tensors |= {f"head.{name}": values for name, values in (model.head or {}).items()}
    with atomic(Path(folder) / TENSORS) as temporary:
        save_file({name: np.ascontiguousarray(one) for name, one in tensors.items()}, temporary)
    about = {
        "backbone": model.backbone.settings,
        "projection": _fingerprint(model.backbone),
        "options": asdict(model.options),
        "prompts": asdict(model.prompts),
        "reading": reading,
    }
    write_text(Path(folder) / MODEL, json.dumps(about, indent=1) + "\n")


def load(folder, backbone=None):
    """Read a saved `SemClip`; it predicts what the saved one did, bit for bit on the same machine.

    `backbone` is the one it was saved with; built anew from ``model.json`` when not given.
    """
    about = _about(folder)
    try:
        tensors = load_file(Path(folder) / TENSORS)
    except (OSError, SafetensorError) as error:
        raise ValueError(f"{folder} holds no saved SemClip model: {error}") from error
    backbone = backbone or Backbone(**about["backbone"])
    if (backbone.settings, _fingerprint(backbone)) != (about["backbone"], about["projection"]):
        raise ValueError(f"{folder} was saved with another backbone: {about['backbone']}")
    model = SemClip(backbone, Prompts(**about["prompts"]), **about["options"])
    model.texts = tensors["texts"]
    if model.options.transformation:
        model.transform = torch.from_numpy(tensors["transform"])
    if model.options.fusion != 1:
        names = ["weight", "bias", "mean"] + ["trust"] * (model.options.fusion is None)
        model.head = {name: tensors[f"head.{name}"] for name in names}
    return model


def reading(folder):
    """How the shots of a saved model were read: a dict of ``range`` and ``bar``."""
    return READING | _about(folder).get("reading", {})


@dataclass(kw_only=True)
class Learnt:
    """A method that learnt from shots, and what goes with it, in the order of ``detect.json``."""

    method: str
    threshold: float = learners.THRESHOLD
    shots: Shots | None = None
    shot_shape: tuple = ()  # median height and width of the shots' files; () for unknown
    shot_nm: float | None = None  # median pixel size, where all state it
    compared: list = field(default_factory=list)  # rows of `learners.compare`
    backbone: dict = field(default_factory=dict)  # settings of the `Backbone`
    prompts: Prompts
    reading: dict  # how the shots were read, see `save`
    model: object  # fitted: predict, anomaly_scores, classes


def save_learnt(learnt, folder):
    """Write a `Learnt`: SEM-CLIP by `save`, the shots as PNG as they were learnt, the rest.

    A model that came without shots stays without.
    """
    folder = Path(folder)
    part = learnt.model.model if learnt.method == learners.PIXELS else learnt.model
    if isinstance(part, SemClip):
        save(part, folder, learnt.reading)
    else:  # that of an earlier run must not pass for what was learnt now
        for name in (MODEL, TENSORS):
            (folder / name).unlink(missing_ok=True)
    if learnt.shots is None:
        return
    names = []
    for i, (image, label, mask) in enumerate(zip(*learnt.shots, strict=True)):
        names.append([f"{i:03}", str(label)])
        for stem, pixels in ((f"{i:03}", image), (f"{i:03}_mask", np.uint8(255 * mask))):
            with atomic(folder / SHOTS / f"{stem}.png") as temporary:
                Image.fromarray(pixels).save(temporary)
    for file in (folder / SHOTS).glob("*.png"):  # of an earlier run with more shots
        if int(file.stem.split("_")[0]) >= len(names):
            file.unlink()
    about = vars(learnt) | {"shots": names, "prompts": asdict(learnt.prompts)}
    del about["model"]
    write_text(folder / DETECT, json.dumps(about, indent=1) + "\n")


def load_learnt(folder, method=None):
    """Read a `Learnt`, learn again what is not kept; `method` overrules the one that was chosen.

    A folder of `save` alone is SEM-CLIP.
    """
    folder = Path(folder)
    sem_clip = load(folder) if (folder / MODEL).is_file() else None
    if not (folder / DETECT).is_file():
        if sem_clip is None:
            raise ValueError(f"{folder} holds no saved SemClip model: it has no {MODEL}")
        if method not in (None, learners.SEM_CLIP):
            raise ValueError(f"{folder} keeps no shots, so {method} cannot learn: give --shots")
        about = {"method": learners.SEM_CLIP, "prompts": sem_clip.prompts}
        return Learnt(model=sem_clip, reading=reading(folder), **about)
    try:
        about = json.loads((folder / DETECT).read_text(encoding="utf-8"))
        shots = _shots(folder / SHOTS, about["shots"])
        prompts = Prompts(**about["prompts"])
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(f"{folder} holds no model of detect: {error}") from error
    if method not in (None, about["method"]):
        thresholds = {row["method"]: row["threshold"] for row in about["compared"]}
        about["threshold"] = thresholds.get(method, learners.THRESHOLD)
        about["method"] = method
    model = sem_clip
    if sem_clip is None or about["method"] != learners.SEM_CLIP:
        backbone = sem_clip.backbone if sem_clip else Backbone(**about["backbone"])
        model = learners.fit(about["method"], shots, backbone, prompts)
    about |= {"shots": shots, "prompts": prompts, "shot_shape": tuple(about["shot_shape"])}
    return Learnt(model=model, **about)


def version(folder):
    """Digest of all files of a kept model."""
    files = sorted(file for file in Path(folder).rglob("*") if file.suffix in (".json", ".png"))
    files += sorted(Path(folder).glob("*.safetensors"))
    digests = [file.name + sha256(file) for file in files]
    return hashlib.sha256("".join(digests).encode()).hexdigest()


def _shots(folder, names):
    """The `Shots` that `save` wrote as PNG."""
    images = [np.array(Image.open(folder / f"{stem}.png")) for stem, _ in names]
    masks = [np.array(Image.open(folder / f"{stem}_mask.png")) > 0 for stem, _ in names]
    return Shots(np.stack(images), np.array([label for _, label in names]), np.stack(masks))


def _about(folder):
    try:
        return json.loads((Path(folder) / MODEL).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{folder} holds no saved SemClip model: {error}") from error


def _fingerprint(backbone):
    return digest({"projection": backbone.projection.numpy()})
