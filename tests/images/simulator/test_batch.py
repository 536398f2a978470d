"""Simulated sets in memory: reproducible to the byte, of the stated classes, look and size."""

import numpy as np
import pytest

from semlib.images.measure import DOCUMENTED, statistics
from semlib.images.simulator import batch, microscope, presets, sample


@pytest.mark.parametrize("preset", presets.PRESETS)
def test_same_seed_same_bytes_and_other_seed_other_bytes(preset):
    first, again, other = (sample(6, seed=s, preset=preset, size=96) for s in (0, 0, 1))
    for part in ("images", "clean", "masks", "labels"):
        np.testing.assert_array_equal(getattr(first, part), getattr(again, part))
    assert first.captions == again.captions
    assert (first.images != other.images).mean() > 0.5


@pytest.mark.parametrize("preset", presets.PRESETS)
def test_one_image_of_each_class(preset):
    labels = sorted(presets.PRESETS[preset].totals)
    images = sample(len(labels), seed=0, preset=preset, size=96, labels=labels)
    clean_class = 6 if preset == "carinthia" else 0
    for part in (images.images, images.clean, images.masks):
        assert part.shape == (len(labels), 96, 96)
    assert images.images.dtype == images.clean.dtype == np.uint8
    assert images.masks.dtype == bool
    assert images.masks.any((1, 2)).tolist() == [label != clean_class for label in labels]
    assert images.labels.tolist() == labels
    assert len(set(images.captions)) == len(labels)


def test_an_image_does_not_depend_on_the_images_before_it():
    labels = [3, 1, 4, 5, 2, 3, 4, 1, 3, 3, 4, 5]
    many = sample(12, seed=0, size=96, labels=labels)
    for i in (5, 11):
        sample(1, seed=9, size=96, labels=[2])
        image, clean, mask, caption = presets.CARINTHIA.render(0, 96, i, labels[i])
        jpeg = microscope.from_jpeg(microscope.to_jpeg(image))
        np.testing.assert_array_equal(jpeg, many.images[i])
        np.testing.assert_array_equal(clean, many.clean[i])
        np.testing.assert_array_equal(mask, many.masks[i])
        assert caption == many.captions[i]


def test_clean_is_the_image_without_noise():
    images = sample(4, seed=0, size=240, labels=[3, 3, 6, 6])
    residual = images.images.astype(float) - images.clean
    assert abs(residual.mean()) < 0.3
    assert 1.5 < residual.std() < 3.5
    assert images.clean[:, :, -3:].max() == microscope.DARK


@pytest.mark.slow
def test_statistics_follow_the_documented_ones():
    measured = statistics(sample(60, seed=0).images)
    for name in ("body_mean", "body_std", "lag1_y"):
        assert DOCUMENTED[name][0] <= measured[name] <= DOCUMENTED[name][1], name
    assert 2.0 <= measured["noise_std"] <= 2.45
    assert measured["lag1_x"] == pytest.approx(0.7, abs=0.05)
    assert measured["border_max"] <= DOCUMENTED["border_max"][1]
    assert measured["set_mean"] == pytest.approx(DOCUMENTED["set_mean"][0], abs=0.01)
    assert measured["set_std"] == pytest.approx(DOCUMENTED["set_std"][0], abs=0.006)


def mixed(n, seed=0, totals=presets.CARINTHIA.totals, mix="preset"):
    labels = batch.mixture(n, seed, totals, mix)
    return labels, [int((labels == label).sum()) for label in totals]


def test_the_preset_mix_has_the_real_totals():
    assert mixed(4591)[1] == [55, 8, 4008, 289, 4, 227]
    assert mixed(1332, totals=presets.SEMCLIP.totals)[1] == [226, 59, 141, 230, 77, 455, 144]
    assert (mixed(4591, seed=1)[0] != mixed(4591)[0]).any()


@pytest.mark.parametrize("n", [1, 5, 59, 60, 61, 100, 500, 1000, 4590])
def test_the_preset_mix_is_proportional_and_complete_from_60_on(n):
    _, counts = mixed(n)
    assert sum(counts) == n
    assert np.argmax(counts) == 2
    assert n < 60 or min(counts) >= 1


@pytest.mark.parametrize("n", [72, 73, 200, 1000])
def test_the_teaching_mix_has_twelve_of_each(n):
    _, counts = mixed(n, mix="teaching")
    assert sum(counts) == n and min(counts) >= 12


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": 0}, "n=0"),
        ({"n": -3}, "n=-3"),
        ({"seed": -1}, "seed=-1"),
        ({"preset": "mars"}, "'mars'.*carinthia, semnr"),
        ({"mix": "even"}, "'even'.*teaching"),
        ({"mix": "teaching", "n": 71}, "n=71.*72"),
        ({"size": 63}, "size=63.*64"),
        ({"labels": [1, 2]}, r"1 integers.*got shape \(2,\)"),
        ({"labels": [7]}, r"1 to 6.*\[7\]"),
        ({"preset": "semnr", "labels": [6]}, "0 to 5"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        sample(**{"n": 1, "seed": 0} | arguments)
