import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import LeaveOneOut, StratifiedKFold, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch.nn import functional

from semlib.morphology import probe


@pytest.fixture
def noisy():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], [60, 30, 12])
    return rng.normal(size=(102, 5)) + 1.5 * np.eye(5)[labels], labels


def test_codes_follow_the_order_of_appearance():
    assert probe.codes(["b", "", "a", "b", np.nan]).tolist() == [0, -1, 1, 0, -1]


def test_nearest_neighbour_equals_leave_one_out_of_scikit_learn(noisy):
    points, labels = noisy
    expected = cross_val_predict(KNeighborsClassifier(1), points, labels, cv=LeaveOneOut())
    found = probe.nearest_neighbour(points, labels)
    np.testing.assert_array_equal(found, expected)
    micro, macro = probe.micro_macro(labels, found)
    assert micro == pytest.approx((expected == labels).mean())
    assert macro == pytest.approx(balanced_accuracy_score(labels, expected))


def test_nearest_neighbour_by_hand_without_the_class_of_one_image():
    points = np.array([[0.0], [1.0], [1.9], [5.0], [5.5], [5.2]])
    labels = ["a", "a", "b", "b", "b", "alone"]
    found = probe.nearest_neighbour(points, labels)
    assert found.tolist() == [0, 1, 0, 1, 1, -1]
    assert probe.micro_macro(probe.codes(labels), found) == pytest.approx(
        (3 / 5, (1 / 2 + 2 / 3) / 2)
    )
    assert probe.too_few(labels, 2) == {"alone": 1}


def test_probe_equals_scikit_learn(noisy):
    points, labels = noisy
    model = make_pipeline(
        StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=500)
    )
    folds = StratifiedKFold(4, shuffle=True, random_state=3)
    expected = cross_val_predict(model, points, labels, cv=folds)
    np.testing.assert_array_equal(probe.linear_probe(points, labels, folds=4, seed=3), expected)


def test_probe_leaves_out_small_classes_and_images_without_label(noisy):
    points, labels = noisy
    names = np.array(["x", "y", "z"], dtype=object)[labels]
    names[:3] = ""
    found = probe.linear_probe(points, names, folds=13)
    assert (
        (found[:3] == -1).all()
        and (found[names == "z"] == -1).all()
        and (found[names == "y"] >= 0).all()
    )
    assert probe.too_few(names, 13) == {"z": 12}


def test_a_probe_of_noise_is_at_chance_and_separate_classes_are_found():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], [300, 60])
    _, chance = probe.micro_macro(labels, probe.linear_probe(rng.normal(size=(360, 3)), labels))
    assert chance == pytest.approx(0.5, abs=0.1)
    assert probe.micro_macro(labels, probe.linear_probe(labels[:, None] + 0.0, labels)) == (1, 1)


@pytest.mark.parametrize("labels", [["", "", "", ""], ["a"] * 4, ["a", "b", "c", "d"]])
def test_without_two_classes_nothing_is_asked(labels):
    points = np.arange(8.0).reshape(4, 2)
    for found in (
        probe.nearest_neighbour(points, labels),
        probe.linear_probe(points, labels, folds=2),
    ):
        assert (found == -1).all() and np.isnan(probe.micro_macro(probe.codes(labels), found)).all()


def test_uniformity_by_hand_and_against_torch():
    assert probe.uniformity(np.ones((5, 3))) == pytest.approx(0)
    assert probe.uniformity([[1.0, 0], [-2.0, 0]]) == pytest.approx(-8)
    points = torch.randn(50, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = torch.pdist(functional.normalize(points)).pow(2).mul(-2).exp().mean().log().item()
    assert probe.uniformity(points.numpy()) == pytest.approx(expected)


def test_alignment_by_hand():
    first = np.array([[1.0, 0], [0, 2], [3, 0]])
    assert probe.alignment(first, 7 * first) == pytest.approx(0)
    assert probe.alignment(first, -first) == pytest.approx(4)
    assert probe.alignment(first, np.array([[1.0, 0], [1, 0], [3, 0]])) == pytest.approx(2 / 3)
