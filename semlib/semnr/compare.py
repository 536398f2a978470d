"""Denoisers side by side: on simulated images with known truth, on clean input, on real pairs."""

import time
from functools import partial
from itertools import permutations, product

import numpy as np
import pandas as pd
from tqdm import tqdm

from semlib import saving, stats
from semlib.images import micrographs
from semlib.semnr import calibrate, damage, denoise, inputs, metrics, plots, stress, trust
from semlib.semnr.gains import gains
from semlib.semnr.registration import register
from semlib.workers import side_by_side

WITH_DISTS = 4  # real pairs: it takes as long there as all else
REAL_COLUMNS = ("psnr", "ssim", "fsim", "dists", "edge", "contrast", "invention", "seconds")


def denoisers(clean, masks, *, seed=0, dose=40.0):
    """Every denoiser on a noisy scan of every image, and on the clean image itself.

    Clean images float (N, H, W) in [0, 1], masks bool (N, H, W), dose in electrons a pixel. A
    DataFrame with a line for each image, input ("noisy" or "clean") and denoiser: metrics, area,
    ``scaled_<axis>``, gains; against the input before_recall, d_psnr, conflicts and verdict.
    """

    def measure(number, reference):
        noisy = damage.acquire(reference.image, seed=[seed, number], dose=dose)
        for kind, image in {"noisy": noisy, "clean": reference.image}.items():
            before = trust.profile(reference, image)
            for name in denoise.names():
                restored = calibrate.calibrated(name, image)
                after = trust.profile(reference, restored, noisy=image)
                case = {"image": number, "input": kind, "denoiser": name}
                case |= {metric: after[metric] for metric in (*stress.METRICS, "area")}
                case |= {f"scaled_{axis}": value for axis, value in after["scaled"].items()}
                case |= gains(reference, restored) | {"before_recall": before["recall"]}
                case["d_psnr"] = after["psnr"] - before["psnr"]
                case["conflicts"] = ", ".join(trust.conflicts(before, after))
                yield case | {"verdict": trust.verdict(before, after).name}

    return trust.table(measure, clean, masks, "denoisers")


def means(table, by, columns):
    """Mean and 95 % interval of columns: `by`, images, ``<name>``, ``<name>_lo``, ``<name>_hi``."""
    summary = stats.summarise(table, by, columns).rename(columns={"count": "images"})
    return summary.drop(columns=[f"{name}_sd" for name in columns])


def readable(summary, by, columns):
    """The columns of `means` for a reader: "mean [low, high]" under the names of the figures."""
    shown = summary[list(by)].copy()
    for name in columns:
        shown[plots.NAMES.get(name, name)] = saving.with_interval(summary, name)
    return shown


def mean_profiles(table):
    """Mean profile of each denoiser on the noisy images: name -> axis -> 0 to 1."""
    noisy = table[table["input"] == "noisy"]
    means = noisy.groupby("denoiser", sort=False)[[f"scaled_{axis}" for axis in trust.AXES]].mean()
    return means.set_axis(trust.AXES, axis="columns").T.to_dict()


def areas_by_order(profiles):
    """Area of each profile's polygon for every order of the axes: DataFrame, order x denoiser."""
    orders = [[trust.AXES[0], *rest] for rest in permutations(trust.AXES[1:])]
    radii = pd.DataFrame(profiles)
    return pd.DataFrame([radii.loc[order].apply(trust.area) for order in orders])


def panels(table, number, truth, noisy, names, column):
    """Panels for `plots.comparison`, and captions with PSNR and a column of an image's cases."""
    cases = table[(table["image"] == number) & (table["input"] == "noisy")].set_index("denoiser")
    label = {"edge": "edge gain"}.get(column, column)
    panels = {"reference": truth, "noisy": noisy}
    panels |= {name: calibrate.calibrated(name, noisy) for name in names}
    cases = cases.rename(index={"identity": "noisy"}).loc[["noisy", *names], ["psnr", column]]
    lines = [f"{psnr:.1f} dB, {label} {value:.2f}" for _, psnr, value in cases.itertuples()]
    return panels, dict(zip(cases.index, lines, strict=True))


