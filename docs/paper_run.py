"""Write docs/paper-run.md from a run of 01 to 06 with the profile paper: times, memory, Table 1.

``python -m docs.paper_run`` reads figures/<dataset>/ of that run, by default that of ``synthetic``.
"""

import argparse
import json
from pathlib import Path

import pandas as pd

from semlib import paths, saving

PAGE = Path(__file__).with_name("paper-run.md")
GIGA = 1e9
NOTEBOOKS = ("01", "02", "03", "04", "05", "06")

TEXT = """# The paper at its own size

`{command}` on {data}. {count} images, {size}, one training. Written by `make
paper-run` from `run.json` and the tables of that run.

<!-- summary -->
01 to 06 took {minutes:.0f} minutes and at most {most:.1f} GB on {cores} cores ({cpu},
{memory:.0f} GB). The paper's recipe scores a silhouette of {silhouette:.3f} and an NMI of
{nmi:.3f}; six clusters of one-dimensional noise score a silhouette of {noise:.3f} on as many
points.
<!-- /summary -->

## Time and memory

{times}

Memory is the most that the notebook's processes held together. {remark}

## Table 1, {count} images

{table}

Data: {data}; paper values: Carinthia. Mean over {seeds} seeds of k-means and of the bootstrap,
one training. The simulated images have the layout, the counts and the documented statistics of
Carinthia, not its content, so the columns beside each other are a comparison and not a target.

## Collapse controls

{controls}

One-dimensional Gaussian noise, which holds nothing, scores a silhouette of {noise:.3f} on {count}
points. A silhouette near it says that the embedding lies near a line, and not that it found kinds
of defects: look at RankMe, ARI and 1-NN beside it.

## What a reader with the real archive should expect

- The same command with `--dataset carinthia`: about the same times, since images, sizes and steps
  are the same; a download of 273 MB before.
- Other values in Table 1, since these images are simulated. What does not depend on the images is
  the control: a silhouette near {noise:.2f} from noise.
- A killed run goes on from its last epoch; what is unchanged is skipped.

Machine: {cpu}, {cores} cores, {memory:.0f} GB; {platform}; Python {python}, torch {torch},
scikit-learn {sklearn}; semlib {version}, commit `{commit}`{changed}, {date}.
"""


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", default="synthetic", help="the data set of the run")
    parser.add_argument("--remark", default="", help="what ran beside it")
    parser.add_argument("--out", type=Path, default=PAGE, help="where to")
    options = parser.parse_args(arguments)
    place = paths.of(options.dataset)
    run = json.loads(place.run_json.read_text(encoding="utf-8"))
    records = {name: run["notebooks"][name] for name in sorted(run["notebooks"])}
    records = {name: one for name, one in records.items() if name[:2] in NOTEBOOKS}
    if [name[:2] for name in records] != list(NOTEBOOKS) or any(
        one["profile"] != "paper" for one in records.values()
    ):
        raise SystemExit(f"{place.run_json} holds no whole run of 01 to 06 with --profile paper")
    paths.write_text(options.out, page(options.dataset, place, run, records, options.remark))


def page(dataset, place, run, records, remark):
    """The page as Markdown."""
    controls = pd.read_csv(place.figures / "table1_controls.csv").query("space == 'as it is'")
    means = controls.set_index("method")
    level0 = json.loads(place.level0_json.read_text(encoding="utf-8"))
    count = len(pd.read_csv(place.manifest))
    names = ["silhouette", "rankme", "nmi", "ari", "knn_macro", "probe"]
    return TEXT.format(
        command=f"python -m semlib reproduce --dataset {dataset} --profile paper",
        data=saving.source(dataset),
        count=f"{count:,}",
        size="/".join(str(level0["size"] // 2**k) for k in range(3)) + " pixels",
        minutes=sum(one["seconds"] for one in records.values()) / 60,
        most=max(one.get("memory") or 0 for one in records.values()) / GIGA,
        times=_times(records).to_markdown(index=False, disable_numparse=True),
        remark=remark,
        table=_table(place).to_markdown(index=False, floatfmt=".3f"),
        controls=means[names]
        .rename(columns={"knn_macro": "1-NN macro"})
        .to_markdown(floatfmt=".3f"),
        seeds=records["05_baselines"]["parameters"]["n_seeds"],
        noise=means.loc["noise, 1-D", "silhouette"],
        silhouette=means.loc["Proposed SSL", "silhouette"],
        nmi=means.loc["Proposed SSL", "nmi"],
        cores=run["cpu_count"],
        cpu=run["cpu"],
        memory=run["memory"] / 2**30,
        platform=run["platform"],
        python=run["python"],
        torch=run["packages"]["torch"],
        sklearn=run["packages"]["scikit-learn"],
        version=run["semlib"],
        commit=(run["git"] or "unknown")[:7],
        changed=" with changes" if run["git_changed"] else "",
        date=run["started"][:10],
    )


def _times(records):
    lines = []
    for name, one in records.items():
        memory = f"{one['memory'] / GIGA:.1f}" if one.get("memory") else "–"
        lines.append({"notebook": name, "minutes": one["seconds"] / 60, "memory, GB": memory})
    table = pd.DataFrame(lines)
    table["minutes"] = table["minutes"].map("{:.1f}".format)
    return table


def _table(place):
    table = pd.read_csv(place.figures / "table1.csv")
    shown = table[["method"]].copy()
    for score in ("silhouette", "nmi"):
        shown[score] = saving.with_interval(table, score)
    shown["RankMe"] = table["rankme"]
    return shown.join(table[["paper_silhouette", "paper_nmi"]].rename(columns=_plain))


def _plain(name):
    return name.replace("_", " ")


if __name__ == "__main__":
    main()
