"""Do the article's rules work? Stress tests with known truth, thresholds chosen on one half and judged on the other."""

from itertools import product

import numpy as np
import pandas as pd
from tqdm import tqdm

from semlib.semnr import degrade, guards, trust

HONEST = "honest restoration"
LEFT = 0.3  # share of the noise in the restoration that is then damaged
LEFTS = (0.15, LEFT, 0.5)  # shares that honest restorers leave
METRICS = ("psnr", "ssim", "fsim", "dists", "cnr", "gcnr", "recall")
TARGETS = {
    "over-smoothing": "blur",
    "texture drift": "hallucinated texture",
    "contrast loss": "contrast loss",
}
GUARDS = {  # damage: (gain, whether a low value raises the alarm)
    "blur": ("edge", True), "over-sharpening": ("edge", False), "hallucinated texture": ("invention", False),
    "contrast loss": ("contrast", True), "defect erased": ("defect", True), "added artefacts": ("outlier", False),
}  # fmt: skip
GRID = {
    "psnr_up": (0.0, 0.5, 1.0, 2.0), "fsim_down": (0.0, 0.005, 0.01, 0.02, 0.05),
    "ssim_stable": (0.02, 0.05, 0.1, 0.2, 0.4), "dists_worse": (0.0, 0.01, 0.02, 0.05),
    "cnr_down": (0.0, 0.05, 0.1, 0.2, 0.4),
}  # fmt: skip
USES = {
    "over-smoothing": ("psnr_up", "fsim_down"), "texture drift": ("ssim_stable", "dists_worse"),
    "contrast loss": ("psnr_up", "cnr_down"),
}  # fmt: skip


def evaluate(clean, masks, *, seeds=(0,), severities=(0.3, 0.6, 1.0), dose=40.0, progress=True):
    """Put every stress test on an honest restoration of every image and compare with the noisy image.

    An honest restoration is the truth with a share of the noise (`LEFTS`, given as its severity), and the stress tests
    damage that with 30 %: what a rule then says is about the stress alone.

    Parameters
    ----------
    clean : float array (N, H, W) in [0, 1]
    masks : bool array (N, H, W)
    seeds : sequence of int
        Noise and patterns.
    severities : sequence of float
    dose : float
        Electrons a pixel of the noisy image.
    progress : bool

    Returns
    -------
    DataFrame
        A row for each image, seed, stress and severity: ``d_<metric>`` (after - before; CNR relative), ``<metric>``
        (after), ``before_<metric>``, the gains of `semlib.semnr.guards`, and ``half`` ("choose" for even images,
        "judge" for odd ones).
    """
    cases = [*product([HONEST], LEFTS), *product(degrade.STRESSES, severities)]
    rows = []
    with tqdm(
        total=len(clean) * len(seeds) * len(cases),
        desc="stress tests",
        unit="case",
        disable=not progress,
    ) as bar:
        for number, (truth, mask) in enumerate(zip(clean, masks, strict=True)):
            reference = trust.prepare(truth, mask=mask)
            for seed in seeds:
                noisy = degrade.acquire(truth, seed=[seed, number], dose=dose)
                before = reference.scores(noisy)
                for stress, severity in cases:
                    honest = truth + (severity if stress == HONEST else LEFT) * (noisy - truth)
                    after = _stressed(
                        stress, np.clip(honest, 0, 1), severity, [seed, number, 1], mask
                    )
                    case = {
                        "image": number,
                        "half": "judge" if number % 2 else "choose",
                        "seed": seed,
                    }
                    rows.append(
                        case
                        | {"stress": stress, "severity": severity}
                        | _compare(reference, before, after)
                    )
                    bar.update()
    return pd.DataFrame(rows)


def _stressed(stress, image, severity, seed, mask):
    return (
        image if stress == HONEST else degrade.apply(stress, image, severity, seed=seed, mask=mask)
    )


def _compare(reference, before, image):
    after = reference.scores(image)
    moved = trust.changes(before, after) | {
        name: after[name] - before[name] for name in ("gcnr", "recall")
    }
    found = {f"d_{name}": change for name, change in moved.items()} | after
    found |= {f"before_{name}": value for name, value in before.items()}
    return found | guards.gains(
        reference.image, image, mask=reference.mask, golden=reference.golden
    )


def choose(table):
    """Thresholds that tell the stressed from the honest restorations best in the rows given.

    For each rule the pair of `GRID` with the largest sensitivity + specificity; the first such pair.

    Returns
    -------
    dict of str to dict
        Rule -> its two thresholds.
    """
    return {
        rule: max(_pairs(rule), key=lambda pair: _youden(table, rule, pair)) for rule in TARGETS
    }


def _pairs(rule):
    first, second = USES[rule]
    return [{first: a, second: b} for a, b in product(GRID[first], GRID[second])]


def _youden(table, rule, thresholds):
    fires, hit, honest = (
        _fires(table, rule, thresholds),
        table["stress"] == TARGETS[rule],
        table["stress"] == HONEST,
    )
    return fires[hit].mean() - fires[honest].mean()


def _fires(table, rule, thresholds):
    moved = {name: table[f"d_{name}"] for name in ("psnr", "ssim", "fsim", "dists", "cnr")}
    return trust.fired(moved, **thresholds)[rule][0]


