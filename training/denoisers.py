"""Training of the networks that remove noise, resumable and seeded.

``python -m training.denoisers mse`` trains one of the kinds of `objectives.STEPS` on simulated
fields (`fields`) under simulated scans (`noise`) and puts it into ``semlib/semnr/models``.
"""

import argparse
import json
import math
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from safetensors.torch import load_file, save_file
from tqdm import tqdm

from semlib import checkpoint
from semlib.morphology.encoder import best_device
from semlib.paths import atomic
from semlib.semnr.denoise import MODELS, load
from semlib.semnr.gated import GatedUNet
from training import fields, noise
from training.held_out import HeldOut
from training.objectives import STEPS, WEIGHTS

TRAINING = {
    "steps": 4600,
    "period": 5000,  # steps in which the learning rate falls along a cosine ...
    "decay": 1200,  # ... and at the end of the training linearly: a longer one starts alike
    "batch_size": 8,
    "crop": 96,
    "learning_rate": 1e-3,
    "pieces": 4000,
    "faintest": 1.0,  # least contrast of a defect, 1 as it was simulated
    "untouched": 0.05,  # share of crops without noise, so that clean images are left alone
    "average": 0.999,  # of the weights, which is what is kept
    "weights": WEIGHTS,  # of the terms of "semnr"
    "start": None,  # name of the model in the folder whose weights are the first ones
    "skip": 0,  # steps that it has seen: the crops are those after them
    "network": {"channels": [32, 64, 128], "blocks": [1, 2, 4]},
}
WARM_UP = 200  # steps
RUNAWAY = 5.0  # a loss that no network has that works: gates multiply and can run away
LOOK_EVERY = 500  # steps between two looks at the held-out images, and between checkpoints
BF16 = True  # half the time on a CPU that has it


def train(kind, folder, *, seed=0, data=None, look=True, device=None, **settings):
    """Train one network; one that is finished with these settings is loaded.

    `folder` gets ``<kind>.safetensors``, ``<kind>.csv`` (log), ``<kind>.json`` (settings), and
    while training ``<kind>.pt``, from which a killed run goes on to the same weights. `settings`
    are other values for those of `TRAINING`; `data` keeps the fields; `look` measures the network
    on held-out images on the way; `device` is "cuda" where there is a GPU, unless another is given.
    """
    if kind not in STEPS:
        raise ValueError(f"unknown kind {kind!r}: use one of {', '.join(STEPS)}")
    if unknown := set(settings) - set(TRAINING):
        raise ValueError(f"unknown settings {sorted(unknown)}: use {', '.join(TRAINING)}")
    config = TRAINING | settings | {"kind": kind, "seed": seed}
    folder = Path(folder)
    stored = folder / f"{kind}.json"
    if stored.is_file() and json.loads(stored.read_text()) == json.loads(json.dumps(config)):
        return load(kind, folder)
    torch.manual_seed(seed)
    network = GatedUNet(**config["network"])  # drawn on the CPU: the same on every device
    network = network.to(device or best_device(), memory_format=torch.channels_last)
    if config["start"]:
        network.load_state_dict(load_file(folder / f"{config['start']}.safetensors"))
    log = _run(network, config, folder, data, HeldOut() if look else None)
    _finish(folder, config, network, log)
    return load(kind, folder)


def _run(network, config, folder, data, held_out):
    """Train to the end from where the checkpoint stands; the network gets the mean weights."""
    average = torch.optim.swa_utils.AveragedModel(
        network, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(config["average"])
    )
    optimiser = torch.optim.AdamW(network.parameters(), lr=config["learning_rate"], weight_decay=0)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda at: _rate(at, config))
    parts = {"network": network, "average": average, "optimiser": optimiser, "schedule": schedule}
    kept = folder / f"{config['kind']}.pt"
    log = checkpoint.resume(kept, config, parts, [])
    bank = fields.bank(config["pieces"], seed=config["seed"] + 1, folder=data)
    steps = config["steps"]
    done = log[-1]["step"] if log else 0
    losses = []
    start = time.perf_counter() - (log[-1]["seconds"] if log else 0)
    for step in tqdm(range(done, steps), config["kind"], steps, initial=done, mininterval=30):
        losses.append(_step(network, config, bank, optimiser, step))
        if not losses[-1] < RUNAWAY:  # true for NaN, too: back to weights that were good
            network.load_state_dict(average.module.state_dict())
            optimiser.state.clear()
        schedule.step()
        average.update_parameters(network)
        if (step + 1) % LOOK_EVERY == 0 or step + 1 == steps:
            row = {"step": step + 1, "loss": float(np.mean(losses))}
            row["seconds"] = round(time.perf_counter() - start, 1)
            log.append(row | (held_out.scores(average.module) if held_out else {}))
            losses = []
            checkpoint.keep(kept, config, parts, log)
            _table(log, folder / f"{config['kind']}-running.csv")
    network.load_state_dict(average.module.state_dict())
    return log


