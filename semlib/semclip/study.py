"""The few-shot study of notebook 07: SEM-CLIP and its ablations as methods, features from the cache."""

from functools import cache as cache_result
from functools import partial
from pathlib import Path

import numpy as np

from semlib import weights
from semlib.semclip import cache, patchcore
from semlib.semclip.episodes import Method, Result
from semlib.semclip.features import Features
from semlib.semclip.model import SemClip

HERE = Path(__file__).parent
FULL = "SEM-CLIP"
ABLATIONS = {
    "without V-V": {"vv": False},
    "without redundant-feature removal": {"remove_redundant": False},
    "without Transformation Layer": {"transformation": False},
    "single level": {"levels": "last"},
    "plain prompts": {"plain": True},
    "CLIP score alone": {"fusion": 1.0},
    "head alone": {"fusion": 0.0},
}


def features(backbone, images, folder):
    """Features of a backbone, from the cache where they are there."""

    def encode(batch):
        found = backbone.encode_images(batch)
        return {"image": found.image, "tokens": found.tokens}

    own = [parameter.detach().cpu().numpy() for parameter in backbone.model.visual.parameters()]
    key = cache.digest(backbone.settings, HERE / "backbone.py", *own)
    return Features(
        **cache.cached(folder, images, encode, key=key, title=f"encode, {backbone.label}")
    )


def vgg_features(images, folder, *, size=160):
    """PatchCore's features and one row an image for the probes, or None where VGG16's weights cannot be had."""
    try:
        weights.load("vgg16")
    except weights.WeightsError as error:
        print(error)
        return None
    key = cache.digest("vgg16", size, HERE / "patchcore.py")
    encode = lambda batch: patchcore.vgg_features(batch, size=size, progress=False)._asdict()  # noqa: E731
    return patchcore.VggFeatures(
        **cache.cached(folder, images, encode, key=key, title="encode, VGG16")
    )


def sem_clip(
    features, backbone, prompts, name=FULL, *, supervision="labels + masks", plain=False, fusion=0.5, fits=None,
    **options,
):  # fmt: skip
    """SEM-CLIP as a method of the study.

    Parameters
    ----------
    features : Features
        Of all images of the pool.
    backbone : Backbone
    prompts : Prompts
    name, supervision : str
    plain : bool
        Take CLIP's own plain prompts.
    fusion : float
        As in `SemClip`, on whose training it has no influence.
    fits : dict, optional
        Keeps the fitted models, so that methods which share it train the same model on the same shots once.
    **options
        The others of `SemClip`.

    Returns
    -------
    Method
    """
    prompts, fits = prompts.plain() if plain else prompts, {} if fits is None else fits

    @cache_result
    def untrained():
        return SemClip(backbone, prompts, **options)

    def fitted(pool, episode):
        support = episode.support
        labels, masks = np.array(prompts.labels)[pool.labels[support]], pool.masks[support]
        key = cache.digest(plain, sorted(options.items()), episode.seed, support, labels, masks)
        if key not in fits:
            fits[key] = untrained().again(episode.seed).fit(features[support], labels, masks)
        return fits[key]

    def run(pool, episode):
        shape, test = pool.images.shape[1:], features[episode.test]
        if supervision == "none":
            prediction = untrained().zero_shot(test, shape)
        else:
            prediction = fitted(pool, episode).fused(fusion).predict(test, shape)
        return Result(
            prediction.class_probabilities,
            prediction.anomaly_maps,
            untrained().anomaly_scores(prediction),
        )

    return Method(name, supervision, run)


def sem_clips(features, backbone, prompts, fits=None, **options):
    """SEM-CLIP at three degrees of supervision, so that each competitor meets its equal; `options` are its own."""
    make = partial(sem_clip, features, backbone, prompts, fits=fits, **options)
    return [
        make(),
        make("SEM-CLIP, labels only", supervision="labels", transformation=False),
        make("SEM-CLIP, zero-shot", supervision="none", transformation=False),
    ]


def ablations(features, backbone, prompts, fits=None, **options):
    """SEM-CLIP with one part left out at a time; `options` hold for all."""
    parts = {FULL: {}} | ABLATIONS
    return [
        sem_clip(features, backbone, prompts, name, fits=fits, **options | part)
        for name, part in parts.items()
    ]
