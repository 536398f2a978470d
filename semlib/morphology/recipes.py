"""What is trained and how: the paper's recipe, ours, and what one batch passes through."""

import json
from dataclasses import dataclass

import torch
from safetensors.torch import load_file
from torch import nn

from semlib.morphology.augment import CHANGES
from semlib.morphology.encoder import Encoder, ProjectionHead
from semlib.morphology.loss import cross_scale_loss, vicreg

LOSSES = ("cosine", "vicreg")


@dataclass(frozen=True)
class Recipe:
    """One way to train; the defaults are the paper's.

    `changes` are random changes of each image at each scale, keys of `augment.CHANGES`; the last
    three are options of the `Encoder`.
    """

    loss: str = "cosine"
    changes: tuple = ()
    standardise: bool = False
    pooling: str = "mean"
    readout: bool = False

    def __post_init__(self):
        if self.loss not in LOSSES:
            raise ValueError(f"loss is one of {', '.join(LOSSES)}; got {self.loss!r}")

    def encoder(self):
        """An untrained encoder; its weights come from torch's global generator."""
        return Encoder(standardise=self.standardise, pooling=self.pooling, readout=self.readout)


METHODS = {
    "paper": Recipe(),
    "ours": Recipe("vicreg", tuple(CHANGES), standardise=True, pooling="max", readout=True),
}


class Learner(nn.Module):
    """Encoder and projection head of a recipe: all that is trained. `pairs`: see `loss.PAIRS`."""

    def __init__(self, recipe, pairs="all"):
        super().__init__()
        self.recipe = recipe
        self.pairs = pairs
        self.encoder = recipe.encoder()
        self.head = ProjectionHead()

    def forward(self, views):
        """Loss of a batch seen at three scales (N, 1, H, W), and its embeddings by scale."""
        with _autocast(views[0].device.type):  # the convolutions in bf16 where that is quicker
            z0, z1, z2 = (self.encoder(view).float() for view in views)  # N x 128, by scale
        p0, p1, p2 = (self.head(z) for z in (z0, z1, z2))  # N x 128
        if self.recipe.loss == "vicreg":  # for each two scales
            terms = [vicreg(p0, p1), vicreg(p0, p2), vicreg(p1, p2)]
            return torch.stack(terms).mean(), [z0, z1, z2]
        # the stop-gradient on z is in the loss
        return cross_scale_loss([p0, p1, p2], [z0, z1, z2], self.pairs), [z0, z1, z2]


def _autocast(device):
    """bf16 where the hardware has it (GPU, AVX512-BF16, AMX): emulated, it is far slower."""
    cpu = torch.cpu.get_capabilities()
    native = device != "cpu" or cpu.get("avx512_bf16", False) or cpu.get("amx_bf16", False)
    # its cache of short weights is one for all threads: beside another training, which empties it,
    # gradients would now and then be summed in other precision
    return torch.autocast(device, torch.bfloat16, enabled=native, cache_enabled=False)


def load_encoder(folder):
    """The trained encoder of a folder of `train.train`, in evaluation mode."""
    config = json.loads((folder / "config.json").read_text())
    encoder = Recipe(**config["recipe"]).encoder()
    encoder.load_state_dict(load_file(folder / "encoder.safetensors"))
    return encoder.eval()
