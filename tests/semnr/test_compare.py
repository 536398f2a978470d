"""The comparison of denoisers, the registration of real pairs, and the pictures drawn from them."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from semlib.semnr import compare, denoise, plots, sliders, stress, trust

pytestmark = pytest.mark.slow  # what all its tests share takes a second


@pytest.fixture
def table(lines, without_weights, monkeypatch):
    monkeypatch.setattr(denoise, "names", lambda: ["identity", "TV"])
    return compare.denoisers(lines[0][None], lines[1][None])


def test_a_row_for_each_denoiser_and_input(table):
    psnr = table.pivot(index="denoiser", columns="input", values="psnr")
    assert psnr.shape == (2, 2) and psnr.loc["identity", "clean"] == pytest.approx(80, abs=0.01)
    assert psnr.loc["TV", "noisy"] > psnr.loc["identity", "noisy"]
    assert table.query("denoiser == 'identity' and input == 'noisy'")["verdict"].item() == "no gain"


def test_summary_holds_means_and_intervals():
    by = ["input", "denoiser"]
    scores = {"input": "noisy", "denoiser": ["a", "a", "b"], "psnr": [20.0, 22.0, 30.0]}
    means = compare.means(pd.DataFrame(scores), by, ["psnr"])
    assert list(means) == [*by, "images", "psnr", "psnr_lo", "psnr_hi"]
    assert means.loc[0, ["images", "psnr"]].tolist() == [2, 21]
    assert means.loc[0, "psnr_hi"] - 21 == pytest.approx(12.706, abs=1e-3)  # t of one degree
    shown = compare.readable(means, by, ["psnr"])
    assert shown["PSNR"].tolist() == ["21.000 [8.294, 33.706]", "30.000"]


def test_what_became_of_the_defect_on_noisy_images(table):
    noisy = table[table["input"] == "noisy"].set_index("denoiser")
    assert noisy.loc["identity", "d_psnr"] == 0 < noisy.loc["TV", "d_psnr"]
    assert noisy.loc["TV", "before_recall"] == noisy.loc["identity", "recall"]


def test_severity_table_and_its_curves(lines, without_weights):
    table = compare.severity(lines[0][None], lines[1][None], severities=(0.2, 0.8))
    assert len(table) == 14 and (table.groupby("damage")["psnr"].diff().dropna() < 0).all()
    figure = plots.severity_curves(table.assign(dists=0.5))
    assert len([axis for axis in figure.axes if axis.has_data()]) == len(stress.METRICS)
    plt.close("all")


def test_pictures_have_an_axis_for_each_part(lines, noisy, table):
    profiles = compare.mean_profiles(table)
    radar = plots.radar(profiles)
    assert [axis.get_title().split("\n")[0] for axis in radar.axes if axis.get_visible()] == ["TV"]
    assert len(radar.axes[0].get_xticks()) == 4  # no DISTS
    pair = (lines[0], noisy)
    panels, captions = compare.panels(table, 0, *pair, ["TV"], "recall")
    three = plots.comparison(panels, captions, lines[1])
    assert len(three.axes) == 6 and "dB, recall 0." in three.axes[2].get_title()
    shares = pd.DataFrame({"psnr": [1.0], "dists": [np.nan]}, index=["blur"])
    labels = plots.disagreement(shares).axes[0].get_xticklabels()
    assert [label.get_text() for label in labels] == ["PSNR", "DISTS"]
    texts = {text.get_text() for axis in plots.flowchart().axes for text in axis.texts}
    drawn = (*trust.FLAGS, *trust.RULES, trust.TRUSTED)
    assert texts >= {text for rule in drawn for text in (rule.name, rule.next)}
    plt.close("all")


def test_areas_depend_on_the_order_of_the_axes():
    profile = dict(zip(trust.AXES, (1, 0, 1, 0, 1), strict=True))
    areas = compare.areas_by_order({"a": profile, "b": dict.fromkeys(trust.AXES, 1)})
    assert len(areas) == 24 and (areas["b"] == 1).all()
    assert sorted(set(areas["a"])) == [0.2, 0.4]  # neighbours of 1 among three ones of five


def test_sliders_only_for_a_person(monkeypatch, lines, with_weights):
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    assert not sliders.in_jupyter()
    monkeypatch.setenv("JPY_SESSION_NAME", "08")
    assert sliders.in_jupyter()
    for method in sliders.STRENGTHS:
        figure = sliders.view(trust.Reference(lines[0], mask=lines[1]), method, 40, 0.5, seed=0)
        assert "electrons a pixel" in figure.subfigs[0].texts[0].get_text()
    plt.close("all")
