"""The few-shot study of notebook 07: SEM-CLIP and its ablations as methods, features from the cache."""

from functools import cache as cache_result
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
    return Features(**cache.cached(folder, images, encode, key=key, title=f"encode, {backbone.label}"))


def vgg_features(images, folder, *, size=160):
    """PatchCore's features and one row an image for the probes, or None where VGG16's weights cannot be had."""
    try:
        weights.load("vgg16")
    except weights.WeightsError as error:
        print(error)
        return None
    key = cache.digest("vgg16", size, HERE / "patchcore.py")
    encode = lambda batch: patchcore.vgg_features(batch, size=size, progress=False)._asdict()  # noqa: E731
    return patchcore.VggFeatures(**cache.cached(folder, images, encode, key=key, title="encode, VGG16"))


def sem_clip(features, backbone, prompts, name=FULL, *, supervision="labels + masks", plain=False, **options):
    """SEM-CLIP as a method of the study; `options` are those of `SemClip`, `plain` takes CLIP's own plain prompts."""
    prompts = prompts.plain() if plain else prompts

    @cache_result
    def untrained():
        return SemClip(backbone, prompts, **options)

    def run(pool, episode):
        model = untrained().again(episode.seed)
        shape, support, test = pool.images.shape[1:], features[episode.support], features[episode.test]
        if supervision == "none":
            prediction = model.zero_shot(test, shape)
        else:
            labels = np.array(prompts.labels)[pool.labels[episode.support]]
            prediction = model.fit(support, labels, pool.masks[episode.support]).predict(test, shape)
        return Result(prediction.class_probabilities, prediction.anomaly_maps, model.anomaly_scores(prediction))

    return Method(name, supervision, run)


def sem_clips(features, backbone, prompts):
    """SEM-CLIP at three degrees of supervision, so that each competitor meets its equal."""
    return [
        sem_clip(features, backbone, prompts),
        sem_clip(features, backbone, prompts, "SEM-CLIP, labels only", supervision="labels", transformation=False),
        sem_clip(
            features, backbone, prompts, "SEM-CLIP, zero-shot", supervision="none", transformation=False, fusion=1.0
        ),
    ]


def ablations(features, backbone, prompts):
    """SEM-CLIP with one part left out at a time."""
    parts = {FULL: {}} | ABLATIONS
    return [sem_clip(features, backbone, prompts, name, **options) for name, options in parts.items()]
