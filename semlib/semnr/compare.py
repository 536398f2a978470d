"""Denoisers side by side: on simulated images with known truth, on clean input, on real pairs."""

import time
from itertools import permutations, product

import pandas as pd
from tqdm import tqdm

from semlib import saving, stats
from semlib.images import micrographs
from semlib.semnr import calibrate, damage, denoise, inputs, metrics, plots, stress, trust
from semlib.semnr.gains import gains
from semlib.semnr.registration import register

REAL_COLUMNS = ("psnr", "ssim", "fsim", "dists", "edge", "contrast", "invention")


def denoisers(clean, masks, *, seed=0, dose=40.0):
    """Every denoiser on a noisy scan of every image, and on the clean image itself.

    Clean images float (N, H, W) in [0, 1], masks bool (N, H, W), dose in electrons a pixel. A
    DataFrame with a line for each image, input ("noisy" or "clean") and denoiser: metrics, area,
    ``scaled_<axis>``, gains; against the input before_recall, d_psnr, conflicts and verdict.
    """
    table = []
    for number, reference in trust.references(clean, masks, "denoisers"):
        truth = reference.image
        noisy = damage.acquire(truth, seed=[seed, number], dose=dose)
        for kind, image in {"noisy": noisy, "clean": truth}.items():
            before = trust.profile(reference, image)
            for name in denoise.names():
                restored = calibrate.calibrated(name, image)
                after = trust.profile(reference, restored, noisy=image)
                case = {"image": number, "input": kind, "denoiser": name}
                case |= {metric: after[metric] for metric in (*stress.METRICS, "area")}
                case |= {f"scaled_{axis}": value for axis, value in after["scaled"].items()}
                case |= gains(reference, restored)
                case["before_recall"] = before["recall"]
                case["d_psnr"] = after["psnr"] - before["psnr"]
                case["conflicts"] = ", ".join(trust.conflicts(before, after))
                table.append(case | {"verdict": trust.verdict(before, after).name})
    return pd.DataFrame(table)


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
    orders = [(trust.AXES[0], *rest) for rest in permutations(trust.AXES[1:])]
    areas = {}
    for name, profile in profiles.items():
        areas[name] = [trust.area(profile[axis] for axis in order) for order in orders]
    return pd.DataFrame(areas)


def side_by_side(table, number, truth, noisy, names, column):
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
    table = []
    for number, reference in trust.references(clean, masks, "severities"):
        for name, level in product(damage.DEGRADATIONS, severities):
            damaged = damage.apply(name, reference.image, level, seed=[seed, number])
            case = {"damage": name, "severity": level, "image": number}
            table.append(case | reference.scores(damaged))
    return pd.DataFrame(table)


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
    denoiser the `REAL_COLUMNS` and the seconds for 512 x 512 pixels.
    """
    shifts = []
    table = []
    settings = None
    for pair, noisy, clean in tqdm(pairs, "real pairs", unit="pair"):
        image, truth, unmoved, shift = register(noisy, clean)
        down, right = shift.mean(axis=0)
        psnr = {
            "psnr_before": metrics.psnr(unmoved, image),
            "psnr_after": metrics.psnr(truth, image),
        }
        shifts.append({"pair": pair, "shift_y": down, "shift_x": right} | psnr)
        settings = settings or {name: calibrate.settings(name, image) for name in denoise.names()}
        reference = trust.Reference(truth)
        for name in denoise.names():
            start = time.perf_counter()
            restored = denoise.denoise(name, image, **settings[name])
            seconds = (time.perf_counter() - start) * 512**2 / image.size
            scores = reference.scores(restored) | gains(reference, restored)
            case = {"pair": pair, "denoiser": name, "seconds": seconds}
            table.append(case | {column: scores[column] for column in REAL_COLUMNS})
    return pd.DataFrame(shifts), pd.DataFrame(table)
