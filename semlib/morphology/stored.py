"""What notebooks 04 and 05 left on disk: trainings and the embeddings of every method."""

import json

import numpy as np

from semlib import paths
from semlib.morphology import evaluate


def trainings(dataset, seed=0, method="paper"):
    """Folders of the finished SSL trainings with seed, seed + 1, ... that share the settings of the first.

    `method` is "paper" or "ours", see `semlib.morphology.recipe`.

    Raises
    ------
    FileNotFoundError
        If the first is missing.
    """
    where, found, settings = paths.of(dataset), [], None
    while (folder := where.ssl(seed + len(found), method)).joinpath("embeddings.npy").exists():
        own = json.loads((folder / "config.json").read_text()) | {"seed": None}
        if own != (settings := settings or own):
            break
        found.append(folder)
    if not found:
        raise FileNotFoundError(
            f"{where.ssl(seed, method)} holds no finished training: run notebook 04"
        )
    return found


def methods(dataset, seed=0):
    """Embeddings of each method by name: the SSL as a list over trainings, each baseline as one array (N, D).

    Raises
    ------
    FileNotFoundError
        If notebook 04 or 05 has not run.
    """
    where = paths.of(dataset)
    found = {
        "Proposed SSL": [np.load(folder / "embeddings.npy") for folder in trainings(dataset, seed)]
    }
    for name, method in evaluate.BASELINES.items():
        if not where.features(method).exists():
            raise FileNotFoundError(f"{where.features(method)} is missing: run notebook 05")
        found[name] = np.load(where.features(method))
    return found
