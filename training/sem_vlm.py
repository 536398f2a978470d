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
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import numpy as np
import open_clip
import pandas as pd
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from sklearn.metrics import roc_auc_score
from tqdm import tqdm

from semlib import checkpoint, paths
from semlib.images import simulator
from semlib.semclip import clip
from training.sem_vlm_preset import SEM_VLM

MEAN = 0.40
STD = 0.17  # of the training images on [0, 1]
SIZE = 240
PATCH = 16  # pixels a side
ON_DEFECT = 0.1  # part of a patch that a defect must cover
EACH = 4  # patches of an image on the defect, and as many beside it, in the patch loss
LOG_EVERY = 50  # steps
LOSSES = ("image_text_loss", "patch_text_loss")  # columns of the log
SUFFIX = " on wafer surface"  # of the paper's template, which the simulator's captions lack
RARE = 3  # a word that occurs less often is not in the vocabulary


@dataclass(frozen=True)
class Settings:
    """What decides the outcome."""

    n_images: int = 20_000
    steps: int = 4_000
    cycles: int = 2  # the learning rate falls along so many cosines (arXiv 1608.03983)
    batch_size: int = 64
    learning_rate: float = 1e-3
    weight_decay: float = 0.1
    shown: float = 0.4  # part of the patches in a view
    patch_weight: float = 0.5  # of the patch-caption term
    seed: int = 0


class Pairs:
    """Simulated images with masks, labels and captions, from files of `simulator.write_arrays`."""

    def __init__(self, folder):
        self.images = np.load(folder / "images.npy", mmap_mode="r")
        self.masks = np.load(folder / "masks.npy", mmap_mode="r")
        self.labels = np.load(folder / "labels.npy")
        self.captions = json.loads((folder / "captions.json").read_text(encoding="utf-8"))

    def covered(self, chosen):
        """Part of each patch that is defect, float32 (n, 225)."""
        masks = torch.from_numpy(np.asarray(self.masks[chosen], np.float32))
        return F.avg_pool2d(masks[:, None], PATCH).flatten(1)


def architecture(words):
    """open_clip's configuration of a small ViT and text tower, for so many words."""
    vision = {"image_size": SIZE, "patch_size": PATCH, "width": 128, "layers": 8}
    vision |= {"head_width": 32, "mlp_ratio": 4.0}
    text = {"context_length": clip.CONTEXT, "vocab_size": words}
    text |= {"width": 128, "heads": 4, "layers": 3}
    return {"embed_dim": 128, "vision_cfg": vision, "text_cfg": text}


def vocabulary(captions, least=RARE):
    """Words that occur `least` times or more, sorted, between the special tokens."""
    counts = Counter(word for caption in captions for word in clip.split(caption))
    words = sorted(word for word, count in counts.items() if count >= least)
    return [clip.PAD, clip.START, clip.UNKNOWN, *words, clip.END]


def to_input(images):
    """uint8 (n, 240, 240) to normalised float32 (n, 3, 240, 240)."""
    x = (torch.from_numpy(np.asarray(images, np.float32)) / 255 - MEAN) / STD
    return x[:, None].expand(-1, 3, -1, -1)


def see(model, images, covered, shown, draw):
    """Unit embeddings of images (n, e) and of some of their patches (n, m, e), and which (n, m).

    The patches are drawn at random; those on a defect, by `covered` (n, 225), always show.
    """
    visual = model.visual
    order = torch.rand(covered.shape, generator=draw) + (covered > ON_DEFECT)
    which = order.topk(round(shown * covered.shape[1]), dim=1).indices  # n m
    tokens = visual._embeds(images)  # n 1+225 d
    kept = torch.cat([torch.zeros_like(which[:, :1]), which + 1], 1)  # the class token comes first
    tokens = tokens.gather(1, kept[..., None].expand(-1, -1, tokens.shape[-1]))  # n 1+m d
    tokens = F.normalize(visual.ln_post(visual.transformer(tokens)) @ visual.proj, dim=-1)
    return tokens[:, 0], tokens[:, 1:], which


