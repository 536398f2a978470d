"""Denoisers side by side: on simulated images with known truth, on clean input, on registered real pairs."""

from pathlib import Path

import pandas as pd
from tqdm import tqdm

from semlib import paths
from semlib.semnr import degrade, denoise, guards, metrics, stress, trust
from semlib.semnr.page import read
from semlib.semnr.registration import register

KRISS = paths.ROOT.parent / "shared" / "real-sem" / "kriss"


def restore(name, image, settings=None):
    """Denoise with a denoiser's own calibration on this image where there is one, or with the settings given."""
    if settings is None:
        settings = denoise.calibrate(name, image) if name in denoise.GRIDS else {}
    return denoise.denoise(name, image, **settings)


def denoisers(clean, masks, *, seed=0, dose=40.0, names=None, progress=True):
    """Every denoiser on a noisy scan of every image, and on the clean image itself.

    Parameters
    ----------
    clean : float array (N, H, W) in [0, 1]
    masks : bool array (N, H, W)
    seed : int
        Seeds the noise.
    dose : float
        Electrons a pixel, see `degrade.acquire`.
    names : sequence of str, optional
        Denoisers; all by default.
    progress : bool

    Returns
    -------
    DataFrame
        A row for each image, input ("noisy" or "clean") and denoiser: metrics, ``scaled_<axis>``, area, gains,
        conflicts (names joined by ", ") and verdict, both against the input.
    """
    names = list(names or denoise.names())
    rows = []
    with tqdm(
        total=2 * len(clean) * len(names), desc="denoisers", unit="image", disable=not progress
    ) as bar:
        for number, (truth, mask) in enumerate(zip(clean, masks, strict=True)):
            reference = trust.prepare(truth, mask=mask)
            for kind, given in {
                "noisy": scan(truth, number, seed=seed, dose=dose),
                "clean": truth,
            }.items():
                before = trust.profile(reference, given)
                for name in names:
                    found = _row(reference, before, restore(name, given))
                    rows.append({"image": number, "input": kind, "denoiser": name} | found)
                    bar.update()
    return pd.DataFrame(rows)


def scan(truth, number, *, seed=0, dose=40.0):
    """The noisy scan of image `number` that `denoisers` uses."""
    return degrade.acquire(truth, seed=[seed, number], dose=dose)


def _row(reference, before, restored):
    after = trust.profile(reference, restored)
    found = {name: after[name] for name in (*stress.METRICS, "area")}
    found |= {f"scaled_{axis}": value for axis, value in after["scaled"].items()}
    found |= guards.gains(reference.image, restored, mask=reference.mask, golden=reference.golden)
    judged = trust.verdict(before, after)
    return found | {"conflicts": ", ".join(judged.conflicts), "verdict": judged.flag}


def summarise(table, columns, by=("input", "denoiser")):
    """Mean of each column with its 95 % interval, groups in the order of the table: ``<name>``, ``_lo``, ``_hi``."""
    rows = []
    for key, part in table.groupby(list(by), sort=False):
        row = dict(zip(by, key, strict=True)) | {"images": len(part)}
        for name in columns:
            triple = stress.mean_interval(part[name])
            row |= dict(zip((name, f"{name}_lo", f"{name}_hi"), triple, strict=True))
        rows.append(row)
    return pd.DataFrame(rows)


def severity(clean, masks, *, severities=(0.1, 0.25, 0.5, 1.0), seed=0, progress=True):
    """Every metric against severity, for each damage that a microscope does, on clean images.

    Returns
    -------
    DataFrame
        damage, severity, image and the metrics.
    """
    cases = [(name, level) for name in degrade.DEGRADATIONS for level in severities]
    rows = []
    with tqdm(
        total=len(clean) * len(cases), desc="severities", unit="case", disable=not progress
    ) as bar:
        for number, (truth, mask) in enumerate(zip(clean, masks, strict=True)):
            reference = trust.prepare(truth, mask=mask)
            for name, level in cases:
                damaged = degrade.apply(name, truth, level, seed=[seed, number])
                rows.append(
                    {"damage": name, "severity": level, "image": number} | reference.scores(damaged)
                )
                bar.update()
    return pd.DataFrame(rows)


def starkest(table, *, input="noisy"):
    """The image and the two denoisers whose recalls of the defect differ most: (image, loser, keeper).

    "identity" is left out: the noisy image itself is no restoration.
    """
    shown = table[(table["input"] == input) & (table["denoiser"] != "identity")]
    recalls = shown.pivot(index="image", columns="denoiser", values="recall")
    image = int((recalls.max(axis=1) - recalls.min(axis=1)).idxmax())
    return image, recalls.loc[image].idxmin(), recalls.loc[image].idxmax()


def pairs(folder=KRISS, *, count=None):
    """Real pairs ``noisy_XX.png``, ``clean_XX.png`` of a folder: list of (name, noisy, clean); empty if absent."""
    files = sorted(Path(folder).glob("noisy_*.png"))[:count]
    return [
        (f.stem[6:], read(f), read(f.with_name(f.name.replace("noisy", "clean")))) for f in files
    ]


def real(pairs, *, names=None, progress=True):
    """All denoisers, trained on simulated images only, on real pairs after registration.

    Calibrated denoisers take their settings from the first pair. There is no mask of a defect, hence no CNR.

    Parameters
    ----------
    pairs : list of (name, noisy, clean)

    Returns
    -------
    tuple of DataFrame
        Per pair: mean shift_y, shift_x (px), PSNR of the noisy image before and after registration. Per pair and
        denoiser: psnr, ssim, fsim, dists, edge, contrast, invention.
    """
    names = list(names or denoise.names())
    shifts, rows, settings = [], [], {}
    with tqdm(
        total=len(pairs) * len(names), desc="real pairs", unit="image", disable=not progress
    ) as bar:
        for pair, noisy, clean in pairs:
            given, truth, there, shift = register(noisy, clean)
            reference = trust.prepare(truth)
            registered = metrics.psnr(truth, given)
            unregistered = metrics.psnr(there, given)
            shifts.append(
                {"pair": pair, "shift_y": shift[:, 0].mean(), "shift_x": shift[:, 1].mean()}
            )
            shifts[-1] |= {"psnr_before": unregistered, "psnr_after": registered}
            for name in names:
                if name not in settings:
                    settings[name] = denoise.calibrate(name, given) if name in denoise.GRIDS else {}
                restored = restore(name, given, settings[name])
                found = reference.scores(restored) | guards.gains(truth, restored)
                kept = ("psnr", "ssim", "fsim", "dists", "edge", "contrast", "invention")
                rows.append(
                    {"pair": pair, "denoiser": name} | {column: found[column] for column in kept}
                )
                bar.update()
    return pd.DataFrame(shifts), pd.DataFrame(rows)
