"""Denoisers side by side: on simulated images with known truth, on clean input, on real pairs."""

from itertools import permutations, product

import pandas as pd
from tqdm import tqdm

from semlib import paths, saving, stats
from semlib.semnr import damage, denoise, metrics, plots, stress, trust
from semlib.semnr.gains import gains
from semlib.semnr.page import read
from semlib.semnr.registration import register

KRISS = paths.ROOT.parent / "shared" / "real-sem" / "kriss"
KINDS = ("noisy", "clean")
REAL_COLUMNS = ("psnr", "ssim", "fsim", "dists", "edge", "contrast", "invention")


def denoisers(clean, masks, *, seed=0, dose=40.0):
    """Every denoiser on a noisy scan of every image, and on the clean image itself.

    Clean images float (N, H, W) in [0, 1], masks bool (N, H, W), dose in electrons a pixel. A
    DataFrame with a line for each image, input ("noisy" or "clean") and denoiser: metrics, area,
    ``scaled_<axis>``, gains; against the input before_recall, d_psnr, conflicts (joined by ", ")
    and verdict.
    """
    table = []
    for number, reference in trust.references(clean, masks, "denoisers"):
        truth = reference.image
        noisy = damage.acquire(truth, seed=[seed, number], dose=dose)
        for kind, image in {"noisy": noisy, "clean": truth}.items():
            before = trust.profile(reference, image)
            for name in denoise.names():
                restored = denoise.calibrated(name, image)
                case = {"image": number, "input": kind, "denoiser": name}
                table.append(case | _compared(reference, before, restored))
    return pd.DataFrame(table)


def _compared(reference, before, restored):
    after = trust.profile(reference, restored)
    compared = {name: after[name] for name in (*stress.METRICS, "area")}
    compared |= {f"scaled_{axis}": value for axis, value in after["scaled"].items()}
    compared |= gains(reference, restored)
    compared |= {"before_recall": before["recall"], "d_psnr": after["psnr"] - before["psnr"]}
    compared["conflicts"] = ", ".join(trust.conflicts(before, after))
    return compared | {"verdict": trust.verdict(before, after).name}


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
    """Panels and captions for `plots.comparison`: truth, noisy image, some denoisers' results.

    Captions hold PSNR and a `column` of the table for image `number`.
    """
    cases = table[(table["image"] == number) & (table["input"] == "noisy")].set_index("denoiser")
    label = {"edge": "edge gain"}.get(column, column)
    panels = {"reference": truth, "noisy": noisy}
    panels |= {name: denoise.calibrated(name, noisy) for name in names}
    captions = {}
    for title in ("noisy", *names):
        case = cases.loc["identity" if title == "noisy" else title]
        captions[title] = f"{case['psnr']:.1f} dB, {label} {case[column]:.2f}"
    return panels, captions


def severity(clean, masks, *, severities=(0.1, 0.25, 0.5, 1.0), seed=0):
    """Every metric against severity, for each damage that a microscope does, on clean images.

    A DataFrame of damage, severity, image and the metrics.
    """
    table = []
    for number, reference in trust.references(clean, masks, "severities"):
        for name, level in product(damage.DEGRADATIONS, severities):
            damaged = damage.apply(name, reference.image, level, seed=[seed, number])
            case = {"damage": name, "severity": level, "image": number}
            table.append(case | reference.scores(damaged))
    return pd.DataFrame(table)


def starkest(table):
    """Where two denoisers' recalls of the defect differ most: (image, loser, keeper)."""
    restored = table[(table["input"] == "noisy") & (table["denoiser"] != "identity")]
    recalls = restored.pivot(index="image", columns="denoiser", values="recall")
    image = int((recalls.max(axis=1) - recalls.min(axis=1)).idxmax())
    return image, recalls.loc[image].idxmin(), recalls.loc[image].idxmax()


def pairs(count):
    """Real pairs ``noisy_XX.png``, ``clean_XX.png``: list of (XX, noisy, clean), or empty."""
    files = sorted(KRISS.glob("noisy_*.png"))[:count]
    names = [file.stem.removeprefix("noisy_") for file in files]
    return [(name, *(read(KRISS / f"{kind}_{name}.png") for kind in KINDS)) for name in names]


def real(pairs):
    """All denoisers, trained on simulated images only, on real pairs after registration.

    Calibrated denoisers take their settings from the first pair. There is no mask of a defect,
    hence no CNR. Two DataFrames: of each pair the mean shift_y, shift_x (px) and the PSNR of the
    noisy image before and after registration; of each pair and denoiser the `REAL_COLUMNS`.
    """
    shifts = []
    table = []
    settings = {}
    for pair, noisy, clean in tqdm(pairs, "real pairs", unit="pair"):
        image, truth, unmoved, shift = register(noisy, clean)
        shifts.append({"pair": pair, "shift_y": shift[:, 0].mean(), "shift_x": shift[:, 1].mean()})
        shifts[-1]["psnr_before"] = metrics.psnr(unmoved, image)
        shifts[-1]["psnr_after"] = metrics.psnr(truth, image)
        if not settings:
            settings = {name: denoise.calibrate(name, image) for name in denoise.GRIDS}
        reference = trust.Reference(truth)
        for name in denoise.names():
            restored = denoise.denoise(name, image, **settings.get(name, {}))
            scores = reference.scores(restored) | gains(reference, restored)
            case = {"pair": pair, "denoiser": name}
            table.append(case | {column: scores[column] for column in REAL_COLUMNS})
    return pd.DataFrame(shifts), pd.DataFrame(table)
