"""What the dose experiment says: losses and gains with intervals, sentences, cases, a figure."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from semlib import stats
from semlib.saving import PALETTE
from semlib.semnr import dose as experiment
from semlib.semnr.dose import NOISY, SCORES, TRUTH

LOST = 0.1  # recall below the truth's from which on a defect counts as lost
HALF = 0.5  # share of the truth's recall at which a defect counts as found
HIGH_TRUST = "SEMNR"
HIGH_SCORE = "U-Net MSE"


def summary(table):
    """Mean and 95 % interval of all scores by dose and restorer."""
    return stats.summarise(table, ["dose", "restorer"], SCORES)


def differences(table, ours, theirs, score="recall"):
    """One restorer minus another at each dose, paired by image.

    A DataFrame of dose, difference, lo, hi, verdict; both are values of the column restorer.
    """
    rows = []
    for dose, group in table.groupby("dose"):
        pairs = group.pivot(index="image", columns="restorer", values=score)
        rows.append({"dose": dose} | stats.paired(pairs[ours], pairs[theirs]))
    return pd.DataFrame(rows)


def losing_dose(table, restorer):
    """Largest dose at which a restorer loses the defect, or None.

    Lost: recall lies `LOST` or more below the truth's on average, and the interval below 0.
    """
    behind = differences(table, restorer, TRUTH)
    lost = behind[(behind["difference"] <= -LOST) & (behind["hi"] < 0)]
    return None if lost.empty else int(lost["dose"].max())


def needed(table):
    """Electrons a pixel from which on each defect is found: DataFrame, image x restorer.

    Found is `HALF` of the truth's recall at this dose and all larger ones, linear in the logarithm
    of the dose between two. The smallest dose stands where it is found at all of them, twice the
    largest where it is not found at that one either; images whose truth shows nothing are left out.
    """
    doses = np.sort(table["dose"].unique())
    limits = table[table["restorer"] == TRUTH].groupby("image")["recall"].first() * HALF
    found = {}
    for (restorer, image), group in table.groupby(["restorer", "image"]):
        if restorer != TRUTH and limits[image] > 0:
            recalls = group.sort_values("dose")["recall"].to_numpy()
            found.setdefault(restorer, {})[image] = _crossing(doses, recalls, limits[image])
    return pd.DataFrame(found)


def _crossing(doses, recalls, limit):
    """Dose at which the recall crosses the limit for the last time."""
    below = np.flatnonzero(recalls < limit)
    if not len(below):
        return float(doses[0])
    last = below[-1]
    if last == len(doses) - 1:
        return 2.0 * doses[-1]
    share = (limit - recalls[last]) / (recalls[last + 1] - recalls[last])
    return float(doses[last] * (doses[last + 1] / doses[last]) ** share)


def electrons(table):
    """Factor of the dose that `HIGH_TRUST` needs for a defect over `HIGH_SCORE`: factor, lo, hi.

    Paired by image, a mean of logarithms; below 1 the first needs fewer electrons.
    """
    doses = np.log2(needed(table))
    paired = stats.paired(doses[HIGH_TRUST], doses[HIGH_SCORE])
    factor, low, high = (2.0 ** paired[end] for end in ("difference", "lo", "hi"))
    return {"factor": factor, "lo": low, "hi": high}


def sentences(table):
    """What the experiment says, in the words of its table: list of str."""
    restorers = [name for name in table["restorer"].unique() if name != TRUTH]
    images = table["image"].nunique()
    said = [f"{images} images at {table['dose'].nunique()} doses; found at 1 % false alarms."]
    medians = needed(table).median()
    most = table["dose"].max()
    for name in restorers:
        dose = losing_dose(table, name)
        last = ", the largest dose here," if dose == most else ""
        losing = f"at {dose} electrons a pixel{last} and below" if dose else "at no dose"
        median = medians[name]
        enough = f"from {median:.0f} electrons on" if median <= most else f"not at {most} yet"
        said.append(f"{name}: loses the defect {losing}; half of the defects are found {enough}.")
        worse = differences(table, name, NOISY)
        worse = worse[worse["hi"] < 0]
        if name != NOISY and len(worse):
            doses = ", ".join(f"{row.dose} ({row.difference:+.2f})" for row in worse.itertuples())
            said.append(f"{name} shows less of the defect than its noisy input at {doses}.")
    if {HIGH_TRUST, HIGH_SCORE} <= set(restorers):
        said += _trust(table)
    return said


def _trust(table):
    """What trust costs and saves: recall, PSNR and electrons of SEMNR against U-Net MSE."""
    recall = differences(table, HIGH_TRUST, HIGH_SCORE)
    psnr = differences(table, HIGH_TRUST, HIGH_SCORE, "psnr")
    apart = recall[(recall["lo"] > 0) | (recall["hi"] < 0)]
    said = f"{HIGH_TRUST} minus {HIGH_SCORE}: recall "
    if apart.empty:
        largest = recall.loc[recall["difference"].abs().idxmax()]
        said += f"cannot be told apart at any dose (at most {largest['difference']:+.3f} at "
        said += f"{int(largest['dose'])})"
    else:
        doses = [f"{row.difference:+.3f} at {row.dose}" for row in apart.itertuples()]
        said += ", ".join(doses) + " electrons a pixel"
    said += f"; PSNR {psnr['difference'].min():+.2f} to {psnr['difference'].max():+.2f} dB."
    factor = electrons(table)
    interval = f"[{factor['lo']:.2f}, {factor['hi']:.2f}]"
    if factor["hi"] < 1:
        meaning = f"trust saves {1 - factor['factor']:.0%} of the electrons"
    elif factor["lo"] > 1:
        meaning = f"trust costs {factor['factor'] - 1:.0%} more electrons"
    else:
        meaning = "trust neither costs nor saves electrons that could be told"
    needs = f"To find a defect {HIGH_TRUST} needs {factor['factor']:.2f} {interval} times the dose"
    return [said, f"{needs} of {HIGH_SCORE}: {meaning}."]


def cases(table):
    """The case with the largest difference of recall, `HIGH_TRUST` - `HIGH_SCORE`, and the median.

    Cases are all images at all doses. A dict of "largest" and "median": image, dose, difference and
    percentile: the share of cases (in %) with a smaller or equal difference.
    """
    wide = table.pivot(index=["image", "dose"], columns="restorer", values="recall")
    difference = (wide[HIGH_TRUST] - wide[HIGH_SCORE]).sort_values(kind="stable")
    size = difference.abs()
    median = (difference - difference.median()).abs()
    # of equal cases the one whose truth shows the defect best
    shown = wide[TRUTH].reindex(difference.index)
    picked = {
        "largest": max(difference.index, key=lambda case: (size[case], shown[case])),
        "median": min(difference.index, key=lambda case: (median[case], -shown[case])),
    }
    result = {}
    for name, (image, dose) in picked.items():
        value = float(difference[image, dose])
        result[name] = {"image": int(image), "dose": int(dose), "difference": value}
        result[name]["percentile"] = 100 * float((difference <= value).mean())
    return result


def panels(case, table, field, seed, kinds=("mse", "semnr")):
    """Images of a case of `cases` for `plots.comparison`, and a caption with the recall of each."""
    about = table[(table["image"] == case["image"]) & (table["dose"] == case["dose"])]
    recalls = about.set_index("restorer")["recall"]
    shown = {"reference": field.truth}
    captions = {"reference": f"recall {recalls[TRUTH]:.2f}"}
    noisy = experiment.scan(field, case["dose"], seed)
    for kind in (NOISY, *kinds):
        name = experiment.NAMES.get(kind, kind)
        shown[name] = experiment.restored(noisy, kind)
        captions[name] = f"recall {recalls[name]:.2f}"
    return shown, captions


def curves(table):
    """Recall, PSNR, FSIM and 1 - DISTS over the dose with 95 % bands, a line for each restorer."""
    means = summary(table)
    names = [name for name in table["restorer"].unique() if name != TRUTH]
    palette = ("0.5", PALETTE[1], PALETTE[3], PALETTE[0], *PALETTE[4:])
    colours = dict(zip(names, palette, strict=False))
    shown = {"recall": "defect recall", "psnr": "PSNR (dB)", "fsim": "FSIM", "dists": "1 - DISTS"}
    figure, axes = plt.subplots(2, 2, figsize=(9.5, 6.4), sharex=True)
    for axis, (score, label) in zip(axes.flat, shown.items(), strict=True):
        for name in names:
            line = means[means["restorer"] == name]
            parts = [line[score + end] for end in ("", "_lo", "_hi")]
            if score == "dists":
                parts = [1 - part for part in parts]
            axis.plot(line["dose"], parts[0], "o-", ms=3, color=colours[name], label=name)
            axis.fill_between(line["dose"], *parts[1:], color=colours[name], alpha=0.12, lw=0)
        axis.set(xscale="log", ylabel=label)
    limit = means[means["restorer"] == TRUTH]
    axes[0, 0].plot(limit["dose"], limit["recall"], "--", color="0.2", lw=1, label="truth")
    doses = sorted(table["dose"].unique())
    for axis in axes[1]:
        axis.set(xlabel="electrons a pixel", xticks=doses, xticklabels=doses)
        axis.minorticks_off()
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=7)
    return figure
