"""Worlds, episodes that learn on one and are tested on all, and the matrix."""

import numpy as np
import pytest

from semlib.semclip import cross_domain as crossing
from semlib.semclip import plots
from semlib.semclip.cross_domain import World
from semlib.semclip.episodes import Method, Result


def world(grey, size=12):
    """Six images without and six with a square, brighter than the world by 50; two draws."""
    images = np.full((12, size, size), grey, np.uint8)
    masks = np.zeros(images.shape, bool)
    masks[6:, 3:6, 4:8] = True
    images[masks] += 50
    tests = np.array([0, 1, 6, 7])
    return World(images, masks, [(np.array([s, s + 6]), tests) for s in (2, 3)])


@pytest.fixture
def worlds():
    return {"dark": world(10), "light": world(150)}


def test_an_episode_learns_on_one_world_and_is_tested_on_all(worlds):
    pool, runs = crossing.join(worlds, 12)
    assert len(pool.images) == 16  # of each world 4 tests and 4 shots
    assert [(fit, episode.seed) for fit, episode, _ in runs] == [
        ("dark", 0),
        ("light", 0),
        ("dark", 1),
        ("light", 1),
    ]
    for fit, episode, owners in runs:
        grey = {"dark": 10, "light": 150}[fit]
        assert (pool.images[episode.support, 0, 0] == grey).all()
        assert episode.k == 1 and pool.labels[episode.support].tolist() == [0, 1]
        assert not set(episode.support) & set(episode.test)
        assert owners.tolist() == ["dark"] * 4 + ["light"] * 4
        assert pool.images[episode.test, 0, 0].tolist() == [10] * 4 + [150] * 4


def test_a_method_that_knows_the_grey_of_its_world_fails_on_the_other(worlds):
    def run(pool, episode):
        shot = pool.images[episode.support[1]]
        grey = float(shot[4, 5])  # of the defect
        maps = -np.abs(pool.images[episode.test].astype(np.float32) - grey)
        return Result(maps=maps, scores=maps.max((1, 2)))

    pool, runs = crossing.join(worlds, 12)
    table = crossing.summarised(pool, runs, [Method("grey", "masks", run)])
    assert len(table) == 4 and (table["episodes"] == 2).all()
    means = crossing.own_and_foreign(table, "pAUROC").iloc[0]
    assert means["own world"] == 1 and means["other worlds"] < 0.6
    figure = plots.cross_domain(table, "pAUROC")
    assert [one.get_text() for one in figure.axes[0].get_yticklabels()] == ["dark", "light"]
    assert figure.axes[0].texts[0].get_text() == "1.00"


@pytest.mark.slow
def test_simulated_worlds_hold_what_they_say():
    made = crossing.simulated(shots=1, tests=2, seeds=range(2), size=96)
    assert list(made) == ["upright lines", "contact holes", "vias", "unpatterned film"]
    for one in made.values():
        assert one.images.shape == (8, 96, 96)
        assert not one.masks[:4].any() and one.masks[4:].any((1, 2)).all()
        for support, test in one.draws:
            assert len(support) == 2 and len(test) == 4 and not set(support) & set(test)
