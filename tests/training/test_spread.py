"""The spread of a denoiser's error: trained, calibrated, read back, honest about what is noisy."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from semlib.semnr import spread
from semlib.semnr.gated import GatedUNet
from training import fields
from training import spread as training

BUILT = {"channels": [4, 8], "blocks": [1, 1]}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    torch.manual_seed(0)
    save_file(GatedUNet(**BUILT).state_dict(), tmp_path / "mse.safetensors")
    (tmp_path / "mse.json").write_text(json.dumps({"network": BUILT}))
    rng = np.random.default_rng(0)
    kept = {name: rng.integers(0, 255, (2, 64, 64)).astype(np.uint8) for name in fields.NAMES}
    monkeypatch.setattr(fields, "PIECE", 64)
    monkeypatch.setattr(fields, "bank", lambda *_, **__: kept)
    return tmp_path


@pytest.mark.slow
def test_it_is_kept_and_calibrated(folder):
    table = training.train("mse", folder, count=1, steps=10, crop=32, batch_size=2)
    assert table["coverage"].between(0.1, 1).all()
    image = np.random.default_rng(0).random((41, 37), np.float32)
    width = spread.half_width("mse", image, image, folder)
    assert width.shape == image.shape and (width > 0).all()
    settings = json.loads((folder / "mse-spread.json").read_text())
    assert settings["factor"] > 0 and settings["kind"] == "mse"
    assert (folder / "mse-spread.csv").is_file()
