import numpy as np
import pytest
import torch

from semlib.morphology.encoder import Encoder, ProjectionHead, to_input


@pytest.mark.parametrize("size", [32, 64, 100])
def test_one_encoder_embeds_images_of_any_size(size):
    assert Encoder()(torch.rand(2, 1, size, size)).shape == (2, 128)


def test_layers_are_those_of_the_paper():
    convolutions = [layer for layer in Encoder().blocks if isinstance(layer, torch.nn.Conv2d)]
    assert [(c.in_channels, c.out_channels) for c in convolutions] == [(1, 32), (32, 64), (64, 128)]
    assert all(c.kernel_size == (3, 3) and c.stride == (2, 2) and c.padding == (1, 1) for c in convolutions)
    kinds = [type(layer).__name__ for layer in Encoder().blocks]
    assert kinds == ["Conv2d", "BatchNorm2d", "ReLU"] * 3
    assert [type(layer).__name__ for layer in ProjectionHead()] == ["Linear", "BatchNorm1d", "ReLU", "Linear"]


def test_number_of_weights():
    convolutions = 9 * (1 * 32 + 32 * 64 + 64 * 128)
    norms = 2 * (32 + 64 + 128)
    assert sum(p.numel() for p in Encoder().parameters()) == convolutions + norms + 128 * 128 + 128


def test_input_is_scaled_to_one():
    batch = to_input(np.array([[[0, 255], [51, 102]]], dtype=np.uint8))
    assert batch.shape == (1, 1, 2, 2)
    assert torch.allclose(batch.flatten(), torch.tensor([0, 1, 0.2, 0.4]))
