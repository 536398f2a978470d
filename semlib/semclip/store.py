"""A fitted SEM-CLIP model on the disk: tensors as safetensors, everything else as JSON."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from semlib.paths import atomic
from semlib.semclip.backbone import Backbone
from semlib.semclip.model import SemClip
from semlib.semclip.prompts import Prompts
from semlib.weights import digest

TENSORS = "model.safetensors"
ABOUT = "model.json"
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
    about = {
        "backbone": model.backbone.settings,
        "projection": digest({"projection": model.backbone.projection.numpy()}),
        "options": asdict(model.options),
        "prompts": asdict(model.prompts),
        "reading": reading,
    }
    with atomic(Path(folder) / TENSORS) as temporary:
        save_file({name: np.ascontiguousarray(one) for name, one in tensors.items()}, temporary)
    with atomic(Path(folder) / ABOUT) as temporary:
        temporary.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


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
    fingerprint = digest({"projection": backbone.projection.numpy()})
    if (backbone.settings, fingerprint) != (about["backbone"], about["projection"]):
        raise ValueError(f"{folder} was saved with another backbone: {about['backbone']}")
    model = SemClip(backbone, Prompts(**about["prompts"]), **about["options"])
    model.texts = tensors["texts"]
    if model.options.transformation:
        model.transform = torch.from_numpy(tensors["transform"])
    if model.options.fusion < 1:
        model.head = {name: tensors[f"head.{name}"] for name in ("weight", "bias", "mean")}
    return model


def reading(folder):
    """How the shots of a saved model were read: a dict of ``range`` and ``bar``."""
    return READING | _about(folder).get("reading", {})


def _about(folder):
    try:
        return json.loads((Path(folder) / ABOUT).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{folder} holds no saved SemClip model: {error}") from error
