"""The metrics against piq, scikit-image and the published DISTS values, and by their properties."""

import warnings

import numpy as np
import piq
import pytest
import torch
from PIL import Image
from scipy import ndimage
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from semlib import paths
from semlib.semnr import dists as dists_module
from semlib.semnr import metrics

GOLDEN = paths.ROOT.parent / "shared" / "golden"
FULL_REFERENCE = [metrics.psnr, metrics.ssim, metrics.fsim, metrics.dists]
SHAPES = [(96, 112), (64, 65), (300, 257), (520, 512)]
PIQ = {
    metrics.psnr: piq.psnr,
    metrics.ssim: lambda a, b: piq.ssim(a, b, downsample=False),
    metrics.fsim: lambda a, b: piq.fsim(a, b, chromatic=False),
}


def pair(shape, seed=0):
    rng = np.random.default_rng(seed)
    clean = ndimage.gaussian_filter(rng.random(shape), 3)
    clean = (clean - clean.min()) / np.ptp(clean)
    return np.float32(clean), np.float32(np.clip(clean + rng.normal(0, 0.1, shape), 0, 1))


def tensor(image):
    return torch.from_numpy(image)[None, None]


def piq_dists(a, b, pretrained):
    """piq's DISTS with the weights given instead of downloaded."""
    from torchvision.models import vgg16

    network = vgg16(weights=None)
    network.load_state_dict(
        {k: torch.from_numpy(v) for k, v in pretrained["vgg16"].items()}, strict=False
    )
    coefficients = {name: torch.from_numpy(values) for name, values in pretrained["dists"].items()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.hub, "load_state_dict_from_url", lambda *args, **options: coefficients)
        patch.setattr(piq.perceptual, "vgg16", lambda **options: network)
        score = piq.DISTS()
    with torch.inference_mode():
        return score(tensor(a).expand(-1, 3, -1, -1), tensor(b).expand(-1, 3, -1, -1)).item()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("metric", list(PIQ), ids=lambda metric: metric.__name__)
def test_equals_piq(metric, shape):
    a, b = pair(shape)
    assert metric(a, b) == pytest.approx(PIQ[metric](tensor(a), tensor(b)).item(), abs=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(96, 112), (300, 257)])
def test_dists_equals_piq(shape, pretrained, with_weights):
    a, b = pair(shape)
    assert metrics.dists(a, b) == pytest.approx(piq_dists(a, b, pretrained), abs=1e-4)


def test_psnr_and_ssim_agree_with_scikit_image():
    a, b = pair((130, 90))
    assert metrics.psnr(a, b) == pytest.approx(
        peak_signal_noise_ratio(a, b, data_range=1), abs=1e-4
    )
    options = {
        "gaussian_weights": True,
        "sigma": 1.5,
        "use_sample_covariance": False,
        "data_range": 1.0,
    }
    assert metrics.ssim(a, b) == pytest.approx(
        structural_similarity(a.astype(float), b, **options), abs=1e-4
    )


@pytest.mark.parametrize(
    ("first", "second", "published"),
    [
        ("goldhill.gif", "goldhill_jpeg.gif", 0.19509),
        ("I01.BMP", "i01_01_5.bmp", 0.17321),
        ("r0.png", "r1.png", 0.3347),
    ],
)
def test_dists_reproduces_published_values(first, second, published, with_weights):
    if not GOLDEN.is_dir():
        pytest.skip(f"the images of published DISTS values are not in {GOLDEN}")
    images = [
        np.asarray(Image.open(GOLDEN / name).convert("RGB"), np.float32) / 255
        for name in (first, second)
    ]
    assert dists_module.distances(dists_module.Features(images[0]), images[1:]) == pytest.approx(
        [published], abs=1e-3
    )


def test_grey_and_equal_colours_have_the_same_features(lines, with_weights):
    grey, colour = (dists_module.Features(image) for image in (lines[0], np.dstack([lines[0]] * 3)))
    for known in (grey, colour):
        assert (
            dists_module.distances(known, [known.image]) == pytest.approx([0], abs=1e-6)
            and len(known.stages) == 6
        )
    for a, b in zip(grey.stages, colour.stages, strict=True):
        assert np.abs(a[0] - b[0]).max() < 1e-4 * np.abs(b[0]).max()


