"""The explorer: an embedding looked at image by image, in one HTML file that needs no network."""

import base64
import html
import io

import numpy as np
import pandas as pd
from bokeh import models
from bokeh.embed import file_html
from bokeh.layouts import column, row
from bokeh.plotting import figure
from bokeh.resources import INLINE
from PIL import Image

from semlib import paths
from semlib.images import datasets, preprocess
from semlib.morphology import search
from semlib.plots import length
from semlib.saving import PALETTE, source

_AXES = ("x1", "y1"), ("x2", "y2")
_NEIGHBOURS = 8  # shown after a click
_HEAT = {"highest 1 %": "#000000", "next 4 %": "#D55E00"}
_HEAT |= {"next 15 %": "#E69F00", "other 80 %": "#C0C0C0"}
_PAGE = """{% block preamble %}
<meta name="viewport" content="width=device-width, initial-scale=1">{% endblock %}"""
_TOOLTIP = """<img src="@thumb" width="128" style="image-rendering: pixelated">
<br><b>@id</b><br>label @label@field<br>group $name"""
_HELP = """<b>Point</b> at an image to see it, <b>click</b> it for its nearest neighbours,
<b>draw</b> round a group (lasso) to find it in the other view; a click on a name in the legend
hides that group."""

# Another colouring: each group of dots gets other images, another name and another colour
_RECOLOUR = """
const {names, colours, members} = colourings[colour.value]
filters.forEach((filter, g) => {
  const used = g < names.length
  filter.indices = used ? members[g] : []
  for (const {dots, items} of sides) {
    items[g].visible = dots[g].visible = used
    items[g].label = {value: used ? names[g] : ""}
    dots[g].name = used ? names[g] : ""
    for (const glyph of [dots[g].glyph, dots[g].selection_glyph, dots[g].nonselection_glyph])
      glyph.fill_color = used ? colours[g] : "gray"
  }
})
"""
# Another view: the dots move to other coordinates
_MOVE = """
const [x, y] = views[select.value]
dots.data = {...dots.data, [axes[0]]: x, [axes[1]]: y}
plot.title.text = select.value
dots.selected.change.emit()
"""
# A click on several dots that overlap selects the one nearest to the pointer
_NEAREST_HIT = """
const {x, y} = cb_data.geometries, {x_range, y_range} = plot, hit = dots.selected.indices
const away = i => Math.hypot((dots.data[axes[0]][i] - x) / (x_range.end - x_range.start),
                             (dots.data[axes[1]][i] - y) / (y_range.end - y_range.start))
if (hit.length > 1) dots.selected.indices = [[...hit].sort((i, j) => away(i) - away(j))[0]]
"""
# Below the views: the neighbours of one selected image, or the images of a selected group
_TELL = """
const chosen = [...dots.selected.indices], {thumb, id, label} = dots.data
const show = (i, more) => `<figure style="display: inline-block; margin: 2px 6px 2px 0;
  text-align: center"><img src="${thumb[i]}" width="88" style="image-rendering: pixelated">
  <figcaption style="font-size: 11px">${id[i]}<br>label ${label[i]}${more}</figcaption></figure>`
const near = (i, {indices, distances}) => Array.from({length: count}, (_, j) => i * count + j)
  .map(at => show(indices[at], "<br>" + distances[at].toPrecision(3))).join("")
if (chosen.length == 1) {
  const i = chosen[0], names = new Set([first, second].map(view => view.value.split(": ")[0]))
  out.text = [...names].map(name => `<h3>Nearest in ${name}</h3>${show(i, "<br><b>clicked</b>")}`
    + near(i, neighbours[name])).join("")
} else if (chosen.length > 1) {
  const some = chosen.slice(0, 24).map(i => show(i, ""))
  out.text = `<h3>${chosen.length} images selected, ${some.length} shown</h3>${some.join("")}`
} else out.text = hint
"""


