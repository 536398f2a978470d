"""SEM-CLIP + pixels, the random forest of pixels, and the filters that both see."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from semlib.semclip import filters, forest, maps, pixels, scores, study
from semlib.semclip.episodes import Episode, Method, Result
from semlib.semclip.model import SemClip


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    return rng.normal(120, 20, (3, 32, 48)).clip(0, 255).astype(np.uint8)


def test_filters_are_scikit_images_and_averaged_by_cells(images):
    from skimage.feature import multiscale_basic_features

    direct = multiscale_basic_features(images[1], sigma_max=16)
    fine = filters.filters(images)
    assert fine.shape == (3, 32, 48, 24) and fine.dtype == np.float16
    np.testing.assert_allclose(fine[1], direct, atol=5e-4)
    cells = direct.reshape(16, 2, 24, 2, 24).mean((1, 3))
    np.testing.assert_allclose(filters.filters(images, step=2)[1], cells, atol=5e-4)


def test_standardised_filters_do_not_see_brightness_and_contrast(images):
    changed = (images * 0.5 + 40).round().astype(np.uint8)
    before, after = (filters.standardised(filters.filters(one)) for one in (images, changed))
    for kind in (0, 1):  # grey value and slope of the finest Gaussian
        assert np.corrcoef(before[..., kind].ravel(), after[..., kind].ravel())[0, 1] > 0.99
    np.testing.assert_allclose(before[..., 0].mean((1, 2)), 0, atol=1e-3)
    np.testing.assert_allclose(before[..., 0].std((1, 2)), 1, atol=1e-2)


def test_relative_filters_have_median_0_and_median_deviation_1(images):
    values = filters.relative(filters.filters(images)).reshape(3, -1, 24)
    np.testing.assert_allclose(np.median(values, 1), 0, atol=1e-5)
    np.testing.assert_allclose(np.median(np.abs(values[..., :16]), 1), 1, atol=1e-2)


def test_flat_image_gives_finite_looks():
    values = filters.filters(np.full((1, 32, 32), 7, np.uint8))
    assert np.isfinite(filters.standardised(values)).all()
    assert np.isfinite(filters.relative(values)).all()


def test_classes_of_pixels_keep_marks_smaller_than_a_cell():
    masks = np.zeros((3, 8, 8), bool)
    masks[0, :4, :4] = True
    masks[1, 5, 6] = True
    found = filters.classes_of_pixels(masks, [2, 1, 1], 0, (4, 4))
    expected = np.zeros((3, 4, 4), int)
    expected[0, :2, :2] = 2
    expected[1, 2, 3] = 1
    np.testing.assert_array_equal(found, expected)


def test_looks_are_the_three_side_by_side_and_finite():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (5, 40, 40)).astype(np.uint8)
    images[3] = 90  # flat: no spread to divide by
    images[4, 7, 9:12] = 255
    images[4, :7] = images[4, 8:] = 90
    values = filters.filters(images)
    looks = filters.looks(values)
    assert looks.shape == (5, 40, 40, 72) and np.isfinite(looks).all()
    np.testing.assert_array_equal(looks[..., :24], values)
    for start, look in ((24, filters.standardised), (48, filters.relative)):
        own = looks[:3, ..., start : start + 24]
        np.testing.assert_allclose(own, look(values)[:3], rtol=1e-3, atol=1e-3)


def test_drawn_pixels_are_balanced_by_class_and_image():
    kinds = np.zeros((2, 40, 40), int)
    kinds[0, 0, :5] = 1
    kinds[1, 10:30] = 2
    drawn = filters.draw(kinds, np.random.default_rng(0), each=100)
    assert len(set(drawn)) == len(drawn)
    counts = Counter(zip((drawn // 1600).tolist(), kinds.ravel()[drawn].tolist(), strict=True))
    assert counts == {(0, 0): 100, (0, 1): 5, (1, 0): 100, (1, 2): 100}
    assert len(filters.draw(kinds, np.random.default_rng(0), most=40)) <= 40
    other = filters.draw(kinds, np.random.default_rng(1), each=100)
    assert set(other) != set(drawn)


def test_principal_directions_have_unit_variance_and_keep_the_largest():
    rng = np.random.default_rng(0)
    tokens = rng.normal(size=(2, 5, 40, 6)) * [5, 1, 3, 0.1, 0.1, 0.1] + 2
    mean, directions = pixels.principal(tokens, 2)
    reduced = ((tokens - mean) @ directions).reshape(2, -1, 2)
    np.testing.assert_allclose(reduced.mean(1), 0, atol=1e-9)
    np.testing.assert_allclose(reduced.std(1), 1)
    largest = np.abs(directions[0, 0]).argmax(0)  # the last is of most variance
    np.testing.assert_array_equal(largest, [2, 0])


def test_top_scores_by_hand():
    odds = np.zeros((2, 20, 40), np.float32)
    odds[1, 3, 4:6] = 1, 0.5
    np.testing.assert_allclose(maps.highest(odds, forest.TOP), [0, 0.75])
    probabilities = np.stack([1 - odds[1], odds[1]], -1)
    np.testing.assert_allclose(forest.top_mean(probabilities, 0), [0.25, 0.75])


def test_folds_each_lack_a_marked_image():
    fold = forest.folds(np.array([False, True, False, True, True]))
    assert sorted(fold[[1, 3, 4]]) == [0, 1, 2] and fold.max() == 2


def test_forest_standardises_where_brightness_misleads():
    """Marked squares are the brightest of their image, but the images differ more than that."""
    rng = np.random.default_rng(0)
    images = rng.normal(0, 4, (8, 48, 48))
    masks = np.zeros(images.shape, bool)
    for i, at in enumerate(rng.integers(4, 24, (8, 2))):
        masks[i, at[0] : at[0] + 12, at[1] : at[1] + 12] = True
    images += 30 * masks + np.linspace(20, 200, 8)[:, None, None]
    values = filters.filters(images.clip(0, 255).astype(np.uint8))
    standard, *_ = forest.chosen(values, masks.astype(int), 0, 0)
    assert standard
    assert forest.chosen(values[:1], masks[:1].astype(int), 0, 0) == forest.SETTINGS[0]


@pytest.mark.slow
def test_both_find_the_squares_and_name_them(spots_pool, spots_backbone, spots_prompts):
    pool = spots_pool
    features = spots_backbone.encode_images(pool.images)
    values = filters.filters(pool.images, step=2)
    episode = Episode(3, 0, np.arange(9), np.arange(9, 24))
    labels = pool.labels[episode.test]
    words = study.sem_clip(features, spots_backbone, spots_prompts, {}, steps=5)
    given = features, filters.looks(values), spots_backbone.grid
    methods = [pixels.sem_clip_pixels(*given, words), pixels.sem_clip_pixels(*given, None)]
    for method in [*methods, forest.forest(values)]:
        result = method.run(pool, episode)
        assert scores.pixels(result.maps, pool.masks[episode.test])["F1-max"] > 0.9
        assert scores.image_auroc(result.scores, labels != pool.normal) == 1
        assert (result.probabilities.argmax(1) == labels).mean() > 0.9
        np.testing.assert_allclose(result.probabilities.sum(1), 1, atol=1e-4)
    again = methods[1].run(pool, episode)
    np.testing.assert_array_equal(again.maps, methods[1].run(pool, episode).maps)


@pytest.mark.slow
def test_sem_clip_names_the_classes_with_the_pixels_beside_its_head(spots_pool, spots_backbone):
    pool = spots_pool
    features = spots_backbone.encode_images(pool.images)
    looks = filters.looks(filters.filters(pool.images, step=2))
    episode = Episode(3, 0, np.arange(9), np.arange(9, 24))
    sure = np.tile([0, 0, 1.0], (15, 1))
    given = []

    def name(pool, episode, *, beside):
        given.append(beside)
        return Result(sure)

    parts = features, looks, spots_backbone.grid
    result = pixels.sem_clip_pixels(*parts, Method("sure", "none", name)).run(pool, episode)
    assert result.probabilities is sure
    (beside,) = given
    np.testing.assert_allclose(beside.sum(1), 1, atol=1e-4)
    assert (beside.argmax(1) == pool.labels[episode.test]).mean() > 0.9


@pytest.mark.slow
def test_class_learns_from_images_alone(spots, spots_backbone, spots_prompts):
    images, names, masks = spots(18)
    model = SemClip(spots_backbone, spots_prompts, steps=5)
    ours = pixels.SemClipPixels(model)
    with pytest.raises(ValueError, match="not fitted"):
        ours.predict(images)
    prediction = ours.fit(images[:9], names[:9], masks[:9]).predict(images[9:])
    found = [ours.classes[i] for i in prediction.class_probabilities.argmax(1)]
    assert found == names[9:]
    assert scores.pixels(prediction.anomaly_maps, masks[9:])["pAUROC"] > 0.99
    defective = np.array(names[9:]) != "defect-free"
    assert scores.image_auroc(ours.anomaly_scores(prediction), defective) == 1


def test_masks_without_a_mark_are_refused(spots_pool):
    looks = np.zeros((24, 4, 4, 72), np.float16)
    trees = pixels.PixelTrees(None, spots_pool.normal)
    empty = replace(spots_pool, masks=np.zeros_like(spots_pool.masks))
    with pytest.raises(ValueError, match="no mask marks a defect"):
        trees.fit(looks, None, empty.masks, empty.labels)
