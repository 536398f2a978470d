"""The competitors: known answers, slow references, and no more supervision than each names."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.special import expit

from semlib.semclip import maps, probes, scores, unet, winclip
from semlib.semclip.april_gan import april_gan
from semlib.semclip.episodes import Episode, Pool
from semlib.semclip.patchcore import patchcore

pytestmark = pytest.mark.slow  # what all its tests share takes a second

CLASSES = ["defect-free", "bright", "dark"]


@pytest.fixture(scope="module")
def pool(spots):
    images, names, masks = spots(24)
    return Pool(images, np.array([CLASSES.index(name) for name in names]), masks, CLASSES, 0)


@pytest.fixture(scope="module")
def episode():
    return Episode(3, 0, np.array([0, 3, 6, 1, 4, 7, 2, 5, 8]), np.arange(9, 24))


@pytest.fixture(scope="module")
def features(pool, spots_backbone):
    return spots_backbone.encode_images(pool.images)


@pytest.fixture(scope="module")
def methods(features, spots_backbone, spots_prompts):
    """All competitors by name, quick settings."""
    rng = np.random.default_rng(0)
    tokens = rng.normal(size=(24, 36, 8)).astype(np.float16)
    whole = rng.normal(size=(24, 10))
    shared = features, spots_prompts, spots_backbone
    made = [winclip.winclip(*shared), winclip.winclip_plus(*shared), patchcore(tokens, bank=50)]
    made += [probes.linear_probe(whole, "noise"), probes.nearest_neighbour(whole, "noise")]
    made += [april_gan(*shared), unet.unet(steps=50, side=48, crop=32)]
    return {method.name: method for method in made}


NAMES = {
    "WinCLIP (zero-shot)": "none",
    "WinCLIP+": "normals",
    "PatchCore (VGG16)": "normals",
    "linear probe (noise)": "labels",
    "1-NN (noise)": "labels",
    "APRIL-GAN": "masks",
    "U-Net": "masks",
}


@pytest.fixture(scope="module")
def results(methods, pool, episode):
    return {name: method.run(pool, episode) for name, method in methods.items()}


def same(a, b):
    pairs = [(getattr(a, part), getattr(b, part)) for part in ("probabilities", "maps", "scores")]
    return all((x is None) == (y is None) and (x is None or np.array_equal(x, y)) for x, y in pairs)


@pytest.mark.parametrize("name", NAMES)
def test_supervision_is_named_and_results_have_the_right_shape(name, methods, results):
    assert methods[name].supervision == NAMES[name]
    result = results[name]
    assert result.scores.shape == (15,) and np.isfinite(result.scores).all()
    if NAMES[name] == "labels":
        assert result.maps is None and result.probabilities.shape == (15, 3)
        assert np.allclose(result.probabilities.sum(1), 1)
        assert np.allclose(result.scores, 1 - result.probabilities[:, 0])
    else:
        assert result.probabilities is None and result.maps.shape == (15, 96, 96)
        assert np.isfinite(result.maps).all() and result.maps.min() >= 0


@pytest.mark.parametrize("name", NAMES)
def test_same_bytes_again_whatever_the_global_generators(name, methods, pool, episode, results):
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    assert same(methods[name].run(pool, episode), results[name])
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("name", NAMES)
def test_no_method_sees_more_than_it_names(name, methods, pool, episode, results):
    """Labels and masks of the test set, and of the support beyond what is named, change nothing."""
    labels, masks = pool.labels.copy(), pool.masks.copy()
    labels[episode.test], masks[episode.test] = 1, True
    support = episode.support
    if NAMES[name] in ("none", "normals", "labels"):
        masks[:] = False
    if NAMES[name] == "masks":
        labels[:] = 1
    if NAMES[name] == "none":
        support = support[:1]
    if NAMES[name] == "normals":
        labels[support[3:]], support = 1, np.concatenate([support[:3], support[5:7]])
    changed = replace(pool, labels=labels, masks=masks)
    assert same(methods[name].run(changed, replace(episode, support=support)), results[name])


@pytest.mark.parametrize("name", ["APRIL-GAN", "U-Net"])
def test_training_on_masks_finds_the_squares(name, results, pool, episode):
    assert scores.pixels(results[name].maps, pool.masks[episode.test])["pAUROC"] > 0.85
    assert results[name].maps.max() <= 1


# WinCLIP


def slow_spread(values, window, shape):
    out = np.zeros((len(values), *shape))
    for n, y, x in np.ndindex(out.shape):
        part = values[n, max(0, y - window + 1) : y + 1, max(0, x - window + 1) : x + 1]
        out[n, y, x] = part.size / (1 / part).sum()
    return out


@pytest.mark.parametrize("window", [1, 2, 3])
def test_spread_is_the_harmonic_mean_of_the_covering_windows(window):
    values = np.random.default_rng(0).uniform(0.01, 1, (2, 7 - window, 6 - window))
    spread = winclip.spread(torch.from_numpy(values), window)
    np.testing.assert_allclose(spread, slow_spread(values, window, (6, 5)))


def slow_windows(features, i, backbone, window):
    """Unit embeddings (h, w, e) of one image's windows: mean of those of their patches."""
    gh, gw = backbone.grid
    tokens = features.tokens[i, 0, -1].astype(np.float64) @ backbone.projection.numpy()
    tokens = (tokens / np.linalg.norm(tokens, axis=1, keepdims=True)).reshape(gh, gw, -1)
    means = [
        [tokens[y : y + window, x : x + window].mean((0, 1)) for x in range(gw - window + 1)]
        for y in range(gh - window + 1)
    ]
    return means / np.linalg.norm(means, axis=2, keepdims=True)


