import numpy as np
import pytest
from sklearn.metrics import normalized_mutual_info_score, silhouette_score

from semlib.morphology import evaluate


@pytest.fixture
def blobs():
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(3), [20, 30, 50])
    return rng.normal(size=(100, 4)) * 0.1 + 10 * np.eye(4)[labels], labels + 1


def test_separate_blobs_are_found(blobs):
    scores = evaluate.cluster_scores(*blobs, k=3)
    assert scores["nmi"] == scores["ami"] == scores["ari"] == pytest.approx(1)
    assert scores["silhouette"] > 0.95 and scores["macro_silhouette"] > 0.95


def test_silhouette_equals_scikit_learn(blobs):
    points, _ = blobs
    assigned = evaluate.cluster(points, k=4, seed=1)
    scores = evaluate.cluster_scores(points, k=4, seed=1)
    assert scores["silhouette"] == pytest.approx(silhouette_score(points, assigned))


def test_macro_silhouette_weighs_clusters_alike():
    tight = np.array([[0.0], [0.001], [0.002]])
    loose = np.array([[10.0], [13.0], [16.0], [12.0], [14.0]])
    scores = evaluate.cluster_scores(np.vstack([tight, loose]), k=2)
    assert scores["macro_silhouette"] > scores["silhouette"]


def test_one_dimensional_noise_beats_the_silhouette_of_the_paper():
    """What a referee would say: no structure at all, and yet a higher silhouette than 0.5016 and no NMI."""
    rng = np.random.default_rng(0)
    scores = evaluate.cluster_scores(rng.normal(size=(4591, 1)), rng.integers(1, 7, 4591))
    assert scores["silhouette"] == pytest.approx(0.518, abs=0.012)
    assert scores["silhouette"] > evaluate.PAPER_TABLE1["Proposed SSL"][0]
    assert scores["nmi"] < 0.005 and abs(scores["ami"]) < 0.005 and scores["rankme"] == pytest.approx(1)


def test_scores_do_not_depend_on_the_names_of_the_labels(blobs):
    points, labels = blobs
    names = np.array(["?", "b", "a", "c"])[labels]
    assert evaluate.cluster_scores(points, names, k=5) == evaluate.cluster_scores(points, labels, k=5)


def test_without_labels_only_the_label_free_scores_come_out(blobs):
    scores = evaluate.cluster_scores(blobs[0], k=3)
    assert np.isfinite(scores["silhouette"]) and np.isnan(scores["nmi"]) and np.isnan(scores["ari"])


def test_unlabelled_images_count_in_no_score_against_labels(blobs):
    points, labels = blobs
    partial = labels.astype(str).astype(object)
    partial[::3] = ""
    noise = np.random.default_rng(0).normal(size=(100, 2))
    kept = evaluate.cluster(noise, k=3)[partial != ""]
    expected = normalized_mutual_info_score(labels[partial != ""], kept)
    assert evaluate.cluster_scores(noise, partial, k=3)["nmi"] == pytest.approx(expected)
    assert evaluate.cluster_scores(points, partial, k=3)["ari"] == pytest.approx(1)
    assert np.isnan(evaluate.cluster_scores(points, [""] * 100, k=3)["nmi"])


def test_interval_of_nmi_surrounds_its_estimate_though_resamples_are_biased():
    rng = np.random.default_rng(0)
    row = evaluate.table1({"x": rng.normal(size=(60, 3))}, rng.integers(0, 6, 60), seeds=[0], progress=False).iloc[0]
    assert row["nmi_lo"] < row["nmi"] < row["nmi_hi"]


def test_table1_columns_intervals_and_paper_values(blobs):
    points, labels = blobs
    noise = np.random.default_rng(1).normal(size=(100, 2))
    table = evaluate.table1({"GLCM": noise, "Proposed SSL": [points, points]}, labels, k=3, seeds=range(2), draws=30)
    names = ["silhouette", "silhouette_lo", "silhouette_hi", "nmi", "nmi_lo", "nmi_hi"]
    assert list(table.columns) == ["method", *names, "rankme", "paper_silhouette", "paper_nmi"]
    assert (table["silhouette_lo"] <= table["silhouette"]).all() and (
        table["silhouette"] <= table["silhouette_hi"]
    ).all()
    assert table["paper_nmi"].tolist() == [0.287785, 0.203185]
    assert table["nmi"].iloc[1] == pytest.approx(1)


def test_table1_repeats_itself(blobs):
    tables = [evaluate.table1({"x": blobs[0]}, blobs[1], k=3, seeds=[4], draws=20, progress=False) for _ in range(2)]
    assert tables[0].equals(tables[1])


def test_interval_holds_the_silhouette_of_the_population():
    rng = np.random.default_rng(0)
    population = evaluate.cluster_scores(rng.normal(size=(3000, 1)), k=4)["silhouette"]
    hits = 0
    for seed in range(10):
        points = rng.normal(size=(150, 1))
        row = evaluate.table1({"x": points}, k=4, seeds=[seed], draws=100, progress=False).iloc[0]
        hits += row["silhouette_lo"] - 0.02 <= population <= row["silhouette_hi"] + 0.02
    assert hits >= 8


def test_standardise():
    values = evaluate.standardise(np.array([[1.0, 5, 2], [3, 5, 4], [5, 5, 9]]))
    np.testing.assert_allclose(values.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(values.std(axis=0), [1, 0, 1], atol=1e-12)


@pytest.mark.parametrize(
    ("points", "k", "message"),
    [
        (np.zeros((5, 2)), 6, "k = 6.*got 5"),
        (np.zeros((1, 2)), 2, "got 1"),
        (np.arange(20.0).reshape(10, 2), 1, "k = 1"),
        (np.repeat([[0.0], [1.0]], 10, axis=0), 3, "2 different embeddings"),
        (np.array([[0.0], [np.nan], [1], [2]]), 2, "1 embeddings hold NaN"),
    ],
)
def test_what_cannot_be_clustered_is_named(points, k, message):
    with pytest.raises(ValueError, match=message):
        evaluate.cluster(points, k=k)


def test_label_and_seed_counts_must_fit(blobs):
    with pytest.raises(ValueError, match="3 labels for 100"):
        evaluate.cluster_scores(blobs[0], [1, 2, 3], k=3)
    with pytest.raises(ValueError, match="GLCM: 1 embeddings for 2 seeds"):
        evaluate.table1({"GLCM": [blobs[0]]}, k=3, seeds=range(2))
