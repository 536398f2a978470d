"""The few-shot study: features kept, SEM-CLIP as methods, all methods on all episodes."""

from dataclasses import replace
from functools import cache, lru_cache, partial
from itertools import product
from pathlib import Path
from time import perf_counter

import joblib
import numpy as np
import pandas as pd
from tqdm import tqdm

from semlib import weights
from semlib.semclip import patchcore, scores
from semlib.semclip.episodes import Method, Result
from semlib.semclip.model import SemClip
from semlib.workers import side_by_side

HERE = Path(__file__).parent
FULL = "SEM-CLIP"
TRAINED = {FULL, "APRIL-GAN", "U-Net"}  # methods whose training has steps
KEYS = ["method", "supervision", "k", "seed"]
ABLATIONS = {
    "without V-V": {"vv": False},
    "without redundant-feature removal": {"remove_redundant": False},
    "without Transformation Layer": {"transformation": False},
    "single level": {"levels": "last"},
    "plain prompts": {"plain": True},
    "CLIP score alone": {"fusion": 1.0},
    "head alone": {"fusion": 0.0},
}


def check_parameters(shots, ablation_shots, steps, **others):
    """Refuse parameters of a study that would fail only after hours; `others` are at least 1."""
    small = {name: value for name, value in others.items() if value < 1}
    if small or not shots or min(shots) < 1 or len(set(shots)) < len(shots):
        raise ValueError(f"shots {shots}, {small or others}: use different whole numbers from 1")
    if not ablation_shots or not set(ablation_shots) <= set(shots):
        raise ValueError(f"ablation_shots are {ablation_shots}: use some of the shots, {shots}")
    if set(steps) != TRAINED or min(steps.values()) < 0:
        raise ValueError(f"steps are {steps}: give {', '.join(sorted(TRAINED))}, each from 0")


def features(backbone, images, folder):
    """`Features` of all images, computed once."""
    parameters = [one.detach().cpu().numpy() for one in backbone.model.visual.parameters()]
    depends_on = backbone.settings, (HERE / "backbone.py").read_bytes(), parameters, images
    return _kept(folder, depends_on, partial(backbone.encode_images, images))


def vgg_features(images, folder, *, size):
    """`patchcore.VggFeatures` of all images, or None where VGG16's weights cannot be had."""
    try:
        weights.load("vgg16")
    except weights.WeightsError as error:
        print(error)
        return None
    depends_on = "vgg16", size, (HERE / "patchcore.py").read_bytes(), images
    return _kept(folder, depends_on, partial(patchcore.vgg_features, images, size=size))


def _kept(folder, depends_on, encode):
    """What `encode` gives, computed once for all that it depends on."""
    kept = joblib.Memory(folder, verbose=0).cache(_encoded, ignore=["encode"])
    return kept(joblib.hash(depends_on), encode)


def _encoded(key, encode):
    return encode()


def sem_clip(features, backbone, prompts, fits, name=FULL, supervision="labels + masks", **options):
    """SEM-CLIP as a method of the study.

    `features` are those of all images of the pool. Methods that share the dict `fits` train the
    same model once. `options` are those of `model.Options`, or ``plain=True``: CLIP's own prompts.
    """
    plain = options.pop("plain", False)
    fusion = options.pop("fusion", None)  # training does not depend on it
    prompts = prompts.plain() if plain else prompts
    untrained = cache(partial(SemClip, backbone, prompts, **options))

    def fitted(pool, episode):
        shots = episode.support
        labels = np.array(prompts.labels)[pool.labels[shots]]
        masks = pool.masks[shots]
        key = joblib.hash((plain, options, episode.seed, shots, labels, masks))
        if key not in fits:
            model = untrained().changed(seed=episode.seed)
            fits[key] = model.fit(features[shots], labels, masks)
        return fits[key].changed(fusion=fusion)

    def run(pool, episode, **beside):
        model = untrained() if supervision == "none" else fitted(pool, episode)
        predict = model.zero_shot if supervision == "none" else model.predict
        prediction = predict(features[episode.test], pool.images.shape[1:], **beside)
        return Result(*prediction, model.anomaly_scores(prediction))

    return Method(name, supervision, run)


