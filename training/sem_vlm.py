"""SEM-VLM trained from scratch on simulated image-caption pairs: ``python -m training.sem_vlm``.

Contrastive learning as in CLIP (arXiv 2103.00020, Fig. 3), with two changes for a model this small,
both our choice: each view shows only a part of the patches (arXiv 2212.00794), and single patches
are contrasted with the captions too. The simulator knows which patches lie on a defect: these
belong to captions of its class, the others to defect-free ones.
"""

import json
import math
import time
from collections import Counter
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import click
import numpy as np
import pandas as pd
import torch
from safetensors.torch import load_file, save_file
from tqdm import tqdm

from semlib import checkpoint, paths
from semlib.morphology.encoder import best_device
from semlib.semclip import clip
from training.sem_vlm_growth import grown
from training.sem_vlm_losses import (
    MEAN,
    PATCH,
    STD,
    cover,
    embed,
    examine,
    image_text_loss,
    patch_text_loss,
    to_input,
)
from training.sem_vlm_pairs import SIZE, pairs_of
from training.sem_vlm_turns import retold, turned

STEM = (8, 16, 32, 64)  # channels of the smallest
LOG_EVERY = 50  # steps
EXAMINE_EVERY = 500
LOSSES = ("image_text_loss", "patch_text_loss")  # columns of the log
SUFFIX = " on wafer surface"  # of the paper's template, which the simulator's captions lack
RARE = 3  # a word that occurs less often is not in the vocabulary
WARM = 0.05  # of a cycle: the learning rate rises
HELD_OUT = {"narrow": 350, "wide": 350, "semclip": 350}  # images; nothing is chosen by the last
HELD_OUT_SEED = 1


@dataclass(frozen=True)
class Settings:
    """What decides the outcome."""

    world: str = "narrow+wide"  # of `sem_vlm_pairs.PRESETS`, each half of the images
    n_images: int = 12_000
    steps: int = 20_000
    layers: int = 8  # blocks of the image encoder
    stem: int = 1  # so many times `STEM` channels in place of the patch embedding; 0: as it is
    ways: int = 8  # in which an image is seen: 1 as it is, 2 left and right swapped, 8 all
    cycles: int = 0  # the rate falls along so many cosines (arXiv 1608.03983); 0: see `fall`
    warm: int = 100  # without cycles: steps in which the rate rises; it is level then and
    fall: float = 0.25  # falls to 0 in this last part of the steps
    batch_size: int = 32
    learning_rate: float = 1e-3
    weight_decay: float = 0.1
    shown: float = 0.25  # part of the patches in a view
    shown_last: float = 1.0  # the same while the rate falls: later a model sees all patches
    patch_weight: float = 0.5  # of the patch-caption term
    short: bool = True  # products of matrices in bfloat16
    start: str = ""  # folder of a finished training whose weights and vocabulary this one takes;
    # `grown`, if this model is larger
    seed: int = 0  # of the first weights, the order and the jitter
    pool: int = 0  # seed of the images; 1 is that of the held-out ones


def architecture(words, stem=1, layers=8):
    """open_clip's configuration of a small ViT and text tower, for so many words."""
    vision = {"image_size": SIZE, "patch_size": PATCH, "width": 128, "layers": layers}
    vision |= {"head_width": 32, "mlp_ratio": 4.0}
    text = {"context_length": clip.CONTEXT, "vocab_size": words}
    text |= {"width": 128, "heads": 4, "layers": 3}
    config = {"embed_dim": 128, "vision_cfg": vision, "text_cfg": text}
    return config | ({"stem": [stem * channels for channels in STEM]} if stem else {})


def vocabulary(captions, least=RARE):
    """Words that occur `least` times or more, sorted, between the special tokens."""
    counts = Counter(word for caption in captions for word in clip.split(caption))
    words = sorted(word for word, count in counts.items() if count >= least)
    return [clip.PAD, clip.START, clip.UNKNOWN, *words, clip.END]


