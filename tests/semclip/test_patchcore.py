"""PatchCore by hand, its coreset, and what VGG16 sees."""

import numpy as np
import pytest
import torch

from semlib import vgg
from semlib.semclip import patchcore
from semlib.semclip.episodes import Episode, Pool


def patch_pool(count=3):
    images = np.zeros((count, 2, 2), np.uint8)
    return Pool(images, np.arange(count) % 2, images > 0, ["fine", "bad"], 0)


def test_patchcore_by_hand():
    """Four patches an image; the bank is image 0; image 2's lie 0.3, 0.4, 0 and 0.1 from it."""
    bank = np.array([[0, 0], [1, 0], [0, 1], [1, 1]])
    tested = np.array([[0, 0.3], [1.4, 0], [0, 1], [1, 1.1]])
    tokens = np.stack([bank, bank + 5, tested]).astype(np.float16)
    result = patchcore.patchcore(tokens, neighbours=3).run(
        patch_pool(), Episode(1, 0, np.array([0, 1]), np.array([2]))
    )
    np.testing.assert_allclose(result.maps[0], [[0.3, 0.4], [0, 0.1]], atol=2e-3)
    around = bank[[1, 0, 3]]  # (1, 0) and the two patches nearest to it
    others = np.linalg.norm(around - tested[1], axis=1)
    expected = (1 - np.exp(0.4) / np.exp(others).sum()) * 0.4
    assert result.scores[0] == pytest.approx(expected, abs=1e-3)


def test_patchcore_sees_a_changed_patch_where_it_is():
    rng = np.random.default_rng(0)
    tokens = np.repeat(rng.normal(size=(1, 64, 8)), 2, 0).astype(np.float16)
    tokens[1, 8 * 2 + 5] += 3
    images = np.zeros((2, 32, 32), np.uint8)
    pool = Pool(images, np.array([0, 1]), images > 0, ["fine", "bad"], 0)
    result = patchcore.patchcore(tokens).run(pool, Episode(1, 0, np.array([0]), np.array([1])))
    y, x = np.unravel_index(result.maps[0].argmax(), (32, 32))
    assert (y // 4, x // 4) == (2, 5)


def test_coreset_takes_one_of_each_cluster():
    rng = np.random.default_rng(0)
    rows = np.repeat(100 * np.eye(6), 30, 0) + rng.normal(size=(180, 6))
    rows = torch.from_numpy(rng.permutation(rows)).float()
    chosen = patchcore.coreset(rows, 6)
    assert sorted(chosen.argmax(1).tolist()) == list(range(6))
    assert torch.equal(patchcore.coreset(rows, 180), rows)


def test_nearest_rows():
    a, b = (torch.from_numpy(np.random.default_rng(k).normal(size=(20 + k, 5))) for k in range(2))
    squared, which = patchcore.nearest(a, b)
    direct = torch.cdist(a, b).min(1)
    assert torch.allclose(squared, direct.values**2) and torch.equal(which, direct.indices)
    assert (patchcore.nearest(a, a)[0] >= 0).all()


def test_vgg_features_keep_the_distances_of_the_averaged_levels(with_weights, monkeypatch):
    images = np.random.default_rng(0).integers(0, 256, (2, 40, 48), dtype=np.uint8)
    images[1] = 90
    quick = patchcore.vgg_features(images, size=64)
    monkeypatch.setattr(vgg, "quick", lambda: torch.float32)
    features = patchcore.vgg_features(images, size=64)
    np.testing.assert_allclose(quick.tokens, features.tokens, atol=2e-2)  # of unit length
    largest = features.pooled.max()
    np.testing.assert_allclose(quick.pooled / largest, features.pooled / largest, atol=2e-2)
    assert features.tokens.shape == (2, 256, 128) and features.tokens.dtype == np.float16
    assert features.pooled.shape == (2, 768) and features.pooled.dtype == np.float32
    alone = patchcore.vgg_features(images[1:], size=64)
    # convolutions of several images at once round differently
    np.testing.assert_allclose(alone.tokens, features.tokens[1:], atol=2e-3)
    np.testing.assert_allclose(alone.pooled, features.pooled[1:], rtol=1e-5, atol=1e-5)
    constant = torch.full((1, 1, 64, 64), 90 / 255)
    levels = vgg.stages(constant, count=4)[2:]
    pooled = torch.cat([x[0].amax((1, 2)) for x in levels])
    np.testing.assert_allclose(features.pooled[1], pooled, rtol=1e-3, atol=1e-3)
    patches = patchcore.patches(*(level[0] for level in levels))
    two_levels_of_unit_length = torch.tensor(2**0.5)
    assert torch.allclose(patches.norm(dim=1), two_levels_of_unit_length, atol=0.1)
    tokens = torch.from_numpy(features.tokens[1]).float()
    direct, short = torch.cdist(patches, patches), torch.cdist(tokens, tokens)
    far = direct > 0.1
    assert (short[far] / direct[far] - 1).abs().mean() < 0.15


def test_patches_are_averaged_over_their_neighbours():
    fine, coarse = torch.zeros(2, 4, 4), torch.ones(1, 2, 2)
    fine[0] = 1
    fine[1, 0, 0] = 9
    patches = patchcore.patches(fine, coarse).view(4, 4, 3)
    assert torch.allclose(patches[..., 2], torch.tensor(1.0))
    ratio = patches[..., 1] / patches[..., 0]
    # mean over the neighbours there are: 4 in the corner, 6 at the edge
    expected = [[9 / 4, 9 / 6, 0, 0], [9 / 6, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    assert torch.allclose(ratio, torch.tensor(expected))
