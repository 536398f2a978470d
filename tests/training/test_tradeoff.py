"""The rule by which SEMNR's terms are weighted, and the networks between two."""

import pandas as pd
import torch
from safetensors.torch import save_file

from training import tradeoff


def test_most_recall_within_half_a_decibel_at_every_dose():
    curve = pd.DataFrame({"factor": [0.0, 1.0, 3.0, 9.0]})
    curve["psnr_3"] = [30.0, 29.9, 29.6, 29.0]
    curve["psnr_10"] = [33.0, 33.0, 33.0, 33.0]
    curve["recall"] = [0.7, 0.72, 0.75, 0.8]
    assert tradeoff.choose(curve) == 2
    curve["recall"] = [0.8, 0.72, 0.75, 0.9]
    assert tradeoff.choose(curve) == 0
    curve["psnr_10"] = [33.0, 32.6, 32.4, 33.0]
    curve["recall"] = [0.7, 0.72, 0.75, 0.8]
    assert tradeoff.choose(curve) == 1, "one dose at which more is lost rules a network out"


def test_a_network_lies_part_of_the_way_between_two(tmp_path):
    for name, value in {"a": 1.0, "b": 3.0}.items():
        (tmp_path / name).mkdir()
        save_file({"w": torch.full((2,), value).half()}, tmp_path / name / "semnr.safetensors")
    between = tradeoff.between(tmp_path / "a", tmp_path / "b", 0.25)
    assert between["w"].dtype == torch.float16
    assert between["w"].tolist() == [1.5, 1.5]
    assert tradeoff.between(tmp_path / "a", tmp_path / "b", 1.0)["w"].tolist() == [3.0, 3.0]


def test_a_small_tradeoff_is_kept_and_goes_on(tmp_path, monkeypatch):
    trained = []

    def train(kind, folder, *, weights, **_):
        trained.append(weights["evidence"])
        network = torch.nn.Linear(1, 1)
        value = 1.0 + weights["evidence"]
        save_file(
            {name: torch.full_like(x, value) for name, x in network.state_dict().items()},
            folder / "semnr.safetensors",
        )
        (folder / "semnr.json").write_text('{"kind": "semnr"}')
        return network

    class Judge:
        def __init__(self, count, **_):
            pass

        def scores(self, network):
            weight = network.weight.item()
            return {"psnr_3": 30 - weight, "recall_3": weight / 100}

    monkeypatch.setattr(tradeoff.denoisers, "train", train)
    monkeypatch.setattr(tradeoff, "HeldOut", Judge)
    save_file({"w": torch.zeros(1)}, tmp_path / "mse.safetensors")
    curve = tradeoff.tradeoff(tmp_path, factors=(0.0, 2.0), emphases=(2.0,))
    assert trained == [0.0, 2 * 2 * tradeoff.WEIGHTS["evidence"]]
    assert curve["share"].tolist() == [1.0, *tradeoff.SHARES]
    # 0.8 dB at the end of the way: 0.6 of it is allowed
    assert curve.loc[curve["chosen"], "share"].tolist() == [0.6]
    kept = tradeoff.load_file(tmp_path / "semnr.safetensors")
    assert abs(float(kept["weight"]) - 1.48) < 0.01
    assert '"share": 0.6' in (tmp_path / "semnr.json").read_text()
    mse = tradeoff.load_file(tmp_path / "mse.safetensors")
    assert float(mse["weight"]) == 1.0
    start = tradeoff.load_file(tmp_path / "tradeoff" / "mse.safetensors")
    assert float(start["w"]) == 0.0, "a second run starts where the first did"
