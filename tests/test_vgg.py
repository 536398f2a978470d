"""VGG16's stages against torchvision's network with the same weights."""

import numpy as np
import pytest
import torch

from semlib import vgg

LAST_RELU = (3, 8, 15, 22, 29)  # places in torchvision's vgg16().features


@pytest.fixture
def torchvision_stages(pretrained):
    """Function image -> the same five outputs from torchvision."""
    from torchvision.models import vgg16

    network = vgg16(weights=None)
    network.load_state_dict(
        {k: torch.from_numpy(v) for k, v in pretrained["vgg16"].items()}, strict=False
    )
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (vgg.MEAN, vgg.STD))

    @torch.inference_mode()
    def run(image):
        y, maps = (image.expand(-1, 3, -1, -1) - mean) / std, []
        for number, layer in enumerate(network.features):
            y = layer(y)
            maps += [y[0].permute(1, 2, 0).clone()] if number in LAST_RELU else []
        return maps

    return run


@pytest.mark.parametrize("channels", [1, 3])
def test_equals_torchvision(channels, torchvision_stages, with_weights):
    image = torch.rand(1, channels, 75, 66, generator=torch.Generator().manual_seed(0))
    found = vgg.stages(image)
    for ours, theirs, width in zip(found, torchvision_stages(image), vgg.CHANNELS, strict=True):
        assert ours.shape == theirs.shape and ours.shape[2] == width
        assert (ours - theirs).abs().max() < 1e-4 * theirs.abs().max()


def test_fewer_stages_are_the_first_ones(with_weights):
    image = torch.rand(1, 1, 40, 40, generator=torch.Generator().manual_seed(1))
    whole = vgg.stages(image)
    assert all(
        torch.equal(a, b) for a, b in zip(vgg.stages(image, count=3), whole[:3], strict=True)
    )


def test_several_images_at_a_time(with_weights, monkeypatch):
    monkeypatch.setattr(vgg, "TOGETHER", 2)
    generator = torch.Generator().manual_seed(2)
    images, found = [torch.rand(1, 1, 72, 80, generator=generator) for _ in range(5)], {}
    order = []

    def visit(number, stage, maps):
        found[number, stage] = maps
        order.append((number, stage))

    vgg.walk(images, visit)
    assert all(
        order.index((0, stage)) < order.index((n, stage)) for n in range(1, 5) for stage in range(5)
    )
    for number, image in enumerate(images):
        for stage, alone in enumerate(vgg.stages(image)):
            assert np.array_equal(found[number, stage], alone)


def test_max_pool_drops_an_odd_rest():
    x = torch.rand(2, 7, 5, 3, generator=torch.Generator().manual_seed(0))
    direct = torch.nn.functional.max_pool2d(x.permute(0, 3, 1, 2), 2).permute(0, 2, 3, 1)
    assert np.array_equal(vgg.max_pool(x.numpy()), direct)
