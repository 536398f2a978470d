"""SEM-VLM (ours, trained on simulated images, not CLIP) or another ViT, in open_clip's form."""

import json
import pickle
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NamedTuple

import open_clip
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from semlib.semclip.stem import Stem

OURS = "sem-vlm"
MODELS = Path(__file__).parent / "models"
NAME = "sem_vlm"  # of its files
PAD = "<pad>"
START = "<start>"
UNKNOWN = "<unknown>"
END = "<end>"
CONTEXT = 40  # tokens of a sentence
NETWORK = {"embed_dim", "vision_cfg", "text_cfg", "quick_gelu"}  # arguments of open_clip.CLIP


class Source(NamedTuple):
    """A model in evaluation mode with all that belongs to it."""

    model: torch.nn.Module
    tokenize: Callable  # list of str to LongTensor (N, context)
    mean: float | tuple = open_clip.OPENAI_DATASET_MEAN  # of the input on [0, 1]
    std: float | tuple = open_clip.OPENAI_DATASET_STD
    label: str = "open_clip model"  # in tables


def split(text):
    """Words of a sentence, lower case; hyphens and punctuation separate."""
    return re.findall(r"[a-z0-9]+", text.lower())


def tokenize(texts, words=None):
    """Token numbers of sentences, LongTensor (N, 40); longer ones are cut.

    `words` is a vocabulary, SEM-VLM's by default. Its last word has the highest number, which is
    where open_clip's text tower takes a sentence's embedding from.
    """
    words = words or config()["vocabulary"]
    numbers = {word: i for i, word in enumerate(words)}
    tokens = torch.zeros((len(texts), CONTEXT), dtype=torch.long)
    for row, text in zip(tokens, texts, strict=True):
        body = [numbers.get(word, numbers[UNKNOWN]) for word in split(text)][: CONTEXT - 2]
        sentence = [numbers[START], *body, len(words) - 1]
        row[: len(sentence)] = torch.tensor(sentence)
    return tokens


def unknown_words(texts):
    """Words of the sentences that SEM-VLM never met, sorted."""
    return sorted({word for text in texts for word in split(text)} - set(config()["vocabulary"]))


@cache
def config():
    """SEM-VLM's architecture in open_clip's form, mean, std, vocabulary and training."""
    return json.loads((MODELS / f"{NAME}.json").read_text(encoding="utf-8"))


def network(settings):
    """The model of a configuration in open_clip's form, with random weights.

    Beside open_clip's own keys there may be "stem", the channels of a `Stem` in place of the patch
    embedding.
    """
    model = open_clip.CLIP(**{key: settings[key] for key in NETWORK & settings.keys()})
    if stem := settings.get("stem"):
        vision = settings["vision_cfg"]
        if 2 ** len(stem) != vision["patch_size"]:  # each convolution halves
            patch = vision["patch_size"]
            raise ValueError(f"stem={stem} is for patches of {2 ** len(stem)} pixels, not {patch}")
        model.visual.conv1 = Stem(vision["width"], stem)
    return model


def read(name=OURS, pretrained=None):
    """Open a model as a `Source`.

    `name` is "sem-vlm", our embedded model, or an open_clip ViT such as "ViT-B-16-plus-240".
    `pretrained`, not needed for "sem-vlm", is a tag of open_clip such as "laion400m_e32", which it
    downloads, a file (safetensors, or a torch file of tensors alone), or "random".
    """
    settings = config() if name == OURS else open_clip.get_model_config(name) or {}
    of_layers = isinstance(settings.get("vision_cfg", {}).get("layers"), int)  # a ResNet: a list
    if "multimodal_cfg" in settings or not of_layers:
        raise ValueError(f"{name} is none of open_clip's own ViTs: use {OURS} or ViT-B-16-plus-240")
    tags = open_clip.list_pretrained_tags_by_model(name)
    if pretrained in tags:
        return _downloaded(name, pretrained)
    embedded = name == OURS and pretrained is None
    file = MODELS / f"{NAME}.safetensors" if embedded else pretrained
    if file != "random" and not Path(file or "").is_file():
        hint = f"use a file, 'random' or one of open_clip's tags ({', '.join(tags) or 'none'})"
        raise ValueError(f"pretrained={file} is neither a file nor a tag of {name}: {hint}")
    with torch.random.fork_rng(devices=[]):  # the caller's random numbers go on undisturbed
        torch.manual_seed(0)
        model = network(settings).eval()
    if file != "random":
        _fill(model, Path(file), name)
    note = "random weights" if file == "random" else Path(file).name
    if name != OURS:
        return Source(model, open_clip.get_tokenizer(name), label=f"{name} ({note})")
    label = "SEM-VLM (ours, simulated)" if embedded else f"SEM-VLM architecture ({note})"
    return Source(model, tokenize, settings["mean"], settings["std"], label)


def _downloaded(name, tag):
    try:
        model = open_clip.create_model(name, pretrained=tag).eval()
    except Exception as error:
        hint = "download them elsewhere and give the file as pretrained=FILE"
        raise ConnectionError(f"no weights {tag!r} of {name} ({error}); {hint}") from error
    look = model.visual.image_mean, model.visual.image_std
    return Source(model, open_clip.get_tokenizer(name), *look, f"CLIP {name} ({tag})")


def _fill(model, file, name):
    """Copy the tensors of a file into a model: each must be there, with its shape, and no other."""
    try:
        if file.suffix == ".safetensors":
            state = load_file(file)
        else:  # weights_only runs no code of a pickle
            state = torch.load(file, map_location="cpu", weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise ValueError(f"{file} is damaged or holds more than tensors ({error})") from error
    try:
        # open_clip's own training wraps the tensors in "state_dict" and "module."
        state = state.get("state_dict", state)
        model.load_state_dict({key.removeprefix("module."): state[key] for key in state})
    except (RuntimeError, AttributeError) as error:
        reason = " ".join(str(error).split())[:300]
        raise ValueError(f"{file} belongs to another architecture than {name}: {reason}") from error