def write(dataset, *, seed=0):
    """Write ``figures/<dataset>/explorer.html`` from what notebooks 01 to 06 left on disk.

    `seed` names the training of notebook 04. FileNotFoundError if a notebook has not run,
    ValueError if the files are of different runs.
    """
    place = paths.of(dataset)
    coordinates = place.figures / "embedding_2d.csv"
    if not coordinates.exists():
        raise FileNotFoundError(f"{coordinates} is missing: run notebook 06")
    table = pd.read_csv(coordinates, converters={"image_id": str})  # "007" and "NA" are names
    manifest = datasets.load_manifest(dataset)
    images = np.load(place.level(0), mmap_mode="r")
    spaces = search.methods(dataset, seed)
    spaces["Proposed SSL"] = spaces["Proposed SSL"][0]
    sizes = {len(table), len(manifest), len(images), *map(len, spaces.values())}
    if len(sizes) > 1 or table["image_id"].tolist() != manifest["image_id"].tolist():
        raise ValueError(f"{coordinates} shows other images than the data: run notebook 06")
    views = {
        f"{name}: {view}": table[[f"{name} {view} 1", f"{name} {view} 2"]].to_numpy()
        for view in ("UMAP", "t-SNE")
        for name in spaces
    }
    groups = {f"cluster: {name}": table[f"{name} cluster"] for name in spaces}
    words = {"ids": manifest["image_id"].str[:12], "labels": datasets.labels(dataset)}
    words["widths"] = images.shape[2] * np.array(preprocess.settings(dataset)["pixel_nm"])
    layout = build(images, views, spaces, groups, **words, note=source(dataset))
    file = place.figures / "explorer.html"
    paths.write_text(file, file_html(layout, INLINE, f"Explorer: {place.name}", template=_PAGE))
    return file


def widget(dataset):
    """The written page as the output of a cell: in a frame, so that it needs no extension."""
    from IPython.display import HTML

    page = html.escape((paths.of(dataset).figures / "explorer.html").read_text(encoding="utf-8"))
    look = 'width="100%" height="1000" style="border: 0"'
    return HTML(f'<div><iframe srcdoc="{page}" {look}></iframe></div>')


def build(images, views, spaces, groups, *, ids, labels, widths, note):
    """Two linked views of the same images as a Bokeh layout.

    Parameters
    ----------
    images : uint8 array (N, H, W)
    views : {"method: view": array (N, 2)}; the first is shown on the left, the second on the right
    spaces : {method: array (N, D)}, for nearest neighbours (Euclidean) and outlier scores
    groups : {name: array (N,)}, what else to colour by, for example clusters
    ids, labels : sequences of N texts; labels may be None
    widths : N widths of the images in nm, 0 where unknown
    note : where the images come from
    """
    names = ["–"] * len(images) if labels is None else [str(label) or "–" for label in labels]
    points = {view: [*np.float32(values).T.copy()] for view, values in views.items()}
    shown = [*points][:2]
    data = {"thumb": [thumbnail(image) for image in images]}
    data |= {"id": [html.escape(str(name)) for name in ids], "label": [*map(html.escape, names)]}
    data["field"] = [f", {length(width)} wide" if width else "" for width in widths]
    for view, axes in zip(shown, _AXES, strict=True):
        data |= dict(zip(axes, points[view], strict=True))
    dots = models.ColumnDataSource(data)
    colourings = {} if labels is None else {"label": _by_value(names)}
    colourings |= {name: _by_value(values) for name, values in groups.items()}
    for name, space in spaces.items():
        colourings[f"outlier score: {name}"] = _by_rank(search.unusualness(space))
    filters, plots = _plots(dots, colourings, shown)
    colour = models.Select(title="Colour", value=[*colourings][0], options=[*colourings])
    sides = [{"dots": plot.renderers, "items": plot.legend[0].items} for plot in plots]
    arguments = {"colour": colour, "colourings": colourings, "filters": filters, "sides": sides}
    colour.js_on_change("value", models.CustomJS(args=arguments, code=_RECOLOUR))

    first = models.Select(title="Left", value=shown[0], options=[*points])
    second = models.Select(title="Right", value=shown[1], options=[*points])
    out = models.Div(text=_HELP, name="neighbours", sizing_mode="stretch_width")
    count = min(_NEIGHBOURS, len(images) - 1)
    arguments = {"dots": dots, "out": out, "hint": _HELP, "first": first, "second": second}
    nearest = {name: _nearest(space, count) for name, space in spaces.items()}
    arguments |= {"count": count, "neighbours": nearest}
    tell = models.CustomJS(args=arguments, code=_TELL)
    dots.selected.js_on_change("indices", tell)
    for select, plot, axes in zip((first, second), plots, _AXES, strict=True):
        arguments = {"dots": dots, "select": select, "views": points, "plot": plot, "axes": axes}
        select.js_on_change("value", models.CustomJS(args=arguments, code=_MOVE), tell)
    title = models.Div(text=f"<b>Explorer</b>, {len(images)} images: {html.escape(note)}")
    look = {"styles": {"flex-wrap": "wrap"}, "sizing_mode": "stretch_width"}
    choice = row(colour, first, second, **look)
    return column(title, choice, row(*plots, **look), out, sizing_mode="stretch_width")


