import numpy as np
import pytest
import torch
from torch.nn import functional

from semlib.morphology.loss import (
    PAIRS,
    cross_scale_loss,
    diagnosis,
    normalised_std,
    rankme,
    uniformity,
    vicreg,
)


def slow_loss(projections, embeddings, pairs):
    terms = []
    for a, b in pairs:
        for p, z in zip(projections[a].tolist(), embeddings[b].tolist(), strict=True):
            terms.append(np.dot(p, z) / np.linalg.norm(p) / np.linalg.norm(z))
    return -np.mean(terms)


@pytest.mark.parametrize("pairs", PAIRS)
def test_equals_a_slow_loop(pairs):
    torch.manual_seed(0)
    p, z = ([torch.randn(5, 7) for _ in range(3)] for _ in range(2))
    expected = slow_loss(p, z, PAIRS[pairs])
    assert cross_scale_loss(p, z, pairs).item() == pytest.approx(expected, abs=1e-6)


def test_agreement_scores_minus_one_and_opposition_plus_one():
    z = [torch.randn(4, 6)] * 3
    assert cross_scale_loss(z, z).item() == pytest.approx(-1, abs=1e-6)
    assert cross_scale_loss([-x for x in z], z).item() == pytest.approx(1, abs=1e-6)


def test_target_gets_no_gradient():
    p = [torch.randn(4, 6, requires_grad=True) for _ in range(3)]
    z = [torch.randn(4, 6, requires_grad=True) for _ in range(3)]
    cross_scale_loss(p, z).backward()
    assert all(x.grad is not None and x.grad.abs().sum() > 0 for x in p)
    assert all(x.grad is None for x in z)


def test_all_pairs_are_the_six_ordered_ones():
    assert len(set(PAIRS["all"])) == 6 and all(a != b for a, b in PAIRS["all"])


def test_wrong_number_of_scales_and_unknown_pairs():
    z = [torch.randn(2, 3)] * 3
    with pytest.raises(ValueError, match="3 and 2"):
        cross_scale_loss(z, z[:2])
    with pytest.raises(ValueError, match="'some'"):
        cross_scale_loss(z, z, "some")


def test_normalised_std_of_collapse_and_of_even_spread():
    assert normalised_std(torch.ones(50, 16)) == pytest.approx(0, abs=1e-12)
    even = torch.randn(20000, 64, generator=torch.Generator().manual_seed(0))
    assert normalised_std(even) == pytest.approx(1 / 8, rel=0.01)


def test_rankme_known_answers():
    rng = np.random.default_rng(0)
    line = rng.normal(size=(100, 1)) @ rng.normal(size=(1, 20))
    assert rankme(line) == pytest.approx(1, abs=1e-6)
    assert rankme(np.ones((10, 4))) == 1
    centred = rng.normal(size=(50, 8))
    orthogonal = np.linalg.qr(centred - centred.mean(axis=0))[0]
    assert rankme(orthogonal) == pytest.approx(8, abs=1e-9)
    cross = np.array([[3, 0], [-3, 0], [0, 1], [0, -1.0]])  # singular values as 3 to 1
    entropy = -0.75 * np.log(0.75) - 0.25 * np.log(0.25)
    assert rankme(cross) == rankme(cross + 5) == pytest.approx(np.exp(entropy))


def test_rankme_sees_neither_shift_nor_rotation_when_centred():
    rng = np.random.default_rng(1)
    z = rng.normal(size=(60, 5)) * [5, 3, 1, 1, 0.1]
    turn = np.linalg.qr(rng.normal(size=(5, 5)))[0]
    assert rankme(z @ turn + 100) == pytest.approx(rankme(z), rel=1e-6)


def test_vicreg_equals_a_slow_loop():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 9, 4)) * 0.7
    total = 25 * ((a - b) ** 2).mean()
    for z in (a, b):
        covariance = np.cov(z.T)
        spread = np.sqrt(np.diag(covariance) + 1e-4)
        total += 25 / 2 * np.maximum(1 - spread, 0).mean()
        total += sum(covariance[i, j] ** 2 for i in range(4) for j in range(4) if i != j) / 4
    assert vicreg(torch.tensor(a), torch.tensor(b)).item() == pytest.approx(total)


def test_vicreg_is_zero_for_equal_views_with_spread_and_no_redundancy_and_punishes_collapse():
    z = 2 * torch.tensor([[1.0, 1], [1, -1], [-1, 1], [-1, -1]])
    assert vicreg(z, z).item() == pytest.approx(0, abs=1e-6)
    assert vicreg(torch.ones(4, 2), torch.ones(4, 2)).item() == pytest.approx(25 * (1 - 0.01))


def test_uniformity_by_hand_and_against_torch():
    assert uniformity(np.ones((5, 3))) == pytest.approx(0)
    assert uniformity([[1.0, 0], [-2.0, 0]]) == pytest.approx(-8)
    points = torch.randn(50, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = torch.pdist(functional.normalize(points)).pow(2).mul(-2).exp().mean().log().item()
    assert uniformity(points.numpy()) == pytest.approx(expected)


def test_diagnosis_of_a_line():
    line = np.arange(10.0)[:, None] * np.ones(4)
    assert diagnosis(line)["first component %"] == pytest.approx(100)
    assert diagnosis(line)["RankMe"] == pytest.approx(1)