def image_text_loss(image, text, same, scale):
    """Symmetric InfoNCE; captions that read the same (`same`, n x n) are positives."""
    logits = scale * image @ text.T
    target = same / same.sum(1, keepdim=True)
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


def patch_text_loss(patches, covered, labels, text, scale, draw, each=EACH):
    """InfoNCE of patches on and beside the defect with all captions of their class in the batch."""
    kinds = []
    chosen = []
    for wanted, kind in ((covered > ON_DEFECT, labels), (covered == 0, torch.zeros_like(labels))):
        order = torch.rand(covered.shape, generator=draw) + 2 * wanted
        best = order.topk(each, dim=1).indices
        valid = wanted.gather(1, best)
        chosen.append(patches.gather(1, best[..., None].expand(-1, -1, patches.shape[-1]))[valid])
        kinds.append(kind[:, None].expand(-1, each)[valid])
    same = (torch.cat(kinds)[:, None] == labels[None]).float()
    some = same.sum(1) > 0  # patches whose class has a caption in the batch
    logits = scale * torch.cat(chosen)[some] @ text.T
    return F.cross_entropy(logits, same[some] / same[some].sum(1, keepdim=True))


def train(folder, settings, *, data, held_out):
    """Train SEM-VLM and write ``sem_vlm.safetensors`` (float16), ``.json`` and ``.csv`` (the log).

    A killed run goes on from its last checkpoint and ends with the same weights. The log's last
    columns are measured on the `Pairs` `held_out`.
    """
    torch.manual_seed(settings.seed)
    words = vocabulary([*data.captions, *RARE * [SUFFIX]])
    model = open_clip.CLIP(**architecture(len(words)))
    # no weight decay for norms, biases, embeddings of position and the temperature
    named = list(model.named_parameters())
    bare = [one for name, one in named if one.ndim < 2 or "positional" in name]
    rest = [one for name, one in named if one.ndim >= 2 and "positional" not in name]
    groups = [{"params": rest}, {"params": bare, "weight_decay": 0.0}]
    rates = {"lr": settings.learning_rate, "weight_decay": settings.weight_decay}
    optimiser = torch.optim.AdamW(groups, betas=(0.9, 0.98), **rates)
    file = folder / "sem_vlm_checkpoint.pt"
    parts = {"model": model, "optimiser": optimiser}
    log, spent = checkpoint.resume(file, asdict(settings), parts, ([], 0.0))
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
            if (step + 1) % (10 * LOG_EVERY) == 0 or last:
                log[-1] |= examine(model, held_out, words)
                bar.write(str(log[-1]))
            recent = []
            checkpoint.keep(file, asdict(settings), parts, (log, seconds))
    _finish(folder, settings, model, words, log)
    file.unlink()


def _step(model, optimiser, settings, data, words, step):
    """One step; its images and their jitter depend on (seed, step) alone: mean losses."""
    model.train()
    rng = np.random.default_rng([settings.seed, step])
    draw = torch.Generator().manual_seed(settings.seed + 7919 * step)
    chosen = np.sort(rng.choice(len(data.labels), settings.batch_size, replace=False))
    images = to_input(data.images[chosen])
    covered = data.covered(chosen)
    # brightness and contrast differ between microscopes: a gain and an offset for each image
    shape = (len(chosen), 1, 1, 1)
    gain, offset = (rng.normal(0, spread, shape).astype(np.float32) for spread in (0.15, 0.2))
    images = images * (1 + torch.from_numpy(gain)) + torch.from_numpy(offset)
    captions = [data.captions[i] + SUFFIX * bool(rng.random() < 0.15) for i in chosen]
    labels = torch.from_numpy(data.labels[chosen].astype(np.int64))
    same = torch.tensor([[a == b for b in captions] for a in captions], dtype=torch.float32)

    cycle = settings.steps // settings.cycles
    done = step % cycle
    rate = min((done + 1) / (0.05 * cycle), 0.5 * (1 + math.cos(math.pi * done / cycle)))  # warm-up
    for group in optimiser.param_groups:
        group["lr"] = settings.learning_rate * rate
    tokens = clip.tokenize(captions, words)
    # one word in 25 is made unknown, so that an unknown word later does no harm
    hidden = torch.from_numpy(rng.random(tokens.shape) < 0.04)
    hidden = hidden & (tokens > words.index(clip.UNKNOWN)) & (tokens < len(words) - 1)
    tokens = tokens.masked_fill(hidden, words.index(clip.UNKNOWN))
    text = model.encode_text(tokens, normalize=True)
    image, patches, which = see(model, images, covered, settings.shown, draw)
    scale = model.logit_scale.exp().clamp(max=100)
    whole = image_text_loss(image, text, same, scale)
    parts = patch_text_loss(patches, covered.gather(1, which), labels, text, scale, draw)
    optimiser.zero_grad(set_to_none=True)
    (whole + settings.patch_weight * parts).backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimiser.step()
    return whole.item(), parts.item()


