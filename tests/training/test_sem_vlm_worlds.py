"""The wide world: all kinds of surfaces, true captions, nothing that SEM-CLIP is tested on."""

import numpy as np
import pytest

from semlib.images.simulator import layers, sample
from semlib.images.simulator.words import position
from training import sem_vlm_preset as narrow
from training import sem_vlm_worlds as worlds

pytestmark = pytest.mark.slow  # what all its tests share takes seconds


@pytest.fixture(scope="module")
def batch():
    return sample(96, seed=3, preset=worlds.WIDE, size=64)


def test_label_decides_the_mask_and_the_name(batch):
    assert (batch.masks.any((1, 2)) == (batch.labels != 0)).all()
    for label, caption in zip(batch.labels, batch.captions, strict=True):
        names = narrow.names_of(label)
        assert any(name in caption or narrow.plural(name) in caption for name in names)


def test_natural_surfaces_are_among_them(batch):
    natural = [words for name in worlds.WORLDS for words in narrow.SURFACES[name].split(", ")]
    share = np.mean([any(words in caption for words in natural) for caption in batch.captions])
    assert 0.05 < share < 0.5


def test_places_in_captions_are_true(batch):
    told = 0
    for mask, caption in zip(batch.masks, batch.captions, strict=True):
        for place in ("upper left", "upper right", "lower left", "lower right"):
            if place in caption:
                told += 1
                assert position(mask) == place
    assert told


def test_nothing_of_the_tested_setting_is_in_it():
    tested = layers.EVALUATION
    for seed in range(200):
        setting = worlds.setting_of(np.random.default_rng(seed))
        pitch = setting.pitch[0]
        assert not tested.pitch[0] <= pitch <= tested.pitch[1]
        (low, high), (lowest, highest) = setting.dose[0], tested.dose[0]
        assert high < lowest or low > highest
        assert setting.detector.facing >= 2 * tested.detector.facing


@pytest.mark.parametrize("kind", [worlds.pads, worlds.staggered_vias, worlds.staggered_holes])
def test_the_nearest_element_lies_inside(kind):
    for seed in range(3):
        rng = np.random.default_rng(seed)
        plain = layers.draw(rng, narrow.TRAINING, (layers.lines,))
        layer = kind(rng, plain, feature="")
        u, v = layer.nearest(50.0, -20.0)
        assert layer.field(np.float32(u), np.float32(v)) > 0


def test_wavy_lines_keep_their_pitch():
    rng = np.random.default_rng(0)
    plain = layers.draw(rng, narrow.TRAINING, (layers.lines,))
    layer = worlds.wavy_lines(rng, plain, feature="")
    u = np.linspace(-100, 100, 50, dtype=np.float32)[None]
    v = np.linspace(-100, 100, 50, dtype=np.float32)[:, None]
    np.testing.assert_allclose(layer.field(u, v), layer.field(u + layer.pitch, v), atol=1e-3)
