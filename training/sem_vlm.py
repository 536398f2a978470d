"""``python -m semlib.semclip.pretrain``: SEM-VLM trained from scratch on simulated image-caption pairs.

Contrastive learning as in CLIP (arXiv 2103.00020, Fig. 3), with two changes, both our choice, for a model this small:
each view shows only a part of the patches (arXiv 2212.00794), and single patches are contrasted with the captions too,
those on a defect (the simulator knows where it is) with captions of their class, the others with defect-free ones.
"""

import json
import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from sklearn.metrics import roc_auc_score
from tqdm import tqdm

from semlib import paths
from semlib.images import simulate
from semlib.semclip import vlm
from semlib.semclip.contrast import ON_DEFECT, image_text_loss, patch_text_loss, see

MEAN, STD = 0.40, 0.17
SIZE, PATCH = 240, 16
GRID = SIZE // PATCH
LOG_EVERY = 50
SUFFIX = " on wafer surface"  # of the paper's template, which the simulator's captions lack


@dataclass(frozen=True)
class Settings:
    """What decides the outcome.

    `cycles`: the learning rate falls along so many cosines (arXiv 1608.03983); `shown`: part of the patches in a view;
    `patch_weight`: of the patch-caption term.
    """

    n_images: int = 20_000
    steps: int = 4_000
    cycles: int = 2
    batch_size: int = 64
    learning_rate: float = 1e-3
    weight_decay: float = 0.1
    shown: float = 0.4
    patch_weight: float = 0.5
    seed: int = 0


class Pairs:
    """Simulated images with masks, labels and captions, read from the files of `simulate.write_arrays`."""

    def __init__(self, folder):
        self.images = np.load(folder / "images.npy", mmap_mode="r")
        self.masks = np.load(folder / "masks.npy", mmap_mode="r")
        self.labels = np.load(folder / "labels.npy")
        self.captions = json.loads((folder / "captions.json").read_text(encoding="utf-8"))

    def covered(self, rows):
        """Part of each patch that is defect, float32 (n, 225)."""
        masks = np.asarray(self.masks[rows], np.float32).reshape(-1, GRID, PATCH, GRID, PATCH)
        return torch.from_numpy(masks.mean((2, 4)).reshape(len(masks), -1))


def to_input(images):
    """uint8 (n, 240, 240) to normalised float32 (n, 3, 240, 240)."""
    x = (torch.from_numpy(np.asarray(images, np.float32)) / 255 - MEAN) / STD
    return x[:, None].expand(-1, 3, -1, -1)


def train(folder, settings, *, data, held_out, progress=True):
    """Train SEM-VLM and write ``sem_vlm.safetensors`` (float16), ``.json`` and ``.csv`` (the log) into `folder`.

    A killed run goes on from its last checkpoint and ends with the same weights.

    Parameters
    ----------
    folder : Path
    settings : Settings
    data, held_out : Pairs
        Training pairs, and others that only the log's last columns are measured on.
    """
    torch.manual_seed(settings.seed)
    words = vlm.vocabulary([*data.captions, *3 * [SUFFIX]])
    model = vlm.build(vlm.architecture(len(words)))
    optimiser = torch.optim.AdamW(
        _groups(model, settings.weight_decay), lr=settings.learning_rate, betas=(0.9, 0.98)
    )
    checkpoint = folder / "sem_vlm_checkpoint.pt"
    log, spent = _resume(checkpoint, settings, model, optimiser)
    first = log[-1]["step"] if log else 0
    recent, start = [], time.monotonic() - spent
    with tqdm(
        total=settings.steps, initial=first, desc="SEM-VLM", unit="step", disable=not progress
    ) as bar:
        for step in range(first, settings.steps):
            recent.append(_step(model, optimiser, settings, data, words, step))
            bar.update()
            if (step + 1) % LOG_EVERY and step + 1 != settings.steps:
                continue
            row = dict(
                zip(
                    ("image_text_loss", "patch_text_loss"), np.mean(recent, 0).tolist(), strict=True
                )
            )
            log.append({"step": step + 1, "seconds": round(time.monotonic() - start)} | row)
            if (step + 1) % (10 * LOG_EVERY) == 0 or step + 1 == settings.steps:
                log[-1] |= examine(model, held_out, words)
                bar.write(str(log[-1]))
            recent = []
            _save(checkpoint, settings, model, optimiser, log, time.monotonic() - start)
    _finish(folder, settings, model, words, log)
    checkpoint.unlink()


def _groups(model, decay):
    """No weight decay for norms, biases, embeddings of position and the temperature."""
    bare = [p for name, p in model.named_parameters() if p.ndim < 2 or "positional" in name]
    rest = [p for name, p in model.named_parameters() if p.ndim >= 2 and "positional" not in name]
    return [{"params": rest, "weight_decay": decay}, {"params": bare, "weight_decay": 0.0}]


