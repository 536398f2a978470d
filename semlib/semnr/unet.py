"""A small U-Net that removes noise, and three ways to train it, resumable and seeded.

- "mse": mean squared error to the clean image, the article's high score.
- "semnr": the same network with terms that protect what the article refuses to lose: edges, texture and contrast.
- "blind": no clean images. Pixels are hidden together with their neighbours along the scan and guessed from the rest,
  so noise that is correlated along the rows cannot be copied (Noise2Void, arXiv 1811.10980, with the horizontal mask
  of structN2V).

``python -m semlib.semnr.unet`` trains the three networks that are kept in ``semlib/semnr/models``.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional as F
from tqdm import tqdm

from semlib.images import simulator
from semlib.images.simulator import microscope
from semlib.paths import atomic
from semlib.unet import UNet

MODELS = Path(__file__).parent / "models"
KINDS = ("mse", "semnr", "blind")
TRAINING = {
    "steps": 1500,
    "batch_size": 8,
    "crop": 64,
    "learning_rate": 2e-3,
    "images": 40,
    "sizes": [240, 480],
}
REACH = 4  # pixels hidden on each side along the scan, "blind"
HIDDEN = 0.02  # share of pixels guessed per step, "blind"
KEEP_EVERY = 250  # steps between checkpoints


def train(kind, folder, *, seed=0, progress=True, **settings):
    """Train one network on simulated pairs; a folder finished with the same settings is left as it is.

    Parameters
    ----------
    kind : str
        "mse", "semnr" or "blind".
    folder : Path
        Gets ``<kind>.safetensors``, ``<kind>.csv`` (step and mean loss) and ``<kind>.json`` (settings), and while
        training ``<kind>.pt``, from which a killed run goes on to the same weights.
    seed : int
    progress : bool
    **settings
        Other values for those of `TRAINING`.

    Returns
    -------
    UNet
        In evaluation mode.

    Raises
    ------
    ValueError
        For an unknown kind or setting.
    """
    if kind not in KINDS:
        raise ValueError(f"unknown kind {kind!r}: use one of {', '.join(KINDS)}")
    if unknown := set(settings) - set(TRAINING):
        raise ValueError(f"unknown settings {sorted(unknown)}: use {', '.join(TRAINING)}")
    config = TRAINING | settings | {"kind": kind, "seed": seed}
    folder = Path(folder)
    stored = folder / f"{kind}.json"
    if stored.is_file() and json.loads(stored.read_text()) == config:
        return load(kind, folder)
    torch.manual_seed(seed)
    network = UNet(residual=kind != "blind")
    optimiser = torch.optim.Adam(network.parameters(), lr=config["learning_rate"])
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, config["steps"])
    parts = {"network": network, "optimiser": optimiser, "schedule": schedule}
    losses = _resume(folder / f"{kind}.pt", config, parts)
    clean = [
        image
        for size in config["sizes"]
        for image in scenes(config["images"], seed=seed + 1, size=size).clean
    ]
    options = {"untouched": 0.0} if kind == "blind" else {}
    step = {"mse": _mse_step, "semnr": _semnr_step, "blind": _blind_step}[kind]
    bar = tqdm(
        total=config["steps"],
        initial=len(losses),
        desc=f"U-Net {kind}",
        unit="step",
        disable=not progress,
    )
    with bar:
        for number in range(len(losses), config["steps"]):
            rng = np.random.default_rng([seed, number])
            noisy, target = batch(clean, rng, config["batch_size"], config["crop"], **options)
            loss = step(network, noisy, target, number)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            schedule.step()
            losses.append(loss.item())
            bar.update()
            if len(losses) % KEEP_EVERY == 0:
                _checkpoint(folder / f"{kind}.pt", config, parts, losses)
    _finish(folder, config, network, losses)
    return network.eval()


def load(kind, folder=MODELS):
    """Network of a kind as it was trained, in evaluation mode.

    Raises
    ------
    FileNotFoundError
        If it was not trained.
    """
    file = Path(folder) / f"{kind}.safetensors"
    if not file.is_file():
        raise FileNotFoundError(
            f"{file} does not exist: train it with python -m semlib.semnr.unet {kind}"
        )
    network = UNet(residual=kind != "blind")
    network.load_state_dict(load_file(file))
    return network.eval()


@torch.inference_mode()
def restore(network, image):
    """Run a network on one image, float32 (H, W) in [0, 1]; the border is mirrored to sides that are multiples of 4."""
    height, width = image.shape
    x = torch.from_numpy(np.ascontiguousarray(image))[None, None]
    x = F.pad(x, (8, 8 + -width % 4, 8, 8 + -height % 4), mode="reflect")
    return network(x)[0, 0, 8 : 8 + height, 8 : 8 + width].clamp(0, 1).numpy()


def scenes(n, *, seed, size):
    """Simulated patterns, each with a small defect: `SimulatedBatch` of the preset "semnr", defects 1 to 5 in turn."""
    return simulator.sample(n, seed=seed, preset="semnr", size=size, labels=1 + np.arange(n) % 5)


def batch(clean, rng, count, crop, *, untouched=0.1):
    """Noisy and clean crops of uint8 images (H, W), float32 tensors (count, 1, crop, crop) in [0, 1].

    Dose 15 to 400 electrons a pixel (log-uniform), noise correlation along the scan 0 to 0.7, jitter up to 0.3 px;
    a share of `untouched` crops stays clean, so that the network learns to leave clean images alone. Flipped at random,
    contrast scaled by 0.6 to 1.2.
    """
    pairs = []
    for _ in range(count):
        image = clean[rng.integers(len(clean))]
        top, left = (rng.integers(0, side - crop + 1) for side in image.shape)
        piece = image[top : top + crop, left : left + crop][
            :: rng.choice([-1, 1]), :: rng.choice([-1, 1])
        ]
        piece = np.clip((piece - 128.0) * rng.uniform(0.6, 1.2) + rng.uniform(100, 150), 0, 255)
        noisy = piece
        if rng.random() >= untouched:
            dose = np.exp(rng.uniform(np.log(15), np.log(400)))
            noisy = microscope.acquire(
                piece, rng, dose=dose, jitter=rng.uniform(0, 0.3), correlation=rng.uniform(0, 0.7)
            )
        pairs.append((np.clip(noisy, 0, 255), piece))
    return tuple(_tensor(images) for images in zip(*pairs, strict=True))


def _tensor(images):
    return torch.from_numpy(np.stack(images).astype(np.float32) / 255)[:, None]


def _mse_step(network, noisy, target, _):
    return F.mse_loss(network(noisy), target)


def _semnr_step(network, noisy, target, _):
    """MSE + edges (error of the gradient) + texture (local standard deviation, 7 px) + contrast (local mean, 9 px)."""
    restored = network(noisy)
    edges = sum(
        (a - b).abs().mean() for a, b in zip(_slopes(restored), _slopes(target), strict=True)
    )
    texture = (_deviation(restored) - _deviation(target)).abs().mean()
    contrast = (F.avg_pool2d(restored, 9, 4) - F.avg_pool2d(target, 9, 4)).abs().mean()
    return F.mse_loss(restored, target) + 0.1 * edges + 0.5 * texture + 0.2 * contrast


def _blind_step(network, noisy, _target, number):
    """Squared error at hidden pixels; the network sees other pixels in their and their neighbours' places."""
    rng = torch.Generator().manual_seed(number)
    centre = torch.rand(noisy.shape, generator=rng) < HIDDEN
    hidden = F.max_pool2d(centre.float(), (1, 2 * REACH + 1), 1, (0, REACH)) > 0
    shifts = torch.randint(2, 6, (2,), generator=rng) * (
        1 - 2 * torch.randint(0, 2, (2,), generator=rng)
    )
    replaced = torch.where(hidden, noisy.roll((int(shifts[0]), 3 * int(shifts[1])), (2, 3)), noisy)
    return (network(replaced) - noisy)[centre].square().mean()


