"""Table 1 and the tables beside it as a reader sees them, and what they say in words."""

import pandas as pd

from semlib.saving import with_interval

PAPER_TABLE1 = {  # Sci Rep 2026, Table 1: silhouette, NMI
    "GLCM": (0.428901, 0.287785),
    "LBP": (0.312685, 0.289118),
    "Wavelet": (0.449926, 0.210032),
    "PCA (raw pixels)": (0.222131, 0.281617),
    "Proposed SSL": (0.501581, 0.203185),
}
TITLES = {"silhouette": "silhouette", "nmi": "NMI", "ari": "ARI", "knn_macro": "1-NN macro"}
TITLES["probe"] = "probe"
MORE_TITLES = {"macro_silhouette": "macro silhouette", "ami": "AMI", "v_measure": "V"}
MORE_TITLES |= {"homogeneity": "homogeneity", "completeness": "completeness"}
MORE_TITLES |= {"knn_micro": "1-NN micro", "embedding_std": "std", "uniformity": "uniformity"}


def table1(summary):
    """The paper's methods in a `scoreboard.summary`, with the paper's values beside ours."""
    names = [f"{score}{end}" for score in ("silhouette", "nmi") for end in ("", "_lo", "_hi")]
    table = summary.loc[summary["method"].isin(PAPER_TABLE1), ["method", *names, "rankme"]]
    paper = pd.DataFrame(PAPER_TABLE1, index=["paper_silhouette", "paper_nmi"]).T
    return table.reset_index(drop=True).join(paper, on="method")


def table1_shown(table):
    """`table1` as readers see it: intervals in brackets."""
    shown = table[["method"]].assign(silhouette=with_interval(table, "silhouette"))
    shown["NMI"] = with_interval(table, "nmi")
    shown["RankMe"] = table["rankme"].map("{:.1f}".format)
    shown[["paper silhouette", "paper NMI"]] = table[["paper_silhouette", "paper_nmi"]]
    return shown


def controls_shown(table):
    """All scores of summaries with a column space, as readers see them."""
    shown = table[["method", "space"]].assign(silhouette=with_interval(table, "silhouette"))
    shown["RankMe"] = table["rankme"].map("{:.1f}".format)
    for name, title in TITLES.items():
        shown[title] = with_interval(table, name)
    shown[list(MORE_TITLES.values())] = table[list(MORE_TITLES)]
    return shown


def paired_shown(table):
    """`scoreboard.paired` as readers see it."""
    shown = table[["method", "space", "score", "pairs"]].copy()
    shown["difference"] = with_interval(table, "difference")
    shown[["p", "p (sign flip)", "p (Holm)"]] = table[["p", "p_sign", "p_holm"]]
    return shown


def remarks(table, count, dimensions):
    """What the table of controls says about `count` images, in sentences."""
    raw = table[table["space"] == "as it is"].set_index("method")
    noise = raw.loc["noise, 1-D", "silhouette"]
    above = raw.index[raw["silhouette"] > noise].tolist()
    lines = [
        f"One-dimensional noise scores a silhouette of {noise:.3f} on {count} points; the paper "
        f"reports {PAPER_TABLE1['Proposed SSL'][0]:.3f} for its SSL on Carinthia, this run gives "
        f"{raw.loc['Proposed SSL', 'silhouette']:.3f} at a RankMe of "
        f"{raw.loc['Proposed SSL', 'rankme']:.1f} out of {dimensions}.",
        f"Above the noise: {', '.join(above) or 'no method'}.",
    ]
    for space, part in table.groupby("space", sort=False):
        for name in ("silhouette", "ari", "knn_macro", "probe"):
            best = part.set_index("method")[name].dropna().nlargest(3)
            order = [f"{method} {value:.3f}" for method, value in best.items()]
            if order:
                lines.append(f"Highest {TITLES[name]}, {space}: {', '.join(order)}.")
    return lines


def correlations(history, names):
    """Spearman's correlation with RankMe over the epochs of each training: DataFrame of floats."""
    each = history.groupby("training")[[*names, "rankme"]].corr("spearman")
    return each.xs("rankme", level=1)[names]
