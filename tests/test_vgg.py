"""VGG16's stages against torchvision's network with the same weights."""

import pytest
import torch

from semlib import vgg

LAST_RELU = (3, 8, 15, 22, 29)  # places in torchvision's vgg16().features


def images(count, channels, height, width):
    generator = torch.Generator().manual_seed(0)
    return torch.rand(count, channels, height, width, generator=generator)


@pytest.mark.parametrize("channels", [1, 3])
def test_equals_torchvision(channels, pretrained, with_weights):
    from torchvision.models.vgg import cfgs, make_layers

    network = make_layers(cfgs["D"])
    tensors = {name.removeprefix("features."): v for name, v in pretrained["vgg16"].items()}
    network.load_state_dict({name: torch.from_numpy(v) for name, v in tensors.items()})
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (vgg.MEAN, vgg.STD))
    x = images(1, channels, 75, 66)
    y = (x.expand(-1, 3, -1, -1) - mean) / std
    expected = []
    with torch.inference_mode():
        for number, layer in enumerate(network):
            y = layer(y)
            expected += [y.clone()] if number in LAST_RELU else []
    for ours, theirs, width in zip(vgg.stages(x), expected, vgg.CHANNELS, strict=True):
        assert ours.shape == theirs.shape and ours.shape[1] == width
        assert (ours - theirs).abs().max() < 1e-5 * theirs.abs().max()


def test_number_of_stages_company_and_pooling(with_weights):
    x = images(vgg.BATCH + 1, 1, 40, 44)
    whole = vgg.stages(x)
    for first, all_of_it in zip(vgg.stages(x, count=3), whole[:3], strict=True):
        assert torch.equal(first, all_of_it)
    for alone, together in zip(vgg.stages(x[-1:]), whole, strict=True):
        assert torch.allclose(alone[0], together[-1], rtol=1e-4, atol=1e-4)
    pooled = vgg.stages(x, count=2, pool=lambda y: y[:, :, ::4, ::4])[1]
    assert pooled.shape == (len(x), 128, 10, 11)
