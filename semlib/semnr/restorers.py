"""The rules on real restorers: what filters and networks make of a scan, as it is and damaged.

`stress.evaluate` starts from the truth with a share of the noise. Here the same damage is done to
what restorers really return; their own output takes the place of the honest restoration.
"""

from itertools import product

import pandas as pd

from semlib import stats
from semlib.semnr import calibrate, damage, grain, stress, trust
from semlib.semnr.gains import gains

BASES = ("median", "TV", "U-Net MSE", "SEMNR")
SPECIFIC = 0.95  # share of own outputs on which the texture rule is silent where it is chosen
TEXTURE = {"hallucinated texture": ("grain", -1)}  # as `stress.GAINS`


def evaluate(clean, masks, *, bases=BASES, severities=(0.3, 0.6, 1.0), doses=(20, 80), seed=0):
    """Every damage on what every restorer makes of a scan of every image.

    Clean images float (N, H, W) in [0, 1], masks bool (N, H, W). The columns of `stress.evaluate`,
    so that its `choose`, `judge` and `gain_rules` take the table, and dose, base (the restorer),
    grain (`grain.unexplained`). The restorer's own output is called `stress.HONEST`.
    """
    tests = [(stress.HONEST, 0.0), *product(damage.STRESSES, severities)]
    table = []
    for number, reference in trust.references(clean, masks, "restorers"):
        dose = doses[number // 2 % len(doses)]
        noisy = damage.acquire(reference.image, seed=[seed, number], dose=dose)
        before = reference.scores(noisy)
        for base in bases:
            restored = calibrate.calibrated(base, noisy)
            for name, severity in tests:
                image = restored
                if name != stress.HONEST:
                    own = {"seed": [seed, number, 1], "mask": reference.mask}
                    image = damage.apply(name, restored, severity, **own)
                case = {"image": number, "half": "judge" if number % 2 else "choose", "dose": dose}
                case |= {"base": base, "stress": name, "severity": severity}
                table.append(case | _measured(reference, noisy, before, image))
    return pd.DataFrame(table)


def _measured(reference, noisy, before, image):
    """Changes, scores and gains of one image, as in `stress.evaluate`, and its grain."""
    after = reference.scores(image)
    moved = trust.changes(before, after)
    moved |= {name: after[name] - before[name] for name in ("gcnr", "recall")}
    row = {f"d_{name}": change for name, change in moved.items()} | after
    row |= {f"before_{name}": value for name, value in before.items()}
    row |= gains(reference, image)
    return row | {"grain": grain.unexplained(reference, noisy, image)}


def limit(table, column="grain", *, specificity=SPECIFIC):
    """Threshold that a share of the restorers' own outputs stays below: float."""
    return float(table.loc[table["stress"] == stress.HONEST, column].quantile(specificity))


def alarms(table, threshold, column="grain"):
    """How often `column` exceeds a threshold, by restorer, damage and severity: a DataFrame.

    Columns base, stress, severity, share with share_lo and share_hi (95 %, Wilson), n. For
    `stress.HONEST` the share is one of false alarms.
    """
    rows = []
    for key, group in table.groupby(["base", "stress", "severity"], sort=False):
        fired = int((group[column] > threshold).sum())
        low, high = stats.share_interval(fired, len(group))
        row = dict(zip(("base", "stress", "severity"), key, strict=True))
        rows.append(
            row | {"share": fired / len(group), "share_lo": low, "share_hi": high, "n": len(group)}
        )
    return pd.DataFrame(rows)


def with_halves(choose, judge):
    """One table out of two of different seeds: thresholds from the first, judged on the second."""
    tables = [choose.assign(half="choose"), judge.assign(half="judge")]
    return pd.concat(tables, ignore_index=True)
