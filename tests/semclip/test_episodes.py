"""Episodes never mix support and test; a run of all methods resumes and gives the same tables."""

import numpy as np
import pandas as pd
import pytest

from semlib.semclip import episodes as protocol
from semlib.semclip.episodes import Episode, Method, Pool, Result

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
    return protocol.episodes(pool, **{"shots": (1, 2, 5), "seeds": range(3), "n_test": 8, "n_test_min": 4} | changes)


def test_support_never_meets_the_one_test_set(pool):
    drawn = draw(pool)
    assert [(episode.k, episode.seed) for episode in drawn] == [(k, s) for k in (1, 2, 5) for s in range(3)]
    for episode in drawn:
        assert np.array_equal(episode.test, drawn[0].test)
        assert not set(episode.support) & set(episode.test)
        assert pool.labels[episode.support].tolist() == np.repeat([0, 1, 2], episode.k).tolist()
        assert len(set(episode.support)) == 3 * episode.k
    assert np.bincount(pool.labels[drawn[0].test]).tolist() == [8, 8, 4]


def test_supports_are_nested_and_differ_between_seeds(pool):
    found = {(episode.k, episode.seed): set(episode.support) for episode in draw(pool)}
    assert all(found[1, seed] < found[2, seed] < found[5, seed] for seed in range(3))
    assert found[5, 0] != found[5, 1] != found[5, 2]


def test_seeds_fix_the_episodes_whatever_else_is_asked_for(pool):
    (alone,) = draw(pool, shots=(5,), seeds=[2])
    among = next(episode for episode in draw(pool) if (episode.k, episode.seed) == (5, 2))
    assert np.array_equal(alone.support, among.support) and np.array_equal(alone.test, among.test)


def test_small_classes_are_named_and_left_out_only_on_demand(pool):
    short = protocol.excluded(pool, (1, 10), 5)
    assert short["class"].tolist() == ["hole"] and short["count"].tolist() == [9]
    assert "10 shots and 5 tests need 15" in short["reason"][0]
    with pytest.raises(ValueError, match=r"too few images of hole \(9\).*without"):
        draw(pool, shots=(1, 10), n_test_min=5)
    rest = protocol.without(pool, short["class"])
    assert rest.classes == ["defect-free", "bridge"] and rest.counts().tolist() == [30, 20]
    assert len(draw(rest, shots=(1, 10), n_test_min=5)) == 6
    assert protocol.excluded(rest, (1, 10), 5).empty


def test_classes_that_remain_are_numbered_anew(pool):
    rest = protocol.without(pool, ["bridge"])
    assert rest.classes == ["defect-free", "hole"] and rest.normal == 0 and rest.counts().tolist() == [30, 9]
    assert np.array_equal(rest.images[rest.labels == 1], pool.images[pool.labels == 2])
    last = Pool(pool.images, pool.labels, pool.masks, ["bridge", "hole", "none"], 2)
    assert protocol.without(last, ["bridge"]).normal == 1


@pytest.mark.parametrize(("name", "message"), [("dust", "unknown classes"), ("defect-free", "every method needs")])
def test_what_cannot_be_left_out(pool, name, message):
    with pytest.raises(ValueError, match=message):
        protocol.without(pool, [name])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"masks": np.zeros((59, 12, 11), bool)}, "do not belong together"),
        ({"labels": np.zeros(3, int)}, "do not belong together"),
        ({"labels": np.full(59, 3)}, r"labels \[3\] are no numbers"),
        ({"normal": 3}, "normal = 3"),
    ],
)
def test_bad_pools(pool, change, message):
    with pytest.raises(ValueError, match=message):
        Pool(**vars(pool) | change)


def test_other_bad_input(pool):
    with pytest.raises(ValueError, match="1 or more"):
        draw(pool, shots=(0, 1))
    with pytest.raises(ValueError, match="none of none, normals"):
        Method("x", "some", None)
    with pytest.raises(ValueError, match="share a name"):
        protocol.evaluate(pool, draw(pool), [method("a"), method("a")])


