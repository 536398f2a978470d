"""The few-shot study of notebook 07: its images, SEM-CLIP and its ablations as methods, features from the cache."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from semlib import paths, weights
from semlib.images import datasets, preprocess, simulate, text
from semlib.semclip import cache, patchcore
from semlib.semclip.episodes import Method, Pool, Result
from semlib.semclip.features import Features
from semlib.semclip.model import SemClip
from semlib.semclip.prompts import CARINTHIA, Prompts

HERE = Path(__file__).parent
ABLATIONS = {
    "without V-V": {"vv": False},
    "without redundant-feature removal": {"remove_redundant": False},
    "without Transformation Layer": {"transformation": False},
    "single level": {"levels": "last"},
    "plain prompts": {"plain": True},
    "CLIP score alone": {"fusion": 1.0},
    "head alone": {"fusion": 0.0},
}


def prompts_of(dataset, file=""):
    """Prompts of a study: those in `file`, neutral ones for Carinthia, else those of the paper's seven classes."""
    own = CARINTHIA if paths.of(dataset).name in ("carinthia", "carinthia-s") else None
    return Prompts.load(file or own)


def images(dataset, *, n=1332, size=240, seed=0, prompts=None):
    """All images of a study with their classes and masks.

    Parameters
    ----------
    dataset : str
        "synthetic": `n` images of the simulator's preset "semclip", kept in ``data/synthetic/semclip``; otherwise the
        images of the data set's manifest, which needs labels and masks (Carinthia: fetch "carinthia-s").
    n, seed : int
        For "synthetic"; 1,332 are the counts of the paper.
    size : int
        Pixels a side.
    prompts : Prompts, optional
        Give the classes; for "synthetic" those of the paper by default.

    Returns
    -------
    Pool

    Raises
    ------
    ValueError
        If the manifest has no masks, or labels that the prompts do not know.
    """
    where = paths.of(dataset)
    prompts = prompts or Prompts.load()
    if where.name == "synthetic":
        code = simulate.sources_digest(simulate.ALL_RENDERERS)
        folder = simulate.write_arrays(
            where.data / "semclip" / f"images-{n}-{size}-{seed}-{code}", n, seed=seed, size=size
        )
        arrays = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("images", "labels", "masks"))
        return Pool(*arrays, prompts.classes, prompts.normal)
    table = datasets.load_manifest(dataset).dropna(subset=["label"])
    if table.empty or table["mask_path"].isna().all():
        raise ValueError(f"{dataset}: the few-shot study needs labels and masks; Carinthia has them in 'carinthia-s'")
    if unknown := sorted(set(table["label"].astype(int)) - set(prompts.labels)):
        raise ValueError(f"{dataset}: labels {unknown} are not in the prompts, which have {list(prompts.labels)}")
    read, masks = [], []
    for row in tqdm(table.itertuples(), total=len(table), desc="read", unit="image"):
        image = preprocess.decode(row.path)
        read.append(preprocess.preprocess(image, size=size))
        whole = datasets.load_mask(row.mask_path) if isinstance(row.mask_path, str) else np.zeros(image.shape, bool)
        masks.append(_like(whole, size))
    numbers = {label: i for i, label in enumerate(prompts.labels)}
    labels = table["label"].astype(int).map(numbers).to_numpy()
    return Pool(np.stack(read), labels, np.stack(masks), prompts.classes, prompts.normal)


def _like(mask, size, border=4):
    """A mask cropped and resized as `preprocess` does with its image."""
    cut = Image.fromarray(mask[border:-border, border:-border].astype(np.uint8) * 255)
    return np.asarray(cut.resize((size, size), Image.Resampling.BOX)) >= 128


def only_used(pool, episodes):
    """The pool without the images that no episode uses, and the episodes with the numbers that this gives."""
    used = np.unique(np.concatenate([np.concatenate([e.support, e.test]) for e in episodes]))
    place = {index: i for i, index in enumerate(used.tolist())}
    moved = [
        replace(e, support=np.array([place[i] for i in e.support]), test=np.array([place[i] for i in e.test]))
        for e in episodes
    ]
    return replace(pool, images=pool.images[used], labels=pool.labels[used], masks=pool.masks[used]), moved


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


def sem_clip(features, backbone, prompts, name="SEM-CLIP", *, supervision="labels + masks", plain=False, **options):
    """SEM-CLIP as a method of the study; `options` are those of `SemClip`, `plain` takes CLIP's own plain prompts."""
    prompts = prompts.plain() if plain else prompts

    def run(pool, episode):
        model = SemClip(backbone, prompts, seed=episode.seed, **options)
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
    parts = {"full": {}} | ABLATIONS
    return [sem_clip(features, backbone, prompts, name, **options) for name, options in parts.items()]


def burn_text(images, *, seed=0):
    """The images with text burnt in, and where it stands: uint8 and bool (N, H, W)."""
    nothing, written, places = np.zeros(images.shape[1:], bool), [], []
    for i, image in enumerate(images):
        marks = text.overlay(np.random.default_rng([seed, i]), image.shape[0], nothing)
        written.append(marks.on(image))
        places.append(marks.covered)
    return np.stack(written), np.stack(places)
