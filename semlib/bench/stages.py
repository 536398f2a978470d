"""The stages of the bench in their order, with what is asked of them and how their cost is followed over N."""

from collections.abc import Callable
from dataclasses import dataclass, field

from semlib.bench import images, learning, models

COUNTS = (250, 500, 1000, 2000)
TEXTURES = ("glcm", "lbp", "wavelet")


@dataclass(frozen=True)
class Stage:
    """How to measure a case.

    Parameters
    ----------
    make : function
        Gives the `semlib.bench.case.Case`.
    options : dict
        Arguments of `make`.
    target : float
        Ratio that is asked for, if any.
    repeats : int
        Timed runs; 0 takes the first.
    fresh : bool
        Measured from the start of a new interpreter.
    growth : dict, optional
        Arguments of `make` with which our side is measured for several counts.
    share : float
        Factor of `COUNTS` there: below 1 where an image costs much, above where it costs little.
    usual : bool
        Measured when no stage is named.
    """

    make: Callable
    options: dict = field(default_factory=dict)
    target: float | None = None
    repeats: int = 2
    fresh: bool = False
    growth: dict | None = None
    share: float = 1
    usual: bool = True


STAGES = {
    "preprocess": Stage(images.preprocess, target=4, growth={"size": 136, "side": 128}),
    "glcm": Stage(images.glcm, growth={"size": 64}),
    "lbp": Stage(images.lbp, growth={"size": 64}),
    "wavelet": Stage(images.wavelet, growth={"size": 64}),
    "pca": Stage(images.pca, growth={"size": 64}),
    "pca-randomised": Stage(images.pca_randomised, target=1, repeats=1),
    "ssl-step": Stage(learning.ssl_step, target=4, repeats=1, growth={"size": 64}),
    "embed": Stage(learning.embed, growth={"size": 64}),
    "kmeans": Stage(learning.kmeans, growth={}),
    "minibatch": Stage(learning.minibatch, repeats=1, growth={}, share=20),
    "umap": Stage(learning.umap, {"count": 1000}, target=4, fresh=True, growth={}),
    "tsne": Stage(learning.tsne, {"count": 1000}, repeats=1, fresh=True, growth={}),
    "trust": Stage(models.trust, target=5, repeats=5, growth={"size": 64}, share=1 / 8),
    "semclip-features": Stage(models.semclip_features, growth={"size": 64}, share=1 / 8),
    "semclip-episode": Stage(models.semclip_episode, repeats=1),
    "simulate": Stage(images.simulate, repeats=0, growth={"size": 64}, share=1 / 8),
    "pca-paper": Stage(
        images.pca_randomised, {"count": 4591, "size": 512}, target=1, repeats=0, usual=False
    ),
}
