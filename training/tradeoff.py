"""What the terms of SEMNR count for: chosen on held-out images by one rule.

``python -m training.tradeoff`` trains the network "mse" on with the terms of `objectives.WEIGHTS`
times each factor, and those that look at the defect, `DEFECT`, once more times each emphasis.
Factor 0 is "mse" trained on for as long; between it and each other network lie those whose weights
are part of the way from one to the other (Deep Network Interpolation, arXiv 1811.10515). The rule:
most recall with at most `COST` dB lost to factor 0, at every dose of held-out fields like those of
notebook 08's dose experiment and on textures.
"""

import argparse
import json
import shutil
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from safetensors.torch import load_file, save_file

from semlib.paths import atomic
from semlib.semnr.denoise import MODELS
from semlib.semnr.dose import DOSES
from training import denoisers
from training.held_out import HeldOut
from training.objectives import WEIGHTS

FACTORS = (0.0, 1.0, 3.0)
EMPHASES = (1.0,)
SHARES = np.linspace(0.5, 1, 11).round(2).tolist()  # of the way from factor 0 to another network
DEFECT = ("evidence", "detector")  # terms
COST = 0.5  # dB
SETTINGS = {"start": "mse", "steps": 500, "decay": 300, "learning_rate": 5e-4, "average": 0.99}


def tradeoff(
    folder, *, data=None, seed=0, factors=FACTORS, emphases=EMPHASES, count=40, **settings
):
    """Train for every factor and emphasis; keep the chosen as "semnr" and factor 0 as "mse".

    Returns the curve, a DataFrame, which is kept as ``semnr-tradeoff.csv``. The networks of all
    stay below ``tradeoff/``, beside the "mse" from which they start: a killed run goes on. Factor 0
    has no term to emphasise and is trained once.
    """
    place = folder / "tradeoff"
    place.mkdir(parents=True, exist_ok=True)
    if not (place / "mse.safetensors").exists():
        _copy(folder, "mse", place, "mse")
    held_out = HeldOut(count, doses=DOSES, graded=True)
    rows = []
    for factor, emphasis in [(0.0, 1.0), *product([f for f in factors if f], emphases)]:
        own = _own(place, factor, emphasis)
        own.mkdir(exist_ok=True)
        _copy(place, "mse", own, "mse")
        weights = {name: factor * weight for name, weight in WEIGHTS.items()}
        weights |= {name: emphasis * weights[name] for name in DEFECT}
        training = SETTINGS | settings | {"weights": weights}
        network = denoisers.train("semnr", own, seed=seed, data=data, look=False, **training)
        for share in SHARES if factor else (1.0,):
            network.load_state_dict(between(_own(place, 0.0, 1.0), own, share))
            scores = held_out.scores(network)
            means = {
                name: pd.Series({k: v for k, v in scores.items() if k.startswith(name)}).mean()
                for name in ("psnr", "recall")
            }
            named = {"factor": factor, "emphasis": emphasis, "share": share}
            rows.append(named | means | scores)
    curve = pd.DataFrame(rows)
    curve["chosen"] = curve.index == choose(curve)
    with atomic(folder / "semnr-tradeoff.csv") as temporary:
        curve.to_csv(temporary, index=False, float_format="%.4f")
    _keep(folder, place, curve.loc[choose(curve)])
    return curve


def between(plain, other, share):
    """Weights `share` of the way from the "semnr" of one folder to that of another.

    They make a network that works, as both were trained from one start.
    """
    weights = [load_file(folder / "semnr.safetensors") for folder in (plain, other)]
    pairs = {name: [part[name].float() for part in weights] for name in weights[0]}
    return {name: torch.lerp(*pair, share).half() for name, pair in pairs.items()}


def choose(curve):
    """Row of most recall among those that lose at most `COST` dB to factor 0 wherever measured."""
    measured = curve.filter(regex="^psnr_")
    lost = measured[curve["factor"] == 0].iloc[0] - measured
    return curve.loc[lost.max(axis=1) <= COST, "recall"].idxmax()


def _keep(folder, place, chosen):
    """Put the chosen network and factor 0, which ends as "mse", into the folder."""
    plain = _own(place, 0.0, 1.0)
    own = _own(place, chosen["factor"], chosen["emphasis"])
    _copy(plain, "semnr", folder, "mse")
    _copy(own, "semnr", folder, "semnr")
    config = json.loads((own / "semnr.json").read_text()) | {"share": chosen["share"]}
    with atomic(folder / "semnr.json") as temporary:
        temporary.write_text(json.dumps(config, indent=1) + "\n")
    with atomic(folder / "semnr.safetensors") as temporary:
        save_file(between(plain, own, chosen["share"]), temporary)


def _own(place, factor, emphasis):
    return place / f"{factor:g}x{emphasis:g}"


def _copy(source, kind, folder, name):
    for file in source.glob(f"{kind}.*"):
        shutil.copy(file, folder / f"{name}{file.suffix}")


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
