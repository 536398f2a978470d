"""The explorer, driven by a pointer in a headless Chromium where there is one."""

import base64
import json

import numpy as np
import pandas as pd
import pytest
from bokeh.embed import file_html
from bokeh.resources import INLINE
from scipy.spatial.distance import cdist

from semlib import explorer, paths
from tests.browser import Browser

LABELS = np.array(["1"] * 30 + ["2"] * 9 + [""])


@pytest.fixture(scope="module")
def parts():
    """40 images of two labels, and one without, in two spaces; the labels lie far apart in both."""
    rng = np.random.default_rng(0)
    apart = 20 * (LABELS == "2")[:, None]
    spaces = {name: rng.normal(size=(40, 4)) + apart for name in ("Proposed SSL", "GLCM")}
    return {
        "images": rng.integers(0, 255, (40, 96, 96), dtype=np.uint8),
        "views": {
            f"{name}: {v}": space[:, :2]
            for v in ("UMAP", "t-SNE")
            for name, space in spaces.items()
        },
        "spaces": spaces,
        "groups": {"cluster: GLCM": np.arange(40) % 3},
        "labels": LABELS,
        "ids": [f"image <{i}>" for i in range(40)],
        "widths": [1200.0, *[0.0] * 39],
    }


TOOLS = """
const models = name => [...Bokeh.documents[0]._all_models.values()].filter(m => m.type == name)
const plot = side => models("Figure")[side]
const data = () => models("ColumnDataSource")[0].data
const within = (root, tag) => [...root.querySelectorAll("*")].flatMap(e =>
  [...(e.tagName == tag ? [e] : []), ...(e.shadowRoot ? within(e.shadowRoot, tag) : [])])
const place = (side, i) => {
  const view = Bokeh.index.find_one(plot(side)), f = view.frame
  const box = view.el.getBoundingClientRect()
  const [x, y] = side ? [data().x2, data().y2] : [data().x1, data().y1]
  return [box.x + f.x_scale.compute(x[i]), box.y + f.y_scale.compute(y[i])]
}
true"""


@pytest.fixture(scope="module")
def browser(parts, tmp_path_factory):
    folder = tmp_path_factory.mktemp("browser")
    html = file_html(explorer.build(**parts, note="synthetic images"), INLINE, title="explorer")
    (folder / "explorer.html").write_text(html, encoding="utf-8")
    with Browser(folder / "profile") as running:
        running.open(folder / "explorer.html")
        running.ask("window.Bokeh?.documents?.[0]?.is_idle")
        running.ask(TOOLS)
        yield running


@pytest.mark.slow
def test_hover_click_colour_and_toggle_in_a_browser(browser, parts, tmp_path):
    space = parts["spaces"]["Proposed SSL"][:, :2]
    lone = int(np.argmax(cdist(space, space).sum(1)))
    x, y = browser.ask(f"place(0, {lone})")
    browser.point(x, y)
    seen = "within(document, 'IMG').map(i => [i.src, i.naturalWidth]).find(i => i[1] > 0)"
    assert browser.ask(seen) == [explorer.thumbnail(parts["images"][lone]), 64]

    browser.point(x, y, click=True)
    told = "models('Div').find(d => d.name == 'neighbours').text"
    browser.ask(f"{told}.includes('clicked')")
    text = browser.ask(told)
    assert text.count("<img") == 2 * 9
    for name, space in parts["spaces"].items():
        nearest = np.argsort(cdist(space[lone : lone + 1], space)[0], kind="stable")[1:9]
        row = text.split(f"Nearest in {name}</h3>")[1].split("<h3>")[0]
        places = [row.index(f"image &lt;{i}&gt;<br>") for i in nearest]
        assert places == sorted(places), "neighbours, nearest first, as a slow search finds them"
    chosen = browser.ask("models('ColumnDataSource')[0].selected.indices")
    assert chosen == [lone], "one selection, both views"

    visible = "plot(1).renderers.filter(r => r.visible).map(r => r.name)"
    assert browser.ask(visible) == ["1 (30)", "2 (9)", "– (1)"]
    legend = """(() => {
      const view = Bokeh.index.find_one(plot(0).below.find(m => m.type == "Legend"))
      const items = within(view.el.shadowRoot ?? view.el, "DIV")
      const box = items.find(e => e.className.includes("item")).getBoundingClientRect()
      return [box.x + box.width / 2, box.y + box.height / 2]
    })()"""
    browser.point(*browser.ask(legend), click=True)
    browser.ask(f"{visible}.length == 2")
    assert browser.ask(visible) == ["2 (9)", "– (1)"], "hidden on the left, hidden on the right"

    browser.ask('models("Select")[0].setv({value: "cluster: GLCM"}) ?? true')
    assert browser.ask(visible) == ["0 (14)", "1 (13)", "2 (13)"]
    browser.ask('models("Select")[2].setv({value: "GLCM: t-SNE"}) ?? true')
    moved = browser.ask("[...data().x2]")
    np.testing.assert_allclose(moved, parts["views"]["GLCM: t-SNE"][:, 0], rtol=1e-6)
    browser.picture(tmp_path / "explorer.png")
    assert browser.said == [], "no error, no warning, nothing asked of a network"