def thumbnail(image, size=64):
    """An image (H, W), its own grey range stretched, as JPEG in a data URI of about 2 kB."""
    low, high = np.percentile(image, [0.2, 99.8])
    grey = np.uint8(np.clip((image - low) / max(high - low, 1), 0, 1) * 255)
    small = Image.fromarray(grey).resize((size, size), Image.Resampling.BOX)
    file = io.BytesIO()
    small.save(file, "JPEG", quality=75, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()


def _plots(dots, colourings, titles):
    """Both views in the first colouring; a group that is hidden in one is hidden in the other."""
    shown = [*colourings.values()][0]
    groups = [*zip(shown["names"], shown["colours"], shown["members"], strict=True)]
    most = max(len(colouring["names"]) for colouring in colourings.values())
    groups += [("", "gray", [])] * (most - len(groups))  # for colourings with more groups
    filters = [models.IndexFilter(indices=members) for _, _, members in groups]
    plots = [_plot(dots, groups, filters, *of) for of in zip(titles, _AXES, strict=True)]
    for one, other in zip(*(plot.renderers for plot in plots), strict=True):
        one.js_link("visible", other, "visible")
        other.js_link("visible", one, "visible")
    return filters, plots


def _plot(dots, groups, filters, title, axes):
    """One view: a renderer for each group, hidden by its name in the legend."""
    look = {"height": 460, "min_width": 340, "sizing_mode": "stretch_width"}
    tools = "pan,wheel_zoom,box_zoom,lasso_select,reset,save"
    plot = figure(title=title, tools=tools, active_scroll="wheel_zoom", **look)
    plot.axis.visible = plot.grid.visible = False
    look = {"size": 7 if len(dots.data["id"]) < 1000 else 5, "line_color": None, "alpha": 0.8}
    look |= {"selection_line_color": "black", "selection_alpha": 1, "nonselection_alpha": 0.12}
    items = []
    for (name, colour, _), some in zip(groups, filters, strict=True):
        own = {"view": models.CDSView(filter=some), "color": colour, "name": name}
        dot = plot.scatter(*axes, source=dots, visible=bool(name), **own, **look)
        items.append(models.LegendItem(label={"value": name}, renderers=[dot], visible=bool(name)))
    look = {"orientation": "horizontal", "ncols": 4, "label_text_font_size": "9pt"}
    legend = models.Legend(items=items, click_policy="hide", border_line_color=None, **look)
    plot.add_layout(legend, "below")
    plot.add_tools(models.HoverTool(tooltips=_TOOLTIP, limit=1))
    tap = models.CustomJS(args={"dots": dots, "plot": plot, "axes": axes}, code=_NEAREST_HIT)
    plot.add_tools(models.TapTool(callback=tap))
    return plot


def _by_value(values):
    """Groups of equal values, largest first so that small ones lie on top; at most eleven."""
    values = np.asarray(values).astype(str)
    names, counts = np.unique(values, return_counts=True)
    names = names[np.argsort(-counts, kind="stable")].tolist()
    if len(names) > len(PALETTE):
        names = [*names[: len(PALETTE) - 1], "others"]
        values = np.where(np.isin(values, names), values, "others")
    colours = dict(zip(sorted(names), PALETTE, strict=False))
    members = {name: np.flatnonzero(values == name).tolist() for name in names}
    return _groups(members, [colours[name] for name in names])


def _by_rank(scores):
    """Images by outlier score: the highest 1 %, the next 4 %, the next 15 %, all others."""
    cuts = np.ceil(np.array([0.01, 0.05, 0.2]) * len(scores)).astype(int)
    parts = zip(_HEAT, np.split(np.argsort(-scores, kind="stable"), cuts), strict=True)
    members = {name: part.tolist() for name, part in reversed([*parts]) if len(part)}
    return _groups(members, [_HEAT[name] for name in members])


def _groups(members, colours):
    names = [f"{name} ({len(part)})" for name, part in members.items()]
    return {"names": names, "colours": colours, "members": [*members.values()]}


def _nearest(space, count):
    """Indices and distances of the nearest others of each image, one list after the other."""
    indices, distances = search.neighbours(space, count)
    return {"indices": np.int32(indices).ravel(), "distances": np.float32(distances).ravel()}
