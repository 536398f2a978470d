"""The page of the explorer: two linked views, thumbnails on hover, neighbours of a click, without a server."""

import base64
import html
import io

import numpy as np
from bokeh.layouts import column, row
from bokeh.models import (
    CDSView,
    ColumnDataSource,
    CustomJS,
    Div,
    IndexFilter,
    Legend,
    LegendItem,
    Select,
)
from bokeh.models.tools import HoverTool, TapTool
from bokeh.plotting import figure
from PIL import Image
from sklearn.neighbors import NearestNeighbors

from semlib.morphology import search
from semlib.saving import PALETTE

_AXES = ("x1", "y1"), ("x2", "y2")
_SIDES = "Left", "Right"
_HEAT = {
    "highest 1 %": "#000000",
    "next 4 %": "#D55E00",
    "next 15 %": "#E69F00",
    "other 80 %": "#C0C0C0",
}

_TOOLTIP = """<div style="max-width: 170px"><img src="@thumb" width="128" style="image-rendering: pixelated"><br>
<b>@id</b><br>label @label<br>group $name</div>"""

_HELP = (
    "<b>Point</b> at an image to see it, <b>click</b> it for its nearest neighbours, <b>draw</b> round a group "
    "(lasso) to find it in the other view; a click on a name in the legend hides that group."
)

_RECOLOUR = """
const {names, colours, rows} = colourings[colour.value]
for (let g = 0; g < filters.length; g++) {
  const used = g < names.length
  filters[g].indices = used ? rows[g] : []
  for (const {dots, items} of sides) {
    items[g].visible = dots[g].visible = used
    items[g].label = {value: used ? names[g] : ""}
    dots[g].name = used ? names[g] : ""
    for (const glyph of [dots[g].glyph, dots[g].selection_glyph, dots[g].nonselection_glyph])
      glyph.fill_color = used ? colours[g] : "gray"
  }
}
"""

_MOVE = """
const points = views[select.value]
dots.data = {...dots.data, [axes[0]]: points[0], [axes[1]]: points[1]}
plot.title.text = select.value
dots.selected.change.emit()
"""

_NEAREST_HIT = """
const {x, y} = cb_data.geometries, {x_range, y_range} = plot, hit = dots.selected.indices
const away = i => Math.hypot((dots.data[axes[0]][i] - x) / (x_range.end - x_range.start),
                             (dots.data[axes[1]][i] - y) / (y_range.end - y_range.start))
if (hit.length > 1) dots.selected.indices = [[...hit].sort((i, j) => away(i) - away(j))[0]]
"""

_TELL = """
const rows = dots.selected.indices
const {thumb, id, label} = dots.data
const show = (i, more) => `<figure style="display: inline-block; margin: 2px 6px 2px 0; text-align: center">
  <img src="${thumb[i]}" width="88" style="image-rendering: pixelated">
  <figcaption style="font-size: 11px">${id[i]}<br>label ${label[i]}${more}</figcaption></figure>`
if (rows.length == 1) {
  const i = rows[0]
  out.text = [...new Set([method[first.value], method[second.value]])].map(name => {
    const {rows: nearest, distances} = neighbours[name]
    const count = nearest.length / thumb.length
    const found = Array.from({length: count}, (_, j) => show(nearest[i * count + j],
      `<br>${distances[i * count + j].toPrecision(3)}`))
    return `<h3>Nearest in ${name}</h3>${show(i, "<br><b>clicked</b>")}${found.join("")}`
  }).join("")
} else if (rows.length > 1) {
  out.text = `<h3>${rows.length} images selected${rows.length > 24 ? ", the first 24" : ""}</h3>`
    + Array.from(rows).slice(0, 24).map(i => show(i, "")).join("")
} else out.text = hint
"""


