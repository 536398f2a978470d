"""The convolutional stem inside open_clip's image encoder."""

import numpy as np
import pytest
import torch

from semlib.semclip import clip
from semlib.semclip.backbone import Backbone

SETTINGS = {
    "embed_dim": 24,
    "vision_cfg": {
        "image_size": 96,
        "patch_size": 16,
        "width": 32,
        "layers": 3,
        "head_width": 8,
    },
    "text_cfg": {"vocab_size": 20, "width": 16, "heads": 2, "layers": 1},
}


def test_one_token_for_each_patch():
    assert clip.Stem(32)(torch.zeros(2, 3, 96, 96)).shape == (2, 32, 6, 6)


def test_gain_of_an_image_hardly_matters():
    x = torch.randn(1, 1, 96, 96, generator=torch.Generator().manual_seed(0)).expand(-1, 3, -1, -1)
    stem = clip.Stem(32)
    torch.testing.assert_close(stem(x), stem(3 * x), atol=1e-3, rtol=1e-3)


def test_v_v_attention_is_defined_on_it():
    torch.manual_seed(0)
    model = clip.network(SETTINGS | {"stem": [8, 8, 16, 16]}).eval()
    net = Backbone(clip.Source(model, None), vv_blocks=2, levels=2)
    images = np.random.default_rng(0).integers(0, 256, (2, 96, 96), dtype=np.uint8)
    features = net.encode_images(images)
    assert features.tokens.shape == (2, 2, 2, 36, 32)
    expected = model.encode_image(net.to_input(images), normalize=True).detach().numpy()
    np.testing.assert_allclose(features.image, expected, atol=1e-5)


def test_a_configuration_without_a_stem_is_open_clip_as_it_is():
    conv = clip.network(SETTINGS).visual.conv1
    assert isinstance(conv, torch.nn.Conv2d) and conv.kernel_size == (16, 16)


@pytest.mark.parametrize("channels", [(8, 16, 32), (8, 16, 32, 64, 64)])
def test_a_stem_for_other_patches_is_refused(channels):
    with pytest.raises(ValueError, match="pixels, not 16"):
        clip.network(SETTINGS | {"stem": channels})
