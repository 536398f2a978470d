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
from semlib.semclip.prompts import Prompts
from semlib.weights import digest

TENSORS, ABOUT = "model.safetensors", "model.json"


def save(model, folder):
    """Write ``model.safetensors`` (trained parts, text features) and ``model.json`` (backbone, options, prompts).

    The backbone's weights are not written, only its name, settings and a digest of its projection.

    Parameters
    ----------
    model : SemClip
    folder : Path

    Raises
    ------
    ValueError
        If the model is not fitted.
    """
    model.check_fitted()
    tensors = {"texts": model.texts}
    if model.transform is not None:
        tensors["transform"] = model.transform.numpy()
    tensors |= {f"head.{name}": values for name, values in (model.head or {}).items()}
    about = {
        "backbone": model.backbone.settings,
        "projection": _fingerprint(model.backbone),
        "options": model.options,
        "prompts": asdict(model.prompts),
    }
    with atomic(Path(folder) / TENSORS) as temporary:
        save_file(
            {name: np.ascontiguousarray(values) for name, values in tensors.items()}, temporary
        )
    with atomic(Path(folder) / ABOUT) as temporary:
        temporary.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


def load(kind, folder, backbone=None):
    """Read a saved model; it predicts what the saved one did, bit for bit on the same machine.

    Parameters
    ----------
    kind : type
        SemClip.
    folder : Path
    backbone : Backbone, optional
        The one it was saved with; built anew from ``model.json`` when not given.

    Returns
    -------
    SemClip

    Raises
    ------
    FileNotFoundError
        If the folder holds no saved model.
    ValueError
        If a file is damaged, the files do not fit each other, or the backbone is another one.
    """
    folder = Path(folder)
    about, tensors = _read(folder)
    backbone = backbone or _rebuild(about["backbone"], folder)
    if _fingerprint(backbone) != about["projection"]:
        raise ValueError(
            f"{folder} was saved with another backbone ({about['backbone']}) than {backbone.label}"
        )
    model = kind(backbone, _prompts(**about["prompts"]), **about["options"])
    levels = len(backbone.levels) if model.options["levels"] == "all" else 1
    shapes = {"texts": model.texts.shape}
    if model.options["transformation"]:
        shapes["transform"] = (1 + model.options["vv"], levels, backbone.width, backbone.embed_dim)
    if model.options["fusion"] < 1:
        count, seen = len(model.classes), backbone.embed_dim + levels * backbone.width
        shapes |= {"head.weight": (count, seen), "head.bias": (count,), "head.mean": (seen,)}
    found = {name: values.shape for name, values in tensors.items()}
    if found != shapes:
        raise ValueError(f"{folder / TENSORS} holds {found}, but {ABOUT} asks for {shapes}")
    model.texts = tensors["texts"]
    model.transform = torch.from_numpy(tensors["transform"]) if "transform" in tensors else None
    model.head = (
        {name: tensors[f"head.{name}"] for name in tune.HEAD} if "head.bias" in tensors else None
    )
    return model


def _read(folder):
    if not (folder / ABOUT).is_file():
        raise FileNotFoundError(
            f"{folder / ABOUT} is missing: {folder} holds no saved SemClip model"
        )
    try:
        return json.loads((folder / ABOUT).read_text(encoding="utf-8")), load_file(folder / TENSORS)
    except (json.JSONDecodeError, UnicodeDecodeError, SafetensorError) as error:
        raise ValueError(f"{folder} is damaged: {error}") from error


def _fingerprint(backbone):
    return digest({"projection": backbone.projection.detach().cpu().numpy()})


def _rebuild(settings, folder):
    if "name" not in settings:
        raise ValueError(
            f"{folder} was saved with a backbone made by hand: give load the same one as backbone="
        )
    levels = settings["levels"]
    return Backbone(**settings | {"levels": levels if isinstance(levels, int) else tuple(levels)})


def _prompts(states, labels, templates):
    return Prompts(
        {name: tuple(said) for name, said in states.items()}, tuple(labels), tuple(templates)
    )
