"""Features once; SEM-CLIP as a method; all methods on all episodes, killed and resumed."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from semlib.semclip import episodes, study
from semlib.semclip.episodes import Episode, Method, Pool, Result


@pytest.fixture(scope="module")
def features(spots, spots_backbone):
    return spots_backbone.encode_images(spots(24)[0])


def test_features_are_computed_once_for_the_same_images(
    tmp_path, spots, spots_backbone, monkeypatch
):
    images = spots(3)[0]
    expected = spots_backbone.encode_images(images)
    calls = []
    encode = spots_backbone.encode_images
    monkeypatch.setattr(
        spots_backbone, "encode_images", lambda some: calls.append(len(some)) or encode(some)
    )
    for some in (images, images, images[::-1]):
        kept = study.features(spots_backbone, some, tmp_path)
    assert calls == [3, 3]
    kept = study.features(spots_backbone, images, tmp_path)
    assert np.array_equal(kept.image, expected.image)
    assert kept.tokens.dtype == np.float16 and np.array_equal(kept.tokens, expected.tokens)


@pytest.fixture
def given(features, spots_backbone, spots_prompts):
    return features, spots_backbone, spots_prompts


def two_shots(pool, seeds=range(1)):
    return episodes.episodes(pool, shots=(2,), seeds=seeds, n_test=2, n_test_min=2)


def test_sem_clip_as_a_method_learns_the_easy_task(spots_pool, given):
    (episode,) = episodes.episodes(spots_pool, shots=(3,), seeds=range(1), n_test=4, n_test_min=4)
    for method in study.sem_clips(*given, {}):
        result = method.run(spots_pool, episode)
        assert result.maps.shape == spots_pool.images[episode.test].shape
        assert result.scores.shape == (12,)
        if method.supervision == "labels + masks":
            right = result.probabilities.argmax(1) == spots_pool.labels[episode.test]
            assert right.mean() > 0.5


def test_the_method_of_less_supervision_does_not_look_at_masks(spots_pool, given):
    (episode,) = two_shots(spots_pool)
    blank = replace(spots_pool, masks=np.zeros_like(spots_pool.masks))
    for method in study.sem_clips(*given, {})[1:]:
        maps = method.run(spots_pool, episode).maps
        assert np.array_equal(method.run(blank, episode).maps, maps)


@pytest.mark.slow
def test_ablations_differ_from_the_full_model(spots_pool, given):
    (episode,) = two_shots(spots_pool)
    full, *others = (m.run(spots_pool, episode) for m in study.ablations(*given, {}, steps=10))
    assert len(others) == len(study.ABLATIONS)
    for other in others:
        same_classes = np.array_equal(full.probabilities, other.probabilities)
        assert not (same_classes and np.array_equal(full.maps, other.maps))


@pytest.mark.slow
def test_methods_that_share_fits_train_a_model_once_for_the_same_shots(spots_pool, given):
    first, second = two_shots(spots_pool, range(2))
    fits = {}
    methods = {method.name: method for method in study.ablations(*given, fits, steps=3)}
    full, head = (methods[name].run(spots_pool, first) for name in ("SEM-CLIP", "head alone"))
    assert len(fits) == 1
    alone = study.sem_clip(*given, {}, fusion=0.0, steps=3).run(spots_pool, first)
    assert np.array_equal(head.probabilities, alone.probabilities)
    assert np.array_equal(full.maps, alone.maps)
    assert not np.array_equal(full.probabilities, alone.probabilities)
    methods["head alone"].run(spots_pool, second)
    masks = spots_pool.masks.copy()
    masks[first.support[-1]] = np.roll(masks[first.support[-1]], 20, axis=0)
    methods["head alone"].run(replace(spots_pool, masks=masks), first)
    assert len(fits) == 3


@pytest.fixture
def pool():
    """Two classes with a defect, a bright square, and one without."""
    labels = np.repeat([0, 1, 2], (20, 15, 9))
    masks = np.zeros((len(labels), 12, 12), bool)
    masks[labels > 0, 3:6, 4:8] = True
    noise = np.random.default_rng(0).integers(0, 100, masks.shape, dtype=np.uint8)
    return Pool(noise + np.uint8(90) * masks, labels, masks, ["defect-free", "bridge", "hole"], 0)


def draw(pool, shots=(1, 2, 5), seeds=range(3)):
    return episodes.episodes(pool, shots=shots, seeds=seeds, n_test=8, n_test_min=4)


def method(name, supervision="labels + masks", calls=None, stop=None, error=None):
    """Finds squares by brightness, better with more shots; notes `calls`, is cut off at `stop`."""

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


def label_scores(pool, episode):
    return Result(scores=pool.labels[episode.test] * 1.0)


def test_tables_hold_a_row_for_each_method_and_episode(pool):
    drawn = draw(pool)
    score_only = Method("scores", "none", label_scores)
    segmentation, classification = study.evaluate(pool, drawn, [method("SEM-CLIP"), score_only])
    assert list(segmentation) == [*study.KEYS, "iAUROC", "pAUROC", "F1-max", "AP", "PRO"]
    assert len(segmentation) == 18 and classification["method"].unique().tolist() == ["SEM-CLIP"]
    assert segmentation["iAUROC"].tolist()[9:] == [1.0] * 9
    assert segmentation["PRO"].isna().tolist()[9:] == [True] * 9
    _, nothing = study.evaluate(pool, drawn, [score_only])
    assert nothing.empty and list(nothing) == list(classification)
    means = segmentation[:9].groupby("k")["pAUROC"].mean()
    assert 0.5 < means[1] < means[2] < means[5] < 1


def test_a_killed_run_goes_on_and_gives_the_same_tables(pool, tmp_path):
    drawn, calls = draw(pool), []
    with pytest.raises(KeyboardInterrupt):
        study.evaluate(pool, drawn, [method("a", calls=calls, stop=4)], folder=tmp_path)
    kept = len(list(tmp_path.rglob("output.pkl")))
    assert 3 <= kept < 9  # other threads end what they have begun
    resumed = study.evaluate(pool, drawn, [method("a", calls=calls)], folder=tmp_path)
    assert len(calls) == 10 and len(set(calls)) == 9 and calls.count(calls[3]) == 2
    for table, expected in zip(resumed, study.evaluate(pool, drawn, [method("a")]), strict=True):
        pd.testing.assert_frame_equal(table, expected, check_exact=True)
    again = study.evaluate(pool, drawn, [method("a", calls=calls)], folder=tmp_path)
    assert len(calls) == 10 and again[0].equals(resumed[0])


def test_scores_are_kept_by_method_episode_pool_and_what_they_depend_on(pool, tmp_path):
    calls = []
    one = draw(pool, shots=(1,), seeds=[0])
    other = [Episode(1, 0, one[0].support[::-1], one[0].test)]
    brighter = replace(pool, images=pool.images + np.uint8(1))
    for images, drawn, depends_on, name in (
        (pool, one, "", "a"),
        (pool, one, "new", "a"),
        (pool, other, "", "a"),
        (pool, one, "", "b"),
        (brighter, one, "", "a"),
        (pool, one, "", "a"),
    ):
        methods = [method(name, calls=calls)]
        study.evaluate(images, drawn, methods, folder=tmp_path, depends_on=depends_on)
    assert len(calls) == 5


def test_decisions_come_from_the_runs_that_are_kept(pool, tmp_path):
    calls = []
    given = pool, draw(pool), [method("a", calls=calls)]
    study.evaluate(*given, folder=tmp_path)
    table = study.decisions(*given, folder=tmp_path)
    assert len(calls) == 9 and list(table) == [*study.KEYS, "false alarms", "missed", "seconds"]
    assert len(table) == 9 and table[["false alarms", "missed"]].stack().between(0, 1).all()
    assert (table["seconds"] > 0).all()


def test_a_method_without_supervision_runs_once(pool):
    calls = []
    table, _ = study.evaluate(pool, draw(pool), [method("zero-shot", "none", calls)])
    assert len(calls) == 1 and len(table) == 9 and table["PRO"].nunique() == 1


def test_errors_name_method_and_episode(pool, tmp_path):
    drawn = draw(pool, shots=(2,), seeds=[1])
    with pytest.raises(RuntimeError, match="U-Net failed on 2 shots, seed 1: no masks"):
        study.evaluate(pool, drawn, [method("U-Net", error="no masks")], folder=tmp_path)
    assert not list(tmp_path.rglob("output.pkl"))
    wrong = Method("wrong", "masks", lambda pool, episode: Result(maps=np.zeros((2, 12, 12))))
    with pytest.raises(RuntimeError, match="wrong failed on 2 shots, seed 1: .*did not match"):
        study.evaluate(pool, drawn, [wrong])
    with pytest.raises(ValueError, match="share a name"):
        study.evaluate(pool, drawn, [method("a"), method("a")])


def test_results_of_some_methods_in_the_order_asked_for(pool):
    episode = draw(pool)[-1]
    results = study.results(pool, episode, [method("a"), method("b")], ["b", "absent", "a"])
    assert list(results) == ["b", "a"]
    assert np.array_equal(results["a"].maps, method("a").run(pool, episode).maps)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"shots": [1, 1]}, r"shots \[1, 1\], .*different whole numbers"),
        ({"shots": []}, "different whole numbers"),
        ({"n_test": 0}, "'n_test': 0}: use different whole numbers from 1"),
        ({"ablation_shots": [5]}, r"ablation_shots are \[5\]: use some of the shots, \[1, 2\]"),
        ({"steps": {"SEM-CLIP": 3}}, "steps are .*: give APRIL-GAN, SEM-CLIP, U-Net, each from 0"),
    ],
)
def test_parameters_that_would_fail_late_are_refused_first(wrong, said):
    steps = {"SEM-CLIP": 60, "APRIL-GAN": 100, "U-Net": 100}
    good = {"shots": [1, 2], "ablation_shots": [2], "steps": steps, "n_seeds": 1, "n_test": 1}
    study.check_parameters(**good)
    with pytest.raises(ValueError, match=said):
        study.check_parameters(**good | wrong)


def test_what_methods_gave_last_stays_in_memory(pool):
    calls = []

    def run(pool, episode):
        calls.append(episode.seed)
        return Result(scores=np.arange(3.0))

    asked = [Episode(1, seed, np.array([0]), np.array([1])) for seed in range(3)]
    (method,) = study.remembering([Method("one", "none", run)])
    given = [method.run(pool, asked[seed]) for seed in (0, 1, 2, 2, 0)]
    assert calls == [0, 1, 2, 0] and given[2] is given[3]
    assert (method.name, method.supervision) == ("one", "none")
