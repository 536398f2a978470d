import numpy as np
import pytest
import torch

from semlib import vgg
from semlib.morphology import clustering, controls
from semlib.morphology.encoder import Encoder
from semlib.morphology.loss import rankme


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(60, 140, (8, 32, 32), dtype=np.uint8)


def test_untrained_encoder_is_the_one_that_training_starts_from_in_full_precision(images):
    torch.manual_seed(4)
    encoder = Encoder().double().eval()
    with torch.inference_mode():
        expected = encoder(torch.tensor(images[:, None] / 255)).numpy()
    embeddings = controls.untrained(images, 4)
    np.testing.assert_allclose(embeddings, expected, atol=1e-6)
    assert np.ptp(expected, axis=0).max() > 1e-5


def test_collection_has_an_array_for_each_seed_of_what_is_random(images):
    collected = controls.collect(images, seeds=[3, 4])
    random = ("noise, 1-D", "noise, 128-D", "untrained encoder")
    assert [len(collected[name]) for name in random] == [2, 2, 2]
    again = controls.collect(images, seeds=[4])
    for name, size in zip(random, (1, 128, 128), strict=True):
        first, second = collected[name]
        assert first.shape == (8, size) and np.array_equal(second, again[name][0])
        assert not np.array_equal(first, second)
    moments = [[image.mean(), image.std()] for image in images]
    np.testing.assert_array_equal(collected["mean and contrast"], clustering.standardise(moments))


def test_components_are_uncorrelated_of_spread_one_and_equal_rank():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(60, 8)) @ np.diag([100, 30, 10, 3, 1, 0.3, 0.1, 0.03]) + 7
    components = controls.reduce(points, 4)
    np.testing.assert_allclose(components.T @ components / 60, np.eye(4), atol=1e-9)
    assert rankme(components) == pytest.approx(4)
    first = (points - points.mean(axis=0)) @ np.linalg.svd(points - points.mean(axis=0))[2][0]
    assert abs(np.corrcoef(first, components[:, 0])[0, 1]) == pytest.approx(1)


def test_reduction_removes_scale_and_rotation():
    rng = np.random.default_rng(1)
    points = rng.normal(size=(50, 3))
    turned = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    first, second = (
        clustering.cluster_scores(controls.reduce(x, 3), k=3) for x in (points, 5 * points @ turned)
    )
    assert first["silhouette"] == pytest.approx(second["silhouette"])


def test_what_spans_too_few_dimensions_is_left_out():
    line = np.linspace(0, 1, 20)[:, None] * np.ones((1, 4))
    full = np.random.default_rng(0).normal(size=(20, 4))
    with pytest.raises(ValueError, match="span 1 dimensions, fewer than 2"):
        controls.reduce(line, 2)
    equal = controls.reduced({"line": line, "full": full, "several": [full, 2 * full]}, 2)
    assert list(equal) == ["full", "several"] and len(equal["several"]) == 2


def test_vgg16_is_the_mean_of_the_last_stage(monkeypatch, images):
    def stages(x, dtype):
        assert dtype == vgg.quick() and x.shape[1] == 1 and x.min() >= 0 and x.max() <= 1
        return [x.expand(-1, 3, -1, -1)]

    monkeypatch.setattr(vgg, "stages", stages)
    monkeypatch.setattr(vgg, "CHANNELS", (3,))
    monkeypatch.setattr(vgg, "BATCH", 3)  # the last group has fewer
    vectors = controls.vgg16(images, size=16)
    expected = images.mean(axis=(1, 2))[:, None].repeat(3, axis=1) / 255
    np.testing.assert_allclose(vectors, expected, rtol=1e-5)