def judge(table, thresholds):
    """How often each rule fires in the rows given, with thresholds that were chosen on others.

    Returns
    -------
    DataFrame
        rule, target, thresholds, and with 95 % Wilson intervals: sensitivity (fires on its target), specificity (silent
        on honest restorations), elsewhere (fires on other damage).
    """
    rows = []
    for rule, target in TARGETS.items():
        said = ", ".join(f"{name} {value:g}" for name, value in thresholds[rule].items())
        fires = _fires(table, rule, thresholds[rule])
        rows.append(
            {"rule": rule, "target": target, "thresholds": said} | _rates(table, fires, target)
        )
    return pd.DataFrame(rows)


def guard_rules(table):
    """The alternative: one gain and one threshold per damage, chosen on the half "choose" and judged on "judge".

    Returns
    -------
    DataFrame
        As that of `judge`.
    """
    rows = []
    for target, (gain, low) in GUARDS.items():
        chosen, judged = (table[table["half"] == half] for half in ("choose", "judge"))
        limit = _best_limit(chosen, target, gain, low)
        fires = judged[gain] < limit if low else judged[gain] > limit
        sign = "<" if low else ">"
        rows.append({"rule": f"{gain} {sign}", "target": target, "thresholds": f"{limit:.2f}"})
        rows[-1] |= _rates(judged, fires, target)
    return pd.DataFrame(rows)


def _best_limit(table, target, gain, low):
    """Threshold half-way between the two values that it separates best."""
    hit, honest = (np.sort(table.loc[table["stress"] == name, gain]) for name in (target, HONEST))
    both = np.unique(np.concatenate([hit, honest]))
    limits = (both[1:] + both[:-1]) / 2
    sign = 1 if low else -1
    gains = [
        (sign * hit < sign * limit).mean() - (sign * honest < sign * limit).mean()
        for limit in limits
    ]
    return float(limits[int(np.argmax(gains))])


def _rates(table, fires, target):
    hit, honest = table["stress"] == target, table["stress"] == HONEST
    parts = {
        "sensitivity": fires[hit],
        "specificity": ~fires[honest],
        "elsewhere": fires[~hit & ~honest],
    }
    rates = {}
    for name, values in parts.items():
        low, high = wilson(int(values.sum()), len(values))
        rates |= {
            name: float(values.mean()),
            f"{name}_lo": low,
            f"{name}_hi": high,
            f"{name}_n": len(values),
        }
    return rates


def wilson(hits, count):
    """95 % Wilson interval of a rate; (NaN, NaN) without cases."""
    if not count:
        return float("nan"), float("nan")
    z2, rate = 1.96**2, hits / count
    centre, half = (
        rate + z2 / (2 * count),
        1.96 * np.sqrt(rate * (1 - rate) / count + z2 / (4 * count**2)),
    )
    return float(max(0, (centre - half) / (1 + z2 / count))), float(
        min(1, (centre + half) / (1 + z2 / count))
    )


def summary(table):
    """Mean change of each metric and the share of cases in which it calls the damaged image better than the noisy one.

    Returns
    -------
    DataFrame
        stress, severity, cases, ``d_<metric>`` with ``_lo`` and ``_hi`` (95 %, normal), ``better_<metric>``.
    """
    rows = []
    for (stress, severity), part in table.groupby(["stress", "severity"], sort=False):
        row = {"stress": stress, "severity": severity, "cases": len(part)}
        for name in METRICS:
            change = part[f"d_{name}"]
            row |= dict(
                zip(
                    (f"d_{name}", f"d_{name}_lo", f"d_{name}_hi"),
                    mean_interval(change),
                    strict=True,
                )
            )
            row[f"better_{name}"] = _better(change, name)
        rows.append(row)
    return pd.DataFrame(rows)


def _better(change, name):
    """Share of changes for the better; NaN where the metric is missing."""
    return (
        float(((-change if name == "dists" else change) > 0).mean())
        if change.notna().any()
        else float("nan")
    )


def improved(table):
    """Share of cases in which a metric says "better than the noisy image": DataFrame, stress x metric."""
    parts = table.groupby("stress", sort=False)
    return pd.DataFrame(
        {s: {m: _better(part[f"d_{m}"], m) for m in METRICS} for s, part in parts}
    ).T


def lost_defects(table, *, detectable=0.25):
    """Cases in which PSNR rose although the defect's recall fell from at least `detectable` to below it.

    Returns
    -------
    DataFrame
        stress, cases (defect detectable before), lost (of these), lost_while_psnr_rose.
    """
    seen = table[table["before_recall"] >= detectable]
    gone = seen["recall"] < detectable
    counts = seen.assign(lost=gone, lost_while_psnr_rose=gone & (seen["d_psnr"] > 0)).groupby(
        "stress", sort=False
    )
    return counts.agg(
        cases=("lost", "size"),
        lost=("lost", "sum"),
        lost_while_psnr_rose=("lost_while_psnr_rose", "sum"),
    ).reset_index()


def mean_interval(values):
    """Mean with its 95 % interval (normal); NaN are left out."""
    values = np.asarray(values, float)
    values = values[np.isfinite(values)]
    if not len(values):
        return float("nan"), float("nan"), float("nan")
    mean, half = (
        values.mean(),
        1.96 * values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else 0.0,
    )
    return float(mean), float(mean - half), float(mean + half)
