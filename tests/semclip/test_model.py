"""SEM-CLIP end to end on a tiny random ViT: it learns an easy task; options; saved is loaded."""

import json

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.metrics import roc_auc_score

from semlib.semclip import store, tune
from semlib.semclip.backbone import Backbone, Features
from semlib.semclip.clip import Source
from semlib.semclip.model import Prediction, SemClip


@pytest.fixture(scope="module")
def make(spots_backbone, spots_prompts):
    return lambda **options: SemClip(spots_backbone, spots_prompts, **options)


@pytest.fixture(scope="module")
def shots(spots, spots_backbone):
    images, names, masks = spots(12)
    return spots_backbone.encode_images(images), names, masks


@pytest.fixture(scope="module")
def test_set(spots, spots_backbone, spots_prompts):
    images, names, masks = spots(30, seed=1)
    return (
        spots_backbone.encode_images(images),
        np.array([spots_prompts.classes.index(n) for n in names]),
        masks,
    )


@pytest.fixture(scope="module")
def fitted(make, shots):
    return make().fit(*shots)


def pixel_auroc(prediction, masks):
    return roc_auc_score(masks.ravel(), prediction.anomaly_maps.ravel())


def test_learns_from_four_shots_a_class(make, fitted, test_set):
    features, classes, masks = test_set
    prediction, untrained = fitted.predict(features), fitted.zero_shot(features)
    assert pixel_auroc(prediction, masks) > 0.9 > pixel_auroc(untrained, masks) + 0.1
    assert (prediction.class_probabilities.argmax(1) == classes).mean() > 0.7
    assert roc_auc_score(classes != 0, fitted.anomaly_scores(prediction)) > 0.95


def test_prediction_has_two_parts_in_their_ranges(fitted, test_set):
    probabilities, anomaly = prediction = fitted.predict(test_set[0])
    assert isinstance(prediction, Prediction) and len(prediction) == 2
    assert probabilities.dtype == anomaly.dtype == np.float32
    assert probabilities.shape == (30, 3) and np.allclose(probabilities.sum(1), 1, atol=1e-5)
    assert anomaly.shape == (30, 96, 96) and 0 <= anomaly.min() < anomaly.max() <= 1
    scores = fitted.anomaly_scores(prediction)
    assert scores.shape == (30,) and 0 <= scores.min() < scores.max() <= 1


def test_images_and_their_features_give_the_same(make, spots, shots):
    images, names, masks = spots(12)
    one, other = make(steps=3).fit(images, names, masks), make(steps=3).fit(*shots)
    for a, b in zip(one.predict(images[:4]), other.predict(shots[0][:4]), strict=True):
        assert np.allclose(a, b, atol=1e-3)


def test_maps_have_the_size_of_the_images(fitted, spots):
    large = np.repeat(np.repeat(spots(2)[0], 2, 1), 3, 2)
    assert fitted.predict(large).anomaly_maps.shape == (2, 192, 288)
    assert fitted.predict(large, shape=(50, 40)).anomaly_maps.shape == (2, 50, 40)


def test_same_seed_same_bytes(make, shots):
    first, again, other = (make(steps=3, seed=seed).fit(*shots) for seed in (0, 0, 1))
    assert (first.transform == again.transform).all()
    assert (first.head["weight"] == again.head["weight"]).all()
    assert (first.transform != other.transform).any()


@pytest.mark.slow
def test_fusion_mixes_the_two_scores(make, shots, test_set):
    features = test_set[0]
    clip, head, both = (
        make(fusion=w).fit(*shots).predict(features).class_probabilities for w in (1.0, 0.0, 0.3)
    )
    assert np.allclose(both, 0.3 * clip + 0.7 * head, atol=1e-6)
    model = make()
    expected = softmax(model.scale * features.image @ model.texts.T, axis=1)
    assert np.allclose(clip, expected, atol=1e-6)
    fitted = make().fit(*shots)
    assert np.array_equal(fitted.changed(fusion=0.3).predict(features).class_probabilities, both)
    assert fitted.options.fusion is None
    with pytest.raises(ValueError, match=r"out of its range.*fusion=1\.5"):
        fitted.changed(fusion=1.5)


@pytest.mark.slow
def test_words_weigh_as_much_as_they_are_right_on_the_shots(make, shots, test_set):
    features, names, masks = shots
    fitted = make(steps=3).fit(*shots)
    named = make(transformation=False).zero_shot(features).class_probabilities.argmax(1)
    right = (named == fitted.prompts.positions(names)).sum()
    assert fitted.head["trust"] == pytest.approx((right + 1) / (len(names) + 2))
    given = test_set[0]
    weight = float(fitted.head["trust"][0])
    clip, head, both = (
        fitted.changed(fusion=w).predict(given).class_probabilities for w in (1.0, 0.0, None)
    )
    assert np.allclose(both, weight * clip + (1 - weight) * head, atol=1e-6)
    # what else learnt from the shots counts like the head
    other = np.eye(clip.shape[1])[np.zeros(len(clip), int)]
    mixed = fitted.predict(given, beside=other).class_probabilities
    assert np.allclose(mixed, weight * clip + (1 - weight) * (head + other) / 2, atol=1e-6)
    alone = fitted.changed(fusion=1.0).predict(given, beside=other).class_probabilities
    assert np.array_equal(alone, clip)


def test_trust_grows_with_the_shots_that_words_name_rightly():
    classes = np.repeat([0, 1, 2], 4)
    right = np.eye(3)[classes]
    assert tune.trust(right, classes) == pytest.approx(13 / 14)
    assert tune.trust(np.roll(right, 1, 1), classes) == pytest.approx(1 / 14)
    assert tune.trust(right[:2], classes[:2]) < tune.trust(right, classes)


