"""Three ways to train the small U-Net that removes noise, resumable and seeded.

- "mse": mean squared error to the clean image, the article's high score.
- "semnr": the same with terms that protect what the article refuses to lose: edges, texture and
  contrast (our choice of terms and weights).
- "blind": no clean images. Pixels are hidden together with their neighbours along the scan and
  guessed from the rest, so noise that is correlated along the rows cannot be copied (Noise2Void,
  arXiv 1811.10980, with the horizontal mask of structN2V).

``python -m training.denoisers`` trains the three networks kept in ``semlib/semnr/models``.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from safetensors.torch import save_file
from torch.nn import functional as F
from tqdm import tqdm

from semlib import checkpoint
from semlib.images.simulator import microscope
from semlib.paths import atomic
from semlib.semnr.damage import scenes
from semlib.semnr.denoise import MODELS, load
from semlib.unet import UNet

TRAINING = {"steps": 1500, "batch_size": 8, "crop": 64, "learning_rate": 2e-3}
TRAINING |= {"images": 40, "sizes": [240, 480]}
REACH = 4  # pixels hidden on each side along the scan, "blind"
HIDDEN = 0.02  # share of pixels guessed per step, "blind"
KEEP_EVERY = 250  # steps between checkpoints


def train(kind, folder, *, seed=0, **settings):
    """Train one network on simulated pairs; one that is finished with these settings is loaded.

    `folder` gets ``<kind>.safetensors``, ``<kind>.csv`` (step, mean loss of 50), ``<kind>.json``
    (settings), and while training ``<kind>.pt``, from which a killed run goes on to the same
    weights. `settings` are other values for those of `TRAINING`.
    """
    if kind not in STEPS:
        raise ValueError(f"unknown kind {kind!r}: use one of {', '.join(STEPS)}")
    if unknown := set(settings) - set(TRAINING):
        raise ValueError(f"unknown settings {sorted(unknown)}: use {', '.join(TRAINING)}")
    config = TRAINING | settings | {"kind": kind, "seed": seed}
    folder = Path(folder)
    stored = folder / f"{kind}.json"
    if stored.is_file() and json.loads(stored.read_text()) == config:
        return load(kind, folder)
    torch.manual_seed(seed)
    network = UNet(residual=kind != "blind")
    losses = _run(network, config, folder / f"{kind}.pt")
    _finish(folder, config, network, losses)
    return network.eval()


def _run(network, config, kept):
    """Train a network to the end from where `kept` stands: losses of all steps."""
    steps = config["steps"]
    seed = config["seed"]
    optimiser = torch.optim.Adam(network.parameters(), lr=config["learning_rate"])
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    parts = {"network": network, "optimiser": optimiser, "schedule": schedule}
    losses = checkpoint.resume(kept, config, parts, [])
    clean = []
    for size in config["sizes"]:
        clean += list(scenes(config["images"], seed=seed + 1, size=size).clean)
    untouched = 0.0 if config["kind"] == "blind" else 0.1
    done = len(losses)
    for number in tqdm(range(done, steps), config["kind"], steps, initial=done, unit="step"):
        rng = np.random.default_rng([seed, number])  # a resumed run draws the same crops
        noisy, target = batch(clean, rng, config["batch_size"], config["crop"], untouched)
        loss = STEPS[config["kind"]](network, noisy, target, number)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        schedule.step()
        losses.append(loss.item())
        if len(losses) % KEEP_EVERY == 0:
            checkpoint.keep(kept, config, parts, losses)
    return losses


def batch(clean, rng, count, crop, untouched):
    """Noisy and clean crops of uint8 images, float32 tensors (count, 1, crop, crop) in [0, 1].

    Dose in electrons a pixel, jitter in pixels; flipped at random, contrast scaled. A share
    `untouched` stays clean, so that the network learns to leave clean images alone.
    """
    inputs = []
    targets = []
    for _ in range(count):
        image = clean[rng.integers(len(clean))]
        top, left = (rng.integers(0, side - crop + 1) for side in image.shape)
        piece = image[top : top + crop, left : left + crop]
        piece = piece[:: rng.choice([-1, 1]), :: rng.choice([-1, 1])]
        piece = np.clip((piece - 128.0) * rng.uniform(0.6, 1.2) + rng.uniform(100, 150), 0, 255)
        noisy = piece
        if rng.random() >= untouched:
            scan = {"dose": np.exp(rng.uniform(np.log(15), np.log(400)))}
            scan["jitter"] = rng.uniform(0, 0.3)
            scan["correlation"] = rng.uniform(0, 0.7)
            noisy = microscope.acquire(piece, rng, **scan)
        inputs.append(np.clip(noisy, 0, 255))
        targets.append(piece)
    return _tensor(inputs), _tensor(targets)


def _tensor(images):
    return torch.from_numpy(np.stack(images).astype(np.float32) / 255)[:, None]


def mse_step(network, noisy, target, _number):
    """Mean squared error to the clean image."""
    return F.mse_loss(network(noisy), target)


def semnr_step(network, noisy, target, _number):
    """MSE + edges (gradient) + texture (standard deviation in 7 px) + contrast (mean of 9 px)."""
    restored = network(noisy)
    slopes = zip(_slopes(restored), _slopes(target), strict=True)
    edges = sum((a - b).abs().mean() for a, b in slopes)
    texture = (_deviation(restored) - _deviation(target)).abs().mean()
    contrast = (F.avg_pool2d(restored, 9, 4) - F.avg_pool2d(target, 9, 4)).abs().mean()
    return F.mse_loss(restored, target) + 0.1 * edges + 0.5 * texture + 0.2 * contrast


def blind_step(network, noisy, _target, number):
    """Squared error at hidden pixels; the network gets others for them and their row neighbours."""
    rng = torch.Generator().manual_seed(number)
    centre = torch.rand(noisy.shape, generator=rng) < HIDDEN
    hidden = F.max_pool2d(centre.float(), (1, 2 * REACH + 1), 1, (0, REACH)) > 0
    shifts = torch.randint(2, 6, (2,), generator=rng)
    shifts *= 1 - 2 * torch.randint(0, 2, (2,), generator=rng)
    elsewhere = noisy.roll((int(shifts[0]), 3 * int(shifts[1])), (2, 3))
    restored = network(torch.where(hidden, elsewhere, noisy))
    return (restored - noisy)[centre].square().mean()


STEPS = {"mse": mse_step, "semnr": semnr_step, "blind": blind_step}


def _slopes(x):
    return x[..., 1:] - x[..., :-1], x[..., 1:, :] - x[..., :-1, :]


def _deviation(x):
    mean = F.avg_pool2d(x, 7, 2)
    # rounding can make the variance negative, and a root has no gradient at 0
    return (F.avg_pool2d(x * x, 7, 2) - mean * mean).clamp(min=1e-6).sqrt()


def _finish(folder, config, network, losses):
    kind = config["kind"]
    with atomic(folder / f"{kind}.safetensors") as temporary:
        save_file(network.state_dict(), temporary)
    table = pd.DataFrame({"step": np.arange(1, len(losses) + 1), "loss": losses})
    means = table.groupby((table["step"] - 1) // 50).agg({"step": "last", "loss": "mean"})
    with atomic(folder / f"{kind}.csv") as temporary:
        means.to_csv(temporary, index=False, float_format="%.6g")
    with atomic(folder / f"{kind}.json") as temporary:
        temporary.write_text(json.dumps(config, indent=1) + "\n")
    (folder / f"{kind}.pt").unlink(missing_ok=True)


if __name__ == "__main__":
    for wanted in sys.argv[1:] or STEPS:
        train(wanted, MODELS)