def rate(step, settings):
    """Learning rate at a step as a factor of the highest."""
    if not settings.cycles:
        left = settings.steps - step
        return min((step + 1) / settings.warm, 1, left / (settings.fall * settings.steps))
    period = settings.steps // settings.cycles
    done = step % period
    return min((done + 1) / (WARM * period), 0.5 * (1 + math.cos(math.pi * done / period)))


def train(folder, settings, *, data, held_out, device=None):
    """Train SEM-VLM and write ``sem_vlm.safetensors`` (float16), ``.json`` and ``.csv`` (the log).

    A killed run goes on from its last checkpoint and ends with the same weights. Where the rate is
    level it does not depend on the number of steps: the checkpoint of the last level step stays, as
    ``sem_vlm_level.pt``, and under the checkpoint's name it goes on with more of them. The log's
    last columns are measured on the `Pairs` of the dict `held_out`. `device` is "cuda" where there
    is a GPU, unless another is given.
    """
    torch.manual_seed(settings.seed)
    if settings.start:
        words = json.loads((Path(settings.start) / f"{clip.NAME}.json").read_text())["vocabulary"]
    else:
        words = vocabulary([*data.captions, *RARE * [SUFFIX]])
    model = clip.network(architecture(len(words), settings.stem, settings.layers))
    if settings.start:
        trained = load_file(Path(settings.start) / f"{clip.NAME}.safetensors")
        draw = torch.Generator().manual_seed(settings.seed)
        model.load_state_dict(grown(trained, model.state_dict(), draw))
    model = model.to(device or best_device())
    # no weight decay for norms, biases, embeddings of position and the temperature
    named = list(model.named_parameters())
    bare = [one for name, one in named if one.ndim < 2 or "positional" in name]
    rest = [one for name, one in named if one.ndim >= 2 and "positional" not in name]
    groups = [{"params": rest}, {"params": bare, "weight_decay": 0.0}]
    rates = {"lr": settings.learning_rate, "weight_decay": settings.weight_decay}
    optimiser = torch.optim.AdamW(groups, betas=(0.9, 0.98), fused=True, **rates)
    file = folder / "sem_vlm_checkpoint.pt"
    parts = {"model": model, "optimiser": optimiser}
    config = asdict(settings)
    if not settings.cycles:
        for name in ("steps", "fall", "shown_last"):
            del config[name]
    log, spent = checkpoint.resume(file, config, parts, ([], 0.0))
    first = log[-1]["step"] if log else 0
    start = time.monotonic() - spent
    recent = []
    with tqdm(total=settings.steps, initial=first, desc="SEM-VLM", unit="step") as bar:
        for step in range(first, settings.steps):
            recent.append(_step(model, optimiser, settings, data, words, step))
            bar.update()
            last = step + 1 == settings.steps
            if (step + 1) % LOG_EVERY and not last:
                continue
            seconds = time.monotonic() - start
            losses = dict(zip(LOSSES, np.mean(recent, 0).tolist(), strict=True))
            log.append({"step": step + 1, "seconds": round(seconds)} | losses)
            if (step + 1) % EXAMINE_EVERY == 0 or last:
                for name, pairs in held_out.items():
                    scores = examine(model, pairs, words, short=settings.short)
                    log[-1] |= {f"{name}_{score}": value for score, value in scores.items()}
                bar.write(str(log[-1]))
            recent = []
            checkpoint.keep(file, config, parts, (log, seconds))
            if rate(step + 1, settings) == 1:
                checkpoint.keep(folder / "sem_vlm_level.pt", config, parts, (log, seconds))
    _finish(folder, settings, model, words, log)
    file.unlink()


