"""Write the numbers of a run into README and docs, and draw their pictures: `make gallery`.

What a run decides stands between ``<!-- name -->`` and ``<!-- /name -->``. A name is a function
here, or a table of the run, then also with the rows and columns to show:
``<!-- semnr_dose | dose == '10' | restorer, PSNR -->``. Sentences put numbers side by side and
leave the verdict to the reader, so that no other run can make them wrong. Every run leaves its
times in ``runs.csv``; only one of the standard profile writes results and pictures.
"""

import json
import re
import sys
import xml.etree.ElementTree as xml

import pandas as pd

from semlib import paths

DOCS = paths.ROOT / "docs"
RUNS = DOCS / "runs.csv"
BLOCK = re.compile(
    r"(?P<head><!-- (?P<name>\w+)(?: \|(?P<rows>[^|\n]*)\| (?P<columns>[^|\n]*))? -->\n)"
    r"(?P<body>.*?)(?P<end><!-- /(?P=name) -->)",
    re.DOTALL,
)
PROFILES = {
    "quick": "a first look: small images, few epochs",
    "standard": "the default: three trainings of two recipes, every control",
    "paper": "the paper's exact sizes, one training",
    "study": "the paper's sizes, five seeds, every variant; best on a GPU",
}
SHOTS = DOSE = 10  # of each class; electrons a pixel: those that sentences are about
SUITES = {"test": "the whole test suite", "test-fast": "the tests that take seconds"}


class Run:
    """The tables of one finished run, and ``run.json``."""

    def __init__(self, dataset="synthetic"):
        self.folder = paths.of(dataset).figures
        self.record = json.loads((self.folder / "run.json").read_text(encoding="utf-8"))
        self.profile = self.record["profile"]
        self.books = pd.DataFrame(self.record["notebooks"]).T.sort_index()

    def csv(self, name, key):
        """A table by its column `key`."""
        return pd.read_csv(self.folder / f"{name}.csv").set_index(key)

    def near(self, name, key, wanted):
        """The value of the column `key` of a table that comes nearest to the one wanted."""
        return min(self.csv(name, key).index, key=lambda value: abs(value - wanted))

    def shown(self, name, rows, columns):
        """Rows (a query) and columns of a table as the run shows it, and its caption."""
        lines = (self.folder / f"{name}.md").read_text(encoding="utf-8").splitlines()
        cells = [re.split(r" *(?<!\\)\| *", line)[1:-1] for line in lines if line.startswith("|")]
        table = pd.DataFrame(cells[2:], columns=cells[0])
        if rows.strip():
            shots = str(self.near("semclip_segmentation", "k", SHOTS))
            table = table.query(rows, local_dict={"shots": shots})
        if table.empty:
            raise KeyError(f"rows of {name} with {rows}")
        table = table[columns.split(", ")] if columns else table
        return f"{_markdown(table)}\n\n{lines[-1]}"

    def costs(self):
        """What the run took, by notebook and in all: a row of ``runs.csv``."""
        books = self.books[self.books["profile"] == self.profile]
        seconds = books["seconds"].astype(float)
        begun = pd.to_datetime(books["started"])
        span = (begun + pd.to_timedelta(seconds, "s")).max() - begun.min()
        # Notebooks side by side overlap; a run that was taken up again has breaks in its span
        whole = min(span.total_seconds(), seconds.sum())
        parts = dict(zip(books.index.str[:2], seconds, strict=True))
        return {"what": self.profile, **self.about(), "seconds": whole, **parts}

    def about(self):
        """Machine, commit and day of the run."""
        memory = f"{self.record['memory'] / 2**30:.0f} GB"
        machine = f"{self.record['cpu_count']} cores, {self.record['cpu']}, {memory}"
        commit = self.record["git"][:7] + " and changes" * self.record["git_changed"]
        return {"machine": machine, "commit": commit, "date": self.record["started"][:10]}


