"""From a name and weights to a vision-language model: ours, one of open_clip's, or a file."""

import difflib
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import open_clip
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from semlib.semclip import vlm

OURS = "sem-vlm"
OURS_LABEL = "SEM-VLM (ours, simulated)"


class Source(NamedTuple):
    """An open_clip model in evaluation mode, its tokeniser (list of str to LongTensor (N, context)), the mean and
    standard deviation of its input on [0, 1] (one number, or one a channel), and its name in tables."""

    model: torch.nn.Module
    tokenize: Callable
    mean: float | tuple = open_clip.OPENAI_DATASET_MEAN
    std: float | tuple = open_clip.OPENAI_DATASET_STD
    label: str = "open_clip model"


def read(name=OURS, pretrained=None):
    """Open a model.

    Parameters
    ----------
    name : str
        "sem-vlm", our embedded model, or the name of an open_clip ViT such as "ViT-B-16-plus-240".
    pretrained : str or Path, optional
        A tag of open_clip ("laion400m_e32"; open_clip downloads the weights), a file (safetensors, or a torch file,
        from which nothing but tensors is read; weights of open_clip's CLIP are assumed to want OpenAI's mean and
        standard deviation), or "random" (always the same). Not needed for "sem-vlm".

    Returns
    -------
    Source

    Raises
    ------
    ValueError
        If the name is unknown or not that of a ViT, `pretrained` is missing or unknown, or the file is damaged,
        holds more than tensors or belongs to another architecture.
    ConnectionError
        If open_clip cannot download the weights.
    """
    if name == OURS:
        return _ours(pretrained)
    config = _vit(name)
    tags = open_clip.list_pretrained_tags_by_model(name)
    if pretrained in tags:
        model = _download(name, pretrained)
        mean, std = model.visual.image_mean, model.visual.image_std
        return Source(
            model.eval(), open_clip.get_tokenizer(name), mean, std, f"CLIP {name} ({pretrained})"
        )
    note = _weights(pretrained, name, tags)
    model = _seeded(_build, config)
    if pretrained != "random":
        fill(model, pretrained, name)
    return Source(model.eval(), open_clip.get_tokenizer(name), label=f"{name} ({note})")


def fill(model, file, name="the model"):
    """Copy the tensors of a file into a model; each must be there, with its shape, and no other.

    Raises
    ------
    ValueError
        Naming the file and the first tensors that are missing, unknown or of another shape.
    """
    state, own = _tensors(Path(file)), model.state_dict()
    wrong = [f"{key} is missing" for key in own if key not in state]
    wrong += [f"{key} is unknown" for key in state if key not in own]
    wrong += [
        f"{key} is {tuple(state[key].shape)} instead of {tuple(own[key].shape)}"
        for key in own
        if key in state and state[key].shape != own[key].shape
    ]
    if wrong:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise ValueError(
            f"{file} holds the weights of another architecture than {name}: {'; '.join(wrong[:3])}{more}"
        )
    model.load_state_dict(state, strict=True)


def _ours(pretrained):
    config = vlm.config()
    if pretrained is None:
        return Source(vlm.load(), vlm.tokenize, config["mean"], config["std"], OURS_LABEL)
    note, model = _weights(pretrained, OURS, []), _seeded(vlm.build, config)
    if pretrained != "random":
        fill(model, pretrained, OURS)
    return Source(
        model.eval(), vlm.tokenize, config["mean"], config["std"], f"SEM-VLM architecture ({note})"
    )


def _weights(pretrained, name, tags):
    """What to call the weights of a file, or random ones."""
    if pretrained == "random":
        return "random weights"
    if pretrained is None or not Path(pretrained).is_file():
        shown = "None" if pretrained is None else repr(str(pretrained))
        raise ValueError(
            f"pretrained={shown} is neither a file nor a tag of {name}: use a file, 'random', or one of "
            f"open_clip's tags ({', '.join(tags) or 'none'})"
        )
    return Path(pretrained).name


def _vit(name):
    """open_clip's configuration of a ViT whose class token is projected into the embedding."""
    config = open_clip.get_model_config(name)
    if config is None:
        known = open_clip.list_models()
        near = difflib.get_close_matches(name, known, 3) or [OURS, "ViT-B-16-plus-240"]
        raise ValueError(
            f"unknown backbone {name!r}: use '{OURS}' or a ViT of open_clip, such as {', '.join(near)}"
        )
    vision = config["vision_cfg"]
    if (
        "timm_model_name" in vision
        or not isinstance(vision["layers"], int)
        or "multimodal_cfg" in config
    ):
        raise ValueError(
            f"{name} is not one of open_clip's own ViTs: the V-V path needs one, as ViT-B-16-plus-240 is"
        )
    return config


def _build(config):
    network = open_clip.CustomTextCLIP if config.pop("custom_text", False) else open_clip.CLIP
    return network(**config)


def _seeded(build, config):
    """A network whose random weights are the same each time; the caller's random numbers go on undisturbed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return build(config)


def _download(name, tag):
    try:
        return open_clip.create_model(name, pretrained=tag)
    except Exception as error:
        raise ConnectionError(
            f"open_clip could not download the weights {tag!r} of {name} ({error}); "
            "download them elsewhere and give the file as pretrained=FILE"
        ) from error


def _tensors(file):
    """Tensors by name; open_clip's own training wraps them in "state_dict", and their names in "module."."""
    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        state = torch.load(file, map_location="cpu", weights_only=True)
    except SafetensorError as error:
        raise ValueError(f"{file} is not a whole safetensors file ({error})") from error
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise ValueError(
            f"{file} is damaged or holds more than tensors, which is never run ({error})"
        ) from error
    state = state.get("state_dict", state) if isinstance(state, dict) else {}
    if not state or not all(isinstance(tensor, torch.Tensor) for tensor in state.values()):
        raise ValueError(f"{file} holds no tensors by name: a state dict is needed")
    return {key.removeprefix("module."): tensor for key, tensor in state.items()}
