"""The report of a run: ``figures/<dataset>/report.md`` and ``report.html``, made of what lies in that folder."""

import base64
import csv
import fnmatch
import hashlib
import io
import json
import re
from pathlib import Path

from semlib import paths
from semlib.driver import notebook as nb
from semlib.paths import atomic

ROWS = 40  # of a table; the CSV has all
_CAPTIONS = Path(__file__).with_name("captions.csv")
_OWN = ("report.md", "report.html")
_STYLE = """body { font: 16px/1.5 system-ui, sans-serif; max-width: 64rem; margin: 0 auto; padding: 1rem; color: #222 }
img { max-width: 100%; height: auto } figure { margin: 1.5rem 0 } figcaption, nav { font-size: .9rem; color: #444 }
table { border-collapse: collapse; display: block; overflow-x: auto; font-size: .85rem }
th, td { padding: .2rem .6rem; border-bottom: 1px solid #ddd; text-align: left; white-space: nowrap }
code { background: #f3f3f3; overflow-wrap: anywhere } h2 { border-top: 1px solid #ccc; padding-top: 1rem }"""


def write(dataset):
    """Write the report anew if any figure, table, caption, notebook or the record of the run has changed.

    Parameters
    ----------
    dataset : str or path

    Returns
    -------
    Path or None
        ``report.html``, or None where the report that is there is up to date.
    """
    place = paths.of(dataset)
    mark = f"<!-- state {_state(place)} -->"
    report, page = (place.figures / name for name in _OWN)
    if (
        page.exists()
        and report.exists()
        and report.read_text(encoding="utf-8").rstrip().endswith(mark)
    ):
        return None
    text = _text(dataset, place)
    with atomic(page) as temporary:
        temporary.write_text(_html(text, place.figures), encoding="utf-8")
    with atomic(report) as temporary:
        temporary.write_text(f"{text}\n{mark}\n", encoding="utf-8")
    return page


def _shown(place):
    """Figures and tables, the names without ending, hidden files and the report itself left out."""
    found = [path for ending in ("png", "csv", "md") for path in place.figures.glob(f"*.{ending}")]
    return sorted(path for path in found if path.name not in _OWN and not path.name.startswith("."))


