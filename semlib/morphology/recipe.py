"""What is trained and how: the paper's recipe, ours, and the networks and the loss that a recipe asks for."""

import copy
from dataclasses import dataclass

import torch
from torch import nn

from semlib.morphology import loss
from semlib.morphology.encoder import Encoder, ProjectionHead

MOMENTUM = 0.99
DECORRELATION = {"vicreg": loss.vicreg, "barlow": loss.barlow}
LOSSES = ("cosine", "byol", *DECORRELATION)


@dataclass(frozen=True)
class Recipe:
    """One way to train; the defaults are the paper's.

    Parameters
    ----------
    loss : str
        "cosine": `loss.cross_scale_loss`, the paper's. "byol": the same between a predictor's output and the
        projections of a slowly following copy (arXiv 2006.07733). "vicreg", "barlow": decorrelation between scales.
    changes : tuple of str
        Random changes of each image at each scale, `augment.CHANGES`.
    standardise, pooling, readout, channels
        Of the `Encoder`.

    Raises
    ------
    ValueError
        If the loss is unknown.
    """

    loss: str = "cosine"
    changes: tuple = ()
    standardise: bool = False
    pooling: str = "mean"
    readout: bool = False
    channels: tuple = (32, 64, 128)

    def __post_init__(self):
        if self.loss not in LOSSES:
            raise ValueError(f"loss is one of {', '.join(LOSSES)}; got {self.loss!r}")

    def encoder(self):
        """An untrained encoder; its weights come from torch's global generator."""
        return Encoder(
            self.channels, standardise=self.standardise, pooling=self.pooling, readout=self.readout
        )


METHODS = {
    "paper": Recipe(),
    "ours": Recipe(
        "vicreg", ("flip", "warp", "dose", "mask"), standardise=True, pooling="max", readout=True
    ),
}


def find(method):
    """The recipe of that name in `METHODS`, or the `Recipe` itself.

    Raises
    ------
    ValueError
        If there is none of that name.
    """
    if isinstance(method, Recipe):
        return method
    if method not in METHODS:
        raise ValueError(f"method is one of {', '.join(METHODS)}; got {method!r}")
    return METHODS[method]


class Learner(nn.Module):
    """Encoder, projection head and, for "byol", predictor and momentum copy; gives the loss of one batch.

    Parameters
    ----------
    recipe : Recipe
    pairs : str
        Scale pairs of the cosine losses, see `loss.PAIRS`.
    """

    def __init__(self, recipe, pairs="all"):
        super().__init__()
        self.recipe, self.pairs = recipe, pairs
        self.encoder, self.head = recipe.encoder(), ProjectionHead()
        if recipe.loss == "byol":
            self.predictor = ProjectionHead()
            self.target = copy.deepcopy(nn.Sequential(self.encoder, self.head)).requires_grad_(
                False
            )

    def trained(self):
        """The weights that the optimiser changes."""
        return [weight for weight in self.parameters() if weight.requires_grad]

    def forward(self, views, autocast, join=lambda part: part):
        """Loss of a batch and its embeddings (N, D), one tensor for each of the three views (N, 1, H, W).

        Where several processes share a batch, `join` makes the whole of a part (`distributed.Team.join`).
        """
        with autocast:
            embeddings = [self.encoder(view).float() for view in views]
        own = [self.head(z) for z in embeddings]
        embeddings, projections = [join(z) for z in embeddings], [join(p) for p in own]
        if self.recipe.loss in DECORRELATION:
            return loss.between_scales(DECORRELATION[self.recipe.loss], projections), embeddings
        if self.recipe.loss == "byol":
            targets = [join(z) for z in self._targets(views, autocast)]
            return loss.cross_scale_loss(
                [join(self.predictor(p)) for p in own], targets, self.pairs
            ), embeddings
        return loss.cross_scale_loss(projections, embeddings, self.pairs), embeddings

    @torch.no_grad()
    def _targets(self, views, autocast):
        with autocast:
            return [self.target(view).float() for view in views]

    @torch.no_grad()
    def follow(self):
        """After a step: move the momentum copy a little towards the trained networks."""
        if self.recipe.loss == "byol":
            trained = [*self.encoder.parameters(), *self.head.parameters()]
            for old, new in zip(self.target.parameters(), trained, strict=True):
                old.lerp_(new, 1 - MOMENTUM)
