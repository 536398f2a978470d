"""``figures/<dataset>/report.html``: the executed notebooks of a run as one page, code left out."""

import base64
import html
import io
import json
import re

from semlib import paths
from semlib.reproduce import notebook as nb

_STYLE = """body { font: 16px/1.5 system-ui, sans-serif; max-width: 64rem; margin: 0 auto }
body { padding: 1rem; color: #222 } nav, .facts { font-size: .9rem; color: #444 }
img, svg { max-width: 100%; height: auto } pre, math[display="block"] { overflow-x: auto }
table { border-collapse: collapse; display: block; overflow-x: auto; font-size: .85rem }
th, td { padding: .2rem .6rem; border-bottom: 1px solid #ddd; text-align: left }
code { background: #f3f3f3; overflow-wrap: anywhere } section { border-top: 1px solid #ccc }"""
_SYNTHETIC = """<p>Everything here is <b>synthetic</b> unless its caption or stamp says otherwise:
simulated images, which show that the methods run and how they compare on known ground, not what
they reach on Carinthia.</p>"""
_EXPLORER = '<p>The embedding image by image: <a href="explorer.html">explorer</a>.</p>'
_PAPER = "<p>The paper's numbers are of Carinthia: on other images a comparison, not a target.</p>"
_LEFT_OUT = ("-colab", "-exercise", "-open")  # cells that are no part of the argument


def write(dataset):
    """Write the report of a run if a notebook has run since; returns its path if it did."""
    place = paths.of(dataset)
    page = place.figures / "report.html"
    if page.exists() and page.stat().st_mtime_ns >= place.run_json.stat().st_mtime_ns:
        return None
    paths.write_text(page, _page(dataset, place))
    return page


def _page(dataset, place):
    import pandas as pd

    from semlib import saving

    run = json.loads(place.run_json.read_text(encoding="utf-8"))
    records = run.pop("notebooks")
    machine = pd.Series(run.pop("packages") | run, dtype=object).to_frame()
    suite = nb.numbered()
    facts = {book.name: records.get(book.name, {"started": "not run"}) for book in suite}
    runs = pd.DataFrame(facts, index=["started", "seconds", "profile", "seed"]).T
    sections = [("run", "The run", _headed("The run", runs.to_html(border=0, na_rep="–")))]
    if paper := _beside_the_paper(place.figures):
        sections.append(("paper", "Paper and ours", _headed("Paper and ours", paper)))
    sections += [(book.name, book.title, _section(book, records, place)) for book in suite]
    title = "Machine and versions"
    sections.append(("machine", title, _headed(title, machine.to_html(header=False, border=0))))
    notes = _SYNTHETIC if place.name == "synthetic" else _as_read(place)
    notes += _EXPLORER if (place.figures / "explorer.html").exists() else ""
    links = [f'<li><a href="#{name}">{html.escape(text)}</a></li>' for name, text, _ in sections]
    bodies = [f'<section id="{name}">{body}</section>\n' for name, _, body in sections]
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Report: {html.escape(place.name)}</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head>
<body><h1>Report: {html.escape(place.name)}</h1>
<p><b>Data: {html.escape(saving.source(dataset))}.</b></p>{notes}
<nav><ul>{"".join(links)}</ul></nav>
{"".join(bodies)}</body></html>
"""


def _as_read(place):
    """One line on own images: what the folder holds and how its files were read."""
    from semlib.images import datasets, folder

    if place.name in paths.BUILT_IN or not place.manifest.exists():
        return ""
    table = datasets.load_manifest(place.dataset)
    cut = (table[["bar_top", "bar_bottom"]] != "0").any(axis=1).sum()
    rule = f"grey range {table['range'].iloc[0]}, a data bar cut off {cut} of {len(table)} images"
    return f"<p>Read: {html.escape(folder.listing(place.raw).line())}; {rule}.</p>"


def _headed(title, body):
    return f"<h1>{html.escape(title)}</h1>{body}"


def _beside_the_paper(folder):
    """Each value that has the paper's beside it: columns ``<score>`` and ``paper_<score>``."""
    import pandas as pd

    parts = []
    for path in sorted(folder.glob("*.csv")):
        table = pd.read_csv(path)
        for score in [name for name in table if f"paper_{name}" in table]:
            names = [table.columns[0], score, f"{score}_lo", f"{score}_hi", f"paper_{score}"]
            part = table.reindex(columns=names).dropna(subset=f"paper_{score}")
            part.columns = ["row", "ours", "95 % from", "to", "paper"]
            inside = part["paper"].between(part["95 % from"], part["to"])
            part["paper inside"] = inside.map({True: "yes", False: "no"}).where(part["to"].notna())
            part.insert(0, "table", path.stem)
            part.insert(2, "score", score)
            parts.append(part)
    if not parts:
        return ""
    return pd.concat(parts).to_html(index=False, border=0, na_rep="–", float_format="%.3f") + _PAPER


def _section(book, records, place):
    """One executed notebook: its text and outputs, without its code."""
    record = records.get(book.name)
    copy = place.notebooks / book.path.name
    if record is None or not copy.exists():
        return _headed(book.title, "<p><b>Not run</b>: none on record.</p>")
    values = ", ".join(f"{name} = {value!r}" for name, value in record["parameters"].items())
    facts = f"Ran to its end, its own checks included, in {record['seconds']:.0f} s with {values}."
    return f'{_export(copy)}<p class="facts">{html.escape(facts)}</p>'


def _export(path):
    """An executed notebook as HTML that needs no other file and no network."""
    import nbformat
    from nbconvert import HTMLExporter

    notebook = nbformat.read(path, as_version=4)
    notebook.cells = [c for c in notebook.cells if not any(m in c.get("id", "") for m in _LEFT_OUT)]
    widget = "application/vnd.jupyter.widget-view+json"
    for cell in notebook.cells:
        if cell.cell_type == "code":
            # neither progress bars nor widgets, which need a kernel
            shown = [output for output in cell.outputs if output.get("name") != "stderr"]
            cell.outputs = [_light(one) for one in shown if widget not in one.get("data", {})]
    exporter = HTMLExporter(template_name="basic", filters={"markdown2html": _markdown})
    exporter.exclude_input = exporter.exclude_output_prompt = True
    body, _ = exporter.from_notebook_node(notebook)
    return re.sub(r'href="(\d\d_\w+)\.ipynb"', r'href="#\1"', body)


def _light(output):
    """PNG pictures as WebP, a third of their size."""
    from PIL import Image

    if png := output.get("data", {}).pop("image/png", None):
        file = io.BytesIO()
        with Image.open(io.BytesIO(base64.b64decode(png))) as image:
            image.thumbnail((1600, 8000), Image.Resampling.LANCZOS)
            image.save(file, "WEBP", quality=85)
        code = base64.b64encode(file.getvalue()).decode()
        text = html.escape(output.data["text/plain"])
        tag = f'<img src="data:image/webp;base64,{code}" alt="{text}" loading="lazy">'
        output.data["text/html"] = tag
    return output


def _markdown(source):
    """Markdown as HTML with formulas as MathML, which browsers draw without a script."""
    from latex2mathml.converter import convert
    from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

    class Renderer(IPythonRenderer):
        def inline_math(self, body):
            return convert(body)

        def block_math(self, body):
            return convert(body, display="block")

    renderer = Renderer(escape=False, exclude_anchor_links=True)
    return MarkdownWithMath(renderer=renderer).render(source)
