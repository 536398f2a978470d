"""The table of the benchmarks: both sides of each stage, their ratio, how equal they are."""

import numpy as np
from tabulate import tabulate

HEADER = ["stage", "reference", "images", "its s", "our s", "ratio", "its MB", "our MB", "values"]


def difference(expected, values, *, one_sided=False):
    """Largest difference of two arrays: absolute for values up to 1, relative for larger ones.

    One-sided: by how much `values` falls short.
    """
    assert expected.shape == values.shape, f"reference {expected.shape}, ours {values.shape}"
    gaps = (expected - values) / np.maximum(1, np.abs(expected))
    return float((np.maximum(0, gaps) if one_sided else np.abs(gaps)).max())


def text(rows):
    """The table as Markdown."""
    lines = []
    for row in rows:
        seconds = [row["reference_seconds"], row["ours_seconds"]]
        numbers = [*(f"{s:.2f}" for s in seconds), f"{seconds[0] / seconds[1]:.1f}"]
        numbers += [f"{row[f'{side}_memory'] / 1e6:.0f}" for side in ("reference", "ours")]
        word = "equal" if row["difference"] <= row["tolerance"] else "DIFFER"
        gap = f"{row['difference']:.0e}, allowed {row['tolerance']:g}"
        lines.append(
            [
                row["stage"],
                row["reference"],
                row["count"],
                *numbers,
                f"{row['compared']} {word} ({gap})",
            ]
        )
    return tabulate(lines, HEADER, "github", disable_numparse=True)
