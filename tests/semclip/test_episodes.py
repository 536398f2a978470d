"""Episodes never mix support and test, are fixed by their seeds, and drop no class silently."""

import numpy as np
import pytest

from semlib.semclip import episodes as protocol
from semlib.semclip.episodes import Pool

COUNTS = (30, 20, 9)


@pytest.fixture
def pool():
    """Three classes, shuffled; defects are bright squares."""
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.repeat([0, 1, 2], COUNTS))
    masks = np.zeros((len(labels), 12, 12), bool)
    masks[labels > 0, 3:6, 4:8] = True
    images = rng.integers(0, 100, masks.shape, dtype=np.uint8) + np.uint8(90) * masks
    return Pool(images, labels, masks, ["defect-free", "bridge", "hole"], 0)


def draw(pool, **changes):
    return protocol.episodes(
        pool, **{"shots": (1, 2, 5), "seeds": range(3), "n_test": 8, "n_test_min": 4} | changes
    )


def test_support_never_meets_the_one_test_set(pool):
    drawn = draw(pool)
    assert [(episode.k, episode.seed) for episode in drawn] == [
        (k, s) for k in (1, 2, 5) for s in range(3)
    ]
    for episode in drawn:
        assert np.array_equal(episode.test, drawn[0].test)
        assert not set(episode.support) & set(episode.test)
        assert pool.labels[episode.support].tolist() == np.repeat([0, 1, 2], episode.k).tolist()
        assert len(set(episode.support)) == 3 * episode.k
    assert np.bincount(pool.labels[drawn[0].test]).tolist() == [8, 8, 4]


def test_supports_are_nested_and_differ_between_seeds(pool):
    supports = {(episode.k, episode.seed): set(episode.support) for episode in draw(pool)}
    assert all(supports[1, seed] < supports[2, seed] < supports[5, seed] for seed in range(3))
    assert supports[5, 0] != supports[5, 1] != supports[5, 2]


def test_seeds_fix_the_episodes_whatever_else_is_asked_for(pool):
    (alone,) = draw(pool, shots=(5,), seeds=[2])
    among = next(episode for episode in draw(pool) if (episode.k, episode.seed) == (5, 2))
    assert np.array_equal(alone.support, among.support) and np.array_equal(alone.test, among.test)


def test_small_classes_are_named_and_left_out_only_on_demand(pool):
    short = protocol.excluded(pool, (1, 10), 5)
    assert short["class"].tolist() == ["hole"] and short["count"].tolist() == [9]
    assert "10 shots and 5 tests need 15" in short["reason"][0]
    with pytest.raises(ValueError, match=r"too few images.*without(.|\n)*hole +9"):
        draw(pool, shots=(1, 10), n_test_min=5)
    rest = protocol.without(pool, short["class"])
    assert rest.classes == ["defect-free", "bridge"] and rest.counts().tolist() == [30, 20]
    assert len(draw(rest, shots=(1, 10), n_test_min=5)) == 6
    assert protocol.excluded(rest, (1, 10), 5).empty


def test_classes_that_remain_are_numbered_anew(pool):
    rest = protocol.without(pool, ["bridge"])
    assert (
        rest.classes == ["defect-free", "hole"]
        and rest.normal == 0
        and rest.counts().tolist() == [30, 9]
    )
    assert np.array_equal(rest.images[rest.labels == 1], pool.images[pool.labels == 2])
    last = Pool(pool.images, pool.labels, pool.masks, ["bridge", "hole", "none"], 2)
    assert protocol.without(last, ["bridge"]).normal == 1


def test_the_defect_free_class_cannot_be_left_out(pool):
    with pytest.raises(ValueError, match="every method needs"):
        protocol.without(pool, ["defect-free"])
