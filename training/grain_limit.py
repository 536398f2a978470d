"""The limit of the rule for invented texture, on scenes that no report uses.

``python -m training.grain_limit`` measures `grain.unexplained` on what today's filters and networks
return, and on the same with invented texture. The rule: of all limits that leave `SPECIFICITY` of
the restorers' own outputs in peace the lowest, which finds most texture. `grain.LIMIT` is set to it
by hand; ``experiments/grain-limit.csv`` says how often it is exceeded.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from semlib import stats
from semlib.paths import atomic
from semlib.semnr import calibrate, damage, denoise, grain, trust

SPECIFICITY = 0.95
SEED = 93_000  # of scenes and scans; notebook 08 has small ones
COUNT = 40
SIZE = 96  # pixels a side, as in notebook 08
DOSES = (10, 40, 200)  # electrons a pixel
SEVERITIES = (0.0, 0.3, 0.6, 1.0)  # of the texture; 0 is the restorer's own output
FILE = Path(__file__).parent / "experiments" / "grain-limit.csv"


def measure(count=COUNT, *, size=SIZE, doses=DOSES, restorers=None, seed=SEED):
    """Grain of every output: a DataFrame of image, dose, base (who restored), severity, grain."""
    names = restorers or [*calibrate.names(), *denoise.LEARNED]

    def rows(number, reference):
        for dose in doses:
            noisy = damage.acquire(reference.image, seed=[seed, number, dose], dose=dose)
            for name in names:
                restored = calibrate.calibrated(name, noisy)
                case = {"image": number, "dose": dose, "base": name}
                for severity in SEVERITIES:
                    own = {"seed": [seed, number, 1]}
                    image = damage.apply("hallucinated texture", restored, severity, **own)
                    value = grain.unexplained(reference, noisy, image)
                    yield case | {"severity": severity, "grain": value}

    scenes = damage.scenes(count, seed=seed, size=size)
    return trust.table(rows, scenes.clean / np.float32(255), scenes.masks, "grain")


def choose(table):
    """The lowest limit, in hundredths, that `SPECIFICITY` of the restorers' own outputs keep."""
    own = table.loc[table["severity"] == 0, "grain"]
    return float(np.ceil(100 * np.quantile(own, SPECIFICITY, method="inverted_cdf")) / 100)


def alarms(table, limit):
    """Share of outputs above a limit with its 95 % interval, by restorer, dose and severity."""
    rows = []
    for by, group in table.groupby(["base", "dose", "severity"], sort=False):
        hits = int((group["grain"] > limit).sum())
        low, high = stats.share_interval(hits, len(group))
        row = {"limit": limit} | dict(zip(("base", "dose", "severity"), by, strict=True))
        row |= {"images": len(group), "alarm": hits / len(group)}
        rows.append(row | {"alarm_lo": low, "alarm_hi": high})
    return pd.DataFrame(rows)


def main():
    table = measure()
    limit = choose(table)
    with atomic(FILE) as temporary:
        alarms(table, limit).to_csv(temporary, index=False, float_format="%.3f")
    above = (table["grain"] > limit).groupby(table["severity"]).mean().round(3)
    print(f"limit {limit}; share above it by severity of the texture:\n{above.to_string()}")


if __name__ == "__main__":
    main()
