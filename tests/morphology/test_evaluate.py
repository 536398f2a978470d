import numpy as np
import pytest
from scipy.stats import entropy
from sklearn.metrics import (
    adjusted_mutual_info_score,
    adjusted_rand_score,
    completeness_score,
    homogeneity_score,
    normalized_mutual_info_score,
    silhouette_samples,
    silhouette_score,
    v_measure_score,
)
from sklearn.metrics.cluster import contingency_matrix, expected_mutual_information

from semlib.morphology import evaluate


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
    points = np.array([[0.0], [1], [10], [13], [16], [12], [14]])
    found = evaluate.cluster_scores(points, k=2)
    each = silhouette_samples(points, points[:, 0] > 5)
    assert found["macro_silhouette"] == pytest.approx((each[:2].mean() + each[2:].mean()) / 2)
    assert found["silhouette"] == pytest.approx(each.mean()) != found["macro_silhouette"]
    assert each[0] == pytest.approx(
        1 - 1 / 13
    )  # 1 from its own cluster, 13 on average from the other


def test_one_dimensional_noise_beats_the_silhouette_of_the_paper():
    """What a referee would say: no structure at all, and yet a higher silhouette than 0.5016 and no NMI."""
    rng = np.random.default_rng(0)
    scores = evaluate.cluster_scores(rng.normal(size=(4591, 1)), rng.integers(1, 7, 4591))
    assert scores["silhouette"] == pytest.approx(0.518, abs=0.012)
    assert scores["silhouette"] > evaluate.PAPER_TABLE1["Proposed SSL"][0]
    assert (
        scores["nmi"] < 0.005
        and abs(scores["ami"]) < 0.005
        and scores["rankme"] == pytest.approx(1)
    )


def test_scores_do_not_depend_on_the_names_of_the_labels(blobs):
    points, labels = blobs
    names = np.array(["?", "b", "a", "c"])[labels]
    assert evaluate.cluster_scores(points, names, k=5) == evaluate.cluster_scores(
        points, labels, k=5
    )


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


def test_v_measure_is_nmi_under_another_name_and_agrees_with_scikit_learn(blobs):
    points, labels = blobs
    mixed = labels + np.arange(100) % 2
    assigned = evaluate.cluster(points, k=4, seed=1)
    found = evaluate.cluster_scores(points, mixed, k=4, seed=1)
    assert found["homogeneity"] == pytest.approx(homogeneity_score(mixed, assigned))
    assert found["completeness"] == pytest.approx(completeness_score(mixed, assigned))
    assert (
        found["v_measure"]
        == pytest.approx(v_measure_score(mixed, assigned))
        == pytest.approx(found["nmi"])
    )
    assert found["ari"] == pytest.approx(adjusted_rand_score(mixed, assigned))
    assert found["ami"] == pytest.approx(adjusted_mutual_info_score(mixed, assigned))


def test_two_classes_in_one_cluster_are_complete_but_not_homogeneous():
    points = np.array([[0.0], [0.1], [5.0], [5.1]])
    found = evaluate.cluster_scores(points, [1, 1, 2, 3], k=2)
    assert found["completeness"] == pytest.approx(1)
    assert found["homogeneity"] == pytest.approx(
        np.log(2) / (1.5 * np.log(2))
    )  # 1 - H(class | cluster) / H(class)


def test_all_scores_of_separate_blobs_and_of_a_collapsed_embedding(blobs):
    points, labels = blobs
    found = evaluate.all_scores(points, labels, k=3)
    assert found["knn_micro"] == found["knn_macro"] == found["probe"] == 1
    line = np.linspace(1, 2, 100)[:, None] * np.ones(4)
    collapsed = evaluate.all_scores(line, labels, k=3)
    assert collapsed["rankme"] == pytest.approx(1) and collapsed["embedding_std"] == pytest.approx(
        0, abs=1e-7
    )
    assert collapsed["uniformity"] == pytest.approx(0, abs=1e-7)
    assert all(
        np.isnan(evaluate.all_scores(points, k=3)[name]) for name in ("nmi", "knn_macro", "probe")
    )


def test_null_of_nmi_is_what_chance_gives_for_these_sizes(blobs):
    rng = np.random.default_rng(0)
    clusters, labels = rng.integers(0, 5, 300), np.repeat([1, 2, 3], [200, 80, 20])
    found = evaluate.permutation_null(clusters, labels, draws=400)
    table = contingency_matrix(labels, clusters, sparse=True)
    by_chance = expected_mutual_information(table, 300)
    assert found["null_mean"] == pytest.approx(
        by_chance / np.mean([entropy(np.bincount(x)) for x in (labels, clusters)]), rel=0.05
    )
    assert found["p"] > 0.05
    assert evaluate.permutation_null(blobs[1], blobs[1], draws=19)["p"] == pytest.approx(1 / 20)
    with pytest.raises(ValueError, match="needs labels"):
        evaluate.permutation_null([0, 1], ["", ""])


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


def test_there_must_be_a_label_for_each_embedding(blobs):
    with pytest.raises(ValueError, match="3 labels for 100"):
        evaluate.cluster_scores(blobs[0], [1, 2, 3], k=3)
