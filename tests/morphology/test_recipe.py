import contextlib

import pytest
import torch

from semlib.morphology.recipe import LOSSES, METHODS, MOMENTUM, Learner, Recipe, find


def weights(network):
    return sum(weight.numel() for weight in network.parameters())


def views():
    generator = torch.Generator().manual_seed(0)
    return [torch.rand(6, 1, size, size, generator=generator) for size in (32, 16, 8)]


def test_ours_has_not_one_weight_more_than_the_paper():
    assert weights(METHODS["ours"].encoder()) == weights(METHODS["paper"].encoder())


def test_the_paper_s_recipe_is_the_default_and_names_are_found():
    assert find("paper") == Recipe() and find("ours") is METHODS["ours"]
    other = Recipe(pooling="max")
    assert find(other) is other
    with pytest.raises(ValueError, match="'best'"):
        find("best")
    with pytest.raises(ValueError, match="'hinge'"):
        Recipe(loss="hinge")


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_trains_encoder_and_head(loss):
    torch.manual_seed(0)
    learner = Learner(Recipe(loss))
    value, embeddings = learner(views(), contextlib.nullcontext())
    value.backward()
    assert [z.shape for z in embeddings] == [(6, 128)] * 3
    for part in (learner.encoder, learner.head):
        assert all(weight.grad is not None for weight in part.parameters())
    assert all(weight.grad.isfinite().all() for weight in learner.trained())


def test_momentum_copy_follows_slowly_and_is_not_trained():
    torch.manual_seed(0)
    learner = Learner(Recipe("byol"))
    copied, original = learner.target[0].linear.weight, learner.encoder.linear.weight
    assert torch.equal(copied, original) and not any(
        copied is weight for weight in learner.trained()
    )
    with torch.no_grad():
        original += 1
    before = copied.clone()
    learner.follow()
    torch.testing.assert_close(
        copied - before, torch.full_like(copied, 1 - MOMENTUM), rtol=0, atol=1e-5
    )
    learner(views(), contextlib.nullcontext())[0].backward()
    assert copied.grad is None
