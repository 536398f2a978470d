"""What readers see of the study: means with intervals, comparisons at equal supervision, claims."""

import numpy as np
import pandas as pd

from semlib import saving, stats
from semlib.semclip.study import FULL, KEYS

ABLATION_METRICS = ["iAUROC", "pAUROC", "F1-max", "accuracy", "F1"]
# SEM-CLIP of the same supervision as a competitor
RUNGS = {"none": "SEM-CLIP, zero-shot", "labels": "SEM-CLIP, labels only"}
STATUS = "published, unverified, private data"
# gains over PromptAD at 10 shots, percentage points: iAUROC, pAUROC, F1-max
PUBLISHED = {
    "SEM-CLIP paper (arXiv 2502.14884, ICCAD 2024)": (2.0, 1.3, 21.1),
    "document 002, a second account of the paper": (1.3, 0.4, 1.5),
}


def summarise(table):
    """Mean, standard deviation and 95 % t-interval over the episodes' seeds.

    The test set is fixed, so the interval covers the choice of the shots, not of the test images.

    Parameters
    ----------
    table : DataFrame
        method, supervision, k, seed and scores, as `study.evaluate` returns it.

    Returns
    -------
    DataFrame
        method, supervision, k, episodes and for each score ``<score>``, ``_sd``, ``_lo``, ``_hi``.
    """
    summary = stats.summarise(table, KEYS[:3], table.columns.drop(KEYS))
    return summary.rename(columns={"count": "episodes"})


def readable(summary, heads, scores, gains=False):
    """Columns `heads` of a summary, and scores as "0.812 [0.790, 0.834]", with `gains` their gain."""
    shown = summary[heads].copy()
    for name in scores:
        shown[name] = saving.with_interval(summary, name)
        if gains:
            shown[f"{name}: full minus this"] = saving.with_interval(summary, f"{name} gain")
    return shown


def compare(table, reference=FULL):
    """Paired comparison of one method with each other one on the same episodes.

    Returns
    -------
    DataFrame
        method (the competitor), supervision, equal_supervision, k, metric, episodes, difference
        (mean of reference - competitor), lo, hi (95 %, not corrected for many comparisons),
        verdict. A score that one of the two lacks has no row.

    Raises
    ------
    ValueError
        If the reference is not in the table or a competitor ran on other episodes.
    """
    if reference not in set(table["method"]):
        raise ValueError(f"no method {reference!r} in the table: {list(table['method'].unique())}")
    ours = table[table["method"] == reference].set_index(["k", "seed"])
    comparisons = []
    for name, other in table[table["method"] != reference].groupby("method", sort=False):
        theirs = other.set_index(["k", "seed"])
        if differing := sorted(set(theirs.index) ^ set(ours.index)):
            raise ValueError(
                f"{name} and {reference} ran on different episodes (k, seed): {differing}"
            )
        supervision = theirs["supervision"].iloc[0]
        equal = bool(supervision == ours["supervision"].iloc[0])
        head = {"method": name, "supervision": supervision, "equal_supervision": equal}
        for metric in table.columns.drop(KEYS):
            pairs = pd.DataFrame({"ours": ours[metric], "theirs": theirs[metric]}).dropna()
            for k, some in pairs.groupby(level="k", sort=False):
                drawn = {"k": k, "metric": metric, "episodes": len(some)}
                comparisons.append(head | drawn | stats.paired(some["ours"], some["theirs"]))
    return pd.DataFrame(comparisons)


def against(table, metrics, k):
    """`compare` of SEM-CLIP with each competitor at `k` shots, by supervision: list of DataFrame.

    Against methods that see labels or nothing SEM-CLIP runs at the same supervision (column
    `ours`). Those that see masks without classes, or defect-free images only, have no equal: there
    the full model stands, and `equal_supervision` is False.
    """
    table = table[table["k"] == k]
    own = table["method"].str.startswith(FULL)
    parts = []
    for supervision, others in table[~own].groupby("supervision", sort=False):
        ours = RUNGS.get(supervision, FULL)
        if ours in set(table["method"]):
            both = pd.concat([table[table["method"] == ours], others])
            part = compare(both, reference=ours).assign(ours=ours)
            parts.append(part[part["metric"].isin(metrics)])
    return parts


def as_table(parts):
    """One row a competitor, one column a metric: "+0.051 [+0.020, +0.082] wins"."""
    table = pd.concat(parts)
    table["text"] = [
        f"{one.difference:+.3f} [{one.lo:+.3f}, {one.hi:+.3f}] {one.verdict}"
        for one in table.itertuples()
    ]
    keys = ["ours", "method", "supervision", "equal_supervision"]
    look = {"columns": "metric", "values": "text", "aggfunc": "first", "sort": False}
    wide = table.pivot_table(index=keys, **look).reset_index()
    return wide.rename(columns={"method": "competitor"}).rename_axis(columns=None)


def ablation(segmentation, classification):
    """Scores of each variant, and what the full model has more, paired over episodes.

    Returns
    -------
    DataFrame
        variant, k and for each of `ABLATION_METRICS` mean, _sd, _lo, _hi and the same for
        "<metric> gain", the difference full minus variant.
    """
    both = segmentation.merge(classification, on=KEYS)[[*KEYS, *ABLATION_METRICS]]
    both["method"] = both["method"].replace(FULL, "full")
    full = both[both["method"] == "full"].set_index(["k", "seed"])[ABLATION_METRICS]
    same_episode = full.loc[list(zip(both["k"], both["seed"], strict=True))].to_numpy()
    both[[f"{name} gain" for name in ABLATION_METRICS]] = same_episode - both[ABLATION_METRICS]
    return summarise(both).rename(columns={"method": "variant"}).drop(columns="supervision")


def published():
    """What is published of SEM-CLIP's gains over PromptAD; the two accounts differ."""
    return pd.DataFrame(
        {"source": source, "method": "PromptAD", "k": 10, "metric": metric}
        | {"difference": gain / 100, "status": STATUS}
        for source, gains in PUBLISHED.items()
        for metric, gain in zip(("iAUROC", "pAUROC", "F1-max"), gains, strict=True)
    )


def text_alarm(model, images, written, places):
    """What text burnt into images does to a fitted `SemClip`, before and after tuning.

    Parameters
    ----------
    images, written : uint8 array (N, H, W)
        Without and with text.
    places : bool array (N, H, W)
        Where the text stands.

    Returns
    -------
    DataFrame
        Mean anomaly on the text and elsewhere, mean score without and with text, share raised.
    dict of str to array
        Maps of the images with text, "before" and "after" tuning.
    """
    lines, maps = [], {}
    for state, predict in {"before": model.zero_shot, "after": model.predict}.items():
        plain = model.anomaly_scores(predict(images))
        prediction = predict(written)
        scores = model.anomaly_scores(prediction)
        maps[state] = prediction.anomaly_maps
        line = {"tuning": state, "map on text": maps[state][places].mean()}
        line |= {"map elsewhere": maps[state][~places].mean(), "score without text": plain.mean()}
        line |= {"score with text": scores.mean(), "raised": np.mean(scores > plain)}
        lines.append(line)
    return pd.DataFrame(lines), maps
