"""What a bench found, as text."""

import numpy as np

from semlib.bench.stages import TEXTURES


def rows(stages):
    """Table of the stages, and the textures together.

    Parameters
    ----------
    stages : dict
        Name -> row of ``bench.json``.
    """
    lines = [
        [
            "stage",
            "reference",
            "N",
            "reference s",
            "ours s",
            "ratio",
            "target",
            "memory MB",
            "per s",
            "equal",
        ]
    ]
    for row in stages.values():
        seconds = [f"{row[f'{side}_seconds']:.2f}" for side in ("reference", "ours")]
        memory = " / ".join(f"{row[f'{side}_memory'] / 1e6:.0f}" for side in ("reference", "ours"))
        target = f"{row['target']:g}" if row["target"] else ""
        numbers = [*seconds, f"{row['ratio']:.1f}", target, memory, f"{row['per_second']:.3g}"]
        lines.append([row["stage"], row["reference"], str(row["count"]), *numbers, _equality(row)])
    if all(name in stages for name in TEXTURES):
        spent = [
            sum(stages[name][f"{side}_seconds"] for name in TEXTURES)
            for side in ("reference", "ours")
        ]
        sums = [f"{spent[0]:.2f}", f"{spent[1]:.2f}", f"{spent[0] / spent[1]:.1f}", "6"]
        lines.append(
            ["GLCM, LBP, wavelet together", "", str(stages["glcm"]["count"]), *sums, "", "", ""]
        )
    return _aligned(lines, left=(0, 1, 9))


def growth(found):
    """Table of cost and memory over N: exponent of the seconds, memory at each N and its slope.

    Parameters
    ----------
    found : dict
        Name -> result of `semlib.bench.process.grow`.
    """
    lines = [["stage", "N", "seconds", "exponent", "memory MB", "kB an image"]]
    for name, cost in found.items():
        counts, seconds, memory = cost["counts"], cost["seconds"], np.array(cost["memory"]) / 1e6
        slope = 1e3 * np.polyfit(counts, memory, 1)[0]
        cells = [
            counts,
            [f"{s:.2f}" for s in seconds],
            [f"{exponent(counts, seconds):.2f}"],
            [f"{m:.0f}" for m in memory],
        ]
        lines.append([name, *(" ".join(map(str, cell)) for cell in cells), f"{slope:.1f}"])
    return _aligned(lines, left=(0,))


def exponent(counts, costs):
    """Slope of log cost over log count (least squares): 1 where the cost is in proportion to the count."""
    return float(np.polyfit(np.log(counts), np.log(costs), 1)[0])


def _equality(row):
    if "ours_quality" in row:
        pair = f"{row['reference_quality']:.4g} / {row['ours_quality']:.4g}"
        return f"{row['compared']} {pair}, {'at most' if row['equal'] else 'MORE THAN'} {row['tolerance']:g} less"
    word = "equal" if row["equal"] else "DIFFER"
    return f"{row['compared']} {word}: {row['difference']:.1e}, allowed {row['tolerance']:g}"


def _aligned(lines, left):
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    cells = [[c.ljust(w) if i in left else c.rjust(w) for i, (c, w) in enumerate(zip(line, widths, strict=True))]
             for line in lines]  # fmt: skip
    return "\n".join("  ".join(line).rstrip() for line in cells)
