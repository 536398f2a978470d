"""Every picture shows what it was given; no label covers another."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from semlib.semclip import findings, plots

pytestmark = pytest.mark.usefixtures("styled_figures")
CLASSES = ["defect-free", "bridge", "copper residue"]


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (3, 24, 30), dtype=np.uint8)


@pytest.fixture
def masks():
    masks = np.zeros((3, 24, 30), bool)
    masks[1:, 5:9, 10:20] = True
    return masks


def summary(methods, metrics=("PRO", "AP")):
    rng = np.random.default_rng(0)
    rows = [
        {"method": name, "supervision": supervision, "k": k, "seed": seed}
        | {
            metric: 0.5 if supervision == "none" else 0.4 + 0.05 * k + rng.normal(0, 0.02)
            for metric in metrics
        }
        for name, supervision in methods.items()
        for k in (1, 5, 10)
        for seed in range(3)
    ]
    return findings.summarise(pd.DataFrame(rows))


def overlapping(figure):
    """Pairs of texts of a drawn figure that cover each other."""
    figure.canvas.draw()
    beyond = []  # numbers outside an axis' limits are not drawn
    for axis in [one for axes in figure.axes for one in (axes.xaxis, axes.yaxis)]:
        low, high = sorted(axis.get_view_interval())
        ticks = [tick for tick in axis.get_major_ticks() if not low <= tick.get_loc() <= high]
        beyond += [tick.label1 for tick in ticks]
    texts = [text for text in figure.findobj(plt.Text) if text.get_visible() and text.get_text()]
    texts = [text for text in texts if text not in beyond]
    boxes = [(text.get_text(), text.get_window_extent()) for text in texts]
    boxes = [(text, box) for text, box in boxes if box.width > 0]
    return [(a[0], b[0]) for i, a in enumerate(boxes) for b in boxes[:i] if a[1].overlaps(b[1])]


@pytest.mark.slow
def test_overlays_show_image_mask_and_each_map(images, masks):
    maps = {
        "SEM-CLIP": masks + 0.5,
        "WinCLIP-style, few-shot": np.linspace(0, 9, masks.size).reshape(masks.shape),
    }
    figure = plots.overlays(images, masks, maps, CLASSES)
    assert [axis.get_title() for axis in figure.axes[:4]] == ["image", "mask", *maps]
    assert [axis.get_ylabel() for axis in figure.axes[::4]] == CLASSES
    outlines = [len(axis.collections) for axis in figure.axes[2::4]]
    assert outlines == [0, 1, 1]  # a defect-free image has none
    heat = figure.axes[7].images[1]
    assert np.array_equal(heat.get_array(), maps["WinCLIP-style, few-shot"][1])
    other, same = (figure.axes[i].images[1].get_clim() for i in (2, 3))
    assert heat.get_clim() == same != other
    assert not overlapping(figure)


def test_confusion_matrices_hold_shares_of_the_true_class():
    labels = np.array([0, 0, 0, 0, 1, 2])
    figure = plots.confusions(labels, {"a": np.array([0, 0, 0, 1, 1, 1]), "b": labels}, CLASSES)
    first, second = figure.axes
    assert first.get_title() == "a\naccuracy 0.67" and second.get_title() == "b\naccuracy 1.00"
    shares, right = (axis.collections[0].get_array().reshape(3, 3) for axis in figure.axes)
    assert shares.tolist() == [[0.75, 0.25, 0], [0, 1, 0], [0, 1, 0]]
    assert right.tolist() == np.eye(3).tolist()
    assert not overlapping(figure)


def test_curves_show_means_with_intervals():
    table = summary({"U-Net": "masks", "WinCLIP-style": "none", "SEM-CLIP": "labels + masks"})
    figure = plots.shot_curves(table, ["AP", "PRO"], columns=2)
    axis = figure.axes[0]
    assert axis.get_title() == "AP"
    assert [text.get_text() for text in axis.get_xticklabels()] == ["1", "5", "10"]
    lines, _, bars = axis.containers[-1].lines
    ours = table[table["method"] == "SEM-CLIP"]
    assert lines.get_ydata().tolist() == ours["AP"].tolist() and lines.get_color() == "black"
    drawn = np.array([segment[:, 1] for segment in bars[0].get_segments()])
    np.testing.assert_allclose(drawn, ours[["AP_lo", "AP_hi"]])
    assert len(axis.containers) == 2  # WinCLIP-style is a horizontal line
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["SEM-CLIP: labels + masks", "U-Net: masks", "WinCLIP-style: none"]
    assert not overlapping(figure)


@pytest.mark.slow
def test_many_methods_can_be_told_apart():
    table = summary({f"method {i}": "labels" for i in range(12)}, ["a", "b", "c", "d"])
    figure = plots.shot_curves(table, ["a", "b", "c", "d"], columns=2)
    lines = figure.legends[0].get_lines()
    looks = {(line.get_color(), line.get_marker(), line.get_linestyle()) for line in lines}
    assert len(looks) == 12 and len([axis for axis in figure.axes if axis.axison]) == 4
    starts = {container.lines[0].get_xdata()[0] for container in figure.axes[0].containers}
    assert len(starts) == 12
    assert not overlapping(figure)


def test_attention_of_both_paths_as_multiples_of_even(images):
    original, vv = np.full((3, 12), 1 / 12), np.eye(12)[:3]
    figure = plots.attention(images, original, vv, (3, 4), CLASSES)
    assert [axis.get_title() for axis in figure.axes[:3]] == ["image", "original path", "V-V path"]
    assert figure.axes[1].get_xlabel() == "up to 1.0 times even"
    assert figure.axes[2].get_xlabel() == "up to 12.0 times even"
    assert figure.axes[5].images[1].get_array().shape == (3, 4)
    assert figure.axes[5].images[1].get_extent() == [-0.5, 29.5, 23.5, -0.5]  # over the whole image
    assert not overlapping(figure)


def test_false_alarms_compare_on_one_scale(images, masks):
    text = masks[[1, 1, 1]]
    before, after = 0.1 + 0.8 * text, np.full(text.shape, 0.2)
    figure = plots.false_alarms(images, text, before, after, len(CLASSES))
    _, left, right = figure.axes[:3]
    assert left.get_xlabel() == "text 0.90, elsewhere 0.10"
    assert right.get_xlabel() == "text 0.20, elsewhere 0.20"
    assert left.images[1].get_clim() == right.images[1].get_clim() == pytest.approx((0.1, 0.9))
    assert not overlapping(figure)


def test_costs_show_the_eye_and_a_line_a_method():
    from semlib.semclip import cost

    row = {"supervision": "labels", "seconds": 1.0, "false alarms": 0.1, "missed": 0.1}
    some = [
        row | {"method": name, "k": k, "seed": s} for name in "ab" for k in (1, 5) for s in (0, 1)
    ]
    fab = cost.Assumptions(missed_minutes=1)
    figure = plots.costs(cost.table(pd.DataFrame(some), 7, fab))
    (axis,) = figure.axes
    assert axis.get_yscale() == "log"
    assert axis.lines[-1].get_ydata()[0] == pytest.approx(cost.by_eye(fab) / 60)
    names = [one.get_text() for one in figure.legends[0].get_texts()]
    assert names == ["a", "b", "inspection by eye", "U-Net, 10 times the masks"]
