import numpy as np
import pytest
import torch

from semlib.morphology import encoder as module
from semlib.morphology.encoder import Encoder, ProjectionHead, Readout


@pytest.mark.parametrize("size", [32, 64, 100])
def test_one_encoder_embeds_images_of_any_size(size):
    assert Encoder()(torch.rand(2, 1, size, size)).shape == (2, 128)


def test_layers_are_those_of_the_paper():
    convolutions = [layer for layer in Encoder().blocks if isinstance(layer, torch.nn.Conv2d)]
    assert [(c.in_channels, c.out_channels) for c in convolutions] == [(1, 32), (32, 64), (64, 128)]
    shapes = {(c.kernel_size, c.stride, c.padding) for c in convolutions}
    assert shapes == {((3, 3), (2, 2), (1, 1))}
    kinds = [type(layer).__name__ for layer in Encoder().blocks]
    assert kinds == ["Conv2d", "BatchNorm2d", "ReLU"] * 3
    head = [type(layer).__name__ for layer in ProjectionHead()]
    assert head == ["Linear", "BatchNorm1d", "ReLU", "Linear"]


def weights(network):
    return sum(weight.numel() for weight in network.parameters())


def test_number_of_weights():
    convolutions = 9 * (1 * 32 + 32 * 64 + 64 * 128)
    norms = 2 * (32 + 64 + 128)
    assert weights(Encoder()) == convolutions + norms + 128 * 128 + 128


def test_input_is_scaled_to_one():
    batch = module.to_input(np.array([[[0, 255], [51, 102]]], dtype=np.uint8))
    assert batch.shape == (1, 1, 2, 2)
    assert torch.allclose(batch.flatten(), torch.tensor([0, 1, 0.2, 0.4]))


@pytest.mark.parametrize("pooling", module.POOLING)
def test_options_add_no_weight_and_take_any_size(pooling):
    encoder = Encoder(standardise=True, pooling=pooling, readout=True)
    assert weights(encoder) == weights(Encoder())
    assert encoder(torch.rand(2, 1, 40, 56)).shape == (2, 128)


def test_unknown_pooling():
    with pytest.raises(ValueError, match="'median'"):
        Encoder(pooling="median")


def test_standardised_encoder_does_not_see_brightness_and_contrast():
    torch.manual_seed(0)
    images = torch.rand(3, 1, 32, 32)
    encoder = Encoder(standardise=True).eval()
    torch.testing.assert_close(encoder(0.5 * images + 0.2), encoder(images), rtol=1e-3, atol=1e-4)
    flat = module.standardised(torch.full((2, 1, 8, 8), 0.3))
    assert flat.abs().max() < 1e-3


def test_readout_is_exponential_then_straight_and_silent_in_training():
    z = torch.tensor([[0.0], [2.0], [4.0]])
    readout = Readout(1).fit(z).eval()
    u = (z - 2) / (8 / 3) ** 0.5
    torch.testing.assert_close(readout(z), u.exp())
    far = readout(readout.mean + readout.spread * torch.tensor([[4.0], [5.0], [6.0]])).flatten()
    torch.testing.assert_close(far, np.exp(4) * torch.tensor([1.0, 2.0, 3.0]), rtol=1e-4, atol=1e-3)
    assert torch.equal(readout.train()(z), z)
    constant = Readout(2).fit(torch.tensor([[1.0, 5.0], [1.0, 7.0]])).eval()
    assert constant(torch.tensor([[3.0, 6.0]])).tolist() == [[1.0, 1.0]]
