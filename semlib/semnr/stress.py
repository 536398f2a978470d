"""Do the article's rules work? Known damage, thresholds chosen on one half, judged on the other."""

from itertools import product

import numpy as np
import pandas as pd

from semlib import saving, stats
from semlib.semnr import calibrate, damage, grain, trust, visibility
from semlib.semnr.gains import gains

HONEST = "honest restoration"
ABOUT = ("kind", "rule", "target", "thresholds")  # what a table of rules says beside its rates
RATES = ("sensitivity", "specificity", "elsewhere")
LEFT = 0.3  # share of the noise in the restoration that is then damaged
LEFTS = (0.15, LEFT, 0.5)  # shares that honest restorers leave
METRICS = ("psnr", "ssim", "fsim", "dists", "cnr", "gcnr", "recall")
RULES = {  # the article's: the damage that a rule is meant for, and its two thresholds
    "over-smoothing": ("blur", "psnr_up", "fsim_down"),
    "texture drift": ("hallucinated texture", "ssim_stable", "dists_worse"),
    "contrast loss": ("contrast loss", "psnr_up", "cnr_down"),
}
TRIED = {  # values of each threshold, see `choose`; our choice
    "psnr_up": (0.0, 0.5, 1.0, 2.0),
    "fsim_down": (0.0, 0.005, 0.01, 0.02, 0.05),
    "ssim_stable": (0.02, 0.05, 0.1, 0.2, 0.4),
    "dists_worse": (0.0, 0.01, 0.02, 0.05),
    "cnr_down": (0.0, 0.05, 0.1, 0.2, 0.4),
}
GAINS = {  # damage: (gain, 1 where a low value raises the alarm, -1 where a high one); our choice
    "blur": ("edge", 1),
    "over-sharpening": ("edge", -1),
    "hallucinated texture": ("invention", -1),
    "contrast loss": ("contrast", 1),
    "defect erased": ("defect", 1),
    "added artefacts": ("outlier", -1),
}
TEXTURE = {"hallucinated texture": ("grain", -1)}  # the same by `grain.unexplained`


def evaluate(clean, masks, *, restorers=(), seeds=(0,), severities=(0.3, 0.6, 1.0), dose=40.0):
    """Put every stress test on a restoration of every image and compare with the noisy one.

    Without `restorers` the restoration is an honest one: the truth with a share of the noise
    (`LEFTS`, given as its severity); the stress tests damage that with 30 %. With names of
    denoisers it is what each of them (column base) returns, calibrated, which then stands as
    `HONEST`. Parameters as in `compare.denoisers`. A DataFrame of image, half ("choose" for even
    images, "judge" for odd ones), seed, base, stress, severity and the columns of `measured`.
    """
    lefts = (0.0,) if restorers else LEFTS
    tests = [*product([HONEST], lefts), *product(damage.STRESSES, severities)]

    def measure(number, reference):
        truth = reference.image
        for seed in seeds:
            noisy = damage.acquire(truth, seed=[seed, number], dose=dose)
            before = reference.scores(noisy)
            bases = {name: calibrate.calibrated(name, noisy) for name in restorers}
            for base, (stress, severity) in product(bases or [HONEST], tests):
                left = severity if stress == HONEST else LEFT
                image = bases.get(base, np.clip(truth + left * (noisy - truth), 0, 1))
                if stress != HONEST:
                    own = {"seed": [seed, number, 1], "mask": reference.mask}
                    image = damage.apply(stress, image, severity, **own)
                case = {"image": number, "half": "judge" if number % 2 else "choose", "seed": seed}
                case |= {"base": base, "stress": stress, "severity": severity}
                yield case | measured(reference, noisy, before, image)

    return trust.table(measure, clean, masks, "stress tests")


def measured(reference, noisy, before, image):
    """``<metric>``, ``before_<metric>``, ``d_<metric>`` (CNR relative), grain and gains: dict."""
    after = reference.scores(image)
    moved = trust.changes(before, after)
    moved |= {name: after[name] - before[name] for name in ("gcnr", "recall")}
    case = {f"d_{name}": change for name, change in moved.items()} | after
    case |= {f"before_{name}": value for name, value in before.items()}
    case["grain"] = grain.unexplained(reference, noisy, image)
    return case | gains(reference, image)


def choose(table):
    """For each rule the first pair of `TRIED` with the largest sensitivity + specificity: dict."""
    chosen = {}
    for rule, (target, first, second) in RULES.items():
        pairs = [{first: a, second: b} for a, b in product(TRIED[first], TRIED[second])]
        scores = [_youden(table, rule_fires(table, rule, pair), target) for pair in pairs]
        chosen[rule] = pairs[np.argmax(scores)]
    return chosen


def _youden(table, fires, target):
    """Sensitivity + specificity - 1."""
    return fires[table["stress"] == target].mean() - fires[table["stress"] == HONEST].mean()