def _state(place):
    used = [
        *_shown(place),
        place.run_json,
        _CAPTIONS,
        Path(__file__),
        *(book.path for book in nb.numbered()),
    ]
    stats = [
        (path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in used if path.exists()
    ]
    return hashlib.sha256(json.dumps(stats).encode()).hexdigest()[:16]


def _text(dataset, place):
    """The whole report as Markdown."""
    from semlib import saving  # with matplotlib: only when there is something to write

    run = json.loads(place.run_json.read_text(encoding="utf-8")) if place.run_json.exists() else {}
    books, records = nb.numbered(), run.get("notebooks", {})
    items = _by_notebook({path.stem for path in _shown(place)}, books)
    data = saving.source(dataset)
    lines = [f"# Report: {place.name}", f"**Data: {data}.**"]
    if place.name == "synthetic":
        lines.append(
            "Everything here is **synthetic** unless its caption or stamp says otherwise: simulated images, which show "
            "that the methods run and how they compare on known ground, not what they reach on Carinthia."
        )
    lines += ["## The run", _runs(books, records), *_beside_the_paper(place.figures)]
    if (place.figures / "explorer.html").exists():
        lines.append("To look at the embedding image by image: [explorer](explorer.html).")
    for book in books:
        lines += _section(
            book, records.get(book.name), [_item(place.figures, name) for name in items[book.name]]
        )
    if items[None]:
        lines += ["## Other files", *(_item(place.figures, name) for name in items[None])]
    machine = {name: value for name, value in run.items() if not isinstance(value, dict)} | run.get(
        "packages", {}
    )
    return (
        "\n\n".join([*lines, "## Machine, code and versions", _table(["", ""], machine.items())])
        + "\n"
    )


def _by_notebook(names, books):
    """Names of figures and tables by the notebook that writes them, in its order; under None what no notebook names."""
    found = {book.name: [] for book in books} | {None: []}
    for name in sorted(names):
        places = ((book.name, place) for book in books if (place := _place(name, book)) is not None)
        book, place = next(places, (None, 0))
        found[book].append((place, name))
    return {book: [name for _, name in sorted(items)] for book, items in found.items()}


def _place(name, book):
    """Where in its code, or else behind that in its outputs, a notebook names a figure or table; None: nowhere."""
    if (at := book.code.find(f'"{name}"')) >= 0:
        return at
    outputs = [Path(output).with_suffix("").as_posix() for output in book.outputs]
    fitting = (i for i, output in enumerate(outputs) if fnmatch.fnmatch(f"figures/{name}", output))
    return next((len(book.code) + i for i in fitting), None)


def _runs(books, records):
    rows = []
    for book in books:
        record = records.get(book.name)
        facts = ["**not run**", "", "", ""]
        if record:
            started = record["started"].removesuffix("+00:00").replace("T", " ")
            facts = [started, record["seconds"], record["profile"], record["seed"]]
        rows.append([book.name, *facts])
    return _table(["notebook", "started (UTC)", "seconds", "profile", "seed"], rows)


def _title(book):
    first = next((c["source"] for c in book.cells if c["cell_type"] == "markdown"), "")
    return first.splitlines()[0].lstrip("# ") if first.startswith("#") else book.name


def _section(book, record, items):
    lines = [f"## {_title(book)}"]
    words = "\n".join(cell["source"] for cell in book.cells if cell["cell_type"] == "markdown")
    if question := re.search(r"\*\*Question\.\*\*(.*?)(?:\n\n|$)", words, flags=re.DOTALL):
        lines.append(" ".join(question[1].split()))
    if record is None:
        lines.append(
            f"**Not run**: no finished run on record.{' What follows is of an earlier run.' if items else ''}"
        )
    else:
        values = ", ".join(f"`{name}` {value}" for name, value in record["parameters"].items())
        lines.append(
            f"Ran to its end, its own checks included, in {record['seconds']:.0f} s. Parameters: {values}."
        )
    return lines + items


def _item(folder, name):
    """A table with its caption, a figure with its caption, or both; a table for programs by its columns alone."""
    parts = []
    if (folder / f"{name}.md").exists():
        body, _, caption = (folder / f"{name}.md").read_text(encoding="utf-8").partition("\n\n")
        rows = body.splitlines()
        more = (
            f" The first {ROWS} of {len(rows) - 2} rows; all in `{name}.csv`."
            if len(rows) - 2 > ROWS
            else ""
        )
        parts += ["\n".join(rows[: ROWS + 2]), f"**Table `{name}`.** {caption.strip()}{more}"]
    elif (folder / f"{name}.csv").exists():
        with open(folder / f"{name}.csv", encoding="utf-8", newline="") as file:
            head, *rows = csv.reader(file)
        parts.append(f"`{name}.csv`: {len(rows)} rows of {', '.join(head)}.")
    if (folder / f"{name}.png").exists():
        parts += [f"![{name}]({name}.png)", f"**Figure `{name}`.** {_caption(folder, name)}"]
    return "\n\n".join(parts)


def _caption(folder, name):
    """The first line of captions.csv that fits, and where the data come from, if the picture's own text says it."""
    from PIL import Image

    with open(_CAPTIONS, encoding="utf-8", newline="") as file:
        said = next(
            (row["caption"] for row in csv.DictReader(file) if fnmatch.fnmatch(name, row["name"])),
            "",
        )
    with Image.open(folder / f"{name}.png") as image:
        data = image.info.get("Source")
    return f"{said} Data: {data}.".lstrip() if data else said


def _beside_the_paper(folder):
    """Every value of a table that has the paper's beside it, in columns ``<score>`` and ``paper_<score>``."""
    import pandas as pd

    rows = []
    for path in sorted(folder.glob("*.csv")):
        if "paper_" not in path.open(encoding="utf-8").readline():
            continue
        table = pd.read_csv(path)
        for score in (name for name in table if f"paper_{name}" in table):
            for _, row in table.dropna(subset=[f"paper_{score}"]).iterrows():
                ours, paper, low, high = (
                    row.get(n) for n in (score, f"paper_{score}", f"{score}_lo", f"{score}_hi")
                )
                interval, inside = (
                    ("–", "–")
                    if low is None
                    else (f"[{low:.3f}, {high:.3f}]", low <= paper <= high)
                )
                inside = {True: "yes", False: "no"}.get(inside, inside)
                rows.append(
                    [path.stem, row.iloc[0], score, f"{ours:.3f}", interval, f"{paper:.3f}", inside]
                )
    if not rows:
        return []
    head = ["table", "row", "score", "ours", "95 % interval", "paper", "paper inside our interval"]
    note = "The paper's numbers are of Carinthia; on other images they are for comparison, not a target."
    return ["## Paper and ours", _table(head, rows), note]


def _table(head, rows):
    cells = [head, ["---"] * len(head), *rows]
    return "\n".join(
        "| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |" for row in cells
    )


def _html(text, folder):
    """The Markdown as one page that needs no other file: pictures become data URIs."""
    import mistune
    from mistune.toc import add_toc_hook, render_toc_ul

    class Inline(mistune.HTMLRenderer):
        def image(self, text, url, title=None):
            return (
                f'<img src="{_data_uri(folder / url)}" alt="{mistune.escape(text)}" loading="lazy">'
            )

    markdown = mistune.Markdown(renderer=Inline(), plugins=[mistune.plugins.import_plugin("table")])
    add_toc_hook(markdown, min_level=2, max_level=2)
    body, state = markdown.parse(text)
    contents = f"<nav>{render_toc_ul(state.env['toc_items'])}</nav>"
    title = mistune.escape(text.splitlines()[0].lstrip("# "))
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head>\n'
        f"<body>{body.replace('</h1>', f'</h1>{contents}', 1)}</body></html>\n"
    )


def _data_uri(path):
    """A picture as WebP, a third of the PNG's size, at most 1,600 pixels wide."""
    from PIL import Image

    file = io.BytesIO()
    with Image.open(path) as image:
        image = image.convert("RGB")
        image.thumbnail((1600, 8000), Image.Resampling.LANCZOS)
        image.save(file, "WEBP", quality=85)
    return "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode()