def build(images, views, spaces, groups, *, ids, labels=None, neighbours=8, thumb=64, note=""):
    """Two linked views of the same images as a Bokeh layout.

    Parameters
    ----------
    images : uint8 array (N, H, W)
    views : dict of (method, view) to array (N, 2)
        The first is shown on the left, the second on the right; each method is one of `spaces`.
    spaces : dict of str to array (N, D)
        Embeddings by method, for nearest neighbours (Euclidean) and outlier scores (`search.unusualness`).
    groups : dict of str to array (N,)
        What else to colour by, for example clusters.
    ids : sequence of str
    labels : array (N,), optional
    neighbours, thumb : int
        Neighbours shown; side of the thumbnails in pixels.
    note : str
        Where the images come from.

    Returns
    -------
    bokeh.models.LayoutDOM
    """
    shown = np.asarray(
        ["–"] * len(images) if labels is None else [str(value) or "–" for value in labels]
    )
    points = {
        f"{name}: {view}": [*np.asarray(values, dtype=np.float32).T.copy()]
        for (name, view), values in views.items()
    }
    start = [*points][:2] if len(points) > 1 else [*points] * 2
    data = dict(zip(("x1", "y1", "x2", "y2"), (*points[start[0]], *points[start[1]]), strict=True))
    data |= {"thumb": [thumbnail(image, thumb) for image in images]}
    data |= {
        "id": [html.escape(str(i)) for i in ids],
        "label": [html.escape(str(value)) for value in shown],
    }
    dots = ColumnDataSource(data)
    colourings = {} if labels is None else {"label": _by_value(shown)}
    colourings |= {name: _by_value(values) for name, values in groups.items()}
    colourings |= {
        f"outlier score: {name}": _by_rank(search.unusualness(space))
        for name, space in spaces.items()
    }
    filters, plots = _plots(dots, colourings, start)

    colour = Select(title="Colour", value=[*colourings][0], options=[*colourings])
    sides = [{"dots": plot.renderers, "items": plot.legend[0].items} for plot in plots]
    given = {"colour": colour, "colourings": colourings, "filters": filters, "sides": sides}
    colour.js_on_change("value", CustomJS(args=given, code=_RECOLOUR))
    choices = [
        Select(title=side, value=name, options=[*points])
        for side, name in zip(_SIDES, start, strict=True)
    ]
    out = Div(text=_HELP, name="neighbours", sizing_mode="stretch_width")
    given = {"dots": dots, "out": out, "hint": _HELP, "first": choices[0], "second": choices[1]}
    given["method"] = {f"{name}: {view}": name for name, view in views}
    given["neighbours"] = {name: _nearest(space, neighbours) for name, space in spaces.items()}
    tell = CustomJS(args=given, code=_TELL)
    dots.selected.js_on_change("indices", tell)
    for select, plot, axes in zip(choices, plots, _AXES, strict=True):
        given = {"dots": dots, "select": select, "views": points, "plot": plot, "axes": axes}
        select.js_on_change("value", CustomJS(args=given, code=_MOVE), tell)
    head = Div(
        text=f"<b>Explorer</b>, {len(images)} images: {html.escape(note)}",
        sizing_mode="stretch_width",
    )
    look = {"styles": {"flex-wrap": "wrap"}, "sizing_mode": "stretch_width"}
    return column(
        head, row(colour, *choices, **look), row(*plots, **look), out, sizing_mode="stretch_width"
    )


def thumbnail(image, size=64):
    """An image (H, W), its own grey range stretched, as JPEG in a data URI of about 2 kB."""
    low, high = np.percentile(image, [0.2, 99.8])
    grey = np.uint8(np.clip((image - low) / max(high - low, 1), 0, 1) * 255)
    file = io.BytesIO()
    Image.fromarray(grey).resize((size, size), Image.Resampling.BOX).save(
        file, "JPEG", quality=75, optimize=True
    )
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()