def suites(run):
    """What whole test suites took that pytest left in ``docs/_build``, if nothing failed."""
    for report in [DOCS / "_build" / f"{name}.xml" for name in SUITES]:
        suite = xml.parse(report).find("testsuite").attrib if report.exists() else {"errors": "1"}
        if suite["errors"] == "0" and suite["failures"] == "0":
            day = {"commit": "", "date": suite["timestamp"][:10]}
            yield {"what": report.stem, **run.about(), **day, "seconds": float(suite["time"])}


def remember(rows):
    """Put rows in place of older ones of the same kind in ``runs.csv``; returns the whole."""
    kept = pd.DataFrame(rows).round(1).astype({"commit": str})
    if RUNS.exists():
        old = pd.read_csv(RUNS, dtype={"commit": str}, keep_default_na=False, na_values=[""])
        kept = pd.concat([old[~old["what"].isin(kept["what"])], kept])
    kept = kept.set_index("what")
    kept = kept.loc[[name for name in PROFILES | SUITES if name in kept.index]]
    paths.write_text(RUNS, kept.to_csv())
    return kept


def times(kept):
    """Commands, what they do and how long they took."""
    words = {f"make reproduce PROFILE={name}": text for name, text in PROFILES.items()}
    words |= {f"make {name}": text for name, text in SUITES.items()}
    took = [_time(kept["seconds"].get(name)) for name in PROFILES | SUITES]
    table = pd.DataFrame({"command": words.keys(), "what it is": words.values(), "takes": took})
    table["command"] = "`" + table["command"].str.replace(" PROFILE=standard", "") + "`"
    return f"{_markdown(table)}\n\nMeasured on {' and '.join(kept['machine'].unique())}, no GPU."


def costs(kept):
    """Times of each notebook in each recorded run, and where that was."""
    shown = kept[kept.index.isin(PROFILES)].rename(columns={"seconds": "all"})
    parts = shown[["all", *sorted(name for name in shown if name.isdigit())]].map(_time)
    about = shown[["machine", "commit", "date"]]
    return _markdown(parts.join(about).rename_axis("profile").reset_index())


def origin(run):
    """Which run the numbers are of."""
    given = run.books["parameters"]
    images, pixels = given["01_download"]["n_images"], given["02_preprocess"]["size"]
    about = run.about() | {"seed": run.record["seed"]}
    return (
        "One run of `make reproduce` at commit {commit}, {date}, seed {seed}: ".format(**about)
        + f"{images} **synthetic** images of {pixels} x {pixels} pixels."
    )


def prints(run):
    """What the terminal says, notebook by notebook."""
    seed = run.record["seed"]
    lines = [f"semlib {run.record['semlib']}: synthetic, profile {run.profile}, seed {seed}"]
    for number, (name, seconds) in enumerate(run.books["seconds"].items(), 1):
        lines.append(f"[{number}/{len(run.books)}] {name}  done in {seconds:.1f} s")
    return "\n".join(["```text", *lines, "report: figures/synthetic/report.html", "```"])


