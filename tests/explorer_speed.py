"""How smooth the explorer is: ``python -m tests.explorer_speed [COUNT]``, else 5,000 points.

Frame times are those between two frames drawn in a headless Chromium while the pointer works
without a pause; 16.7 ms is what a screen shows. Without a graphics card WebGL is computed by the
processor, so these are upper bounds.
"""

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from bokeh.embed import file_html
from bokeh.resources import INLINE

from semlib import explorer
from semlib.images.simulator import sample
from tests.browser import Browser
from tests.test_explorer import TOOLS

_FRAMES = """window.frames_ = [];
(function next(t) { frames_.push(t); requestAnimationFrame(next) })(performance.now())"""


def parts(count, seed=0):
    """`count` synthetic images, 200 of them different, with two embeddings and their views."""
    rng = np.random.default_rng(seed)
    few = sample(200, seed=seed, size=128)
    rows = rng.integers(0, 200, count)
    centres = 3 * rng.normal(size=(6, 128))[rows % 6]
    names = "Proposed SSL", "GLCM"
    spaces = {name: np.float32(centres + rng.normal(size=(count, 128))) for name in names}
    return {
        "images": few.images[rows],
        "views": {(name, v): spaces[name][:, :2] for v in ("UMAP", "t-SNE") for name in names},
        "spaces": spaces,
        "groups": {f"cluster: {name}": rows % 6 for name in names},
        "ids": [f"image {i}" for i in range(count)],
        "labels": few.labels[rows],
    }


def measure(path, folder):
    """Print load time, and frame times of panning, zooming, hovering, a lasso and a click."""
    with Browser(folder / "profile") as browser:
        start = time.perf_counter()
        browser.open(path)
        browser.ask("window.Bokeh?.documents?.[0]?.is_idle")
        print(f"load: {time.perf_counter() - start:.1f} s until all is drawn")
        browser.ask(TOOLS)
        browser.ask(_FRAMES + " ?? true")
        x, y = browser.ask("place(0, 0)")
        path = [(x + 60 * np.cos(t / 9), y + 60 * np.sin(t / 9)) for t in range(45)]

        def mouse(kind, x, y, **more):
            browser.do("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

        def frames(name, act):
            browser.ask("(frames_.length = 0) || true")
            start = time.perf_counter()
            act()
            browser.ask("frames_.length > 3")
            spent = time.perf_counter() - start
            steps = np.diff(browser.ask("frames_"))
            middle, most, worst = np.percentile(steps, [50, 95, 100])
            said = f"frames of {middle:.0f} ms, 95 % below {most:.0f}, worst {worst:.0f}"
            print(f"{name}: {said}; {spent:.1f} s")

        def drag():
            mouse("mousePressed", x, y, button="left", clickCount=1)
            for at in path:
                mouse("mouseMoved", *at, button="left", buttons=1)
            mouse("mouseReleased", *path[-1], button="left", clickCount=1)

        def click():
            browser.point(x, y, click=True)
            browser.ask("models('Div').find(d => d.name == 'neighbours').text.includes('clicked')")

        def recolour():
            browser.ask('models("Select")[0].setv({value: "outlier score: GLCM"}) ?? true')

        frames("idle", lambda: time.sleep(1))
        frames("hover, 45 steps", lambda: [mouse("mouseMoved", *at) for at in path])
        frames("click", click)
        wheel = [{"deltaX": 0, "deltaY": turn} for turn in [-60, 60] * 10]
        frames("zoom, 20 steps", lambda: [mouse("mouseWheel", x, y, **turn) for turn in wheel])
        frames("pan, 45 steps", drag)
        frames("other colours", recolour)
        browser.ask("(models('LassoSelectTool')[0].active = true)")
        frames("lasso, 45 steps", drag)
        chosen = browser.ask("models('ColumnDataSource')[0].selected.indices.length")
        print(f"selected by the lasso: {chosen} images")


def main(count=5000):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "explorer.html"
        start = time.perf_counter()
        layout = explorer.build(**parts(count), note="synthetic images")
        path.write_text(file_html(layout, INLINE, title="explorer"), encoding="utf-8")
        spent = time.perf_counter() - start
        print(f"{count} points: {path.stat().st_size / 1e6:.1f} MB, written in {spent:.0f} s")
        measure(path, Path(folder))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
