import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from semlib import plots

pytestmark = pytest.mark.usefixtures("styled_figures")


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (7, 40, 40), dtype=np.uint8)


def test_small_groups_are_drawn_last_and_the_legend_keeps_the_order_of_labels():
    groups = [1] * 3 + [2] * 90 + [3] * 7
    figure, axis = plt.subplots()
    plots.scatter(axis, np.random.default_rng(0).normal(size=(100, 2)), groups, title="t")
    assert [len(part.get_offsets()) for part in axis.collections] == [90, 7, 3]
    names = [text.get_text() for text in axis.get_legend().get_texts()]
    assert names == ["1 (3)", "2 (90)", "3 (7)"]


@pytest.mark.parametrize(("labels", "panels"), [(None, 1), (list("aabbccd"), 2)])
def test_a_view_by_label_needs_labels(labels, panels):
    points = np.random.default_rng(0).normal(size=(7, 2))
    clusters = [0, 0, 1, 1, 2, 2, 2]
    figure = plots.label_and_cluster(points, labels, clusters, title="SSL", view="UMAP")
    assert len(figure.axes) == panels
    assert "k-means cluster" in figure.axes[-1].get_title()


def test_grid_outlines_masks_and_takes_mixed_sizes(images):
    mask = np.zeros((40, 40), bool)
    mask[10:20, 10:20] = True
    shapes = [images[0], images[1][:30]]
    figure = plots.image_grid(shapes, ["a", "b"], masks=[mask, None], columns=5)
    shown = [axis for axis in figure.axes if axis.images]
    assert len(shown) == 2 and len(shown[0].collections) == 1 and not shown[1].collections


def test_a_constant_image_can_be_shown():
    plots.image_grid([np.zeros((30, 30), np.uint8)], ["black"]).canvas.draw()


def test_thumbnails_do_not_overlap(images):
    points = np.random.default_rng(0).normal(size=(200, 2))
    figure = plots.thumbnails(points, np.tile(images, (29, 1, 1))[:200], title="t")
    figure.canvas.draw()
    boxes = [box.get_window_extent() for box in figure.axes[0].artists]
    assert len(boxes) > 20
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_bars_show_ours_with_interval_and_the_paper():
    row = {"method": "GLCM", "silhouette": 0.4, "silhouette_lo": 0.3, "silhouette_hi": 0.5}
    row |= {"nmi": np.nan, "nmi_lo": np.nan, "nmi_hi": np.nan}
    row |= {"paper_silhouette": 0.43, "paper_nmi": 0.29}
    figure = plots.table1_bars(pd.DataFrame([row]))
    assert figure.axes[0].patches[0].get_width() == 0.4
    assert figure.axes[0].collections[-1].get_offsets()[0][0] == 0.43


def test_architecture_names_the_sizes_in_use():
    texts = " ".join(text.get_text() for text in plots.architecture(256).axes[0].texts)
    assert all(f"{s} x {s}" in texts for s in (256, 128, 64)) and "stop-gradient" in texts


def test_collapse_map_shows_each_row_in_both_panels():
    rows = [
        ("a", "as it is", 0.5, 1.0, 0.2),
        ("b", "as it is", 0.1, 90.0, 0.9),
        ("b", "5 components", 0.2, 5.0, 0.8),
    ]
    table = pd.DataFrame(rows, columns=["method", "space", "silhouette", "rankme", "knn_macro"])
    left, right = plots.collapse_map(table).axes
    for axis, column in ((left, "rankme"), (right, "knn_macro")):
        shown = np.vstack([part.get_offsets() for part in axis.collections])
        np.testing.assert_allclose(shown, table[[column, "silhouette"]])
    assert [text.get_text() for text in right.get_legend().get_texts()] == ["a", "b"]
    assert [len(part.get_facecolors()) for part in left.collections] == [1, 1, 0]


def test_collapse_map_without_labels_says_so():
    row = {"method": "a", "space": "x", "silhouette": 0.1, "rankme": 2.0, "knn_macro": np.nan}
    table = pd.DataFrame([row])
    assert [text.get_text() for text in plots.collapse_map(table).axes[1].texts] == ["no labels"]


def test_curves_have_a_line_for_each_group_in_each_panel():
    table = pd.DataFrame(
        {"method": ["a", "a", "b", "b"], "k": [2, 3, 2, 3], "nmi": [0.1, 0.2, 0.3, 0.4]}
    )
    (axis,) = plots.curves(table, "k", {"nmi": "NMI"}).axes
    assert [list(line.get_ydata()) for line in axis.lines] == [[0.1, 0.2], [0.3, 0.4]]
    assert (axis.get_xlabel(), axis.get_ylabel()) == ("k", "NMI")


def test_heat_keeps_the_order_of_rows_and_columns_and_writes_every_number():
    rows = [("z", "noise", 0.25), ("a", "noise", 0.5), ("z", "blur", 0.75), ("a", "blur", 1.0)]
    table = pd.DataFrame(rows, columns=["method", "change", "recall"])
    axis = plots.heat(table, {"recall": "recall"}).axes[0]
    assert [text.get_text() for text in axis.texts] == ["0.25", "0.50", "0.75", "1.00"]
    assert [text.get_text() for text in axis.get_xticklabels()] == ["z", "a"]
    assert [text.get_text() for text in axis.get_yticklabels()] == ["noise", "blur"]


@pytest.mark.parametrize(
    ("pixel_nm", "said", "pixels"),
    [(2.0, "20 nm", 10), (5.0, "50 nm", 10), (130.0, "1 µm", 1000 / 130), ("3", "20 nm", 20 / 3)],
)
def test_a_scale_bar_has_a_round_length_near_a_quarter_of_the_width(images, pixel_nm, said, pixels):
    figure = plots.image_grid([images[0]], ["a"], pixel_nm=[pixel_nm])
    (bar,) = figure.axes[0].artists
    assert bar.txt_label.get_text() == said
    assert bar.size_bar.get_children()[0].get_width() == pytest.approx(pixels)


def test_no_scale_bar_stands_where_the_pixel_size_is_unknown(images):
    figure = plots.image_grid(images[:3], "abc", pixel_nm=[0, "", None])
    assert [axis.artists[:] for axis in figure.axes if axis.images] == [[], [], []]


@pytest.mark.parametrize(
    ("nanometres", "said"),
    [(0.2, "0.2 nm"), (999, "999 nm"), (1234, "1.23 µm"), (2e6, "2000 µm"), (1000, "1 µm")],
)
def test_lengths_in_words(nanometres, said):
    assert plots.length(nanometres) == said