def test_winclip_equals_a_slow_reference(episode, features, spots_backbone, spots_prompts, results):
    fine, defect = winclip.two_texts(spots_prompts, spots_backbone).numpy()
    texts = spots_prompts.embed(spots_backbone)
    mean = texts[1:].mean(0)
    assert np.allclose(fine, texts[0], atol=1e-6)
    assert np.allclose(defect, mean / np.linalg.norm(mean), atol=1e-6)
    i = episode.test[4]
    whole = expit(features.image[i] @ (defect - fine) / 0.07)
    inverse, near = 1 / whole, 0
    for window in (1, 2, 3):
        embedded = slow_windows(features, i, spots_backbone, window)
        if window > 1:
            odds = expit(embedded @ (defect - fine) / 0.07)
            inverse = inverse + 1 / slow_spread(odds[None], window, spots_backbone.grid)[0]
        shots = [slow_windows(features, k, spots_backbone, window) for k in episode.support[:3]]
        cosines = np.einsum("hwe,nyxe->hwnyx", embedded, shots).reshape(*embedded.shape[:2], -1)
        distances = (1 - cosines.max(2)) / 2
        near = near + slow_spread(distances[None], window, spots_backbone.grid)[0] / 3
    zero, few = results["WinCLIP (zero-shot)"], results["WinCLIP+"]
    assert zero.scores[4] == pytest.approx(whole, abs=1e-5)
    assert few.scores[4] == pytest.approx((whole + near.max()) / 2, abs=1e-4)
    for result, expected in ((zero, 3 / inverse), (few, 3 / inverse + near)):
        expected = maps.enlarge(torch.from_numpy(expected).float(), (96, 96))
        np.testing.assert_allclose(result.maps[4], expected, atol=1e-4)


@pytest.mark.parametrize("factory", [april_gan, winclip.winclip, winclip.winclip_plus])
def test_the_vv_path_takes_no_part(
    factory, pool, episode, features, spots_backbone, spots_prompts, results
):
    tokens = features.tokens.copy()
    tokens[:, 1] = 0
    method = factory(replace(features, tokens=tokens), spots_prompts, spots_backbone)
    assert same(method.run(pool, episode), results[method.name])


def test_unet_crops_hold_a_defect_every_other_time_and_fit_their_masks():
    images = torch.arange(2 * 24 * 24.0).view(2, 24, 24)
    covered = torch.zeros(2, 24, 24)
    covered[0, 23, 2] = 1
    x, y = unet.crops(images, covered, np.random.default_rng(0), 200, 8)
    assert x.shape == y.shape == (200, 8, 8)
    assert torch.equal(y > 0, x == images[0, 23, 2])
    first = x[1::2].amax((1, 2)) < 24 * 24
    assert (y[1::2][first].amax((1, 2)) == 1).all()
    assert 0 < y[0::2].amax((1, 2)).mean() < 0.5
    turns = {(float((c[0, 1] - c[0, 0]).sign()), float((c[1, 0] - c[0, 0]).sign())) for c in x}
    assert turns == {(a, b) for a in (-1, 1) for b in (-1, 1)}


# whole images


def labelled(labels):
    images = np.zeros((len(labels), 4, 4), np.uint8)
    return Pool(images, np.array(labels), images > 0, ["fine", "bridge", "hole"], 0)


def test_nearest_neighbour_by_hand():
    features = np.array([[1, 0], [0, 1], [-1, 0], [0.9, 0.1], [0, -5], [-3, 1]])
    episode = Episode(1, 0, np.array([0, 1, 2]), np.array([3, 4, 5]))
    method = probes.nearest_neighbour(features, "x", temperature=0.5)
    result = method.run(labelled([0, 1, 2, 0, 0, 0]), episode)
    lengths = np.array([[0.82**0.5], [1], [10**0.5]])
    cosines = np.array([[0.9, 0.1, -0.9], [0, -1, 0], [-3, 1, 3]]) / lengths
    expected = np.exp(2 * cosines) / np.exp(2 * cosines).sum(1, keepdims=True)
    np.testing.assert_allclose(result.probabilities, expected)
    np.testing.assert_allclose(result.scores, 1 - expected[:, 0])


@pytest.mark.parametrize("factory", [probes.nearest_neighbour, probes.linear_probe])
def test_copies_of_shots_get_their_class_and_absent_classes_nothing(factory):
    rng = np.random.default_rng(0)
    support = 5 * np.repeat(np.eye(4)[:2], 5, 0) + rng.normal(size=(10, 4))
    features = np.column_stack([np.concatenate([support, support]), np.full(20, 7.0)])
    pool = labelled([0] * 5 + [2] * 5 + [1] * 10)
    result = factory(features, "x").run(pool, Episode(5, 0, np.arange(10), np.arange(10, 20)))
    assert result.probabilities.argmax(1).tolist() == [0] * 5 + [2] * 5
    assert (result.probabilities[:, 1] == 0).all()
