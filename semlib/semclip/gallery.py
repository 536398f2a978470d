"""Pictures of a lot: overlays with outlines and a scale bar, and one page with the worst first."""

import base64
import html
import io

import numpy as np
import pandas as pd
from matplotlib import colormaps
from PIL import Image, ImageDraw, ImageFont
from skimage.segmentation import find_boundaries

from semlib import paths, plots

OPACITY = 0.6  # of the colour where the anomaly is 1
SHOWN = 200  # images on the page at most
WIDTH = 300  # pixels of a picture on the page
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>What was found</title>\
<style>body{{font:15px/1.45 system-ui,sans-serif;margin:1.5em auto;max-width:1300px}}
.lot{{display:grid;grid-template-columns:repeat(auto-fill,minmax(300px,1fr));gap:14px}}
figure{{margin:0}}img{{width:100%;display:block}}figcaption{{font-size:13px;overflow-wrap:anywhere}}
table{{border-collapse:collapse}}td,th{{padding:2px 10px;text-align:right}}</style></head><body>
{body}
</body></html>
"""
OUTLINES = "<p>Outlines are the masks (masks/). Positions are in pixels from the upper left.</p>"


def overlay(image, anomaly, mask):
    """Image uint8 (H, W) with the anomaly map, 0 to 1, in colour: uint8 (H, W, 3).

    The colour is more opaque where the anomaly is higher; the mask of the defects is outlined.
    """
    colour = colormaps["inferno"](anomaly)[..., :3] * 255
    opacity = OPACITY * anomaly[..., None]
    mixed = np.rint((1 - opacity) * image[..., None] + opacity * colour).astype(np.uint8)
    mixed[find_boundaries(mask, mode="inner")] = (0, 255, 255)
    return mixed


def draw_scale(picture, pixel_nm):
    """Draw a scale bar where the pixel size is known, without a ground: it hides no part."""
    if not (scale := plots.scale(picture.width, pixel_nm)):
        return
    length, label = scale
    gap = picture.width // 100 + 2
    right = picture.width - 2 * gap
    low = picture.height - 2 * gap
    draw = ImageDraw.Draw(picture)
    draw.rectangle((right - length - 1, low - gap, right + 1, low), "white", "black")
    look = {"font": ImageFont.load_default(max(10, picture.width // 32)), "anchor": "ms"}
    look |= {"fill": "white", "stroke_width": 1, "stroke_fill": "black"}
    draw.text((right - length / 2, low - 2 * gap), label, **look)


def page(out, method, compared, table, skipped, beside):
    """Write ``index.html``, which needs no other file and no network: what was found, worst first.

    `out` is the folder of the results; `compared` is the table of the methods, `table` that of the
    images; `skipped` counts the files left out; `beside` is the folder of references, or None.
    """
    table = table.sort_values("anomaly_score", ascending=False, kind="stable")
    file = out / "defects.csv"
    defects = pd.read_csv(file) if file.is_file() else pd.DataFrame(columns=["file"])
    parts = [
        "<h1>What was found</h1>",
        f"<p>{len(table)} images, {len(defects)} defects; method: {method}.</p>",
    ]
    if beside:
        parts.append("<p>Maps show what differs from the reference image of the same name.</p>")
    if skipped:
        parts.append(f"<p>{skipped} files were left out, see skipped.csv.</p>")
    parts.append(OUTLINES)
    parts.append(table["class"].value_counts().rename("images").to_frame().to_html(border=0))
    if len(compared):
        parts.append("<h2>Methods, on shots they did not learn from</h2>")
        parts.append(compared.to_html(border=0, index=False, float_format="%.3f"))
    parts.append("<h2>Images, the worst first</h2>")
    if len(table) > SHOWN:
        parts.append(f"<p>The first {SHOWN} of {len(table)}; all are in results.csv.</p>")
    parts.append('<div class="lot">')
    for row in table.head(SHOWN).itertuples():
        parts.append(_figure(row, defects[defects["file"] == row.file], out / "overlays"))
    parts.append("</div>")
    paths.write_text(out / "index.html", PAGE.format(body="\n".join(parts)))


def _figure(row, own, overlays):
    """One image of the page: its picture, class, score and worst defect."""
    with Image.open(overlays / row.overlay) as picture:
        picture.thumbnail((WIDTH, WIDTH * 2))
        packed = io.BytesIO()
        picture.save(packed, "JPEG", quality=80)
    picture = base64.b64encode(packed.getvalue()).decode()
    text = f"<b>{html.escape(row.file)}</b>: {html.escape(row[2])}, score {row.anomaly_score:.3f}"
    text += f"<br>{len(own)} defects"
    if len(own):
        first = own.iloc[0]
        text += f", the worst at x {first['x']:.0f}, y {first['y']:.0f}, {first['area_px']:.0f} px"
        text += f", {first['size_nm']:.0f} nm" if pd.notna(first["size_nm"]) else ""
    source = f"data:image/jpeg;base64,{picture}"
    return f'<figure><img alt="" src="{source}"><figcaption>{text}</figcaption></figure>'
