"""How smooth the explorer is in a headless Chromium: ``python -m tests.explorer_speed [COUNT]``, else 5,000 points.

Frame times are those between two drawn frames while the pointer works without a pause; 16.7 ms is what a screen shows.
Without a graphics card WebGL is computed by the processor, so these are upper bounds.
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

_FRAMES = "window.frames_ = []; (function next(t) { frames_.push(t); requestAnimationFrame(next) })(performance.now())"


def parts(count, seed=0):
    """`count` synthetic images, 200 of them different, with two embeddings, their views, clusters and labels."""
    rng = np.random.default_rng(seed)
    few = sample(200, seed=seed, size=128)
    rows = rng.integers(0, 200, count)
    centres = rng.normal(size=(6, 128)) * 3
    spaces = {
        n: (centres[rows % 6] + rng.normal(size=(count, 128))).astype("f4")
        for n in ("Proposed SSL", "GLCM")
    }
    views = {
        (name, view): space[:, :2] for view in ("UMAP", "t-SNE") for name, space in spaces.items()
    }
    groups = {f"cluster: {name}": rows % 6 for name in spaces}
    ids = [f"image {i}" for i in range(count)]
    return {
        "images": few.images[rows],
        "views": views,
        "spaces": spaces,
        "groups": groups,
        "ids": ids,
    } | {"labels": few.labels[rows]}


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
            cuts = np.percentile(steps, [50, 95, 100])
            print(
                f"{name}: frames of {cuts[0]:.0f} ms, 95 % below {cuts[1]:.0f}, worst {cuts[2]:.0f}; {spent:.1f} s"
            )

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
        frames(
            "zoom, 20 steps",
            lambda: [mouse("mouseWheel", x, y, deltaX=0, deltaY=d) for d in [-60, 60] * 10],
        )
        frames("pan, 45 steps", drag)
        frames("other colours", recolour)
        browser.ask("(models('LassoSelectTool')[0].active = true)")
        frames("lasso, 45 steps", drag)
        print(
            f"selected by the lasso: {browser.ask('models(`ColumnDataSource`)[0].selected.indices.length')} images"
        )


def main(count=5000):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "explorer.html"
        start = time.perf_counter()
        page = file_html(
            explorer.build(**parts(count), note="synthetic images"), INLINE, title="explorer"
        )
        path.write_text(page, encoding="utf-8")
        print(
            f"{count} points: {path.stat().st_size / 1e6:.1f} MB, written in {time.perf_counter() - start:.0f} s"
        )
        measure(path, Path(folder))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
