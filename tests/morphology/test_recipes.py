import itertools

import numpy as np
import pytest
import torch

from semlib.morphology.loss import vicreg
from semlib.morphology.recipes import LOSSES, METHODS, Learner, Recipe


def views():
    generator = torch.Generator().manual_seed(0)
    return [torch.rand(6, 1, size, size, generator=generator) for size in (32, 16, 8)]


def test_the_paper_s_recipe_is_the_default_and_losses_are_named():
    assert METHODS["paper"] == Recipe()
    with pytest.raises(ValueError, match="'hinge'"):
        Recipe(loss="hinge")


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_trains_encoder_and_head(loss):
    torch.manual_seed(0)
    learner = Learner(Recipe(loss))
    value, embeddings = learner(views())
    value.backward()
    if loss == "vicreg":
        pairs = itertools.combinations([learner.head(z) for z in embeddings], 2)
        expected = np.mean([vicreg(first, second).item() for first, second in pairs])
        assert value.item() == pytest.approx(expected, rel=1e-4)
    assert [z.shape for z in embeddings] == [(6, 128)] * 3
    for part in (learner.encoder, learner.head):
        assert all(weight.grad is not None for weight in part.parameters())
    assert all(weight.grad.isfinite().all() for weight in learner.parameters())