def sem_clips(features, backbone, prompts, fits, **options):
    """SEM-CLIP at three degrees of supervision, so that each competitor meets its equal."""
    make = partial(sem_clip, features, backbone, prompts, fits, **options)
    labels = make("SEM-CLIP, labels only", "labels", transformation=False)
    return [make(), labels, make("SEM-CLIP, zero-shot", "none", transformation=False)]


def ablations(features, backbone, prompts, fits, **options):
    """SEM-CLIP with one part left out at a time; `options` hold for all."""
    make = partial(sem_clip, features, backbone, prompts, fits)
    return [make(name, **options | part) for name, part in ({FULL: {}} | ABLATIONS).items()]


def evaluate(pool, episodes, methods, *, folder=None, depends_on=()):
    """Run every `Method` on every `Episode`; one without supervision once for each test set.

    `folder` keeps the scores of each (method, episode), so that a killed run goes on where it
    stopped; `depends_on`: weights and settings behind them. Returns two tables of `KEYS` and
    scores: segmentation, and classification of the methods that give probabilities.
    """
    table = _evaluated(pool, episodes, methods, folder, depends_on)
    return tuple(_columns(table, part) for part in (scores.SEGMENTATION, scores.CLASSIFICATION))


def decisions(pool, episodes, methods, *, folder=None, depends_on=()):
    """`evaluate` for the costs: a table of `KEYS` and `scores.DECISIONS`.

    With the same `folder` nothing is run again. Seconds are wall time of training and
    of all test images, beside other runs, without the features, which all methods share.
    """
    return _columns(_evaluated(pool, episodes, methods, folder, depends_on), scores.DECISIONS)


def _evaluated(pool, episodes, methods, folder, depends_on):
    """A row of `KEYS` and all scores for each method and episode."""
    if len({method.name for method in methods}) < len(methods):
        raise ValueError("methods share a name")
    code = [file.read_bytes() for file in sorted(HERE.glob("*.py"))]
    version = joblib.hash((code, vars(pool), depends_on))  # joblib itself hashes `_score` alone
    score = joblib.Memory(folder, verbose=0).cache(_score, ignore=["pool", "episode", "method"])
    jobs = {}
    runs = []
    for method, episode in product(methods, episodes):
        drawn = (episode.k, episode.seed, episode.support) if method.supervision != "none" else None
        key = joblib.hash((method.name, method.supervision, drawn, episode.test))
        jobs[key] = partial(score, key, version, pool, episode, method)
        runs.append((method.name, method.supervision, episode.k, episode.seed, key))
    done = tqdm(side_by_side([*jobs.values()]), total=len(jobs), desc="episodes", unit="run")
    scored = pd.DataFrame(dict(zip(jobs, done, strict=True))).T
    return pd.DataFrame(runs, columns=[*KEYS, "key"]).join(scored, on="key")


def _columns(table, names):
    """`KEYS` and some scores of a table, without rows that have none of these."""
    table = table.reindex(columns=[*KEYS, *names])
    return table.dropna(subset=[*names], how="all", ignore_index=True)


def remembering(methods):
    """The same methods; what they gave last stays in memory, so that `results` are there."""
    return [replace(method, run=lru_cache(2)(method.run)) for method in methods]


def results(pool, episode, methods, names):
    """What those of the methods that are named give on one episode, dict of `Result`."""
    methods = {method.name: method for method in methods}
    names = [name for name in names if name in methods]
    done = side_by_side([partial(methods[name].run, pool, episode) for name in names])
    return dict(zip(names, done, strict=True))


def _score(key, version, pool, episode, method):
    """Scores of a method on an episode, as far as it gives something to score."""
    labels = pool.labels[episode.test]
    values = {}
    try:
        start = perf_counter()
        result = method.run(pool, episode)
        seconds = perf_counter() - start
        if result.scores is not None:
            values["iAUROC"] = scores.image_auroc(result.scores, labels != pool.normal)
            values |= scores.alarms(result.scores, labels != pool.normal) | {"seconds": seconds}
        if result.maps is not None:
            values |= scores.pixels(result.maps, pool.masks[episode.test])
        if result.probabilities is not None:
            values |= scores.classification(result.probabilities, labels)
    except Exception as error:
        message = f"{method.name} failed on {episode.k} shots, seed {episode.seed}: {error}"
        raise RuntimeError(message) from error
    return values
