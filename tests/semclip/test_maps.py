"""Redundant features, similarities, odds and sizes, by hand and against slow references."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from semlib.semclip import maps


def unit(*shape, seed=0):
    return F.normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)), dim=-1)


def test_redundant_features_by_the_papers_definition():
    tokens, texts = unit(9, 6), unit(4, 6, seed=1)
    product = tokens[:, None] * texts  # P C e, element by element
    kept = (product - product.mean(1, keepdim=True)).sum(-1)
    lengths = (texts - texts.mean(0)).norm(dim=-1)
    computed = maps.similarity(tokens, torch.eye(6), maps.distinct(texts))
    assert torch.allclose(computed, kept / lengths, atol=1e-6)
    assert maps.distinct(texts).norm(dim=-1) == pytest.approx(1)


def test_removal_alone_is_not_seen_by_the_odds():
    """Why `distinct` normalises: else every similarity of a patch moves by the same amount."""
    tokens, texts = unit(9, 6), unit(4, 6, seed=1)
    with_all, centred = ((tokens @ t.T) for t in (texts, texts - texts.mean(0)))
    assert torch.allclose(
        maps.defect_logit(with_all, 0, 0.1), maps.defect_logit(centred, 0, 0.1), atol=1e-5
    )
    assert not torch.allclose(
        maps.defect_logit(tokens @ maps.distinct(texts).T, 0, 0.1),
        maps.defect_logit(with_all, 0, 0.1),
        atol=0.1,
    )


def test_similarity_is_the_cosine_of_each_layer():
    tokens, layers, texts = torch.randn(2, 3, 7, 5), torch.randn(2, 3, 5, 4), unit(3, 4)
    computed = maps.similarity(tokens, layers, texts)
    assert computed.shape == (2, 3, 7, 3)
    slow = F.cosine_similarity((tokens[1, 2] @ layers[1, 2])[:, None], texts[None], dim=-1)
    assert torch.allclose(computed[1, 2], slow, atol=1e-5)


def test_odds_by_hand():
    # normal 0.2, defects 0.4 and 0.1, temperature 0.1: log((e^4 + e^1) / 2) - 2
    logit = maps.defect_logit(torch.tensor([0.4, 0.2, 0.1]), 1, 0.1)
    assert float(logit) == pytest.approx(np.log((np.exp(4) + np.exp(1)) / 2) - 2)


def test_odds_do_not_depend_on_how_often_a_defect_is_named():
    few = torch.tensor([[0.2, 0.4, 0.1]])
    assert torch.allclose(
        maps.defect_logit(few, 0, 0.1), maps.defect_logit(few[:, [0, 1, 1, 2, 2]], 0, 0.1)
    )
    assert float(maps.defect_logit(torch.full((1, 7), 0.3), 0, 0.1)) == pytest.approx(0, abs=1e-6)


def test_enlarging_is_bilinear():
    patches = torch.rand(2, 5, 3)
    expected = F.interpolate(patches[:, None], (40, 33), mode="bilinear")[:, 0]
    assert torch.allclose(maps.enlarge(patches, (40, 33)), expected, atol=1e-6)
    assert torch.equal(maps.enlarge(patches, (5, 3)), patches)


@pytest.mark.parametrize("pixels", [4, 15, 240])
def test_enlarging_keeps_constants_and_the_range(pixels):
    matrix = maps.enlarging(15, pixels, 0.5)
    assert matrix.shape == (pixels, 15) and (matrix >= 0).all()
    assert torch.allclose(matrix.sum(1), torch.ones(pixels), atol=1e-5)


def test_blur_smooths():
    patches = torch.zeros(1, 15, 15)
    patches[0, 7, 7] = 1
    sharp, soft = (maps.enlarge(patches, (60, 60), blur)[0] for blur in (0.0, 0.5))
    assert soft.max() < sharp.max() and float(soft.sum()) == pytest.approx(
        float(sharp.sum()), rel=1e-3
    )


def test_the_map_is_the_mean_over_paths_and_levels():
    """A = (A_F + A_V) / 2, in chunks of images."""
    tokens = torch.randn(maps.CHUNK + 3, 2, 3, 5, 6).half().numpy()
    layers, texts = torch.randn(2, 3, 6, 4), unit(3, 4)
    computed = maps.anomaly(tokens, layers, texts=texts, normal=1, temperature=0.1)
    one = torch.from_numpy(tokens[-1]).float()
    odds = maps.defect_logit(maps.similarity(one, layers, texts), 1, 0.1).sigmoid()
    assert computed.shape == (maps.CHUNK + 3, 5)
    assert torch.allclose(computed[-1], odds.mean((0, 1)), atol=1e-6)


def test_the_patch_that_holds_most_of_a_mask():
    mask = np.zeros((32, 48), bool)
    mask[15:20, 30:40] = True  # rows 16 to 19 lie in the second row of patches
    assert maps.patch_of(mask, (2, 3)) == 5
