"""A training that is kept and resumed."""

import torch

from semlib import checkpoint


def parts():
    torch.manual_seed(0)
    model = torch.nn.Linear(2, 2)
    return {"model": model, "optimiser": torch.optim.Adam(model.parameters())}


def train(parts):
    loss = parts["model"](torch.ones(1, 2)).sum()
    parts["optimiser"].zero_grad()
    loss.backward()
    parts["optimiser"].step()


def test_a_resumed_training_goes_on_as_if_it_had_not_stopped(tmp_path):
    through, stopped, other = parts(), parts(), parts()
    for _ in range(2):
        train(through)
    train(stopped)
    checkpoint.keep(tmp_path / "x.pt", {"seed": 0}, stopped, [0.5])
    assert checkpoint.resume(tmp_path / "x.pt", {"seed": 0}, other, []) == [0.5]
    train(other)
    assert torch.equal(other["model"].weight, through["model"].weight)


def test_a_training_of_other_settings_or_none_starts_anew(tmp_path):
    kept, other = parts(), parts()
    assert checkpoint.resume(tmp_path / "x.pt", {"seed": 0}, other, []) == []
    train(kept)
    checkpoint.keep(tmp_path / "x.pt", {"seed": 0}, kept, [0.5])
    assert checkpoint.resume(tmp_path / "x.pt", {"seed": 1}, other, []) == []
    assert torch.equal(other["model"].weight, parts()["model"].weight)
