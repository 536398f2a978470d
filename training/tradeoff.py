"""What the terms of SEMNR count for: chosen on held-out images by one rule.

``python -m training.tradeoff`` trains the network "mse" on with the terms of `objectives.WEIGHTS`
times each factor. The rule: most recall with at most `COST` dB lost to factor 0, which is "mse"
trained on for as long, both as means over the doses and textures of `held_out`.
"""

import argparse
import json
import shutil
from pathlib import Path

import pandas as pd
import torch

from semlib.paths import atomic
from semlib.semnr.denoise import MODELS
from training import denoisers
from training.held_out import HeldOut
from training.objectives import WEIGHTS

FACTORS = (0.0, 1.0, 3.0)
COST = 0.5  # dB
SETTINGS = {"start": "mse", "steps": 500, "decay": 300, "learning_rate": 5e-4, "average": 0.99}


def tradeoff(folder, *, data=None, seed=0, factors=FACTORS, count=16, **settings):
    """Train for every factor and keep the chosen one as "semnr"; the curve, a DataFrame.

    The curve is kept as ``semnr-tradeoff.csv``; the networks of all factors below ``tradeoff/``,
    so that a killed run goes on.
    """
    held_out = HeldOut(count)
    rows = []
    for factor in factors:
        own = folder / "tradeoff" / f"{factor:g}"
        own.mkdir(parents=True, exist_ok=True)
        for file in folder.glob("mse.*"):
            shutil.copy(file, own)
        weights = {name: factor * weight for name, weight in WEIGHTS.items()}
        training = SETTINGS | settings | {"weights": weights}
        network = denoisers.train("semnr", own, seed=seed, data=data, look=False, **training)
        scores = held_out.scores(network)
        means = {
            name: pd.Series({k: v for k, v in scores.items() if k.startswith(name)}).mean()
            for name in ("psnr", "recall")
        }
        rows.append({"factor": factor} | means | scores)
    curve = pd.DataFrame(rows)
    curve["chosen"] = curve["factor"] == choose(curve)
    with atomic(folder / "semnr-tradeoff.csv") as temporary:
        curve.to_csv(temporary, index=False, float_format="%.4f")
    own = folder / "tradeoff" / f"{choose(curve):g}"
    for file in own.glob("semnr.*"):
        shutil.copy(file, folder)
    return curve


def choose(curve):
    """The factor with the most recall among those that lose at most `COST` dB to factor 0."""
    allowed = curve[curve["psnr"] >= curve.loc[curve["factor"] == 0, "psnr"].item() - COST]
    return float(allowed.loc[allowed["recall"].idxmax(), "factor"])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=MODELS)
    parser.add_argument("--data", type=Path, help="where the fields are kept")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--factors", type=float, nargs="+", default=FACTORS)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--settings", type=json.loads, default={}, help="JSON, see TRAINING")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    options = {"data": given.data, "seed": given.seed, "factors": given.factors}
    curve = tradeoff(given.folder, **options, **given.settings)
    print(curve.round(3).to_markdown(index=False))


if __name__ == "__main__":
    main()
