"""SEM-VLM: our small vision-language model for SEM images, its words and its weights. Simulated data only: not CLIP."""

import json
import re
from functools import cache
from pathlib import Path

import torch
from safetensors.torch import load_file

MODELS = Path(__file__).parent / "models"
NAME = "sem_vlm"
PAD, START, UNKNOWN = "<pad>", "<start>", "<unknown>"
CONTEXT = 40


def architecture(words):
    """open_clip's configuration: a ViT of 8 blocks, 128 wide, 240 px in patches of 16, and a text tower of 3 blocks.

    Parameters
    ----------
    words : int
        Size of the vocabulary, special tokens included.

    Returns
    -------
    dict
        Keyword arguments of `open_clip.model.CLIP`.
    """
    vision = {
        "image_size": 240,
        "patch_size": 16,
        "width": 128,
        "layers": 8,
        "head_width": 32,
        "mlp_ratio": 4.0,
    }
    text = {"context_length": CONTEXT, "vocab_size": words, "width": 128, "heads": 4, "layers": 3}
    return {"embed_dim": 128, "vision_cfg": vision, "text_cfg": text}


def split(text):
    """Words of a sentence, lower case; hyphens and punctuation separate."""
    return re.findall(r"[a-z0-9]+", text.lower())


def vocabulary(captions, least=3):
    """Words that occur `least` times or more, sorted, behind the special tokens; the end token comes last."""
    counts = {}
    for caption in captions:
        for word in split(caption):
            counts[word] = counts.get(word, 0) + 1
    return [PAD, START, UNKNOWN, *sorted(word for word, n in counts.items() if n >= least), "<end>"]


def tokenize(texts, words=None):
    """Token numbers of sentences.

    Parameters
    ----------
    texts : sequence of str
    words : list of str, optional
        A `vocabulary`; the embedded model's when not given. The last word's number is the highest, which is where
        open_clip's text tower takes the sentence's embedding from.

    Returns
    -------
    LongTensor (N, 40)
        Longer sentences are cut.
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
    """Words of the sentences that the embedded model never met, sorted."""
    return sorted({word for text in texts for word in split(text)} - set(config()["vocabulary"]))


@cache
def config():
    """The embedded model's configuration: open_clip's keyword arguments, mean, std, vocabulary, how it was trained."""
    return json.loads((MODELS / f"{NAME}.json").read_text(encoding="utf-8"))


def build(settings):
    """An untrained open_clip CLIP network of such a configuration."""
    from open_clip.model import CLIP

    return CLIP(**{key: settings[key] for key in ("embed_dim", "vision_cfg", "text_cfg")})


def load():
    """The embedded model in evaluation mode; stored as float16, computed in float32."""
    model = build(config())
    state = {
        name: tensor.float() for name, tensor in load_file(MODELS / f"{NAME}.safetensors").items()
    }
    model.load_state_dict(state, strict=True)
    return model.eval()
