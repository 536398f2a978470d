"""What notebook 07 makes of the episodes: comparisons at equal supervision, the ablation's table, the text alarm."""

import numpy as np
import pandas as pd

from semlib.semclip import tables

ABLATION_METRICS = ["iAUROC", "pAUROC", "F1-max", "accuracy", "F1"]
RUNGS = {
    "none": "SEM-CLIP, zero-shot",
    "labels": "SEM-CLIP, labels only",
}  # of the same supervision as a competitor


def against(table, metrics, k):
    """SEM-CLIP minus each competitor, paired over episodes, SEM-CLIP with no more supervision than the competitor has.

    Against methods that see labels or nothing it runs at the same supervision. Those that see masks without classes, or
    defect-free images only, have no equal: there the full model stands, and `equal_supervision` is False.

    Parameters
    ----------
    table : DataFrame
        Of all episodes, see `runs.evaluate`.
    metrics : sequence of str
    k : int
        Shots a class.

    Returns
    -------
    list of DataFrame
        See `tables.compare`, with the column `ours`.
    """
    table, found = table[table["k"] == k], []
    own = table["method"].str.startswith("SEM-CLIP")
    for supervision, others in table[~own].groupby("supervision", sort=False):
        ours = RUNGS.get(supervision, "SEM-CLIP")
        if ours not in set(table["method"]):
            continue
        rows = tables.compare(pd.concat([table[table["method"] == ours], others]), reference=ours)
        found.append(rows[rows["metric"].isin(metrics)].assign(ours=ours))
    return found


def as_table(parts):
    """One row a competitor, one column a metric: "+0.051 [+0.020, +0.082] wins"."""
    rows = pd.concat(parts)
    rows["text"] = [
        f"{row.difference:+.3f} [{row.lo:+.3f}, {row.hi:+.3f}] {row.verdict}"
        for row in rows.itertuples()
    ]
    keys = ["ours", "method", "supervision", "equal_supervision"]
    wide = rows.pivot_table(
        index=keys, columns="metric", values="text", aggfunc="first", sort=False
    )
    return wide.reset_index().rename(columns={"method": "competitor"}).rename_axis(columns=None)


def ablation(segmentation, classification):
    """Each variant's metrics, and what the full model has more, paired over episodes.

    Parameters
    ----------
    segmentation, classification : DataFrame
        Of `runs.evaluate` on `study.ablations`.

    Returns
    -------
    DataFrame
        variant, k and for each of `ABLATION_METRICS` mean, _sd, _lo, _hi and the same for "<metric> gain", the
        difference full minus variant.
    """
    both = segmentation.merge(classification, on=tables.KEYS)[[*tables.KEYS, *ABLATION_METRICS]]
    both["method"] = both["method"].replace("SEM-CLIP", "full")
    full = both[both["method"] == "full"].set_index(["k", "seed"])[ABLATION_METRICS]
    gains = (
        full.loc[list(zip(both["k"], both["seed"], strict=True))].to_numpy()
        - both[ABLATION_METRICS].to_numpy()
    )
    both[[f"{name} gain" for name in ABLATION_METRICS]] = gains
    return tables.summarise(both).rename(columns={"method": "variant"}).drop(columns="supervision")


def alarm(model, images, tuned):
    """Anomaly maps (N, H, W) and scores (N,) of a fitted `SemClip`, tuned or as it is before any shot."""
    prediction = model.predict(images) if tuned else model.zero_shot(images)
    return prediction.anomaly_maps, model.anomaly_scores(prediction)


def patch_of(mask, grid):
    """Number of the patch that holds most of a mask (H, W), row by row on the `grid`."""
    rows, columns = grid
    ys, xs = np.nonzero(mask)
    cells = ys * rows // mask.shape[0] * columns + xs * columns // mask.shape[1]
    return int(np.bincount(cells, minlength=rows * columns).argmax())