def test_thumbnail_is_a_small_jpeg_that_uses_all_greys():
    image = np.tile(np.linspace(90, 110, 512).astype(np.uint8), (512, 1))
    encoded = explorer.thumbnail(image).removeprefix("data:image/jpeg;base64,")
    assert base64.b64decode(encoded)[:3] == b"\xff\xd8\xff" and len(encoded) < 4000
    explorer.thumbnail(np.zeros((5, 5), dtype=np.uint8))  # flat: no division by zero


def test_groups_are_complete_and_small_ones_lie_on_top():
    values = np.repeat(np.arange(14), np.arange(1, 15))
    groups = explorer._by_value(values)
    assert groups["names"][0] == "13 (14)" and len(groups["names"]) == 11
    assert groups["names"][-1] == "others (10)", "0 to 3, with 1 to 4 images"
    assert len(set(groups["colours"])) == 11
    assert sorted(sum(groups["members"], [])) == list(range(len(values)))
    ranks = explorer._by_rank(np.arange(200.0))
    names = ["other 80 % (160)", "next 15 % (30)", "next 4 % (8)", "highest 1 % (2)"]
    assert ranks["names"] == names and sorted(ranks["members"][-1]) == [198, 199]
    assert len(explorer._by_rank(np.arange(3.0))["names"]) < 4


@pytest.fixture
def stored(parts, monkeypatch):
    """The files of notebooks 01 to 06, as far as the explorer reads them."""
    place = paths.of("synthetic")
    place.figures.mkdir(parents=True)
    place.data.mkdir(parents=True)
    ids = [f"{i:032x}" for i in range(40)]
    labels = np.where(LABELS == "", "6", LABELS)
    rows = pd.DataFrame({"image_id": ids, "path": ids, "label": labels})
    rows.to_csv(place.manifest, index=False)
    np.save(place.level(0), parts["images"])
    made = json.dumps({"pixel_nm": [25.0, *[0.0] * 39]})  # 96 pixels of the first: 2.4 µm
    place.level(0).with_suffix(".json").write_text(made)
    table = pd.DataFrame({"image_id": ids})
    for view, points in parts["views"].items():
        name = view.replace(":", "")
        table[[f"{name} 1", f"{name} 2"]] = points
    for name in parts["spaces"]:
        table[f"{name} cluster"] = 0
    table.to_csv(place.figures / "embedding_2d.csv", index=False)
    methods = {"Proposed SSL": [parts["spaces"]["Proposed SSL"]], "GLCM": parts["spaces"]["GLCM"]}
    monkeypatch.setattr("semlib.morphology.search.methods", lambda dataset, seed: methods)
    return place


@pytest.mark.slow
@pytest.mark.filterwarnings("error::UserWarning")
def test_file_needs_no_network_and_says_synthetic(stored):
    path = explorer.write("synthetic")
    text = path.read_text(encoding="utf-8")
    assert path == stored.figures / "explorer.html" and text.count("data:image/jpeg") == 40
    assert "synthetic images (semlib simulator, not Carinthia)" in text
    assert "<script src" not in text.lower() and "<link" not in text.lower()
    assert text.count("m wide") == text.count(r", 2.4 \u00b5m wide") == 1
    frame = explorer.widget("synthetic").data
    assert frame.startswith("<div><iframe srcdoc=") and "<script" not in frame


def test_names_of_digits_stay_names(stored):
    for file in (stored.manifest, stored.figures / "embedding_2d.csv"):
        table = pd.read_csv(file, dtype=str, keep_default_na=False)
        table.assign(image_id=[f"{i:03d}" for i in range(40)]).to_csv(file, index=False)
    assert explorer.write("synthetic").is_file()


def test_missing_or_foreign_coordinates_are_refused(stored):
    coordinates = stored.figures / "embedding_2d.csv"
    pd.read_csv(coordinates).iloc[::-1].to_csv(coordinates, index=False)
    with pytest.raises(ValueError, match=r"embedding_2d.csv shows other images"):
        explorer.write("synthetic")
    coordinates.unlink()
    with pytest.raises(FileNotFoundError, match="run notebook 06"):
        explorer.write("synthetic")
