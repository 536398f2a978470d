"""A larger SEM-VLM sees what the smaller one saw, and every new weight can learn."""

import pytest
import torch

from semlib.semclip import clip
from training import sem_vlm
from training.sem_vlm_growth import grown


def model(stem, layers, seed):
    torch.manual_seed(seed)
    return clip.network(sem_vlm.architecture(20, stem, layers)).eval()


@pytest.mark.parametrize(("stem", "layers"), [(1, 8), (1, 10), (2, 8), (2, 10)])
def test_grown_model_embeds_alike(stem, layers):
    small, large = model(1, 8, 0), model(stem, layers, 1)
    for name, one in small.named_parameters():  # norms and biases start alike everywhere
        if one.ndim < 2:
            torch.nn.init.normal_(one, 1.0 if name.endswith("weight") else 0.0, 0.2)
    large.load_state_dict(
        grown(small.state_dict(), large.state_dict(), torch.Generator().manual_seed(0))
    )
    images = torch.randn(2, 3, 240, 240)
    words = torch.tensor([[1, 5, 7, 19] + [0] * 36])
    with torch.no_grad():
        torch.testing.assert_close(
            large.encode_image(images), small.encode_image(images), atol=1e-4, rtol=1e-4
        )
        torch.testing.assert_close(large.encode_text(words), small.encode_text(words))


def test_doubled_channels_part_ways():
    small, large = model(1, 8, 0), model(2, 8, 1)
    large.load_state_dict(
        grown(small.state_dict(), large.state_dict(), torch.Generator().manual_seed(0))
    )
    large.encode_image(torch.randn(2, 3, 240, 240)).square().sum().backward()
    gradient = large.visual.conv1.layers[0].weight.grad  # 16 1 3 3, channels in pairs
    assert not torch.allclose(gradient[::2], gradient[1::2], rtol=0.01)
