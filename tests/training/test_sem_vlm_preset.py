"""The pairs that SEM-VLM is trained on: other layers than its test, true captions."""

import pickle
import re

import numpy as np
import pytest

from semlib.images.simulator import layers, lines, sample, write_arrays
from semlib.images.simulator.words import extent, position
from training import sem_vlm_preset as preset

pytestmark = pytest.mark.slow  # what all its tests share takes a second

PLACE = r"\b(upper left|upper right|lower left|lower right|top|bottom|left|right|centre)\b"


@pytest.fixture(scope="module")
def batch():
    return sample(210, seed=2, preset=preset.SEM_VLM, size=64)


def test_classes_are_equally_frequent_and_decide_the_mask(batch):
    assert np.bincount(batch.labels).tolist() == [30] * len(lines.FAMILIES)
    assert (batch.masks.any((1, 2)) == (batch.labels != 0)).all()


@pytest.mark.parametrize("label", lines.FAMILIES)
def test_scenes_are_finite_on_every_kind_of_layer(label):
    for index in range(8):
        rng = np.random.default_rng([index, label])
        drawn, facts = lines.scene(rng, label, 160, preset.TRAINING)
        assert drawn.mask.any() == (label != 0) == (facts.count > 0)
        assert np.isfinite(drawn.height).all() and drawn.material.min() > 0
        assert 0 <= facts.strength <= 1 and facts.count <= 3


def test_the_pixels_are_reproducible_in_another_process_too(batch):
    again = pickle.loads(pickle.dumps(preset.SEM_VLM))
    image, clean, mask, caption = again.finished(2, 64, (9, int(batch.labels[9])))
    np.testing.assert_array_equal(image, batch.images[9])
    np.testing.assert_array_equal(clean, batch.clean[9])
    np.testing.assert_array_equal(mask, batch.masks[9])
    assert caption == batch.captions[9]


def test_arrays_take_the_preset(tmp_path):
    folder = write_arrays(tmp_path / "set", 3, seed=5, preset=preset.SEM_VLM, size=64, workers=1)
    images = sample(3, seed=5, preset=preset.SEM_VLM, size=64).images
    np.testing.assert_array_equal(np.load(folder / "images.npy"), images)


def test_settings_of_training_and_evaluation_share_no_layer_and_no_microscope():
    tested = layers.EVALUATION
    trained = preset.TRAINING
    assert tested.pitch[1] < trained.pitch[0]
    assert all(high < tested.dose[0][0] or low > tested.dose[0][1] for low, high in trained.dose)
    assert trained.detector.facing > 2 * tested.detector.facing
    assert trained.detector.shadow > tested.detector.shadow
    for large, small in zip(trained.sizes, tested.sizes, strict=True):
        assert large[1] > 1.5 * small[1]


def draw(seed, kinds=preset.TRAINING.kinds):
    return layers.draw(np.random.default_rng(seed), preset.TRAINING, kinds)


def test_layers_lie_in_all_directions():
    directions = {f"{direction} lines" for direction in ("vertical", "horizontal", "oblique")}
    assert {draw(seed).about for seed in range(80)} == directions | {
        "contact holes",
        "vias",
        "film",
    }


@pytest.mark.parametrize("kind", [layers.lines, preset.contact_holes, preset.vias])
@pytest.mark.parametrize("seed", range(2))
def test_the_nearest_element_lies_inside_and_the_place_between_outside(seed, kind):
    layer = kind(np.random.default_rng(seed), draw(seed), feature="")
    on = layer.nearest(50.0, -20.0)
    off = layer.nearest(50.0, -20.0, between=True)
    assert layer.field(*np.float32(on)) == pytest.approx(layer.width / 2, abs=1e-3)
    assert layer.field(*np.float32(off)) == pytest.approx((layer.width - layer.pitch) / 2, abs=1e-3)
    assert abs(on[0] - 50) <= layer.pitch / 2 + 1e-6


def test_what_captions_say_is_true(batch):
    placed = 0
    for label, mask, caption in zip(batch.labels, batch.masks, batch.captions, strict=True):
        names = preset.names_of(label)
        assert any(name in caption or preset.plural(name) in caption for name in names)
        place = re.search(PLACE, caption)
        if place:
            placed += 1
            assert label and place[0] == position(mask)
        if re.search(r"\b(small|tiny)\b", caption):
            assert extent(mask) < preset.SMALL
        if re.search(r"\b(large|big)\b", caption):
            assert extent(mask) > preset.LARGE
    assert placed > 40


def test_captions_vary_and_leave_facts_out(batch):
    assert len(set(batch.captions)) > 150
    for label in lines.FAMILIES:
        own = [c for c, k in zip(batch.captions, batch.labels, strict=True) if k == label]
        assert sum(any(name in c for c in own) for name in preset.names_of(label)) >= 4
    assert 0.05 < np.mean(["text" in caption for caption in batch.captions]) < 0.2


def test_names_belong_to_one_class_each():
    names = [name for label in preset.NAMES for name in preset.names_of(label)]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("one", "more"),
    [
        ("void", "voids"),
        ("scratch", "scratches"),
        ("scrape across the pattern", "scrapes across the pattern"),
    ],
)
def test_plurals(one, more):
    assert preset.plural(one) == more