@pytest.mark.parametrize("metric", FULL_REFERENCE, ids=lambda metric: metric.__name__)
def test_identity_and_symmetry(metric, with_weights):
    a, b = pair((64, 80))
    assert metric(a, a) == pytest.approx({"psnr": 80, "dists": 0}.get(metric.__name__, 1), abs=1e-4)
    assert metric(a, b) == pytest.approx(metric(b, a), abs=1e-5)


@pytest.mark.parametrize("damage", ["noise", "blur"])
@pytest.mark.parametrize("metric", FULL_REFERENCE, ids=lambda metric: metric.__name__)
def test_more_damage_is_worse(metric, damage, lines, with_weights):
    noise = np.random.default_rng(1).normal(size=lines[0].shape)
    make = {
        "noise": lambda level: np.clip(lines[0] + 0.05 * level * noise, 0, 1),
        "blur": lambda level: ndimage.gaussian_filter(lines[0], 1.5 * level),
    }[damage]
    values = [metric(lines[0], np.float32(make(level))) for level in range(4)]
    assert values == sorted(values, reverse=metric is not metrics.dists)
    assert len(set(values)) == 4


@pytest.mark.parametrize("metric", FULL_REFERENCE, ids=lambda metric: metric.__name__)
def test_a_batch_gives_one_value_an_image(metric, with_weights):
    pairs = [pair((48, 40), seed) for seed in range(3)]
    a, b = (np.stack(images) for images in zip(*pairs, strict=True))
    assert metric(a, b) == pytest.approx([metric(x, y) for x, y in pairs], abs=1e-6)


def test_reference_gives_the_same_values(lines, noisy, with_weights):
    image, mask = lines
    found = metrics.Reference(image, mask=mask, golden=image).scores(noisy)
    for metric in FULL_REFERENCE:
        assert found[metric.__name__] == pytest.approx(metric(image, noisy), abs=1e-6)
    regions = metrics.regions(mask)
    assert found["cnr"] == metrics.cnr(noisy, *regions) and found["gcnr"] == metrics.gcnr(
        noisy, *regions
    )
    assert found["recall"] == metrics.recall(noisy, mask, golden=image)


def test_without_weights_dists_is_nan_and_says_why(lines, noisy, without_weights):
    reference = metrics.Reference(lines[0])
    assert np.isnan(reference.scores(noisy)["dists"]) and "no network" in reference.without_dists
    assert reference.scores(noisy)["fsim"] < 1


def test_constant_images_give_finite_values(with_weights):
    flat = np.full((64, 64), 0.5, np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        values = [metric(flat, flat) for metric in FULL_REFERENCE]
    assert np.isfinite(values).all()


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (np.zeros((64, 64, 3), np.float32), "colour"),
        (np.zeros((64, 60), np.float32), "shapes differ"),
        (np.full((64, 64), np.nan, np.float32), "4096 values that are NaN"),
        (np.full((64, 64), 1.5, np.float32), "outside"),
        (np.full((64, 64), -0.1, np.float32), "outside"),
        (np.zeros((64, 64), np.uint8), "image / 255"),
        (np.zeros(64, np.float32), "expected"),
    ],
)
@pytest.mark.parametrize("metric", FULL_REFERENCE, ids=lambda metric: metric.__name__)
def test_bad_images(metric, image, said):
    with pytest.raises(ValueError, match=said):
        metric(np.zeros((64, 64), np.float32), image)


@pytest.mark.parametrize(
    ("metric", "side"), [(metrics.ssim, 10), (metrics.fsim, 31), (metrics.dists, 31)]
)
def test_images_smaller_than_the_window(metric, side):
    small = np.zeros((side, 64), np.float32)
    with pytest.raises(ValueError, match=f"fewer than {side + 1}"):
        metric(small, small)


def test_reference_takes_one_image_and_both_regions(lines):
    with pytest.raises(ValueError, match="one image"):
        metrics.Reference(np.stack([lines[0]] * 2))
    with pytest.raises(ValueError, match="belong together"):
        metrics.Reference(lines[0], signal=lines[1])