@torch.inference_mode()
def examine(model, pairs, words):
    """On held-out pairs: zero-shot accuracy, and AUROC of patches on a defect (same captions).

    The text embedding of a class is the mean over its captions among `pairs`.
    """
    model.eval()
    text = model.encode_text(clip.tokenize(pairs.captions, words), normalize=True)
    classes = np.unique(pairs.labels)
    text = F.normalize(torch.stack([text[pairs.labels == c].mean(0) for c in classes]), dim=-1)
    right = 0
    scores = []
    truth = []
    for start in range(0, len(pairs.labels), 50):
        chosen = np.arange(start, min(start + 50, len(pairs.labels)))
        images = to_input(pairs.images[chosen])
        covered = pairs.covered(chosen)
        image, patches, which = see(model, images, covered, 1.0, torch.Generator())
        named = classes[(image @ text.T).argmax(1).numpy()]
        right += int((named == pairs.labels[chosen]).sum())
        similarity = patches @ text.T
        scores.append((similarity[..., 1:].amax(-1) - similarity[..., 0]).ravel())
        truth.append(covered.gather(1, which).ravel() > ON_DEFECT)
    auroc = roc_auc_score(torch.cat(truth), torch.cat(scores))
    return {"held_out_accuracy": right / len(pairs.labels), "held_out_patch_auroc": float(auroc)}


def _finish(folder, settings, model, words, log):
    tensors = {name: tensor.half().contiguous() for name, tensor in model.state_dict().items()}
    with paths.atomic(folder / f"{clip.NAME}.safetensors") as temporary:
        save_file(tensors, temporary)
    with paths.atomic(folder / f"{clip.NAME}.csv") as temporary:
        pd.DataFrame(log).to_csv(temporary, index=False, float_format="%.5g")
    config = architecture(len(words)) | {"mean": MEAN, "std": STD, "training": asdict(settings)}
    text = json.dumps(config | {"vocabulary": words}, indent=1)
    with paths.atomic(folder / f"{clip.NAME}.json") as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


@click.command()
@click.option("--folder", type=click.Path(path_type=Path), default=clip.MODELS, show_default=True)
@click.option("--images", default=Settings.n_images, show_default=True, help="Simulated images.")
@click.option("--steps", default=Settings.steps, show_default=True)
@click.option("--seed", default=Settings.seed, show_default=True)
def main(folder, images, steps, seed):
    """Simulate the pairs (kept in data/sem-vlm) and train SEM-VLM; a killed run continues."""
    pairs = []
    for name, count, own in (("train", images, seed), ("held-out", 350, seed + 1)):
        place = paths.data_root() / "sem-vlm" / f"{name}-{count}-{own}"
        simulator.write_arrays(place, count, seed=own, preset=SEM_VLM, size=SIZE)
        pairs.append(Pairs(place))
    data, held_out = pairs
    settings = Settings(n_images=images, steps=steps, seed=seed)
    train(folder, settings, data=data, held_out=held_out)


if __name__ == "__main__":
    main()