def _step(network, config, bank, optimiser, step):
    """One step of the optimiser; the loss."""
    seed = [config["seed"], config["skip"] + step]  # a resumed run draws the same crops
    torch.manual_seed(step)
    device = next(network.parameters()).device
    examples = batch(bank, np.random.default_rng(seed), config)
    examples = {name: images.to(device) for name, images in examples.items()}
    with torch.autocast(device.type, torch.bfloat16, enabled=BF16):
        loss = STEPS[config["kind"]](network, examples, config["weights"])
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    # a crop with hardly any electrons must not throw the weights about
    size = torch.nn.utils.clip_grad_norm_(network.parameters(), 0.5)
    if torch.isfinite(size):
        optimiser.step()
    return loss.item()


def _rate(at, config):
    """Learning rate as a share: up in a few steps, down along a cosine, at the end linearly to 0.

    The network before the last `decay` steps is thus that of any longer training, too.
    """
    warm = min(1.0, (at + 1) / WARM_UP)
    cosine = 0.02 + 0.49 * (1 + math.cos(math.pi * min(at / config["period"], 1)))
    return warm * cosine * min(1.0, max(config["steps"] - at, 0) / config["decay"])


def batch(bank, rng, config):
    """Crops of the fields and two scans of each: the batch of `objectives`."""
    examples = [example(bank, rng, config) for _ in range(config["batch_size"])]
    names = ("noisy", "again", "clean", "golden", "mask")
    tensors = {}
    for name, images in zip(names, zip(*examples, strict=True), strict=True):
        scale = 1 if name == "mask" else 255
        tensors[name] = torch.from_numpy(np.stack(images).astype(np.float32) / scale)[:, None]
    return tensors


def example(bank, rng, config):
    """One crop: two scans, clean, golden (grey levels) and mask, turned, lit and focused anew."""
    number = rng.integers(len(bank["clean"]))
    crop = config["crop"]
    top, left = rng.integers(0, fields.PIECE - crop + 1, 2)
    turns = rng.integers(4)
    flip = rng.choice([-1, 1])
    cut = [bank[name][number, top : top + crop, left : left + crop] for name in fields.NAMES]
    clean, golden, mask = (np.rot90(part, turns)[:, ::flip] for part in cut)
    if config["faintest"] < 1:
        share = rng.uniform(config["faintest"], 1)
        clean = golden + share * (clean.astype(np.float32) - golden)
    mean = clean.mean()
    contrast = rng.uniform(0.5, 1.4) * (-1 if rng.random() < 0.1 else 1)
    level = rng.uniform(60, 170)
    clean, golden = (np.clip((x - mean) * contrast + level, 0, 255) for x in (clean, golden))
    if rng.random() < 0.3:
        out_of_focus = rng.uniform(0.3, 1.5)  # pixels
        clean, golden = (fields.blurred(x, out_of_focus) for x in (clean, golden))
    if rng.random() < config["untouched"] and config["kind"] in ("mse", "semnr"):
        return clean, clean, clean, golden, mask
    settings = noise.draw(rng)
    noisy = noise.scan(clean, rng, **settings)
    again = noise.scan(clean, rng, **settings) if config["kind"] == "n2n" else noisy
    return noisy, again, clean, golden, mask


def _table(log, file):
    with atomic(file) as temporary:
        pd.DataFrame(log).to_csv(temporary, index=False, float_format="%.5g")


def _finish(folder, config, network, log):
    kind = config["kind"]
    with atomic(folder / f"{kind}.safetensors") as temporary:
        save_file(
            {name: x.half().contiguous() for name, x in network.state_dict().items()}, temporary
        )
    _table(log, folder / f"{kind}.csv")
    with atomic(folder / f"{kind}.json") as temporary:
        temporary.write_text(json.dumps(config, indent=1) + "\n")
    for left_over in (f"{kind}.pt", f"{kind}-running.csv"):
        (folder / left_over).unlink(missing_ok=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kind", choices=STEPS)
    parser.add_argument("--folder", type=Path, default=MODELS, help="where the model goes")
    parser.add_argument("--data", type=Path, help="where the fields are kept")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--settings", type=json.loads, default={}, help="JSON, see TRAINING")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    given.folder.mkdir(parents=True, exist_ok=True)
    train(given.kind, given.folder, seed=given.seed, data=given.data, **given.settings)


if __name__ == "__main__":
    main()
