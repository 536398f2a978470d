"""Training of the network that says how far a restored image may be from the truth.

``python -m training.spread semnr`` trains it for one frozen denoiser, by the quantile of its errors
on simulated fields, sets the factor of the 90 % interval on held-out images, and measures
how often the interval holds the truth on others: ``<kind>-spread.{safetensors,json,csv}``.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from safetensors.torch import save_file
from tqdm import tqdm

from semlib.paths import atomic
from semlib.semnr import denoise, spread
from training import denoisers, fields, held_out

SETTINGS = {"steps": 2000, "batch_size": 8, "crop": 96, "learning_rate": 2e-3, "pieces": 4000}
DOSES = (3, 10, 40, 200)
SMALLEST = 1e-3  # error that counts as none
OTHERS = 92_000  # seed of the images on which the coverage is measured


def train(kind, folder, *, seed=0, data=None, count=8, **settings):
    """Train, calibrate and measure; the table of coverage by dose."""
    config = SETTINGS | settings
    restorer = denoise.load(kind, folder)
    torch.manual_seed(seed)
    network = spread.ErrorSpread()
    optimiser = torch.optim.Adam(network.parameters(), lr=config["learning_rate"])
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, config["steps"])
    bank = fields.bank(config["pieces"], seed=seed + 1, folder=data)
    crops = denoisers.TRAINING | config | {"kind": "mse"}
    losses = []
    for step in tqdm(range(config["steps"]), "spread", mininterval=30):
        # other crops than those of the denoiser's steps
        examples = denoisers.batch(bank, np.random.default_rng([seed, step, 1]), crops)
        loss = _loss(network, restorer, examples)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        schedule.step()
        losses.append(loss.item())
    print(f"loss {np.mean(losses[:50]):.3f} at first, {np.mean(losses[-50:]):.3f} at last")
    with atomic(folder / f"{kind}-spread.safetensors") as temporary:
        weights = {name: x.half().contiguous() for name, x in network.state_dict().items()}
        save_file(weights, temporary)
    return _calibrate(kind, folder, config | {"kind": kind, "seed": seed}, count)


def _loss(network, restorer, examples):
    """Pinball loss: least where nine of ten errors are below the half width.

    Of logarithms, or scans of few electrons would be all that counts.
    """
    with torch.no_grad():
        restored = restorer(examples["noisy"]).clamp(0, 1)
    log_width = network(torch.cat([examples["noisy"], restored], 1))
    above = ((restored - examples["clean"]).abs() + SMALLEST).log() - log_width
    return torch.maximum(spread.COVERAGE * above, (spread.COVERAGE - 1) * above).mean()


def _calibrate(kind, folder, config, count):
    """Set the factor on one set of held-out images, measure the coverage on another."""
    _keep(kind, folder, config | {"factor": 1.0})
    ratios = np.concatenate([r for _, r, _ in _ratios(kind, folder, held_out.SEED, count)])
    _keep(kind, folder, config | {"factor": float(np.quantile(ratios, spread.COVERAGE))})
    rows = [
        {"dose": dose, "coverage": float((ratio <= 1).mean()), "half_width": width}
        for dose, ratio, width in _ratios(kind, folder, OTHERS, count)
    ]
    table = pd.DataFrame(rows).groupby("dose", sort=False).mean().reset_index()
    with atomic(folder / f"{kind}-spread.csv") as temporary:
        table.to_csv(temporary, index=False, float_format="%.4f")
    return table


def _keep(kind, folder, config):
    with atomic(folder / f"{kind}-spread.json") as temporary:
        temporary.write_text(json.dumps(config, indent=1) + "\n")
    spread.load.cache_clear()


def _ratios(kind, folder, seed, count):
    """(dose, |error| / half width, mean half width) of each held-out image."""
    restorer = denoise.load(kind, folder)
    patterns = held_out.patterns(count, DOSES, 240, seed)
    textured = held_out.textured(count, 240, seed)
    for dose, noisy, clean, *_ in (*patterns, *textured):
        restored = np.clip(denoise.restore(restorer, noisy), 0, 1)
        width = spread.half_width(kind, noisy, restored, folder)
        yield dose, (np.abs(restored - clean) / width).ravel(), float(width.mean())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kind")
    parser.add_argument("--folder", type=Path, default=denoise.MODELS)
    parser.add_argument("--data", type=Path, help="where the fields are kept")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=SETTINGS["steps"])
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    table = train(given.kind, given.folder, seed=given.seed, data=given.data, steps=given.steps)
    print(table.to_markdown(index=False))


if __name__ == "__main__":
    main()