def _step(model, optimiser, settings, data, words, step):
    """One step; its images and their jitter depend on (seed, step) alone: mean losses."""
    model.train()
    rng = np.random.default_rng([settings.seed, step])
    draw = torch.Generator().manual_seed(settings.seed + 7919 * step)
    chosen = np.sort(rng.choice(len(data.labels), settings.batch_size, replace=False))
    ways = rng.integers(settings.ways, size=len(chosen)).tolist()
    seen = list(zip(chosen, ways, strict=True))
    images = to_input([turned(data.images[i], way) for i, way in seen])[:, :1]  # all alike
    covered = cover([turned(data.masks[i], way) for i, way in seen])
    # brightness and contrast differ between microscopes: a gain and an offset for each image
    shape = (len(chosen), 1, 1, 1)
    gain, offset = (rng.normal(0, spread, shape).astype(np.float32) for spread in (0.15, 0.2))
    images = images * (1 + torch.from_numpy(gain)) + torch.from_numpy(offset)
    images = images.expand(-1, 3, -1, -1)
    said = [retold(data.captions[i], way) for i, way in seen]
    captions = [one + SUFFIX * bool(rng.random() < 0.15) for one in said]
    labels = torch.from_numpy(data.labels[chosen].astype(np.int64))
    same = torch.tensor([[a == b for b in captions] for a in captions], dtype=torch.float32)

    for group in optimiser.param_groups:
        group["lr"] = settings.learning_rate * rate(step, settings)
    tokens = clip.tokenize(captions, words)
    # one word in 25 is made unknown, so that an unknown word later does no harm
    hidden = torch.from_numpy(rng.random(tokens.shape) < 0.04)
    hidden = hidden & (tokens > words.index(clip.UNKNOWN)) & (tokens < len(words) - 1)
    tokens = tokens.masked_fill(hidden, words.index(clip.UNKNOWN))
    falls = not settings.cycles and step >= (1 - settings.fall) * settings.steps
    shown = settings.shown_last if falls else settings.shown
    device = model.logit_scale.device  # everything is drawn on the CPU: the same on every device
    tokens, images, covered, labels, same = (
        tensor.to(device) for tensor in (tokens, images, covered, labels, same)
    )
    given = tokens, images, covered, shown, draw
    text, image, patches, which = embed(model, *given, short=settings.short)
    scale = model.logit_scale.exp().clamp(max=100)
    whole = image_text_loss(image, text, same, scale)
    parts = patch_text_loss(patches, covered.gather(1, which), labels, text, scale, draw)
    optimiser.zero_grad(set_to_none=True)
    (whole + settings.patch_weight * parts).backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimiser.step()
    return whole.item(), parts.item()


def _finish(folder, settings, model, words, log):
    tensors = {name: tensor.half().contiguous() for name, tensor in model.state_dict().items()}
    with paths.atomic(folder / f"{clip.NAME}.safetensors") as temporary:
        save_file(tensors, temporary)
    with paths.atomic(folder / f"{clip.NAME}.csv") as temporary:
        pd.DataFrame(log).to_csv(temporary, index=False, float_format="%.5g")
    config = architecture(len(words), settings.stem, settings.layers)
    told = asdict(settings) | {"start": Path(settings.start).name}  # no path of this machine
    config |= {"mean": MEAN, "std": STD, "training": told}
    text = json.dumps(config | {"vocabulary": words}, indent=1)
    with paths.atomic(folder / f"{clip.NAME}.json") as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def _settings(context, parameter, given):
    """A dict of settings from "name=value" pairs."""
    kinds = {field.name: field.type for field in fields(Settings)}
    values = {}
    for one in given:
        name, _, value = one.partition("=")
        if name not in kinds:
            raise click.BadParameter(f"{name!r} is none of {', '.join(kinds)}")
        values[name] = kinds[name](float(value) if kinds[name] is not str else value)
    return values


@click.command()
@click.option("--folder", type=click.Path(path_type=Path), default=clip.MODELS, show_default=True)
@click.option("settings", "--set", multiple=True, callback=_settings, help="Such as seed=1.")
def main(folder, settings):
    """Simulate the pairs (kept in data/sem-vlm) and train SEM-VLM; a killed run continues."""
    settings = Settings(**settings)
    if settings.pool == HELD_OUT_SEED:
        message = f"pool={HELD_OUT_SEED} draws the held-out images; give another seed"
        raise click.BadParameter(message)
    folder.mkdir(parents=True, exist_ok=True)
    data = pairs_of(settings.world, "train", settings.n_images, settings.pool)
    held_out = {name: pairs_of(name, "held-out", n, HELD_OUT_SEED) for name, n in HELD_OUT.items()}
    train(folder, settings, data=data, held_out=held_out)


if __name__ == "__main__":
    main()
