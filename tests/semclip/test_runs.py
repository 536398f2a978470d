"""A run of all methods on all episodes: its tables, resumption after a kill, errors that name where."""

import numpy as np
import pandas as pd
import pytest

from semlib.semclip import episodes, runs
from semlib.semclip.episodes import Episode, Method, Pool, Result


@pytest.fixture
def pool():
    """Two classes with a defect, a bright square, and one without."""
    labels = np.repeat([0, 1, 2], (20, 15, 9))
    masks = np.zeros((len(labels), 12, 12), bool)
    masks[labels > 0, 3:6, 4:8] = True
    images = (
        np.random.default_rng(0).integers(0, 100, masks.shape, dtype=np.uint8)
        + np.uint8(90) * masks
    )
    return Pool(images, labels, masks, ["defect-free", "bridge", "hole"], 0)


def draw(pool, shots=(1, 2, 5), seeds=range(3)):
    return episodes.episodes(pool, shots=shots, seeds=seeds, n_test=8, n_test_min=4)


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
    score_only = Method(
        "scores", "none", lambda pool, episode: Result(scores=pool.labels[episode.test] * 1.0)
    )
    segmentation, classification = runs.evaluate(pool, drawn, [method("SEM-CLIP"), score_only])
    assert list(segmentation) == [
        "method",
        "supervision",
        "k",
        "seed",
        "iAUROC",
        "pAUROC",
        "F1-max",
        "AP",
        "PRO",
    ]
    assert len(segmentation) == 18 and classification["method"].unique().tolist() == ["SEM-CLIP"]
    assert (
        segmentation["iAUROC"].tolist()[9:] == [1.0] * 9
        and segmentation["PRO"].isna().tolist()[9:] == [True] * 9
    )
    _, nothing = runs.evaluate(pool, drawn, [score_only])
    assert nothing.empty and list(nothing) == list(classification)
    means = segmentation[:9].groupby("k")["pAUROC"].mean()
    assert 0.5 < means[1] < means[2] < means[5] < 1


def test_a_killed_run_goes_on_and_gives_the_same_tables(pool, tmp_path):
    drawn, calls = draw(pool), []
    with pytest.raises(KeyboardInterrupt):
        runs.evaluate(pool, drawn, [method("a", calls=calls, stop=4)], folder=tmp_path)
    assert 3 <= len(list(tmp_path.iterdir())) < 9  # other threads end what they have begun
    resumed = runs.evaluate(pool, drawn, [method("a", calls=calls)], folder=tmp_path)
    assert len(calls) == 10 and len(set(calls)) == 9 and calls.count(calls[3]) == 2
    for table, expected in zip(resumed, runs.evaluate(pool, drawn, [method("a")]), strict=True):
        pd.testing.assert_frame_equal(table, expected, check_exact=True)
    again = runs.evaluate(pool, drawn, [method("a", calls=calls)], folder=tmp_path)
    assert len(calls) == 10 and again[0].equals(resumed[0])
    seconds = runs.times(tmp_path)
    assert len(seconds) == 9 and (seconds["seconds"] >= 0).all() and "seconds" not in resumed[0]


def test_results_are_kept_by_method_episode_and_digest(pool, tmp_path):
    calls = []
    one = draw(pool, shots=(1,), seeds=[0])
    other = [Episode(1, 0, one[0].support[::-1], one[0].test)]
    for drawn, digest, name in (
        (one, "", "a"),
        (one, "new", "a"),
        (other, "", "a"),
        (one, "", "b"),
        (one, "", "a"),
    ):
        runs.evaluate(pool, drawn, [method(name, calls=calls)], folder=tmp_path, digest=digest)
    assert len(calls) == 4


def test_a_method_without_supervision_runs_once(pool):
    calls = []
    table, _ = runs.evaluate(pool, draw(pool), [method("zero-shot", "none", calls)])
    assert len(calls) == 1 and len(table) == 9 and table["PRO"].nunique() == 1


def test_errors_name_method_and_episode(pool, tmp_path):
    with pytest.raises(RuntimeError, match="U-Net failed on 2 shots, seed 1: no masks"):
        runs.evaluate(
            pool,
            draw(pool, shots=(2,), seeds=[1]),
            [method("U-Net", error="no masks")],
            folder=tmp_path,
        )
    assert not list(tmp_path.iterdir())


def test_a_result_of_another_size_names_the_method(pool):
    wrong = Method("wrong", "masks", lambda pool, episode: Result(maps=np.zeros((2, 12, 12))))
    with pytest.raises(
        RuntimeError, match="wrong failed on 1 shots, seed 0: maps .* differ in shape"
    ):
        runs.evaluate(pool, draw(pool), [wrong])


def test_an_unreadable_result_is_named(pool, tmp_path):
    drawn = draw(pool, shots=(1,), seeds=[0])
    runs.evaluate(pool, drawn, [method("a")], folder=tmp_path)
    (file,) = tmp_path.iterdir()
    file.write_text("{")
    with pytest.raises(ValueError, match=f"{file.name} is not a result"):
        runs.evaluate(pool, drawn, [method("a")], folder=tmp_path)


def test_two_methods_of_one_name(pool):
    with pytest.raises(ValueError, match="share a name"):
        runs.evaluate(pool, draw(pool), [method("a"), method("a")])


def test_results_of_the_last_episode_are_kept_and_what_is_missing_runs_again(pool, tmp_path):
    drawn, calls, kept = draw(pool), [], {}
    methods = [method("a", calls=calls), method("zero-shot", "none", calls)]
    runs.evaluate(pool, drawn, methods, folder=tmp_path, kept=kept)
    assert set(kept) == {"a", "zero-shot"} and len(calls) == 10
    found = runs.results(pool, drawn[-1], methods, ["zero-shot", "a", "absent"], kept)
    assert list(found) == ["zero-shot", "a"] and len(calls) == 10
    resumed = {}
    runs.evaluate(pool, drawn, methods, folder=tmp_path, kept=resumed)
    assert resumed == {}
    again = runs.results(pool, drawn[-1], methods, ["a"], resumed)["a"]
    assert len(calls) == 11 and np.array_equal(again.maps, found["a"].maps)