def _plots(dots, colourings, titles):
    """Both views in the first colouring; a group that is hidden in one is hidden in the other."""
    colouring = [*colourings.values()][0]
    spare = max(len(c["names"]) for c in colourings.values()) - len(colouring["names"])
    groups = [*zip(colouring["names"], colouring["colours"], colouring["rows"], strict=True)]
    groups += [("", "gray", [])] * spare  # for colourings with more groups
    filters = [IndexFilter(indices=rows) for _, _, rows in groups]
    plots = [_plot(dots, groups, filters, *of) for of in zip(titles, _AXES, strict=True)]
    for one, other in zip(*(plot.renderers for plot in plots), strict=True):
        one.js_link("visible", other, "visible")
        other.js_link("visible", one, "visible")
    return filters, plots


def _plot(dots, groups, filters, title, axes):
    """One view: a renderer for each group, hidden by its name in the legend."""
    plot = figure(
        title=title, height=460, min_width=340, sizing_mode="stretch_width",
        tools="pan,wheel_zoom,box_zoom,lasso_select,reset,save", active_scroll="wheel_zoom",
    )  # fmt: skip
    plot.axis.visible = plot.grid.visible = False
    size = 7 if len(dots.data["id"]) < 1000 else 5
    items = []
    for (name, colour, _), some in zip(groups, filters, strict=True):
        dot = plot.scatter(
            *axes, source=dots, view=CDSView(filter=some), size=size, color=colour, line_color=None, alpha=0.8,
            selection_line_color="black", selection_alpha=1, nonselection_alpha=0.12, name=name, visible=bool(name),
        )  # fmt: skip
        items.append(LegendItem(label={"value": name}, renderers=[dot], visible=bool(name)))
    look = {
        "orientation": "horizontal",
        "ncols": 4,
        "label_text_font_size": "9pt",
        "border_line_color": None,
    }
    plot.add_layout(Legend(items=items, click_policy="hide", **look), "below")
    plot.add_tools(HoverTool(tooltips=_TOOLTIP, limit=1))
    given = {"dots": dots, "plot": plot, "axes": axes}
    plot.add_tools(TapTool(callback=CustomJS(args=given, code=_NEAREST_HIT)))
    return plot


def _by_value(values):
    """Groups of equal values, largest first so that small ones lie on top; beyond ten, the smallest together."""
    values = np.asarray(values).astype(str)
    names, counts = np.unique(values, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    rows = {
        names[i]: np.flatnonzero(values == names[i]).tolist() for i in order[: len(PALETTE) - 1]
    }
    if rest := [names[i] for i in order[len(PALETTE) - 1 :]]:
        rows["others" if len(rest) > 1 else rest[0]] = np.flatnonzero(
            np.isin(values, rest)
        ).tolist()
    colours = {name: PALETTE[i] for i, name in enumerate(sorted(rows))}
    return _groups(rows, [colours[name] for name in rows])


def _by_rank(scores):
    """Images by outlier score: the highest 1 %, the next 4 %, the next 15 %, all others."""
    cuts = np.ceil(np.array([0, 0.01, 0.05, 0.2, 1]) * len(scores)).astype(int)
    parts = np.split(np.argsort(-scores, kind="stable"), cuts[1:-1])
    rows = {
        name: part.tolist()
        for name, part in reversed([*zip(_HEAT, parts, strict=True)])
        if len(part)
    }
    return _groups(rows, [_HEAT[name] for name in rows])


def _groups(rows, colours):
    names = [f"{name} ({len(found)})" for name, found in rows.items()]
    return {"names": names, "colours": colours, "rows": [*rows.values()]}


def _nearest(space, count):
    """Rows and distances of the nearest others of each image, one list after the other."""
    model = NearestNeighbors(n_neighbors=min(count, len(space) - 1)).fit(space)
    distances, rows = model.kneighbors()
    return {
        "rows": rows.astype(np.int32).ravel(),
        "distances": distances.astype(np.float32).ravel(),
    }
