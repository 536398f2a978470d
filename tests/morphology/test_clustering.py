import numpy as np
import pytest
from sklearn import metrics
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import LeaveOneOut, StratifiedKFold, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from semlib.morphology import clustering
from semlib.morphology.table1 import PAPER_TABLE1


def test_macro_silhouette_weighs_clusters_alike():
    points = np.array([[0.0], [1], [10], [13], [16], [12], [14]])
    scores = clustering.cluster_scores(points, k=2)
    each = metrics.silhouette_samples(points, points[:, 0] > 5)
    assert scores["macro_silhouette"] == pytest.approx((each[:2].mean() + each[2:].mean()) / 2)
    assert scores["silhouette"] == pytest.approx(each.mean()) != scores["macro_silhouette"]
    assert each[0] == pytest.approx(1 - 1 / 13)  # 1 from its own cluster, 13 from the other


@pytest.mark.slow
def test_one_dimensional_noise_beats_the_silhouette_of_the_paper():
    """What a referee would say: no structure, no NMI, and yet a silhouette above 0.5016."""
    rng = np.random.default_rng(0)
    scores = clustering.cluster_scores(rng.normal(size=(4591, 1)), rng.integers(1, 7, 4591))
    assert scores["silhouette"] == pytest.approx(0.518, abs=0.012)
    assert scores["silhouette"] > PAPER_TABLE1["Proposed SSL"][0]
    assert scores["nmi"] < 0.005 and abs(scores["ami"]) < 0.005
    assert scores["rankme"] == pytest.approx(1)


def test_scores_do_not_depend_on_the_names_of_the_labels(blobs):
    points, labels = blobs
    names = np.array(["?", "b", "a", "c"])[labels]
    first, second = (clustering.cluster_scores(points, each, k=5) for each in (names, labels))
    assert first == second


def test_unlabelled_images_count_in_no_score_against_labels(blobs):
    points, labels = blobs
    partial = labels.astype(str).astype(object)
    partial[::3] = ""
    noise = np.random.default_rng(0).normal(size=(100, 2))
    kept = clustering.fit_clusters(noise, k=3).labels_[partial != ""]
    expected = metrics.normalized_mutual_info_score(labels[partial != ""], kept)
    assert clustering.cluster_scores(noise, partial, k=3)["nmi"] == pytest.approx(expected)
    assert clustering.cluster_scores(points, partial, k=3)["ari"] == pytest.approx(1)
    for none in ([""] * 100, None):
        scores = clustering.cluster_scores(points, none, k=3)
        assert np.isfinite(scores["silhouette"]) and np.isnan([scores["nmi"], scores["ari"]]).all()


def test_v_measure_is_nmi_under_another_name_and_agrees_with_scikit_learn(blobs):
    points, labels = blobs
    mixed = labels + np.arange(100) % 2
    assigned = clustering.fit_clusters(points, k=4, seed=1).labels_
    scores = clustering.cluster_scores(points, mixed, k=4, seed=1)
    assert scores["homogeneity"] == pytest.approx(metrics.homogeneity_score(mixed, assigned))
    assert scores["completeness"] == pytest.approx(metrics.completeness_score(mixed, assigned))
    assert scores["v_measure"] == pytest.approx(metrics.v_measure_score(mixed, assigned))
    assert scores["v_measure"] == pytest.approx(scores["nmi"])
    assert scores["ari"] == pytest.approx(metrics.adjusted_rand_score(mixed, assigned))
    assert scores["ami"] == pytest.approx(metrics.adjusted_mutual_info_score(mixed, assigned))


def test_two_classes_in_one_cluster_are_complete_but_not_homogeneous():
    points = np.array([[0.0], [0.1], [5.0], [5.1]])
    scores = clustering.cluster_scores(points, [1, 1, 2, 3], k=2)
    assert scores["completeness"] == pytest.approx(1)
    assert scores["homogeneity"] == pytest.approx(1 / 1.5)  # 1 - H(class | cluster) / H(class)


def test_all_scores_of_separate_blobs_and_of_a_collapsed_embedding(blobs):
    points, labels = blobs
    images, scores = clustering.measure(points, labels, k=3)
    assert list(images) == ["silhouette", "cluster", "label", "neighbour", "probe"]
    assert scores["knn_micro"] == scores["knn_macro"] == scores["probe"] == 1
    assert scores["nmi"] == scores["ami"] == scores["ari"] == pytest.approx(1)
    assert scores["silhouette"] > 0.95 and scores["macro_silhouette"] > 0.95
    line = np.linspace(1, 2, 100)[:, None] * np.ones(4)
    _, collapsed = clustering.measure(line, labels, k=3)
    assert collapsed["rankme"] == pytest.approx(1)
    assert collapsed["embedding_std"] == pytest.approx(0, abs=1e-7)
    assert collapsed["uniformity"] == pytest.approx(0, abs=1e-7)
    _, unlabelled = clustering.measure(points, k=3)
    assert all(np.isnan(unlabelled[name]) for name in ("nmi", "knn_macro", "probe"))


