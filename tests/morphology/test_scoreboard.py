import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics.cluster import contingency_matrix, expected_mutual_information

from semlib.morphology import clustering, scoreboard


def summarise(methods, labels=None, *, draws=20, **options):
    measured = scoreboard.runs(methods, labels, **options)
    return scoreboard.summary(measured, draws=draws)


def table(**columns):
    """Scores of methods "a" and "b" by (training, seed)."""
    rows = [
        {"space": "x", "method": name, "training": training, "seed": seed, "nmi": value}
        for name, values in columns.items()
        for seed, (training, value) in enumerate(values)
    ]
    return pd.DataFrame(rows)


def test_interval_of_nmi_surrounds_its_estimate_though_resamples_are_biased():
    rng = np.random.default_rng(0)
    points = {"x": rng.normal(size=(60, 3))}
    row = summarise(points, rng.integers(0, 6, 60), seeds=[0], draws=100).iloc[0]
    assert row["nmi_lo"] < row["nmi"] < row["nmi_hi"]


@pytest.mark.slow
def test_summary_repeats_itself_and_means_are_those_of_the_runs(blobs):
    tables = [summarise({"x": blobs[0]}, blobs[1], k=4, seeds=[4, 5]) for _ in range(2)]
    assert tables[0].equals(tables[1])
    each = [clustering.measure(*blobs, k=4, seed=seed)[1] for seed in (4, 5)]
    for name, values in pd.DataFrame(each).items():
        assert tables[0][name].iloc[0] == pytest.approx(values.mean())


def test_interval_holds_the_silhouette_of_the_population():
    rng = np.random.default_rng(0)
    population = clustering.cluster_scores(rng.normal(size=(3000, 1)), k=4)["silhouette"]
    hits = 0
    for seed in range(10):
        row = summarise({"x": rng.normal(size=(150, 1))}, k=4, seeds=[seed], draws=100).iloc[0]
        hits += row["silhouette_lo"] - 0.02 <= population <= row["silhouette_hi"] + 0.02
    assert hits >= 8


@pytest.mark.slow
def test_trainings_take_turns_and_count_alike(blobs):
    points, labels = blobs
    measured = scoreboard.runs({"a": [points, -points], "b": points}, labels, k=3, seeds=range(4))
    assert [(run.method, run.training, run.seed) for run in measured[:4]] == [
        ("a", i % 2, i) for i in range(4)
    ]
    assert {run.training for run in measured[4:]} == {-1}


def test_sweep_peaks_at_the_number_of_blobs(blobs):
    sweep = scoreboard.sweep({"x": blobs[0]}, blobs[1], ks=(2, 3, 5), seeds=range(2))
    assert sweep["k"].tolist() == [2, 3, 5]
    assert sweep.set_index("k")["ari"].idxmax() == sweep.set_index("k")["silhouette"].idxmax() == 3


def test_paired_test_agrees_with_scipy():
    rng = np.random.default_rng(0)
    first = rng.normal(size=8)
    second = rng.normal(size=8) + 1
    pairs = table(a=[(-1, x) for x in first], b=[(-1, x) for x in second])
    row = scoreboard.paired(pairs, "a", names=["nmi"]).iloc[0]
    expected = stats.ttest_rel(second, first)
    assert (row["method"], row["pairs"]) == ("b", 8)
    assert row["difference"] == pytest.approx((second - first).mean())
    assert row["p"] == pytest.approx(expected.pvalue) == row["p_holm"]
    assert row["difference_lo"] == pytest.approx(expected.confidence_interval().low)


def test_sign_flip_is_exact():
    pairs = table(a=[(-1, 0.0)] * 5, b=[(-1, x) for x in (1.0, 2, 3, 4, 5)])
    assert scoreboard.paired(pairs, "a", names=["nmi"])["p_sign"].iloc[0] == pytest.approx(2 / 2**5)


def test_pairs_are_trainings_where_one_of_the_two_was_trained():
    trained = [(0, 1.0), (1, 2.0), (0, 3.0), (1, 6.0)]
    fixed = [(-1, 0.0), (-1, 0.0), (-1, 1.0), (-1, 1.0)]
    row = scoreboard.paired(table(a=fixed, b=trained), "a", names=["nmi"]).iloc[0]
    assert row["pairs"] == 2 and row["difference"] == pytest.approx(np.mean([2 - 0.5, 4 - 0.5]))


def test_a_difference_without_spread_has_no_p():
    row = scoreboard.paired(table(a=[(-1, 1.0)] * 3, b=[(-1, 2.0)] * 3), "a", names=["nmi"]).iloc[0]
    assert row["difference"] == 1 and np.isnan(row[["p", "p_sign", "p_holm"]].astype(float)).all()


@pytest.mark.slow
def test_null_of_nmi_is_what_chance_gives_for_these_sizes():
    rng = np.random.default_rng(0)
    clusters = rng.integers(0, 5, 300)
    labels = np.repeat([1, 2, 3], [200, 80, 20])
    images = pd.DataFrame({"cluster": clusters})
    null = scoreboard.nulls([scoreboard.Run("x", -1, 0, images, {})], labels, draws=400).iloc[0]
    table = contingency_matrix(labels, clusters, sparse=True)
    by_chance = expected_mutual_information(table, 300)
    entropies = [stats.entropy(np.bincount(x)) for x in (labels, clusters)]
    assert null["null_mean"] == pytest.approx(by_chance / np.mean(entropies), rel=0.05)
    assert null["p"] > 0.05
    same = scoreboard.Run("same", -1, 0, pd.DataFrame({"cluster": labels}), {})
    assert scoreboard.nulls([same], labels, draws=19)["p"].tolist() == pytest.approx([1 / 20])
