"""What is computed for a chunk of a manifest: the functions of the notebooks, applied to lists of files.

Every stage gives one row for each row of the chunk. A file that cannot be used leaves its row empty (NaN; 0 in images)
and its reason in a list.
"""

import hashlib
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

import numpy as np

from semlib.driver import fingerprint
from semlib.images.preprocess import decode, preprocess

_PACKAGE = Path(__file__).resolve().parent.parent
FEATURES = ("glcm", "lbp", "wavelet")
PROFILE = "profile"


@dataclass(frozen=True)
class Stage:
    """Columns of the manifest that a stage reads, and the files of semlib that compute its values."""

    required: tuple
    optional: tuple
    code: tuple


_IMAGES = ("cluster/stages.py", "images/preprocess.py", "images/resize.py")
_TRUST = ("cluster/stages.py", "vgg.py", "workers.py") + tuple(
    f"semnr/{name}.py"
    for name in ("page", "trust", "metrics", "visibility", "damage", "dists", "fsim")
)
STAGES = {
    "preprocess": Stage(("path",), (), _IMAGES),
    **{name: Stage(("path",), (), (*_IMAGES, "morphology/features.py")) for name in FEATURES},
    "embed": Stage(
        ("path",),
        (),
        (*_IMAGES, *(f"morphology/{name}.py" for name in ("encoder", "recipe", "train"))),
    ),
    PROFILE: Stage(("reference", "restored"), ("mask", "noisy"), _TRUST),
}


@cache
def code(stage):
    """Digest of the files that compute a stage, the same on every machine."""
    digests = [fingerprint.file_digest(_PACKAGE / name) for name in STAGES[stage].code]
    return hashlib.sha256("".join(digests).encode()).hexdigest()[:16]


def compute(stages, files, encoder=None):
    """Yield name, array (n, ...) and {row: reason} of each stage for the n rows of a chunk.

    Parameters
    ----------
    stages : dict
        Name -> settings, see `semlib.cluster.run.settings`. Either ``profile`` alone or any of the others, for which
        each image is decoded once.
    files : list of tuple of Path or None
        Files of each row, in the order of the stage's columns.
    encoder : path, optional
        Folder of the encoder, for ``embed``.
    """
    if PROFILE in stages:
        yield PROFILE, *_profiles(files, stages[PROFILE])
        return
    images, bad = _images([row[0] for row in files], next(iter(stages.values())))
    good = [row for row in range(len(files)) if row not in bad]
    for name, settings in stages.items():
        values = _values(name, images, settings, encoder) if good else np.zeros((0, 0), np.float32)
        whole = np.full(
            (len(files), *values.shape[1:]), 0 if name == "preprocess" else np.nan, values.dtype
        )
        whole[good] = values
        yield name, whole, bad


def _images(files, settings):
    """The images that can be used, uint8 (n, size, size), and {row: reason} of the others."""
    options = {name: settings[name] for name in ("border", "size", "intensity")}
    images, bad = [], {}
    for row, file in enumerate(files):
        try:
            images.append(preprocess(decode(file), **options))
        except (ValueError, OSError) as error:
            bad[row] = str(error)
    return np.array(images, np.uint8).reshape(-1, options["size"], options["size"]), bad


def _values(name, images, settings, encoder):
    if name == "preprocess":
        return images
    if name == "embed":
        from semlib.morphology.train import embed

        return embed(_encoder(encoder, settings["encoder"]), images, progress=False)
    from semlib.morphology import features

    function = getattr(features, name)
    return np.concatenate(
        [function(image[None], progress=False) for image in images]
    )  # one thread: Dask has the cores


@lru_cache(1)
def _encoder(folder, digest):
    """The trained encoder of a folder, read once in each process."""
    from semlib.morphology.train import load_encoder

    if encoder_digest(folder) != digest:
        raise ValueError(
            f"{folder} holds another encoder on this machine than where the run was started"
        )
    return load_encoder(Path(folder))


def encoder_digest(folder):
    """Digest of the weights and settings that `semlib.morphology.train.load_encoder` reads."""
    files = [Path(folder) / name for name in ("encoder.safetensors", "config.json")]
    if missing := [file for file in files if not file.is_file()]:
        raise FileNotFoundError(
            f"{missing[0]} does not exist: give the folder of a finished training (notebook 04)"
        )
    return hashlib.sha256("".join(map(fingerprint.file_digest, files)).encode()).hexdigest()[:16]


def profile_columns(optional):
    """Names of the columns of the stage ``profile``; those of the noisy image if the manifest has any."""
    from semlib.semnr.page import COLUMNS

    return [*COLUMNS, *(f"noisy_{name}" for name in COLUMNS if "noisy" in optional)]


def with_dists():
    """Whether DISTS can be computed on this machine."""
    from semlib.semnr import dists

    return dists.unavailable() is None


def _profiles(files, settings):
    """Trust profiles, float64 (n, columns), of rows with the files named in ``settings["files"]``."""
    if with_dists() != settings["dists"]:
        raise ValueError(
            "the weights of DISTS are on some machines only: fetch them on all, or on none"
        )
    values, bad = np.full((len(files), len(settings["columns"])), np.nan), {}
    for row, named in enumerate(files):
        try:
            found = _profile(**dict(zip(settings["files"], named, strict=True)))
            values[row, : len(found)] = found
        except (ValueError, OSError) as error:
            bad[row] = str(error)
    return values, bad


def _profile(reference, restored, mask=None, noisy=None):
    from semlib.semnr import page, trust

    known = _reference(reference, mask)
    profiles = [trust.profile(known, page.read(file)) for file in (restored, noisy) if file]
    return [profile[name] for profile in profiles for name in page.COLUMNS]


@lru_cache(1)
def _reference(file, mask):
    """A reference with its part of each metric, kept for the rows that follow each other with the same one."""
    from semlib.semnr import page, trust

    return trust.Reference(page.read(file), mask=page.read_mask(mask) if mask else None)
