"""What the site needs beside Sphinx: notebooks linked to papers and code, and offline formulas."""

import json
from pathlib import Path

import nbformat
import pandas as pd
from docutils import nodes
from latex2mathml.converter import convert

from semlib import paths
from semlib.reproduce.notebook import numbered
from semlib.saving import markdown

PAPERS = pd.read_csv(Path(__file__).with_name("papers.csv"))
_STORED = """:::{warning}
This is the stored notebook, **without results**: it had not been run when this site was built.
`make reproduce` runs all of them.
:::"""


def setup(app):
    """Register with Sphinx; ``-D dataset=NAME`` chooses whose executed notebooks are shown."""
    app.add_config_value("dataset", "synthetic", "env")
    app.add_html_math_renderer("mathml", (_inline_math, None), (_display_math, None))
    app.connect("config-inited", _collect)
    app.connect("source-read", _on_site)
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
    place = paths.of(config.dataset)
    folder = Path(app.srcdir) / "notebooks"
    run = json.loads(place.run_json.read_text(encoding="utf-8")) if place.run_json.exists() else {}
    suite = numbered()
    for old in folder.glob("*.ipynb"):
        if old.stem not in {book.name for book in suite}:
            old.unlink()
    for book in suite:
        executed = place.notebooks / book.path.name
        record = run.get("notebooks", {}).get(book.name)
        page = nbformat.read(executed if executed.exists() else book.path, as_version=4)
        state = _state(record, place.name) if executed.exists() else _STORED
        links = "## In the paper and in the code\n\n" + _table(
            PAPERS.query("notebook == @book.name")
        )
        page.cells.insert(1, nbformat.v4.new_markdown_cell(state, id="book-state"))
        page.cells.append(nbformat.v4.new_markdown_cell(links, id="book-links"))
        _write(folder / book.path.name, nbformat.writes(page))
    works = PAPERS.groupby("work", sort=False)
    papers = [f"## {work}\n\n{_table(rows, 'notebooks/')}" for work, rows in works]
    _write(folder / "papers.inc", "\n".join(papers))
    pages = {"report": "Report of the run", "explorer": "Explorer: the embedding, image by image"}
    made = [name for name in pages if (place.figures / f"{name}.html").exists()]
    config.html_extra_path += [str(place.figures / f"{name}.html") for name in made]
    links = [f'- <a href="{name}.html">{pages[name]}</a>\n' for name in made]
    _write(folder / "pages.inc", "".join(links))


def _state(record, dataset):
    how = ""
    if record:
        day = record["started"][:10]
        how = f", profile {record['profile']}, seed {record['seed']}, {day}"
    return f":::{{note}}\nExecuted: data set `{dataset}`{how}.\n:::"


def _table(rows, folder=None):
    """Rows of papers.csv as Markdown; `folder` leads to the notebooks, None leaves them out."""
    code = "{py:obj}`~" + rows["code"] + "`"
    if folder is not None:
        code += " in [" + rows["notebook"].str[:2] + "](" + folder + rows["notebook"] + ".ipynb)"
    return markdown(rows[["section", "what"]].assign(code=code)) + "\n"


def _write(path, text):
    """Write what has changed, so that Sphinx reads again only that."""
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        with paths.atomic(path) as temporary:
            temporary.write_text(text, encoding="utf-8")


def _on_site(app, docname, source):
    """Lead links to stored notebooks, which work in the repository, to the pages of the site."""
    source[0] = source[0].replace("](../notebooks/", "](notebooks/")


def _skip(app, what, name, obj, skip, options):
    """Leave out the fields of named tuples: their class describes them."""
    return True if (getattr(obj, "__doc__", None) or "").startswith("Alias for field") else None


def _used_in(app, what, name, obj, options, lines):
    """Name the notebook and the section of the paper below a docstring."""
    for row in PAPERS.query("code == @name").itertuples():
        lines += ["", f"Notebook :doc:`/notebooks/{row.notebook}`; {row.work}: {row.section}.", ""]
