import numpy as np
import pytest
import torch

from semlib.morphology.augment import CHANGES, augment


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def images():
    """A dark film with a bright square in the middle, 8 times."""
    made = torch.full((8, 1, 64, 64), 0.4)
    made[:, :, 28:36, 28:36] = 0.8
    return made


@pytest.mark.parametrize("name", CHANGES)
def test_same_generator_same_result_and_the_input_stays(name, images):
    before = images.clone()
    first, again = (augment(images, [name], generator(3)) for _ in range(2))
    assert torch.equal(first, again) and torch.equal(images, before)
    assert first.shape == images.shape and first.is_contiguous(memory_format=torch.channels_last)
    if name != "flip":  # the square is symmetric
        assert not torch.allclose(first, augment(images, [name], generator(4)))
        assert not torch.allclose(first[0], first[1]), "each image changes in its own way"


def test_no_change_is_the_identity_and_unknown_ones_are_named(images):
    assert torch.equal(augment(images, [], generator()), images)
    with pytest.raises(KeyError, match="'sharpen'"):
        augment(images, ["flip", "sharpen"], generator())


def test_flips_give_the_four_mirror_images():
    corner = torch.zeros(200, 1, 4, 4)
    corner[:, :, 0, 1] = 1
    flipped = augment(corner, ["flip"], generator())
    places = {tuple(np.argwhere(image[0].numpy() == 1)[0].tolist()) for image in flipped}
    assert places == {(0, 1), (0, 2), (3, 1), (3, 2)}


def test_warp_keeps_the_central_defect_and_brings_in_no_border(images):
    warped = augment(images, ["warp"], generator())
    assert warped.min() >= 0.4 - 1e-5, "nothing from outside the image"
    area = (warped > 0.6).sum((1, 2, 3))
    assert (area >= 0.8 * 64).all()
    assert (area <= 1.3 * 64 / 0.75**2).all(), "enlarged by 1 to 1 / 0.75 on a side"


def test_dose_noise_has_the_stated_variance():
    flat = torch.cat([torch.full((300, 1, 32, 32), 0.16), torch.full((300, 1, 32, 32), 0.64)])
    noise = augment(flat, ["dose"], generator()) - flat
    assert noise.mean().abs() < 1e-4
    dark, bright = (part.std((1, 2, 3)) for part in noise.split(300))
    assert bright.mean() / dark.mean() == pytest.approx(2, rel=0.15)
    assert bright.max() <= 0.02 * 0.8 * 1.1


def test_mask_hides_whole_blocks_behind_the_mean():
    images = torch.rand(100, 1, 64, 64)
    masked = augment(images, ["mask"], generator())
    hidden = (masked != images).reshape(100, 8, 8, 8, 8).float().mean((2, 4))
    assert set(hidden.round(decimals=2).unique().tolist()) <= {0.0, 1.0}
    assert hidden.mean() == pytest.approx(0.15, abs=0.02)
