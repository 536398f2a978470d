"""Trained denoisers against each other, a median filter and the noisy image, dose by dose.

``python -m training.compare_denoisers old=FOLDER new=FOLDER --out TABLE.csv`` measures every kind
of network in the named folders on patterns that no training and no choice has seen; with `--real`
on real pairs, too, registered as in notebook 08: a last look, by which nothing is chosen.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy import ndimage
from tqdm import tqdm

from semlib import stats
from semlib.semnr import compare, denoise, fsim, metrics, registration, visibility
from training import held_out
from training.objectives import STEPS

SEED = 91_000  # `held_out.SEED` is that of the choices
DOSES = (3, 5, 10, 20, 40, 80, 200, 400)
MEDIANS = (3, 5, 7)  # pixels; the best is found with the truth, which no network is given


def methods(folders):
    """Name -> function from a noisy image to a restored one, both float32 (H, W) in [0, 1]."""
    found = {"noisy": lambda image: image}
    for size in MEDIANS:
        found[f"median {size}"] = lambda image, size=size: ndimage.median_filter(image, size)
    for name, folder in folders.items():
        for kind in STEPS:
            if (Path(folder) / f"{kind}.safetensors").is_file():
                network = denoise.load(kind, folder)
                found[f"{name} {kind}"] = lambda image, n=network: denoise.restore(n, image)
    return found


def by_dose(found, *, count, size, doses=DOSES, seed=SEED):
    """A DataFrame of image, dose, method, psnr, fsim, recall; "truth" gives the recall's limit."""
    table = []
    cases = held_out.patterns(count, doses, size, seed)
    for number, (dose, noisy, clean, golden, mask) in enumerate(
        tqdm(cases, total=count * len(doses))
    ):
        features = fsim.features(clean)
        restored = {name: function(noisy) for name, function in found.items()} | {"truth": clean}
        for name, image in restored.items():
            image = np.clip(image, 0, 1)
            row = {"image": number // len(doses), "dose": int(dose), "method": name}
            row |= {"psnr": metrics.psnr(clean, image)}
            row |= {"fsim": fsim.compare(features, fsim.features(image))}
            table.append(row | {"recall": visibility.recall(image, mask, golden)})
    return pd.DataFrame(table)


def on_real_pairs(found):
    """A DataFrame of pair, method, psnr, ssim, fsim."""
    table = []
    for pair, noisy, clean in tqdm(compare.pairs(None), "real pairs"):
        image, truth, *_ = registration.register(noisy, clean)
        features = fsim.features(truth)
        for name, function in found.items():
            restored = np.clip(function(image), 0, 1)
            row = {"pair": pair, "method": name, "psnr": metrics.psnr(truth, restored)}
            row |= {"ssim": metrics.ssim(truth, restored)}
            table.append(row | {"fsim": fsim.compare(features, fsim.features(restored))})
    return pd.DataFrame(table)


def summary(table, by, columns):
    """Means by method, one column for each value of `by`, as Markdown."""
    parts = []
    for column in columns:
        means = table.pivot_table(column, "method", by, sort=False).round(
            3 if column != "psnr" else 2
        )
        parts.append(f"{column} by {by}\n\n{means.to_markdown()}\n")
    return "\n".join(parts)


def against(table, ours, theirs, column, by="dose"):
    """Paired difference ours - theirs for each value of `by`: DataFrame with 95 % intervals."""
    rows = []
    for value, part in table.groupby(by):
        wide = part.pivot(index="image", columns="method", values=column)
        rows.append({by: value, "column": column} | stats.paired(wide[ours], wide[theirs]))
    return pd.DataFrame(rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", metavar="NAME=FOLDER")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=24, help="images of each dose")
    parser.add_argument("--size", type=int, default=240)
    parser.add_argument("--real", action="store_true")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    found = methods(dict(folder.split("=", 1) for folder in given.folders))
    table = by_dose(found, count=given.count, size=given.size)
    table.to_csv(given.out, index=False, float_format="%.5g")
    print(summary(table, "dose", ["psnr", "fsim", "recall"]))
    if given.real:
        real = on_real_pairs(found)
        real.to_csv(given.out.with_stem(given.out.stem + "-real"), index=False, float_format="%.5g")
        print(real.groupby("method", sort=False)[["psnr", "ssim", "fsim"]].mean().to_markdown())


if __name__ == "__main__":
    main()
