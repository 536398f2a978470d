"""The rules on real restorers: what filters and networks make of a scan, as it is and damaged.

`stress.evaluate` starts from the truth with a share of the noise. Here the same damage is done to
what restorers really return; their own output takes the place of the honest restoration.
"""

from itertools import product

import pandas as pd

from semlib import saving, stats
from semlib.semnr import calibrate, damage, grain, stress, trust

BASES = ("TV", "U-Net MSE", "SEMNR")


def evaluate(clean, masks, *, bases=BASES, severities=(0.3, 0.6, 1.0), doses=(20, 80), seed=0):
    """Every damage on what every restorer makes of a scan of every image.

    Clean images float (N, H, W) in [0, 1], masks bool (N, H, W). The columns of `stress.evaluate`,
    so that its `choose`, `judge` and `gain_rules` take the table, dose, and base (the restorer).
    The restorer's own output is called `stress.HONEST`.
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
                table.append(case | stress.measured(reference, noisy, before, image))
    return pd.DataFrame(table)


def alarms(table, threshold=grain.LIMIT, column="grain"):
    """How often `column` exceeds a threshold, by restorer, damage and severity: a DataFrame.

    Columns base, stress, severity, share with share_lo and share_hi (95 %, Wilson), n, and alarm,
    these in words. For `stress.HONEST` the share is one of false alarms.
    """
    by = ["base", "stress", "severity"]
    fired = (table[column] > threshold).groupby([table[name] for name in by], sort=False)
    counted = fired.agg(share="mean", n="size", hits="sum").reset_index()
    intervals = [stats.share_interval(int(row.hits), row.n) for row in counted.itertuples()]
    counted[["share_lo", "share_hi"]] = intervals
    return counted.drop(columns="hits").assign(alarm=saving.with_interval(counted, "share"))
