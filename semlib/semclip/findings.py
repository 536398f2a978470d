"""What readers see of the study: means with intervals, comparisons at equal supervision, claims."""

import numpy as np
import pandas as pd

from semlib import saving, stats
from semlib.semclip import pixels
from semlib.semclip.study import FULL, HERE, KEYS

MAIN = ["iAUROC", "pAUROC", "F1-max", "accuracy", "F1"]  # of both tables
# SEM-CLIP at the supervision of a competitor; against others the full model stands
EQUAL = {"none": "SEM-CLIP, zero-shot", "labels": "SEM-CLIP, labels only"}
MASKS = ("masks", "labels + masks")  # of the methods that SEM-CLIP + pixels is compared with


def summarise(table):
    """Mean, ``_sd`` and 95 % t-interval ``_lo``, ``_hi`` of each score over the episodes' seeds.

    The test set is fixed, so the interval covers the choice of the shots, not of the test images.
    `table` is one of `study.evaluate`.
    """
    summary = stats.summarise(table, KEYS[:3], table.columns.drop(KEYS))
    return summary.rename(columns={"count": "episodes"})


def readable(summary, heads, scores, gains=False):
    """Columns `heads`, and scores as "0.812 [0.790, 0.834]", with `gains` also what is gained."""
    shown = summary[heads].copy()
    for name in scores:
        shown[name] = saving.with_interval(summary, name)
        if gains:
            shown[f"{name}: full minus this"] = saving.with_interval(summary, f"{name} gain")
    return shown


def against(table, scores, k, *, method=None):
    """SEM-CLIP minus each competitor at `k` shots, paired over episodes.

    Methods that see masks without classes, or defect-free images only, have no equal: there the
    full model stands, and `equal_supervision` is False. Intervals are not corrected for many
    comparisons. No row where one of the two lacks a score. `method` names another one, which then
    stands against all others.
    """
    table = table[table["k"] == k].set_index("seed")
    own = [method] if method else [FULL, *EQUAL.values()]
    others = table[~table["method"].isin(own)]
    others = others.sort_values("supervision", key=lambda one: one.factorize()[0], kind="stable")
    comparisons = []
    for (supervision, competitor), theirs in others.groupby(["supervision", "method"], sort=False):
        name = method or EQUAL.get(supervision, FULL)
        ours = table[table["method"] == name]
        head = {"ours": name, "competitor": competitor, "supervision": supervision}
        head["equal_supervision"] = ours["supervision"].eq(supervision).all()
        for score in scores:
            pairs = pd.DataFrame({"ours": ours[score], "theirs": theirs[score]}).dropna()
            if len(pairs):
                drawn = {"metric": score, "episodes": len(pairs)}
                comparisons.append(head | drawn | stats.paired(pairs["ours"], pairs["theirs"]))
    return pd.DataFrame(comparisons)


def comparison(segmentation, classification, k):
    """`against` for the main scores, one row a competitor, see `in_words`.

    SEM-CLIP + pixels has rows of its own, against all methods that see masks.
    """
    parts = []
    for table, names in ((segmentation, MAIN[:3]), (classification, MAIN[3:])):
        parts.append(against(table, names, k))
        if (table["method"] == pixels.NAME).any():
            masked = table[table["supervision"].isin(MASKS)]
            parts.append(against(masked, names, k, method=pixels.NAME))
    keys = ["ours", "competitor", "supervision", "equal_supervision"]
    return in_words(pd.concat(parts), keys)


def in_words(comparisons, keys):
    """One row for each value of `keys`, one column a score: "+0.051 [+0.020, +0.082] wins"."""
    text = "{difference:+.3f} [{lo:+.3f}, {hi:+.3f}] {verdict}"
    said = [text.format(**one) for one in comparisons.to_dict("records")]
    look = {"columns": "metric", "values": "text", "aggfunc": "first", "sort": False}
    table = comparisons.assign(text=said).pivot_table(index=keys, **look)
    return table.reset_index().rename_axis(columns=None)


def ablation(segmentation, classification):
    """Summary of each variant's `MAIN` scores and of "<score> gain", full minus variant."""
    both = segmentation.merge(classification, on=KEYS)[[*KEYS, *MAIN]]
    both["method"] = both["method"].replace(FULL, "full")
    full = both[both["method"] == "full"].set_index(["k", "seed"])[MAIN]
    same_episode = full.loc[list(zip(both["k"], both["seed"], strict=True))].to_numpy()
    both[[f"{name} gain" for name in MAIN]] = same_episode - both[MAIN].to_numpy()
    return summarise(both).rename(columns={"method": "variant"}).drop(columns="supervision")


def published():
    """What is published of SEM-CLIP's gains over PromptAD; the two accounts differ."""
    return pd.read_csv(HERE / "published.csv")


def text_alarm(model, images, written, places):
    """What text burnt into images does to a fitted `SemClip`, before and after tuning.

    `images` and `written` uint8 (N, H, W) are without and with text, which stands at `places`.
    Returns a table, and the maps of the images with text by "before" and "after".
    """
    lines = []
    maps = {}
    for tuning, predict in {"before": model.zero_shot, "after": model.predict}.items():
        plain = model.anomaly_scores(predict(images))
        prediction = predict(written)
        scores = model.anomaly_scores(prediction)
        maps[tuning] = prediction.anomaly_maps
        line = {"tuning": tuning, "map on text": maps[tuning][places].mean()}
        line |= {"map elsewhere": maps[tuning][~places].mean(), "score without text": plain.mean()}
        line |= {"score with text": scores.mean(), "raised in": np.mean(scores > plain)}
        lines.append(line)
    return pd.DataFrame(lines), maps