def test_standardise():
    values = clustering.standardise(np.array([[1.0, 5, 2], [3, 5, 4], [5, 5, 9]]))
    np.testing.assert_allclose(values.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(values.std(axis=0), [1, 0, 1], atol=1e-12)


@pytest.mark.parametrize(
    ("points", "k", "message"),
    [
        (np.zeros((5, 2)), 6, "k = 6.*of 5 images"),
        (np.zeros((1, 2)), 2, "k = 2.*of 1 images"),
        (np.arange(20.0).reshape(10, 2), 1, "k = 1"),
        (np.repeat([[0.0], [1.0]], 10, axis=0), 3, "2 different embeddings"),
        (np.array([[0.0], [np.nan], [1], [2]]), 2, "contains NaN"),
    ],
)
def test_what_cannot_be_clustered_is_named(points, k, message):
    with pytest.raises(ValueError, match=message):
        clustering.fit_clusters(points, k=k)


@pytest.fixture
def noisy():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], [60, 30, 12])
    return rng.normal(size=(102, 5)) + 1.5 * np.eye(5)[labels], labels


def test_codes_follow_the_order_of_appearance():
    assert clustering.codes(["b", "", "a", "b", np.nan]).tolist() == [0, -1, 1, 0, -1]


@pytest.mark.slow
def test_nearest_neighbour_equals_leave_one_out_of_scikit_learn(noisy):
    points, labels = noisy
    expected = cross_val_predict(KNeighborsClassifier(1), points, labels, cv=LeaveOneOut())
    predicted = clustering.nearest_neighbour(points, labels)
    np.testing.assert_array_equal(predicted, expected)
    micro, macro = clustering.micro_macro(labels, predicted)
    assert micro == pytest.approx((expected == labels).mean())
    assert macro == pytest.approx(metrics.balanced_accuracy_score(labels, expected))


def test_nearest_neighbour_by_hand_without_the_class_of_one_image():
    points = np.array([[0.0], [1.0], [1.9], [5.0], [5.5], [5.2]])
    labels = ["a", "a", "b", "b", "b", "alone"]
    predicted = clustering.nearest_neighbour(points, labels)
    assert predicted.tolist() == [0, 1, 0, 1, 1, -1]
    accuracies = clustering.micro_macro(clustering.codes(labels), predicted)
    assert accuracies == pytest.approx((3 / 5, (1 / 2 + 2 / 3) / 2))
    assert clustering.too_few(labels, 2) == {"alone": 1}


def test_probe_equals_scikit_learn(noisy):
    points, labels = noisy
    regression = LogisticRegression(class_weight="balanced", max_iter=500)
    model = make_pipeline(StandardScaler(), regression)
    folds = StratifiedKFold(4, shuffle=True, random_state=3)
    expected = cross_val_predict(model, points, labels, cv=folds)
    predicted = clustering.linear_probe(points, labels, folds=4, seed=3)
    np.testing.assert_array_equal(predicted, expected)


def test_probe_leaves_out_small_classes_and_images_without_label(noisy):
    points, labels = noisy
    names = np.array(["x", "y", "z"], dtype=object)[labels]
    names[:3] = ""
    predicted = clustering.linear_probe(points, names, folds=13)
    assert (predicted[:3] == -1).all() and (predicted[names == "z"] == -1).all()
    assert (predicted[names == "y"] >= 0).all()
    assert clustering.too_few(names, 13) == {"z": 12}


def test_a_probe_of_noise_is_at_chance_and_separate_classes_are_found():
    labels = np.repeat([0, 1], [300, 60])
    noise = np.random.default_rng(0).normal(size=(360, 3))
    _, chance = clustering.micro_macro(labels, clustering.linear_probe(noise, labels))
    assert chance == pytest.approx(0.5, abs=0.1)
    separate = clustering.linear_probe(labels[:, None] + 0.0, labels)
    assert clustering.micro_macro(labels, separate) == (1, 1)


@pytest.mark.parametrize("labels", [["", "", "", ""], ["a"] * 4, ["a", "b", "c", "d"]])
def test_without_two_classes_nothing_is_asked(labels):
    points = np.arange(8.0).reshape(4, 2)
    probe = clustering.linear_probe(points, labels, folds=2)
    for predicted in (clustering.nearest_neighbour(points, labels), probe):
        assert (predicted == -1).all()
        assert np.isnan(clustering.micro_macro(clustering.codes(labels), predicted)).all()
