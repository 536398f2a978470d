"""How far calibrated filters stay behind the settings that only the truth can tell.

"ours" is `calibrate`, "J-invariance" guesses each pixel from its neighbours (Batson and Royer,
arXiv 1901.11365), "truth" is the best that any setting of the same grid reaches.
"""

import numpy as np
import pandas as pd
from skimage import restoration
from tqdm import tqdm

from semlib import stats
from semlib.semnr import calibrate, damage, denoise, metrics


def gaps(cases, names=None):
    """PSNR of filters with settings chosen in three ways: psnr (ours), j_invariance, truth.

    `cases` yields what a case is called (dict), a noisy image and its truth, both float32 (H, W) in
    [0, 1]; `names` are filters, all by default. A DataFrame, a row for each case and filter.
    """
    rows = []
    for case, noisy, truth in tqdm(cases, "settings", unit="image"):
        sigma = calibrate.noise(noisy).sigma
        for name in names or calibrate.names():
            tried = calibrate.grid(name, sigma)
            scores = [metrics.psnr(truth, denoise.denoise(name, noisy, **one)) for one in tried]
            guessed = by_j_invariance(name, noisy, tried)
            row = {"filter": name, "psnr": scores[tried.index(calibrate.settings(name, noisy))]}
            row |= {"j_invariance": scores[tried.index(guessed)], "truth": max(scores)}
            rows.append(case | row)
    return pd.DataFrame(rows)


def by_j_invariance(name, image, tried):
    """The setting of those tried that J-invariance prefers on an image, in scikit-image's way."""
    values = {setting: sorted({one[setting] for one in tried}) for setting in tried[0]}
    function = denoise.filters()[name]

    def clipped(noisy, **settings):
        return function(np.float32(np.clip(noisy, 0, 1)), **settings)

    found = restoration.calibrate_denoiser(image, clipped, values, approximate_loss=True)
    return found.keywords["denoiser_kwargs"]


def lost(table, by="filter"):
    """Mean dB behind the truth's setting with 95 % interval, of ours and of J-invariance."""
    behind = table[[by]].assign(ours=table["truth"] - table["psnr"])
    behind["J-invariance"] = table["truth"] - table["j_invariance"]
    return stats.summarise(behind, [by], ["ours", "J-invariance"])


def correlated(clean, *, correlations=(0.0, 0.2, 0.4, 0.6, 0.8), dose=20.0, seed=0):
    """Cases for `gaps`: the same scans but for the correlation of their noise along the rows."""
    for number, image in enumerate(clean):
        for correlation in correlations:
            scan = {"seed": [seed, number], "dose": dose, "correlation": correlation}
            noisy = damage.acquire(image, jitter=0, **scan)
            yield {"image": number, "correlation": correlation}, noisy, image
