import numpy as np
import pytest
from scipy.stats import energy_distance

from semlib.morphology import retrieval


def test_similar_by_hand_leaves_the_query_itself_out():
    points = np.array([[0.0], [10], [1], [-3]])
    rows, distances = retrieval.similar(points, points[0], count=2, leave_out=0)
    assert rows.tolist() == [2, 3] and distances.tolist() == [1, 3]
    rows, _ = retrieval.similar(points, np.array([0.4]), count=9)
    assert rows.tolist() == [0, 2, 3, 1]


def test_unusualness_by_hand_and_a_pair_does_not_hide_itself():
    points = np.array([[0.0], [1], [2], [50], [50.1]])
    found = retrieval.unusualness(points, neighbours=2)
    np.testing.assert_allclose(found, [1.5, 1, 1.5, (0.1 + 48) / 2, (0.1 + 48.1) / 2])
    assert set(np.argsort(found)[-2:]) == {3, 4}
    assert len(retrieval.unusualness(points[:3], neighbours=20)) == 3
    with pytest.raises(ValueError, match="only among others: got 1"):
        retrieval.unusualness(points[:1])


def test_energy_distance_equals_scipy_in_one_dimension():
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=30), rng.normal(size=20) + 0.5
    found = retrieval.drift(first[:, None], second[:, None], draws=9)
    assert found["energy"] == pytest.approx(energy_distance(first, second) ** 2)


def test_drift_is_found_where_there_is_one():
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, 60, 5))
    assert retrieval.drift(first, second + 1, draws=99)["p"] == pytest.approx(1 / 100)
    assert retrieval.drift(first, 3 * second, draws=99)["p"] == pytest.approx(
        1 / 100
    )  # a change of spread alone
    same = retrieval.drift(first, first, draws=99)
    assert same["energy"] == pytest.approx(0, abs=1e-12) and same["p"] == 1
    with pytest.raises(ValueError, match="got 60 and 1"):
        retrieval.drift(first, second[:1])


def test_p_is_even_without_drift():
    rng = np.random.default_rng(0)
    p = [retrieval.drift(*rng.normal(size=(2, 25, 3)), draws=99, seed=i)["p"] for i in range(60)]
    assert np.mean(p) == pytest.approx(0.5, abs=0.12) and np.mean(np.array(p) <= 0.1) < 0.25
