"""A fitted SEM-CLIP model on the disk: tensors as safetensors, everything else as JSON."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from semlib.paths import atomic
from semlib.semclip import tune
from semlib.semclip.backbone import Backbone
from semlib.semclip.model import SemClip
from semlib.semclip.prompts import Prompts
from semlib.weights import digest

TENSORS = "model.safetensors"
ABOUT = "model.json"


def save(model, folder):
    """Write ``model.safetensors`` (trained parts, text features) and ``model.json`` (the rest).

    The backbone's weights are not written, only its name, settings and a digest of its projection.
    """
    model.check_fitted()
    tensors = {"texts": model.texts}
    if model.transform is not None:
        tensors["transform"] = model.transform.numpy()
    tensors |= {f"head.{name}": values for name, values in (model.head or {}).items()}
    about = {
        "backbone": model.backbone.settings,
        "projection": _fingerprint(model.backbone),
        "options": asdict(model.options),
        "prompts": asdict(model.prompts),
    }
    with atomic(Path(folder) / TENSORS) as temporary:
        save_file({name: np.ascontiguousarray(one) for name, one in tensors.items()}, temporary)
    with atomic(Path(folder) / ABOUT) as temporary:
        temporary.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


def load(folder, backbone=None):
    """Read a saved `SemClip`; it predicts what the saved one did, bit for bit on the same machine.

    `backbone` is the one it was saved with; built anew from ``model.json`` when not given.

    Raises ValueError if a file is damaged, the files do not fit each other, or the backbone is
    another one.
    """
    folder = Path(folder)
    about, tensors = _read(folder)
    if backbone is None and "name" not in about["backbone"]:
        raise ValueError(f"{folder}: its backbone was made by hand, give load the same")
    backbone = backbone or Backbone(**about["backbone"])
    if (backbone.settings, _fingerprint(backbone)) != (about["backbone"], about["projection"]):
        raise ValueError(f"{folder} was saved with another backbone: {about['backbone']}")
    words = about["prompts"]
    states = {name: tuple(said) for name, said in words["states"].items()}
    prompts = Prompts(states, tuple(words["labels"]), tuple(words["templates"]))
    model = SemClip(backbone, prompts, **about["options"])
    expected = {"texts"} | ({"transform"} if model.options.transformation else set())
    expected |= {f"head.{name}" for name in tune.HEAD} if model.options.fusion < 1 else set()
    if set(tensors) != expected:
        names = f"{sorted(tensors)}, but {ABOUT} asks for {sorted(expected)}"
        raise ValueError(f"{folder / TENSORS} holds {names}")
    model.texts = tensors["texts"]
    if "transform" in tensors:
        model.transform = torch.from_numpy(tensors["transform"])
    if "head.bias" in tensors:
        model.head = {name: tensors[f"head.{name}"] for name in tune.HEAD}
    return model


def _read(folder):
    if not (folder / ABOUT).is_file():
        raise FileNotFoundError(f"{folder / ABOUT} is missing: no saved SemClip model there")
    try:
        return json.loads((folder / ABOUT).read_text(encoding="utf-8")), load_file(folder / TENSORS)
    except (json.JSONDecodeError, UnicodeDecodeError, SafetensorError) as error:
        raise ValueError(f"{folder} is damaged: {error}") from error


def _fingerprint(backbone):
    return digest({"projection": backbone.projection.numpy()})
