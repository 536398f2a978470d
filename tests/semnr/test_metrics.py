"""The metrics against piq, scikit-image and the published DISTS values, and by their properties."""

import numpy as np
import piq
import pytest
import torch
from PIL import Image
from scipy import ndimage
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from semlib import paths
from semlib.semnr.dists import Distance, dists
from semlib.semnr.fsim import fsim
from semlib.semnr.metrics import psnr, ssim

GOLDEN = paths.ROOT.parent / "shared" / "golden"
FULL_REFERENCE = [psnr, ssim, fsim, dists]
PIQ = {
    psnr: piq.psnr,
    ssim: lambda a, b: piq.ssim(a, b, downsample=False),
    fsim: lambda a, b: piq.fsim(a, b, chromatic=False),
}


def pair(shape, seed=0):
    rng = np.random.default_rng(seed)
    clean = ndimage.gaussian_filter(rng.random(shape), 3)
    clean = (clean - clean.min()) / np.ptp(clean)
    return np.float32(clean), np.float32(np.clip(clean + rng.normal(0, 0.1, shape), 0, 1))


def tensor(image):
    return torch.from_numpy(image)[None, None]


def named(function):
    return function.__name__


@pytest.fixture(scope="module")
def piq_dists(pretrained):
    """piq's DISTS with the weights given instead of downloaded."""
    from torchvision.models.vgg import cfgs, make_layers

    network = torch.nn.Module()
    network.features = make_layers(cfgs["D"])
    network.load_state_dict({k: torch.from_numpy(v) for k, v in pretrained["vgg16"].items()})
    coefficients = {name: torch.from_numpy(values) for name, values in pretrained["dists"].items()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.hub, "load_state_dict_from_url", lambda *args, **options: coefficients)
        patch.setattr(piq.perceptual, "vgg16", lambda **options: network)
        score = piq.DISTS()
    return torch.inference_mode()(lambda a, b: score(a, b).item())


@pytest.mark.parametrize("shape", [(96, 112), (64, 65), (300, 257), (520, 512)])
@pytest.mark.parametrize("metric", PIQ, ids=named)
def test_equals_piq(metric, shape):
    a, b = pair(shape)
    assert metric(a, b) == pytest.approx(PIQ[metric](tensor(a), tensor(b)).item(), abs=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(96, 112), (300, 257)])
def test_dists_equals_piq(shape, piq_dists, with_weights):
    a, b = pair(shape)
    colours = [tensor(image).expand(-1, 3, -1, -1) for image in (a, b)]
    assert dists(a, b) == pytest.approx(piq_dists(*colours), abs=5e-7)


def test_psnr_and_ssim_agree_with_scikit_image():
    a, b = pair((130, 90))
    assert psnr(a, b) == pytest.approx(peak_signal_noise_ratio(a, b, data_range=1), abs=1e-4)
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    expected = structural_similarity(a.astype(float), b, data_range=1.0, **options)
    assert ssim(a, b) == pytest.approx(expected, abs=1e-4)


@pytest.mark.slow
def test_dists_reproduces_published_values(with_weights):
    if not GOLDEN.is_dir():
        pytest.skip(f"the images of published DISTS values are not in {GOLDEN}")
    for *names, published in [
        ("goldhill.gif", "goldhill_jpeg.gif", 0.19509),
        ("I01.BMP", "i01_01_5.bmp", 0.17321),
        ("r0.png", "r1.png", 0.3347),
    ]:
        files = [Image.open(GOLDEN / name).convert("RGB") for name in names]
        a, b = (np.asarray(file, np.float32) / 255 for file in files)
        assert Distance(a)(b) == pytest.approx(published, abs=1e-4)


def test_grey_and_equal_colours_have_the_same_features(lines, with_weights):
    grey, colour = Distance(lines[0]), Distance(np.dstack([lines[0]] * 3))
    assert len(grey.kept) == 6 and colour(lines[0]) == pytest.approx(0, abs=1e-6)
    for a, b in zip(grey.kept, colour.kept, strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("metric", FULL_REFERENCE, ids=named)
@pytest.mark.filterwarnings("error")
def test_identity_symmetry_and_batches(metric, with_weights):
    best = {"psnr": 80, "dists": 0}.get(metric.__name__, 1)
    a, b = (np.stack(images) for images in zip(*(pair((48, 40), s) for s in range(3)), strict=True))
    flat = np.full((64, 64), 0.5, np.float32)
    assert [metric(flat, flat), *metric(a, a)] == pytest.approx([best] * 4, abs=1e-4)
    one_by_one = [metric(x, y) for x, y in zip(b, a, strict=True)]
    assert metric(a, b) == pytest.approx(one_by_one, abs=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["noise", "blur"])
@pytest.mark.parametrize("metric", FULL_REFERENCE, ids=named)
def test_more_damage_is_worse(metric, damage, lines, with_weights):
    noise = np.random.default_rng(1).normal(size=lines[0].shape)
    make = {
        "noise": lambda level: np.clip(lines[0] + 0.05 * level * noise, 0, 1),
        "blur": lambda level: ndimage.gaussian_filter(lines[0], 1.5 * level),
    }[damage]
    values = [metric(lines[0], np.float32(make(level))) for level in range(4)]
    assert values == sorted(values, reverse=metric is not dists)
    assert len(set(values)) == 4


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (np.zeros((64, 64, 3)), "colour"),
        (np.zeros((64, 60)), "shapes differ"),
        (np.full((64, 64), np.nan), "values from nan"),
        (np.full((64, 64), 1.5), "not in"),
        (np.full((64, 64), -0.1), "not in"),
        (np.zeros((64, 64), np.uint8), "image / 255"),
        (np.zeros(64), "give a grey image"),
    ],
)
@pytest.mark.parametrize("metric", FULL_REFERENCE, ids=named)
def test_bad_images(metric, image, said):
    with pytest.raises(ValueError, match=said):
        metric(np.zeros((64, 64)), image)


@pytest.mark.parametrize(("metric", "side"), [(ssim, 10), (fsim, 31), (dists, 31)])
def test_images_smaller_than_the_window(metric, side):
    with pytest.raises(ValueError, match=f"fewer than {side + 1}"):
        metric(*np.zeros((2, side, 64)))