def test_the_map_is_the_mean_of_both_paths(make, test_set):
    """Zero-shot: A = (A_F + A_V) / 2; without V-V, A_F alone."""
    features = test_set[0]
    swapped = Features(features.image, features.tokens[:, ::-1].copy())
    both, alone = make(blur=0.0).zero_shot(features), make(vv=False, blur=0.0)
    original, vv = alone.zero_shot(features), alone.zero_shot(swapped)
    assert np.allclose(both.anomaly_maps, (original.anomaly_maps + vv.anomaly_maps) / 2, atol=1e-5)
    assert not np.allclose(original.anomaly_maps, vv.anomaly_maps, atol=0.01)


@pytest.mark.parametrize(
    "options", [{"vv": False}, {"remove_redundant": False}, {"transformation": False}]
)
def test_each_ablation_changes_the_map(make, shots, test_set, fitted, options):
    prediction = make(**options).fit(*shots).predict(test_set[0])
    assert np.abs(prediction.anomaly_maps - fitted.predict(test_set[0]).anomaly_maps).max() > 0.02


@pytest.mark.slow
def test_last_level_alone(make, shots):
    features, names, masks = shots
    deep = Features(features.image, features.tokens[:, :, -1:])
    one, other = make(levels="last").fit(*shots), make().fit(deep, names, masks)
    assert one.transform.shape == (2, 1, 32, 24)
    assert (one.predict(features).anomaly_maps == other.predict(deep).anomaly_maps).all()


def test_labels_alone_need_no_masks(make, shots, test_set):
    features, names, _ = shots
    model = make(transformation=False, fusion=0.0).fit(features, names)
    prediction = model.predict(test_set[0])
    assert (prediction.anomaly_maps == model.zero_shot(test_set[0]).anomaly_maps).all()
    learnt = model.predict(features).class_probabilities.argmax(1)
    assert (np.array(model.classes)[learnt] == names).mean() > 0.8


@pytest.mark.parametrize(
    "options", [{}, {"vv": False, "levels": "last"}, {"transformation": False}, {"fusion": 1.0}]
)
def test_saved_and_loaded_predicts_the_same_bits(make, shots, test_set, tmp_path, options):
    model = make(**options).fit(*shots)
    store.save(model, tmp_path / "model")
    files = sorted(file.name for file in (tmp_path / "model").iterdir())
    assert files == ["model.json", "model.safetensors"]
    loaded = store.load(tmp_path / "model", model.backbone)
    assert (loaded.options, loaded.prompts) == (model.options, model.prompts)
    for a, b in zip(model.predict(test_set[0]), loaded.predict(test_set[0]), strict=True):
        assert (a == b).all()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"labels": ["defect-free"] * 3}, "no shot of bright, dark"),
        ({"labels": ["bright", "dark", "dark"]}, "no shot of defect-free"),
        (
            {"labels": ["defect-free", "bright", "crack"]},
            "class crack: name others than .'defect-free', 'bri",
        ),
        ({"labels": [1, 2, 9]}, "unknown class 9"),
        ({"labels": [1, 2]}, r"not as many each: \[3, 2, 3\]"),
        ({"masks": np.ones((2, 96, 96), bool)}, r"not as many each: \[3, 3, 2\]"),
        ({"masks": np.zeros((3, 96, 96), bool)}, "no mask marks a defect"),
        ({"masks": None}, "no mask marks a defect"),
        ({"images": np.zeros((3, 96, 96))}, "uint8"),
        ({"images": np.zeros((3, 96, 96, 3), np.uint8)}, "uint8"),
    ],
)
def test_bad_shots(make, spots, change, said):
    images, names, masks = spots(3)
    given = {"images": images, "labels": names, "masks": masks} | change
    with pytest.raises(ValueError, match=said):
        make().fit(**given)


def test_bad_options(make):
    bad = {"levels": "first", "fusion": 1.5, "temperature": 0, "blur": -1, "steps": -1}
    for name, value in (bad | {"strength": 0}).items():
        with pytest.raises(ValueError, match=f"out of its range: .*{name}={value!r}"):
            make(**{name: value})


def test_trained_parts_need_training(make, test_set, tmp_path):
    for options in ({}, {"transformation": False}, {"fusion": 1.0}):
        with pytest.raises(ValueError, match="not fitted"):
            make(**options).predict(test_set[0])
    with pytest.raises(ValueError, match="not fitted"):
        store.save(make(), tmp_path)


def test_bad_folders(make, fitted, tmp_path):
    with pytest.raises(ValueError, match="no saved SemClip model"):
        store.load(tmp_path)
    store.save(fitted, tmp_path)
    source = Source(fitted.backbone.model, fitted.backbone.tokenize)
    other = Backbone(source, vv_blocks=3, levels=3)
    with pytest.raises(ValueError, match="saved with another backbone: .*'levels': 2"):
        store.load(tmp_path, other)
    about = json.loads((tmp_path / "model.json").read_text())
    (tmp_path / "model.json").write_text(json.dumps(about | {"projection": "0" * 64}))
    with pytest.raises(ValueError, match="was saved with another backbone"):
        store.load(tmp_path, fitted.backbone)
    (tmp_path / "model.json").write_text(json.dumps(about)[:-5])
    with pytest.raises(ValueError, match="no saved SemClip model"):
        store.load(tmp_path, fitted.backbone)
