"""Losses by hand, and training of the two small layers on made-up tokens."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from semlib.semclip import maps, tune
from semlib.semclip.backbone import Features

GRID = (4, 5)
TEXTS = F.normalize(torch.randn(3, 8, generator=torch.Generator().manual_seed(3)), dim=-1)
PROJECTION = 0.3 * torch.randn(6, 8, generator=torch.Generator().manual_seed(4))
SETTINGS = {"texts": TEXTS, "normal": 0, "temperature": 0.1, "steps": 60}
SETTINGS |= {"learning_rate": 0.07, "seed": 0}


def task(count, empty=0.5, seed=0):
    """Tokens (N, 2, 2, 20, 6), apart where the masks (N, 32, 40) are set; some masks are empty."""
    draw = torch.Generator().manual_seed(seed)
    marked = torch.rand(count, *GRID, generator=draw) < 0.15
    marked[: round(empty * count)] = False
    tokens = torch.randn(count, 2, 2, 20, 6, generator=draw) + torch.tensor(
        [0, 4.0, 0, 0, 0, 0]
    )  # as real ones: a mean
    tokens[..., 0] += 4 * marked.flatten(1)[:, None, None]
    masks = marked.repeat_interleave(8, 1).repeat_interleave(8, 2)
    return tokens.half(), masks.numpy(), marked


def patch_maps(tokens, layers):
    similarities = maps.similarity(tokens.float(), layers, TEXTS)
    return maps.defect_logit(similarities, 0, 0.1).sigmoid().mean((1, 2))


def separation(tokens, marked, layers):
    result = patch_maps(tokens, layers).unflatten(1, GRID)
    return float(result[marked].mean() - result[~marked].mean())


def test_no_step_leaves_the_projection():
    tokens, masks, _ = task(4)
    layers = tune.transformation_layers(tokens, masks, PROJECTION, GRID, **SETTINGS | {"steps": 0})
    assert layers.shape == (2, 2, 6, 8) and (layers == PROJECTION).all()


@pytest.mark.parametrize(("count", "empty"), [(12, 0.5), (12, 0.9), (2, 0.5)])
def test_training_finds_the_defects_of_new_images(count, empty):
    """Also where nearly all shots are defect-free: the map does not collapse to nothing."""
    tokens, masks, _ = task(count, empty)
    layers = tune.transformation_layers(tokens, masks, PROJECTION, GRID, **SETTINGS)
    new, _, marked = task(20, seed=1)
    assert separation(new, marked, layers) > separation(new, marked, PROJECTION) + 0.2
    assert patch_maps(new, layers)[:10].mean() < 0.3


def test_same_seed_same_bytes():
    tokens, masks, _ = task(12)
    first, again, other = (
        tune.transformation_layers(
            tokens, masks, PROJECTION, GRID, **SETTINGS | {"steps": 3, "seed": seed}
        )
        for seed in (0, 0, 1)
    )
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_batches_pass_over_all_shots():
    result = tune.batches(20, 5, seed=0)
    assert [len(rows) for rows in result] == [tune.BATCH] * 5
    assert (np.bincount(np.concatenate(result)) == 2).all()
    assert [sorted(rows) for rows in tune.batches(3, 2, seed=0)] == [[0, 1, 2]] * 2
    assert tune.batches(3, 0, seed=0) == []


def test_the_head_sees_the_image_and_where_it_looks_odd():
    tokens = torch.zeros(1, 2, 2, 20, 6)
    tokens[0, 0, :, 7, 2] = 3
    tokens[0, 1] = 5  # the V-V path takes no part
    odd = torch.zeros(1, 20)
    odd[0, 7] = 0.5
    features = Features(np.array([[0.6, 0.8]], np.float32), tokens.numpy())
    inputs = tune.describe(features, odd)
    assert inputs.tolist() == [pytest.approx([0.6, 0.8, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0])]
    assert np.isfinite(tune.describe(features, 0 * odd)).all()


@pytest.mark.parametrize("count", [2, 4])
def test_head_learns_and_weighs_classes_alike(count):
    rng = np.random.default_rng(0)
    classes = np.concatenate([np.arange(count), np.zeros(30, int)])
    centres = np.eye(8, dtype=np.float32)[:count]
    head = tune.classification_head(centres[classes], classes, strength=10.0)
    new = np.repeat(np.arange(count), 20)
    inputs = centres[new] + rng.normal(0, 0.2, (len(new), 8)).astype(np.float32)
    logits = (inputs - head["mean"]) @ head["weight"].T + head["bias"]
    assert head["weight"].shape == (count, 8)
    assert (logits.argmax(1) == new).mean() > 0.9


def test_masks_become_covered_parts():
    mask = np.zeros((1, 8, 8), bool)
    mask[0, :4, :2] = True
    assert tune.reduce_masks(mask, (2, 2)).tolist() == [[[0.5, 0], [0, 0]]]


def test_focal_loss_by_hand():
    odds, truth = torch.tensor([0.8, 0.3]), torch.tensor([1.0, 0.0])
    expected = (0.2**2 * -np.log(0.8) + 0.3**2 * -np.log(0.7)) / 2
    assert float(tune.focal_loss(odds, truth)) == pytest.approx(expected, rel=1e-5)
    assert tune.focal_loss(odds, truth, gamma=0) == F.binary_cross_entropy(odds, truth)
    weighted = (3 * 0.2**2 * -np.log(0.8) + 0.3**2 * -np.log(0.7)) / 4
    assert float(tune.focal_loss(odds, truth, weight=3.0)) == pytest.approx(weighted, rel=1e-5)


def test_dice_loss_of_perfect_opposite_and_empty_maps():
    mask = torch.zeros(2, 30, 30)
    mask[0, :10] = 1
    assert float(tune.dice_loss(mask, mask)) == pytest.approx(0)
    assert float(tune.dice_loss(1 - mask, mask)) == pytest.approx(1, abs=1e-3)
    assert float(tune.dice_loss(0 * mask, 0 * mask)) == 0
