"""Training of the denoisers: seeded, kept, going on after a kill, and what each kind may see."""

import numpy as np
import pytest
import torch

from semlib.semnr import denoise
from training import denoisers, fields, objectives

TINY = {"steps": 6, "batch_size": 2, "crop": 32, "pieces": 3}
TINY |= {"network": {"channels": [4, 8], "blocks": [1, 1]}}


@pytest.fixture(autouse=True)
def few_fields(monkeypatch):
    rng = np.random.default_rng(0)
    kept = {name: rng.integers(0, 255, (3, 64, 64)).astype(np.uint8) for name in fields.NAMES}
    kept["mask"] = np.zeros((3, 64, 64), bool)
    kept["mask"][:, 20:40, 20:40] = True
    monkeypatch.setattr(fields, "PIECE", 64)
    monkeypatch.setattr(fields, "bank", lambda *_, **__: kept)
    return kept


def trained(kind, folder):
    folder.mkdir(exist_ok=True)
    return denoisers.train(kind, folder, look=False, **TINY).state_dict()


def test_bad_input():
    with pytest.raises(ValueError, match="unknown kind"):
        denoisers.train("best", "nowhere")
    with pytest.raises(ValueError, match="unknown settings"):
        denoisers.train("mse", "nowhere", epochs=1)


@pytest.mark.slow
@pytest.mark.parametrize("kind", objectives.STEPS)
def test_training_is_seeded_and_kept(kind, tmp_path):
    first = trained(kind, tmp_path / "a")
    second = trained(kind, tmp_path / "b")
    assert all(torch.equal(first[name], second[name]) for name in first)
    before = (tmp_path / "a" / f"{kind}.safetensors").stat().st_mtime_ns
    trained(kind, tmp_path / "a")
    assert (tmp_path / "a" / f"{kind}.safetensors").stat().st_mtime_ns == before
    assert sorted(x.suffix for x in (tmp_path / "a").iterdir()) == [".csv", ".json", ".safetensors"]


@pytest.mark.slow
def test_a_killed_training_goes_on_to_the_same_weights(tmp_path, monkeypatch):
    monkeypatch.setattr(denoisers, "LOOK_EVERY", 2)
    whole = trained("semnr", tmp_path / "whole")
    step = objectives.STEPS["semnr"]
    seen = []

    def killed(*arguments):
        seen.append(len(seen))
        if len(seen) == 4:
            raise KeyboardInterrupt
        return step(*arguments)

    monkeypatch.setitem(objectives.STEPS, "semnr", killed)
    with pytest.raises(KeyboardInterrupt):
        trained("semnr", tmp_path / "cut")
    assert not (tmp_path / "cut" / "semnr.safetensors").exists()
    resumed = trained("semnr", tmp_path / "cut")
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    assert len(seen) == 4 + 4


@pytest.mark.slow
def test_a_training_that_runs_away_goes_back(tmp_path, monkeypatch):
    step = objectives.STEPS["mse"]
    calls = []

    def runs_away(network, *arguments):
        calls.append(len(calls))
        with torch.no_grad():
            for parameter in network.parameters() if len(calls) == 3 else []:
                parameter += 1e4
        return step(network, *arguments)

    monkeypatch.setitem(objectives.STEPS, "mse", runs_away)
    weights = trained("mse", tmp_path)
    assert len(calls) == TINY["steps"]
    assert max(x.abs().max() for x in weights.values()) < 10


@pytest.mark.slow
def test_a_training_starts_from_the_weights_of_another(tmp_path):
    first = trained("mse", tmp_path)
    started = denoisers.train("semnr", tmp_path, look=False, **TINY | {"steps": 0, "start": "mse"})
    assert all(torch.equal(x, first[name]) for name, x in started.state_dict().items())


def test_only_the_kinds_that_may_see_the_truth_use_it(few_fields):
    config = denoisers.TRAINING | TINY | {"seed": 0}
    for kind in ("n2n", "blind"):
        config["kind"] = kind
        batch = denoisers.batch(few_fields, np.random.default_rng(0), config)
        torch.manual_seed(0)
        loss = objectives.STEPS[kind](lambda x: x * 0.9, batch, {})
        for name in ("clean", "golden", "mask"):
            batch[name] = batch[name] * 0
        torch.manual_seed(0)
        assert objectives.STEPS[kind](lambda x: x * 0.9, batch, {}) == loss
    assert not torch.equal(batch["noisy"], batch["clean"])


def test_two_frames_share_the_place_but_not_the_noise(few_fields):
    config = denoisers.TRAINING | TINY | {"seed": 0, "kind": "n2n"}
    batch = denoisers.batch(few_fields, np.random.default_rng(0), config)
    noise = [batch[name] - batch["clean"] for name in ("noisy", "again")]
    assert np.corrcoef(noise[0].ravel(), noise[1].ravel())[0, 1] < 0.5
    assert not torch.equal(*noise)


def test_defects_can_be_fainter_than_simulated():
    grey = np.full((1, 64, 64), 100, np.uint8)
    mask = np.zeros(grey.shape, bool)
    mask[:, 8:56, 8:56] = True
    bank = {"clean": grey + np.uint8(40) * mask, "golden": grey, "mask": mask}
    config = denoisers.TRAINING | TINY | {"kind": "mse", "crop": 64, "batch_size": 60}
    seen = {}
    for faintest in (1.0, 0.3):
        batch = denoisers.batch(bank, np.random.default_rng(0), config | {"faintest": faintest})
        differences = (batch["clean"] - batch["golden"]).abs().amax((1, 2, 3)) * 255
        seen[faintest] = float(differences.min()), float(differences.max())
    # the contrast of the whole picture is drawn from 0.5 to 1.4
    assert seen[1.0][0] + 1e-3 >= 20 and seen[1.0][1] <= 56.01
    assert seen[0.3][0] + 1e-3 >= 6 and seen[0.3][0] < 14
    assert seen[0.3][1] > 35


@pytest.mark.slow
def test_the_stored_network_is_the_loaded_one(tmp_path):
    trained("mse", tmp_path)
    image = np.random.default_rng(1).random((50, 61), np.float32)
    restored = denoise.restore(denoise.load("mse", tmp_path), image)
    assert restored.shape == image.shape
    assert np.isfinite(restored).all()