def findings(run):
    """A few sentences on each work, for who has two minutes."""
    scores = run.csv("table1_controls", "space").loc["as it is"].set_index("method")["silhouette"]
    paper = run.csv("table1", "method")["paper_silhouette"]
    shots = run.near("semclip_segmentation", "k", SHOTS)
    accuracy = run.csv("semclip_classification", "k").loc[shots].set_index("method")["accuracy"]
    wordless = accuracy[~accuracy.index.str.contains("CLIP|GAN|tokens")].dropna()
    maps = run.csv("semclip_segmentation", "k").loc[shots].set_index("method")["F1-max"]
    rival = maps[~maps.index.str.contains("SEM-CLIP|tokens")]
    electrons = run.near("semnr_dose", "dose", DOSE)
    dose = run.csv("semnr_dose", "dose").loc[electrons].set_index("restorer")
    noticed = run.csv("semnr_conflicts", "kind").loc["article", "sensitivity"]
    text = f"""
- **Clusters.** Six clusters of numbers drawn on a line have a silhouette of
  {scores["noise, 1-D"]:.2f}. The paper's recipe has {scores["Proposed SSL"]:.2f} here and
  {paper["Proposed SSL"]:.2f} in the paper. A silhouette means little without the effective
  dimension (RankMe) beside it.
- **SEM-CLIP.** With {shots} shots of each class it names {accuracy["SEM-CLIP"]:.0%} of new images
  rightly, from words alone {accuracy["SEM-CLIP, zero-shot"]:.0%}; the best method without words,
  {wordless.idxmax()}, {wordless.max():.0%}. Its maps have an F1-max of {maps["SEM-CLIP"]:.2f},
  {maps["SEM-CLIP + pixels (ours)"]:.2f} with our pixel filters; those of the best competitor,
  {rival.idxmax()}, {rival.max():.2f}.
- **SEMNR.** At {electrons} electrons a pixel a detector finds
  {dose["recall"]["SEMNR"]:.0%} of a defect after the network trained for trust,
  {dose["recall"]["U-Net MSE"]:.0%} after the one trained for PSNR,
  {dose["recall"]["noisy"]:.0%} in the noisy scan; PSNR is {dose["psnr"]["SEMNR"]:.1f},
  {dose["psnr"]["U-Net MSE"]:.1f} and {dose["psnr"]["noisy"]:.1f} dB. The article's three rules
  notice {noticed.min():.0%} to {noticed.max():.0%} of the damage that each is meant for."""
    return text.replace("\n  ", " ").replace("%", " %")


def paper_run():
    """The block "summary" of ``paper-run.md``."""
    text = (DOCS / "paper-run.md").read_text(encoding="utf-8")
    summary = {match["name"]: match["body"] for match in BLOCK.finditer(text)}["summary"]
    return f"{summary.strip()}\n\nMore of that run: `docs/paper-run.md`."


def fill(text, write):
    """A page with its blocks written anew by `write(name, rows, columns)`.

    A block whose file, row or column is missing stays as it is, and standard error says so.
    """

    def written(block):
        try:
            body = write(block["name"], block["rows"] or "", block["columns"]).strip()
        except (FileNotFoundError, KeyError, NameError) as missing:
            print(f"block {block['name']} stays as it is, missing: {missing}", file=sys.stderr)
            return block[0]
        return f"{block['head']}{body}\n{block['end']}"

    return BLOCK.sub(written, text)


def pages():
    """The pages whose blocks are filled here; ``paper-run.md`` has a command of its own."""
    docs = sorted(page for page in DOCS.glob("*.md") if page.name != "paper-run.md")
    return [paths.ROOT / "README.md", *docs]


def main():
    """Record the run, draw, and fill all pages."""
    import pictures

    run = Run()
    kept = remember([run.costs(), *suites(run)])
    own = {"times": lambda: times(kept), "costs": lambda: costs(kept), "paper_run": paper_run}
    if run.profile == "standard":
        own |= {make.__name__: lambda make=make: make(run) for make in (origin, prints, findings)}
        pictures.overview()
        pictures.copy(run.folder)

    def write(name, rows, columns):
        if name in own:
            return own[name]()
        if run.profile != "standard":
            raise KeyError(f"a standard run with {name}")
        return run.shown(name, rows, columns)

    for page in pages():
        paths.write_text(page, fill(page.read_text(encoding="utf-8"), write))


def _time(seconds):
    if pd.isna(seconds):
        return "not measured"
    return f"{seconds / 3600:.1f} h" if seconds >= 5400 else f"{seconds / 60:.1f} min"


def _markdown(table):
    return table.to_markdown(index=False, tablefmt="pipe", disable_numparse=True)


if __name__ == "__main__":
    main()
