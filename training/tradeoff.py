"""What the terms of SEMNR count for: chosen on held-out images by one rule.

``python -m training.tradeoff`` trains the network "mse" on with the terms of `objectives.WEIGHTS`
times each factor, and those that look at the defect, `DEFECT`, once more times each emphasis. The
rule: most recall with at most `COST` dB lost to factor 0, which is "mse" trained on for as long,
both as means over the doses and textures of `held_out`.
"""

import argparse
import json
import shutil
from itertools import product
from pathlib import Path

import pandas as pd
import torch

from semlib.paths import atomic
from semlib.semnr.denoise import MODELS
from training import denoisers
from training.held_out import HeldOut
from training.objectives import WEIGHTS

FACTORS = (0.0, 1.0, 3.0)
EMPHASES = (1.0,)
DEFECT = ("evidence", "detector")  # terms
COST = 0.5  # dB
SETTINGS = {"start": "mse", "steps": 500, "decay": 300, "learning_rate": 5e-4, "average": 0.99}


def tradeoff(
    folder, *, data=None, seed=0, factors=FACTORS, emphases=EMPHASES, count=16, **settings
):
    """Train for every factor and emphasis and keep the chosen as "semnr"; the curve, a DataFrame.

    The curve is kept as ``semnr-tradeoff.csv``; the networks of all below ``tradeoff/``, so that a
    killed run goes on. Factor 0 has no term to emphasise and is trained once.
    """
    held_out = HeldOut(count)
    rows = []
    for factor, emphasis in [(0.0, 1.0), *product([f for f in factors if f], emphases)]:
        own = folder / "tradeoff" / f"{factor:g}x{emphasis:g}"
        own.mkdir(parents=True, exist_ok=True)
        for file in folder.glob("mse.*"):
            shutil.copy(file, own)
        weights = {name: factor * weight for name, weight in WEIGHTS.items()}
        weights |= {name: emphasis * weights[name] for name in DEFECT}
        training = SETTINGS | settings | {"weights": weights}
        network = denoisers.train("semnr", own, seed=seed, data=data, look=False, **training)
        scores = held_out.scores(network)
        means = {
            name: pd.Series({k: v for k, v in scores.items() if k.startswith(name)}).mean()
            for name in ("psnr", "recall")
        }
        rows.append({"factor": factor, "emphasis": emphasis} | means | scores)
    curve = pd.DataFrame(rows)
    curve["chosen"] = curve.index == choose(curve)
    with atomic(folder / "semnr-tradeoff.csv") as temporary:
        curve.to_csv(temporary, index=False, float_format="%.4f")
    chosen = curve.loc[choose(curve)]
    own = folder / "tradeoff" / f"{chosen['factor']:g}x{chosen['emphasis']:g}"
    for file in own.glob("semnr.*"):
        shutil.copy(file, folder)
    return curve


def choose(curve):
    """Row with the most recall among those that lose at most `COST` dB to factor 0."""
    allowed = curve[curve["psnr"] >= curve.loc[curve["factor"] == 0, "psnr"].item() - COST]
    return allowed["recall"].idxmax()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=MODELS)
    parser.add_argument("--data", type=Path, help="where the fields are kept")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--factors", type=float, nargs="+", default=FACTORS)
    parser.add_argument("--emphases", type=float, nargs="+", default=EMPHASES)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--settings", type=json.loads, default={}, help="JSON, see TRAINING")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    options = {"data": given.data, "seed": given.seed}
    options |= {"factors": given.factors, "emphases": given.emphases}
    curve = tradeoff(given.folder, **options, **given.settings)
    print(curve.round(3).to_markdown(index=False))


if __name__ == "__main__":
    main()
