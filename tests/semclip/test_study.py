"""The few-shot study: its features, SEM-CLIP as a method."""

import numpy as np

from semlib import weights
from semlib.semclip import episodes, study


def test_features_come_from_the_cache_the_second_time(spots, spots_backbone, tmp_path, monkeypatch):
    images, _, _ = spots(5)
    first = study.features(spots_backbone, images, tmp_path)
    monkeypatch.setattr(spots_backbone, "encode_images", None)
    again = study.features(spots_backbone, images, tmp_path)
    assert np.array_equal(first.tokens, again.tokens) and np.array_equal(first.image, again.image)


def test_without_weights_there_is_no_vgg_and_the_reason_is_said(
    spots, tmp_path, monkeypatch, capsys
):
    def missing(_):
        raise weights.WeightsError("no network")

    monkeypatch.setattr(weights, "load", missing)
    assert study.vgg_features(spots(2)[0], tmp_path) is None
    assert "no network" in capsys.readouterr().out


def test_sem_clip_as_a_method_learns_the_easy_task(spots_pool, spots_backbone, spots_prompts):
    (episode,) = episodes.episodes(spots_pool, shots=(3,), seeds=range(1), n_test=4, n_test_min=4)
    seen = spots_backbone.encode_images(spots_pool.images)
    for method in study.sem_clips(seen, spots_backbone, spots_prompts):
        result = method.run(spots_pool, episode)
        assert result.maps.shape == spots_pool.images[
            episode.test
        ].shape and result.scores.shape == (12,)
        if method.supervision == "labels + masks":
            assert (result.probabilities.argmax(1) == spots_pool.labels[episode.test]).mean() > 0.5


def test_the_method_of_less_supervision_does_not_look_at_masks(
    spots_pool, spots_backbone, spots_prompts
):
    (episode,) = episodes.episodes(spots_pool, shots=(2,), seeds=range(1), n_test=4, n_test_min=4)
    seen = spots_backbone.encode_images(spots_pool.images)
    blank = episodes.Pool(
        spots_pool.images,
        spots_pool.labels,
        np.zeros_like(spots_pool.masks),
        spots_pool.classes,
        spots_pool.normal,
    )
    for method in study.sem_clips(seen, spots_backbone, spots_prompts)[1:]:
        assert np.array_equal(method.run(blank, episode).maps, method.run(spots_pool, episode).maps)


def test_ablations_differ_from_the_full_model(spots_pool, spots_backbone, spots_prompts):
    (episode,) = episodes.episodes(spots_pool, shots=(2,), seeds=range(1), n_test=2, n_test_min=2)
    seen = spots_backbone.encode_images(spots_pool.images)
    full, *others = [
        m.run(spots_pool, episode) for m in study.ablations(seen, spots_backbone, spots_prompts)
    ]
    assert len(others) == len(study.ABLATIONS)
    for other in others:
        same = np.array_equal(full.maps, other.maps) and np.array_equal(
            full.probabilities, other.probabilities
        )
        assert not same


def test_methods_that_share_fits_train_a_model_once_for_the_same_shots(
    spots_pool, spots_backbone, spots_prompts
):
    first, second = episodes.episodes(
        spots_pool, shots=(2,), seeds=range(2), n_test=2, n_test_min=2
    )
    seen, fits = spots_backbone.encode_images(spots_pool.images), {}
    full, *others = study.ablations(seen, spots_backbone, spots_prompts, fits)
    head = next(method for method in others if method.name == "head alone")
    found = [method.run(spots_pool, first) for method in (full, head)]
    assert len(fits) == 1
    alone = study.sem_clip(seen, spots_backbone, spots_prompts, fusion=0.0).run(spots_pool, first)
    assert np.array_equal(found[1].probabilities, alone.probabilities)
    assert np.array_equal(found[0].maps, alone.maps) and not np.array_equal(
        found[0].probabilities, alone.probabilities
    )
    head.run(spots_pool, second)
    masks = spots_pool.masks.copy()
    masks[first.support[-1]] = np.roll(masks[first.support[-1]], 20, axis=0)
    head.run(
        episodes.Pool(
            spots_pool.images, spots_pool.labels, masks, spots_pool.classes, spots_pool.normal
        ),
        first,
    )
    assert len(fits) == 3
