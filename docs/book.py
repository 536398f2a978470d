"""What the site needs beside Sphinx: notebooks linked to papers and code, the gallery, formulas without a network."""

import csv
import fnmatch
import json
from pathlib import Path

import nbformat
from docutils import nodes
from latex2mathml.converter import convert

from semlib import paths
from semlib.driver.notebook import numbered

HERE = Path(__file__).parent
with open(HERE / "papers.csv", encoding="utf-8", newline="") as file:
    ROWS = list(csv.DictReader(file))


def setup(app):
    """Register with Sphinx; ``-D dataset=NAME`` chooses whose executed notebooks are shown."""
    app.add_config_value("dataset", "synthetic", "env")
    app.add_html_math_renderer("mathml", (_inline_math, None), (_display_math, None))
    app.connect("config-inited", _collect)
    app.connect("autodoc-skip-member", _skip)
    app.connect("autodoc-process-docstring", _used_in, priority=900)  # after numpydoc
    return {"parallel_read_safe": True}


def _inline_math(self, node):
    self.body.append(convert(node.astext()))
    raise nodes.SkipNode


def _display_math(self, node):
    self.body.append(f'<div class="formula">{convert(node.astext(), display="block")}</div>\n')
    raise nodes.SkipNode


def _collect(app, config):
    """Fill ``notebooks/``: the pages of the notebooks, and what other pages include."""
    place, folder = paths.of(config.dataset), Path(app.srcdir) / "notebooks"
    run = json.loads(place.run_json.read_text(encoding="utf-8")) if place.run_json.exists() else {}
    names = {book.name for book in numbered()}
    for old in folder.glob("*.ipynb"):
        if old.stem not in names:
            old.unlink()
    for book in numbered():
        executed = place.notebooks / book.path.name
        record = run.get("notebooks", {}).get(book.name) if executed.exists() else None
        own = [row for row in ROWS if row["notebook"] == book.name]
        page = nbformat.read(executed if executed.exists() else book.path, as_version=4)
        page.cells.insert(1, _cell("book-state", _state(executed.exists(), record, place.name)))
        page.cells.append(_cell("book-links", "## In the paper and in the code\n\n" + _table(own)))
        _write(folder / book.path.name, nbformat.writes(page))
    _write(folder / "papers.inc", _papers())
    _write(folder / "gallery.inc", _gallery(Path(app.srcdir).parent / "figures" / "gallery"))
    pages = {"report": "Report of the run", "explorer": "Explorer: the embedding, image by image"}
    found = {
        name: title for name, title in pages.items() if (place.figures / f"{name}.html").exists()
    }
    config.html_extra_path += [str(place.figures / f"{name}.html") for name in found]
    _write(
        folder / "pages.inc",
        "".join(f'- <a href="{name}.html">{title}</a>\n' for name, title in found.items()),
    )


def _cell(name, text):
    return nbformat.v4.new_markdown_cell(text, id=name)


def _write(path, text):
    """Write what has changed, so that Sphinx reads again only that."""
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        with paths.atomic(path) as temporary:
            temporary.write_text(text, encoding="utf-8")


def _state(executed, record, dataset):
    if not executed:
        return (
            ":::{warning}\nThis is the stored notebook, **without results**: it had not been run when this site was "
            "built. `make reproduce` runs all of them.\n:::"
        )
    how = (
        f", profile {record['profile']}, seed {record['seed']}, {record['started'][:10]}"
        if record
        else ""
    )
    return f":::{{note}}\nExecuted: data set `{dataset}`{how}.\n:::"


def _table(rows, notebooks=""):
    """Rows of papers.csv as a Markdown table; `notebooks` is the way to their pages, empty to leave them out."""
    lines = ["| section | what | code |", "| --- | --- | --- |"]
    for row in rows:
        there = (
            f" in [{row['notebook'][:2]}]({notebooks}{row['notebook']}.ipynb)" if notebooks else ""
        )
        lines.append(f"| {row['section']} | {row['what']} | {{py:obj}}`~{row['code']}`{there} |")
    return "\n".join(lines) + "\n"


def _papers():
    """All of papers.csv, a table for each work."""
    works = dict.fromkeys(row["work"] for row in ROWS)
    tables = {
        work: _table([row for row in ROWS if row["work"] == work], "notebooks/") for work in works
    }
    return "\n".join(f"## {work}\n\n{table}" for work, table in tables.items())


def _gallery(folder):
    """Every picture of ``figures/gallery`` with its caption and the notebook that draws it."""
    with open(paths.ROOT / "semlib" / "captions.csv", encoding="utf-8", newline="") as file:
        captions = [(row["name"], row["caption"]) for row in csv.DictReader(file)]
    books, figures = numbered(), []
    for picture in sorted(folder.glob("*.png")):
        name = picture.stem
        text = next(
            (caption for pattern, caption in captions if fnmatch.fnmatch(name, pattern)), name
        )
        maker = next((book.name for book in books if f'"{name}"' in book.code), None)
        link = f" [Notebook {maker[:2]}](notebooks/{maker}.ipynb)." if maker else ""
        figures.append(
            f":::{{figure}} ../figures/gallery/{picture.name}\n:alt: {text}\n\n{text}{link}\n:::\n"
        )
    return "\n".join([":::::{container} gallery", *figures, ":::::\n"])


def _skip(app, what, name, obj, skip, options):
    """Leave out the fields of named tuples: their class describes them."""
    return (
        True if (getattr(obj, "__doc__", None) or "").startswith("Alias for field number") else None
    )


def _used_in(app, what, name, obj, options, lines):
    """Name the notebook and the section of the paper below a docstring."""
    for row in ROWS:
        if row["code"] == name:
            lines += [
                "",
                f"Notebook :doc:`/notebooks/{row['notebook']}`; {row['work']}: {row['section']}.",
                "",
            ]
