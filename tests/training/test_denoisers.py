"""Training of the denoisers: seeded, kept, going on after a kill; what the blind network sees."""

import numpy as np
import pytest
import torch

from training import denoisers

TINY = {"steps": 6, "batch_size": 2, "crop": 32, "images": 1, "sizes": [96]}


def test_bad_input():
    with pytest.raises(ValueError, match="unknown kind"):
        denoisers.train("best", "nowhere")
    with pytest.raises(ValueError, match="unknown settings"):
        denoisers.train("mse", "nowhere", epochs=1)


@pytest.mark.parametrize("kind", denoisers.STEPS)
def test_training_is_seeded_and_kept(kind, tmp_path):
    first = denoisers.train(kind, tmp_path / "a", **TINY).state_dict()
    second = denoisers.train(kind, tmp_path / "b", **TINY).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    before = (tmp_path / "a" / f"{kind}.safetensors").stat().st_mtime_ns
    denoisers.train(kind, tmp_path / "a", **TINY)
    assert (tmp_path / "a" / f"{kind}.safetensors").stat().st_mtime_ns == before
    assert not (tmp_path / "a" / f"{kind}.pt").exists()


def test_a_killed_training_goes_on_to_the_same_weights(tmp_path, monkeypatch):
    whole = denoisers.train("semnr", tmp_path / "whole", **TINY).state_dict()
    monkeypatch.setattr(denoisers, "KEEP_EVERY", 2)
    step = denoisers.semnr_step
    kill_at = [3]
    numbers = []

    def killed(*arguments):
        numbers.append(arguments[-1])
        if arguments[-1] in kill_at:
            raise KeyboardInterrupt
        return step(*arguments)

    monkeypatch.setitem(denoisers.STEPS, "semnr", killed)
    with pytest.raises(KeyboardInterrupt):
        denoisers.train("semnr", tmp_path / "cut", **TINY)
    assert not (tmp_path / "cut" / "semnr.safetensors").exists()
    numbers.clear()
    kill_at.clear()
    resumed = denoisers.train("semnr", tmp_path / "cut", **TINY).state_dict()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    assert numbers == [2, 3, 4, 5]


def test_the_blind_network_cannot_see_what_it_guesses():
    """Its input at the hidden pixels and beside them in the row is not the noisy image."""
    noisy = torch.rand(1, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    inputs = []

    def network(x):
        inputs.append(x)
        return x * 0

    denoisers.blind_step(network, noisy, None, 5)
    centre = torch.rand(noisy.shape, generator=torch.Generator().manual_seed(5)) < denoisers.HIDDEN
    rows, columns = np.nonzero(centre[0, 0].numpy())
    assert len(rows) > 5
    for row, column in zip(rows, columns, strict=True):
        part = np.s_[0, 0, row, max(0, column - denoisers.REACH) : column + denoisers.REACH + 1]
        assert (inputs[0][part] != noisy[part]).all()
