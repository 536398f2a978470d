import numpy as np
import pytest
import torch
from sklearn.metrics import adjusted_rand_score

from semlib.images.pyramid import pyramid
from semlib.images.simulator import sample
from semlib.morphology import clustering, features, robustness
from semlib.morphology.encoder import Encoder


def changed(name, images, seed=0):
    return robustness.CHANGES[name](images, np.random.default_rng(seed))


@pytest.fixture(scope="module")
def images():
    return sample(10, seed=0, size=64).images


@pytest.mark.parametrize("name", robustness.CHANGES)
def test_every_change_gives_uint8_images_that_differ_and_repeats_itself(images, name):
    first, again = (changed(name, images, seed=3) for _ in range(2))
    assert first.dtype == np.uint8 and len(first) == len(images)
    np.testing.assert_array_equal(first, again)
    assert first.shape != images.shape or (first != images).any(axis=(1, 2)).all()


def test_changes_by_hand(images):
    brighter = changed("brightness +0.10", np.uint8([[[100, 250]]]))
    assert brighter.tolist() == [[[126, 255]]]
    np.testing.assert_array_equal(changed("quarter size", images), pyramid(images)[2])
    turned = changed("rotation 90°", images)
    np.testing.assert_array_equal(turned[2], np.rot90(images[2]))
    bordered = changed("border artefact", np.full((1, 480, 480), 100, np.uint8))[0]
    assert (bordered[:, -3:] == 8).all() and (bordered[:3] == 8).all()
    assert (bordered[3:, :-3] == 100).all()
    flat = np.full((1, 200, 200), 100, np.uint8)
    assert changed("noise", flat).std() == pytest.approx(6, rel=0.03)


def test_extractors_are_fitted_to_the_clean_images(images):
    torch.manual_seed(0)
    methods = robustness.extractors(images, {"Proposed SSL": [Encoder(), Encoder()]}, components=4)
    names = ["GLCM", "LBP", "Wavelet", "PCA (raw pixels)", "Proposed SSL"]
    assert list(methods) == [*((name, 0) for name in names), ("Proposed SSL", 1)]
    expected = clustering.standardise(features.glcm(images, progress=False))
    np.testing.assert_allclose(methods["GLCM", 0](images), expected, atol=1e-9)
    np.testing.assert_allclose(methods["GLCM", 0](images[:3]), expected[:3], atol=1e-9)
    exact = features.pca(images, components=4, progress=False)
    projected = methods["PCA (raw pixels)", 0](images)
    np.testing.assert_allclose(np.abs(projected), np.abs(exact), rtol=1e-3, atol=0.1)
    small = changed("half size", images)
    for function in methods.values():
        assert function(small).shape == function(images).shape


def test_agreement_by_hand():
    clean = np.array([[0.0, 1], [1, 1], [10, 1], [11, 1]])
    model = clustering.fit_clusters(clean, k=2)
    assert robustness.agreement(clean, clean, model) == {"recall_at_1": 1, "ari": 1, "alignment": 0}
    moved = clean[[1, 0, 2, 3]]  # two images of a cluster change places
    agreement = robustness.agreement(clean, moved, model)
    assert (agreement["recall_at_1"], agreement["ari"]) == (0.5, 1) and agreement["alignment"] > 0
    gone = np.array([[0.0, 1], [10, 1], [10, 1], [11, 1]])
    agreement = robustness.agreement(clean, gone, model)
    assert agreement["recall_at_1"] == 0.75
    assert agreement["ari"] == pytest.approx(adjusted_rand_score([0, 0, 1, 1], [0, 1, 1, 1]))


@pytest.mark.slow
def test_texture_without_direction_does_not_see_a_quarter_turn_and_raw_pixels_do(images):
    methods = robustness.extractors(images, {}, components=8)
    embedded = robustness.embed_all(methods, images)
    table = robustness.table(embedded, k=3).set_index(["method", "change"])
    assert len(table) == 4 * len(robustness.CHANGES)
    assert table.loc[("LBP", "rotation 90°"), ["recall_at_1", "ari"]].tolist() == [1, 1]
    assert table.loc[("PCA (raw pixels)", "rotation 90°"), "recall_at_1"] < 1
    assert table.loc[("PCA (raw pixels)", "half size"), "recall_at_1"] == 1
    drifts = robustness.drifts(embedded)
    assert len(drifts) == 4 * (1 + len(robustness.CHANGES)) and drifts["p"].between(0, 1).all()


def test_alignment_by_hand():
    first = np.array([[1.0, 0], [0, 2], [3, 0]])
    model = clustering.fit_clusters(first, k=2)
    for second, expected in ((7 * first, 0), (-first, 4), (first[[0, 0, 2]], 2 / 3)):
        alignment = robustness.agreement(first, second, model)["alignment"]
        assert alignment == pytest.approx(expected)