def method(name, supervision="labels + masks", calls=None, stop=None, error=None):
    """Finds squares by their brightness, the better the more shots; notes its `calls`, is cut off at call `stop`."""

    def run(pool, episode):
        if calls is not None:
            calls.append((episode.k, episode.seed))
            if len(calls) == stop:
                raise KeyboardInterrupt
        if error:
            raise ValueError(error)
        rng = np.random.default_rng([episode.k, episode.seed])
        noise = rng.normal(0, 100 / episode.k, pool.images[episode.test].shape)
        maps = (pool.images[episode.test] + noise).astype(np.float32)
        likely = np.eye(3)[pool.labels[episode.test]] + rng.normal(0, 1, (len(episode.test), 3))
        return Result(likely, maps, maps.max((1, 2)))

    return Method(name, supervision, run)


def test_tables_hold_a_row_for_each_method_and_episode(pool):
    drawn = draw(pool)
    score_only = Method("scores", "none", lambda pool, episode: Result(scores=pool.labels[episode.test] * 1.0))
    segmentation, classification = protocol.evaluate(pool, drawn, [method("SEM-CLIP"), score_only])
    assert list(segmentation) == ["method", "supervision", "k", "seed", "iAUROC", "pAUROC", "F1-max", "AP", "PRO"]
    assert len(segmentation) == 18 and classification["method"].unique().tolist() == ["SEM-CLIP"]
    assert segmentation["iAUROC"].tolist()[9:] == [1.0] * 9 and segmentation["PRO"].isna().tolist()[9:] == [True] * 9
    means = segmentation[:9].groupby("k")["pAUROC"].mean()
    assert 0.5 < means[1] < means[2] < means[5] < 1


def test_a_killed_run_goes_on_and_gives_the_same_tables(pool, tmp_path):
    drawn, calls = draw(pool), []
    with pytest.raises(KeyboardInterrupt):
        protocol.evaluate(pool, drawn, [method("a", calls=calls, stop=4)], folder=tmp_path)
    assert len(list(tmp_path.iterdir())) == 3
    resumed = protocol.evaluate(pool, drawn, [method("a", calls=calls)], folder=tmp_path)
    assert len(calls) == 10 and calls[3] == calls[4]
    for table, expected in zip(resumed, protocol.evaluate(pool, drawn, [method("a")]), strict=True):
        pd.testing.assert_frame_equal(table, expected, check_exact=True)
    again = protocol.evaluate(pool, drawn, [method("a", calls=calls)], folder=tmp_path)
    assert len(calls) == 10 and again[0].equals(resumed[0])
    seconds = protocol.times(tmp_path)
    assert len(seconds) == 9 and (seconds["seconds"] >= 0).all() and "seconds" not in resumed[0]


def test_results_are_kept_by_method_episode_and_digest(pool, tmp_path):
    calls = []
    one = draw(pool, shots=(1,), seeds=[0])
    other = [Episode(1, 0, one[0].support[::-1], one[0].test)]
    for drawn, digest, name in ((one, "", "a"), (one, "new", "a"), (other, "", "a"), (one, "", "b"), (one, "", "a")):
        protocol.evaluate(pool, drawn, [method(name, calls=calls)], folder=tmp_path, digest=digest)
    assert len(calls) == 4


def test_a_method_without_supervision_runs_once(pool):
    calls = []
    table, _ = protocol.evaluate(pool, draw(pool), [method("zero-shot", "none", calls)])
    assert len(calls) == 1 and len(table) == 9 and table["PRO"].nunique() == 1


def test_errors_name_method_and_episode(pool, tmp_path):
    with pytest.raises(RuntimeError, match="U-Net failed on 2 shots, seed 1: no masks"):
        protocol.evaluate(pool, draw(pool, shots=(2,), seeds=[1]), [method("U-Net", error="no masks")], folder=tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_result_of_another_size_names_the_method(pool):
    wrong = Method("wrong", "masks", lambda pool, episode: Result(maps=np.zeros((2, 12, 12))))
    with pytest.raises(RuntimeError, match="wrong failed on 1 shots, seed 0: maps .* differ in shape"):
        protocol.evaluate(pool, draw(pool), [wrong])


def test_an_unreadable_result_is_named(pool, tmp_path):
    drawn = draw(pool, shots=(1,), seeds=[0])
    protocol.evaluate(pool, drawn, [method("a")], folder=tmp_path)
    (file,) = tmp_path.iterdir()
    file.write_text("{")
    with pytest.raises(ValueError, match=f"{file.name} is not a result"):
        protocol.evaluate(pool, drawn, [method("a")], folder=tmp_path)