def severity(clean, masks, *, severities=(0.1, 0.25, 0.5, 1.0), seed=0):
    """Every metric against severity, for each damage that a microscope does: a DataFrame."""

    def measure(number, reference):
        for name, level in product(damage.DEGRADATIONS, severities):
            damaged = damage.apply(name, reference.image, level, seed=[seed, number])
            yield {"damage": name, "severity": level, "image": number} | reference.scores(damaged)

    return trust.table(measure, clean, masks, "severities")


def pairs(count):
    """Real pairs ``noisy_XX``, ``clean_XX``: list of (XX, noisy, clean); `micrographs.missing`."""
    files = micrographs.files("kriss")
    names = [name.removeprefix("noisy_") for name in files if name.startswith("noisy_")]
    loaded = []
    for name in [name for name in names if f"clean_{name}" in files][:count]:
        images = inputs.load(files[f"clean_{name}"], files[f"noisy_{name}"]).images
        loaded.append((name, images["restored"], images["reference"]))
    return loaded


def real(pairs):
    """All denoisers, trained on simulated images only, on real pairs after registration.

    Calibrated denoisers take their settings from the first pair. Two DataFrames: of each pair the
    mean shift (px) and the PSNR of the noisy image before and after registration; of each pair and
    denoiser the `REAL_COLUMNS`, among them the seconds of one thread for 512 x 512 pixels; DISTS of
    the first `WITH_DISTS` pairs only.
    """
    moved = [*side_by_side([partial(register, *scans) for _, *scans in pairs])]
    jobs = [partial(calibrate.settings, name, moved[0][0]) for name in denoise.names()]
    settings = dict(zip(denoise.names(), side_by_side(jobs), strict=True))
    jobs = [partial(_on_pair, number, *moved[number][:2], settings) for number in range(len(pairs))]
    measured = tqdm(side_by_side(jobs), "real pairs", len(jobs), unit="pair")
    names = [name for name, *_ in pairs]
    shifts = pd.concat(map(_shift, moved), keys=names, names=["pair"]).reset_index("pair")
    return shifts, pd.concat(measured, keys=names, names=["pair"]).reset_index("pair")


def _shift(moved):
    """Mean shift and PSNR before and after, of what `register` returns."""
    image, truth, unmoved, shift = moved
    down, right = shift.mean(axis=0)
    before, after = (metrics.psnr(clean, image) for clean in (unmoved, truth))
    row = {"shift_y": down, "shift_x": right, "psnr_before": before, "psnr_after": after}
    return pd.DataFrame([row])


def _on_pair(number, image, truth, settings):
    """What each denoiser makes of one scan, by the slow one: a DataFrame."""
    reference = trust.Reference(truth, quick=True)
    if number >= WITH_DISTS:
        reference.distance = lambda _: np.nan
    table = []
    for name, chosen in settings.items():
        start = time.perf_counter()
        restored = denoise.denoise(name, image, **chosen)
        seconds = (time.perf_counter() - start) * 512**2 / image.size
        scores = reference.scores(restored) | gains(reference, restored) | {"seconds": seconds}
        table.append({"denoiser": name} | {column: scores[column] for column in REAL_COLUMNS})
    return pd.DataFrame(table)


def over_best_filter(table, score):
    """Each denoiser of `real` minus the classical filter that is best in a score, pair by pair.

    Name of the filter, and a DataFrame of denoiser, ``<score>_over`` and its 95 % interval. The
    filter is the best on these same pairs, which is to its advantage.
    """
    scores = table.pivot(index="pair", columns="denoiser", values=score)
    best = scores[[name for name in calibrate.names() if name in scores]].mean().idxmax()
    rows = []
    for name in table["denoiser"].unique():
        paired = stats.paired(scores[name], scores[best])
        row = {"denoiser": name, f"{score}_over": paired["difference"]}
        rows.append(row | {f"{score}_over_{end}": paired[end] for end in ("lo", "hi")})
    return best, pd.DataFrame(rows)