def _step(model, optimiser, settings, data, words, step):
    """One step; its images and their jitter depend on (seed, step) alone. One word in 25 is made unknown."""
    model.train()
    rng, draw = (
        np.random.default_rng([settings.seed, step]),
        torch.Generator().manual_seed(settings.seed + 7919 * step),
    )
    rows = np.sort(rng.choice(len(data.labels), settings.batch_size, replace=False))
    images, covered = to_input(data.images[rows]), data.covered(rows)
    gain, offset = (
        torch.from_numpy(rng.normal(0, s, (len(rows), 1, 1, 1)).astype(np.float32))
        for s in (0.15, 0.2)
    )
    captions = [data.captions[i] + SUFFIX * bool(rng.random() < 0.15) for i in rows]
    labels = torch.from_numpy(data.labels[rows].astype(np.int64))
    same = torch.tensor([[a == b for b in captions] for a in captions], dtype=torch.float32)

    cycle = settings.steps // settings.cycles
    done = step % cycle
    rate = min((done + 1) / (0.05 * cycle), 0.5 * (1 + math.cos(math.pi * done / cycle)))
    for group in optimiser.param_groups:
        group["lr"] = settings.learning_rate * rate
    tokens = vlm.tokenize(captions, words)
    hidden = (
        torch.from_numpy(rng.random(tokens.shape) < 0.04) & (tokens > 2) & (tokens < len(words) - 1)
    )
    text = model.encode_text(tokens.masked_fill(hidden, words.index(vlm.UNKNOWN)), normalize=True)
    image, patches, which = see(model, images * (1 + gain) + offset, covered, settings.shown, draw)
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
    """On held-out pairs: zero-shot accuracy over the classes, and AUROC of patches on a defect (same captions).

    The text embedding of a class is the mean over its captions among `pairs`.
    """
    model.eval()
    text = model.encode_text(vlm.tokenize(pairs.captions, words), normalize=True)
    classes = np.unique(pairs.labels)
    text = F.normalize(torch.stack([text[pairs.labels == c].mean(0) for c in classes]), dim=-1)
    right, scores, truth = 0, [], []
    for start in range(0, len(pairs.labels), 50):
        rows = np.arange(start, min(start + 50, len(pairs.labels)))
        covered = pairs.covered(rows)
        image, patches, which = see(
            model, to_input(pairs.images[rows]), covered, 1.0, torch.Generator()
        )
        right += int((classes[(image @ text.T).argmax(1).numpy()] == pairs.labels[rows]).sum())
        similarity = patches @ text.T
        scores.append((similarity[..., 1:].amax(-1) - similarity[..., 0]).ravel())
        truth.append(covered.gather(1, which).ravel() > ON_DEFECT)
    auroc = roc_auc_score(torch.cat(truth), torch.cat(scores))
    return {"held_out_accuracy": right / len(pairs.labels), "held_out_patch_auroc": float(auroc)}


def _save(file, settings, model, optimiser, log, spent):
    state = {
        "model": model.state_dict(),
        "optimiser": optimiser.state_dict(),
        "log": log,
        "spent": spent,
    }
    with paths.atomic(file) as temporary:
        torch.save(state | {"settings": asdict(settings)}, temporary)


def _resume(file, settings, model, optimiser):
    if not file.is_file():
        return [], 0.0
    state = torch.load(file, map_location="cpu", weights_only=True)
    if state["settings"] != asdict(settings):
        return [], 0.0
    model.load_state_dict(state["model"])
    optimiser.load_state_dict(state["optimiser"])
    return state["log"], state["spent"]


def _finish(folder, settings, model, words, log):
    with paths.atomic(folder / f"{vlm.NAME}.safetensors") as temporary:
        save_file(
            {name: tensor.half().contiguous() for name, tensor in model.state_dict().items()},
            temporary,
        )
    with paths.atomic(folder / f"{vlm.NAME}.csv") as temporary:
        pd.DataFrame(log).to_csv(temporary, index=False, float_format="%.5g")
    config = vlm.architecture(len(words)) | {"mean": MEAN, "std": STD, "training": asdict(settings)}
    with paths.atomic(folder / f"{vlm.NAME}.json") as temporary:
        temporary.write_text(
            json.dumps(config | {"vocabulary": words}, indent=1) + "\n", encoding="utf-8"
        )


@click.command()
@click.option(
    "--folder", type=click.Path(path_type=Path), default=vlm.MODELS, help="Where the model goes."
)
@click.option(
    "--images", default=Settings.n_images, show_default=True, help="Simulated training images."
)
@click.option("--steps", default=Settings.steps, show_default=True)
@click.option("--seed", default=Settings.seed, show_default=True)
def main(folder, images, steps, seed):
    """Simulate the pairs (kept in data/sem-vlm) and train SEM-VLM; a killed run continues."""
    settings, cache = (
        Settings(n_images=images, steps=steps, seed=seed),
        paths.data_root() / "sem-vlm",
    )
    sets = {"train": (images, seed), "held-out": (350, seed + 1)}
    for name, (count, own) in sets.items():
        simulate.write_arrays(
            cache / f"{name}-{count}-{own}", count, seed=own, preset="semvlm", size=SIZE
        )
    data, held_out = (Pairs(cache / f"{name}-{count}-{own}") for name, (count, own) in sets.items())
    train(folder, settings, data=data, held_out=held_out)


if __name__ == "__main__":
    main()