def rule_fires(table, rule, thresholds):
    """Whether a rule fires in each case, a bool Series."""
    return trust.fired({name: table[f"d_{name}"] for name in trust.AXES}, **thresholds)[rule]


def judge(table, thresholds):
    """How often each rule fires in the cases given, with thresholds that were chosen on others.

    A DataFrame of rule, target, thresholds, and with 95 % Wilson intervals: sensitivity (fires on
    its target), specificity (silent on honest restorations), elsewhere (fires on other damage).
    """
    judged = []
    for rule, (target, *_) in RULES.items():
        shown = ", ".join(f"{name} {value:g}" for name, value in thresholds[rule].items())
        rates = _rates(table, rule_fires(table, rule, thresholds[rule]), target)
        judged.append({"rule": rule, "target": target, "thresholds": shown} | rates)
    return pd.DataFrame(judged)


def all_rules(table):
    """The article's rules and ours (column kind), chosen on one half and judged on the other."""
    chosen, judged = halves(table)
    article = judge(judged, choose(chosen)).assign(kind="article")
    ours = [gain_rules(table, by) for by in (GAINS, TEXTURE)]
    return pd.concat([article, pd.concat(ours).assign(kind="ours")], ignore_index=True)


def halves(table):
    """The cases that choose thresholds and those that judge them."""
    return [table[table["half"] == half] for half in ("choose", "judge")]


def gain_rules(table, by=GAINS):
    """The alternative, a table as `judge`'s: one gain and one threshold for each damage.

    `by` maps a damage to a column of the table and its sign, as `GAINS` does.
    """
    chosen, judged = halves(table)
    rules = []
    for target, (gain, sign) in by.items():
        # half-way between the two values that are separated best
        values = np.unique(chosen.loc[chosen["stress"].isin([target, HONEST]), gain])
        limits = (values[1:] + values[:-1]) / 2
        alarms = [sign * chosen[gain] < sign * limit for limit in limits]
        limit = limits[np.argmax([_youden(chosen, alarm, target) for alarm in alarms])]
        rule = {"rule": f"{gain} {'<' if sign > 0 else '>'}", "target": target}
        rates = _rates(judged, sign * judged[gain] < sign * limit, target)
        rules.append(rule | {"thresholds": f"{limit:.2f}"} | rates)
    return pd.DataFrame(rules)


def alarms(table):
    """How often grain exceeds `grain.LIMIT`, by base, stress and severity: a DataFrame.

    share with share_lo and share_hi (95 %, Wilson), n, and alarm, these in words. On `HONEST` it is
    the share of false alarms.
    """
    by = ["base", "stress", "severity"]
    fired = (table["grain"] > grain.LIMIT).groupby([table[name] for name in by], sort=False)
    counted = fired.agg(share="mean", n="size", hits="sum").reset_index()
    intervals = [stats.share_interval(int(row.hits), row.n) for row in counted.itertuples()]
    counted[["share_lo", "share_hi"]] = intervals
    return counted.drop(columns="hits").assign(alarm=saving.with_interval(counted, "share"))


def _rates(table, fires, target):
    hit = table["stress"] == target
    honest = table["stress"] == HONEST
    rates = {}
    parts = (fires[hit], ~fires[honest], fires[~hit & ~honest])
    for name, values in zip(RATES, parts, strict=True):
        low, high = stats.share_interval(int(values.sum()), len(values))
        rates |= {name: float(values.mean()), f"{name}_lo": low, f"{name}_hi": high}
        rates[f"{name}_n"] = len(values)
    return rates


def summary(table):
    """Mean change of each metric (95 %, Student's t) and how often it prefers the damaged image."""
    by = ["stress", "severity"]
    means = stats.summarise(table, by, [f"d_{name}" for name in METRICS])
    shares = improved(table, by)
    shown = means[by].assign(cases=means["count"])
    for name in METRICS:
        columns = [f"d_{name}{end}" for end in ("", "_lo", "_hi")]
        shown[columns] = means[columns]
        shown[f"better_{name}"] = shares[name].to_numpy()
    return shown


def improved(table, by=("stress",)):
    """Share of cases in which a metric prefers the damaged image, NaN without the metric."""
    changes = table[[f"d_{name}" for name in METRICS]].set_axis(METRICS, axis="columns")
    changes["dists"] *= -1  # a distance
    better = changes.gt(0).where(changes.notna()).astype(float)
    return better.groupby([table[name] for name in by], sort=False).mean()


def lost_defects(table, by="stress"):
    """Cases in which the defect was found, those where it was lost, and where PSNR rose with it."""
    before = table[table["before_recall"] >= visibility.FOUND]
    lost = before["recall"] < visibility.FOUND
    counts = before.assign(cases=1, lost=lost, lost_while_psnr_rose=lost & (before["d_psnr"] > 0))
    columns = ["cases", "lost", "lost_while_psnr_rose"]
    return counts.groupby(by, sort=False)[columns].sum().reset_index()
