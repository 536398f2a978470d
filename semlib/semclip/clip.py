"""SEM-VLM (ours, trained on simulated images, not CLIP) or another ViT, in open_clip's form."""

import json
import re
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NamedTuple

import open_clip
import torch
from safetensors.torch import load_file
from torch import nn

OURS = "sem-vlm"
MODELS = Path(__file__).parent / "models"
NAME = "sem_vlm"  # of its files
PAD = "<pad>"
START = "<start>"
UNKNOWN = "<unknown>"
END = "<end>"
CONTEXT = 40  # tokens of a sentence
OPENAI_NUMBERS = ("input_resolution", "context_length", "vocab_size")  # beside OpenAI's tensors
HUGGING_FACE = ("vision_model.", "text_model.")  # how names begin there
GROUPS = 4  # of channels that group norm of the stem levels together
NETWORK = {"embed_dim", "vision_cfg", "text_cfg", "quick_gelu"}  # arguments of open_clip.CLIP


class Source(NamedTuple):
    """A model in evaluation mode with all that belongs to it."""

    model: nn.Module
    tokenize: Callable  # list of str to LongTensor (N, context)
    mean: float | tuple = open_clip.OPENAI_DATASET_MEAN  # of the input on [0, 1]
    std: float | tuple = open_clip.OPENAI_DATASET_STD
    label: str = "open_clip model"  # in tables
    turned: bool = False  # whether an image is also seen upside down: for models that learnt both


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


class Stem(nn.Module):
    """Grey image to one token for each 16 x 16 pixels, by four 3x3 convolutions of stride 2.

    Early convolutions train sooner than one large patch embedding (arXiv 2106.14881), and their
    fields of view overlap, so that a thin defect on the border of two patches is whole in both.
    It stands where ``visual.conv1`` stood: all else in the image encoder stays open_clip's.
    """

    def __init__(self, width, channels=(8, 16, 32, 64)):
        super().__init__()
        layers = []
        for before, after in zip((1, *channels), channels, strict=False):
            layers.append(nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False))
            layers += [nn.GroupNorm(GROUPS, after), nn.GELU()]
        self.layers = nn.Sequential(*layers, nn.Conv2d(channels[-1], width, 1, bias=False))

    def forward(self, x):
        # N 3 H W to N width H/16 W/16; the three channels of a grey image are one and the same
        return self.layers(x[:, :1])


def network(settings):
    """The model of a configuration in open_clip's form, with random weights.

    Beside open_clip's own keys there may be "stem": channels of a `Stem` for the patch embedding.
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
    return Source(model, tokenize, settings["mean"], settings["std"], label, turned=True)


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
    state = _tensors(file)
    wanted = model.state_dict()
    shapes = {key: getattr(state[key], "shape", None) for key in wanted.keys() & state.keys()}
    faults = {
        "unknown names": state.keys() - wanted.keys(),
        "missing": wanted.keys() - state.keys(),
        "of another shape": [key for key in shapes if wanted[key].shape != shapes[key]],
    }
    if not any(faults.values()):
        model.load_state_dict(state)
        return
    hint = f"it belongs to another architecture than {name}: name that one"
    if any(key.startswith(HUGGING_FACE) for key in state):
        hint = "this is Hugging Face's form: take the model's file for open_clip instead"
    said = [f"{len(f)} {name} ({', '.join(sorted(f)[:3])})" for name, f in faults.items() if f]
    raise ValueError(f"{file}: {', '.join(said)}; {hint}")


def _tensors(file):
    """What a weights file holds by name; no code in it is run."""
    if _is_program(file):
        raise ValueError(
            f"{file} is a TorchScript program, as OpenAI's, and none is run: give the tag openai, "
            "or the file that torch.save(torch.jit.load(FILE).state_dict(), NEW) writes"
        )
    try:
        if file.suffix == ".safetensors":
            state = load_file(file)
        else:  # weights_only runs no code of a pickle
            state = torch.load(file, map_location="cpu", weights_only=True)
        # open_clip's own training wraps the tensors in "state_dict" and "module."
        state = state.get("state_dict", state)
        state = {key.removeprefix("module."): value for key, value in state.items()}
        return {key: value for key, value in state.items() if key not in OPENAI_NUMBERS}
    except Exception as error:  # a file of another kind: whatever its loader stumbles over
        alien = re.search(r"GLOBAL (\S+)", str(error))  # torch names it within a page of advice
        reason = alien[1] if alien else (str(error) or type(error).__name__).splitlines()[0]
        raise ValueError(f"{file} is damaged or holds more than tensors ({reason})") from error


def _is_program(file):
    try:
        return any(name.endswith("/constants.pkl") for name in zipfile.ZipFile(file).namelist())
    except zipfile.BadZipFile:
        return False
