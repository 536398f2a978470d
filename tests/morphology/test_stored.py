import json

import numpy as np
import pytest

from semlib import paths
from semlib.morphology import evaluate, stored


def training(seed, epochs=3):
    folder = paths.of("synthetic").ssl(seed)
    folder.mkdir(parents=True)
    np.save(folder / "embeddings.npy", np.full((4, 2), seed))
    (folder / "config.json").write_text(json.dumps({"seed": seed, "epochs": epochs}))


def test_trainings_go_on_while_the_settings_are_those_of_the_first():
    for seed, epochs in ((0, 9), (1, 3), (2, 3), (3, 5)):
        training(seed, epochs)
    assert [folder.name for folder in stored.trainings("synthetic", 1)] == ["seed-1", "seed-2"]
    assert [folder.name for folder in stored.trainings("synthetic")] == ["seed-0"]


def test_methods_are_all_that_the_notebooks_stored():
    with pytest.raises(FileNotFoundError, match="run notebook 04"):
        stored.methods("synthetic")
    training(0)
    with pytest.raises(FileNotFoundError, match="run notebook 05"):
        stored.methods("synthetic")
    for name in evaluate.BASELINES.values():
        with paths.atomic(paths.of("synthetic").features(name)) as temporary:
            np.save(temporary, np.ones((4, 3)))
    found = stored.methods("synthetic")
    assert list(found) == ["Proposed SSL", *evaluate.BASELINES]
    assert len(found["Proposed SSL"]) == 1 and found["LBP"].shape == (4, 3)