def _slopes(x):
    return x[..., 1:] - x[..., :-1], x[..., 1:, :] - x[..., :-1, :]


def _deviation(x):
    mean = F.avg_pool2d(x, 7, 2)
    return (F.avg_pool2d(x * x, 7, 2) - mean * mean).clamp(min=1e-6).sqrt()


def _checkpoint(file, config, parts, losses):
    with atomic(file) as temporary:
        torch.save(
            {k: part.state_dict() for k, part in parts.items()}
            | {"config": config, "losses": losses},
            temporary,
        )


def _resume(file, config, parts):
    if not file.is_file():
        return []
    state = torch.load(file, map_location="cpu", weights_only=True)
    if state["config"] != config:
        return []
    for name, part in parts.items():
        part.load_state_dict(state[name])
    return state["losses"]


def _finish(folder, config, network, losses):
    kind = config["kind"]
    with atomic(folder / f"{kind}.safetensors") as temporary:
        save_file(
            {name: tensor.contiguous() for name, tensor in network.state_dict().items()}, temporary
        )
    ends = range(50, len(losses) + 1, 50)
    with atomic(folder / f"{kind}.csv") as temporary:
        table = {
            "step": list(ends),
            "loss": [float(np.mean(losses[end - 50 : end])) for end in ends],
        }
        pd.DataFrame(table).to_csv(temporary, index=False, float_format="%.6g")
    with atomic(folder / f"{kind}.json") as temporary:
        temporary.write_text(json.dumps(config, indent=1) + "\n")
    (folder / f"{kind}.pt").unlink(missing_ok=True)


if __name__ == "__main__":
    for wanted in sys.argv[1:] or KINDS:
        train(wanted, MODELS)
