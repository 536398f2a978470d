"""The dual path against numpy by hand and plain open_clip; levels, attention, input."""

import copy

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image

from semlib.semclip import clip
from semlib.semclip.backbone import Backbone, vv_attention
from semlib.semclip.clip import Source

VISION = {"image_size": 48, "patch_size": 16, "width": 32, "layers": 4, "head_width": 8}
TEXT = {"vocab_size": 49408, "width": 8, "heads": 2, "layers": 1}


def build(seed=0, **vision):
    torch.manual_seed(seed)
    model = open_clip.CLIP(24, VISION | vision, dict(TEXT)).eval()
    for parameter in model.parameters():  # biases and norms that do something
        parameter.data += 0.1 * torch.randn(parameter.shape)
    return model


def wrap(model=None, **options):
    source = Source(model or build(), open_clip.tokenize, label="tiny")
    return Backbone(source, **{"vv_blocks": 3, "levels": 2} | options)


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (5, 48, 48), dtype=np.uint8)


def prepared(images):
    """The model's input as open_clip's own transform makes it."""
    transform = open_clip.image_transform(48, is_train=False)
    return torch.stack([transform(Image.fromarray(image)) for image in images])


def norm(x, layer):
    x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + layer.eps)
    return x * layer.weight.numpy(force=True) + layer.bias.numpy(force=True)


def slow_vv(block, x):
    """The formula of a dual block in numpy, one image and one head at a time."""
    weight = block.attn.in_proj_weight.numpy(force=True)
    bias = block.attn.in_proj_bias.numpy(force=True)
    width = x.shape[-1]
    size = width // block.attn.num_heads
    v = norm(x, block.ln_1) @ weight[2 * width :].T + bias[2 * width :]
    mixed = np.empty_like(v)
    for n in range(len(x)):
        for start in range(0, width, size):
            one = v[n, :, start : start + size]
            alike = np.exp(one @ one.T / np.sqrt(size))
            mixed[n, :, start : start + size] = alike / alike.sum(1, keepdims=True) @ one
    out = block.attn.out_proj
    return mixed @ out.weight.numpy(force=True).T + out.bias.numpy(force=True)


def test_vv_block_by_hand():
    """Two tokens, two heads of two: apart in the first head, alike in the second.

    Each row has mean 0 and variance 1, so the norm leaves it, and v = x. First head: v v^T = +-2,
    s = 2^-1/2, the softmax is (p, 1 - p) with p = 1 / (1 + exp(-4 / 2^1/2)), so it gives
    (2p - 1) v = tanh(2^1/2) v. Second head: v.
    """
    block = build(width=4, head_width=2, layers=1).visual.transformer.resblocks[0]
    x = torch.tensor([[[1.0, -1, 1, -1], [-1, 1, 1, -1]]])
    with torch.no_grad():
        block.ln_1.weight.fill_(1)
        block.ln_1.bias.zero_()
        block.attn.in_proj_weight[8:] = torch.eye(4)
        block.attn.in_proj_bias[8:] = 0
        block.attn.out_proj.weight.copy_(3 * torch.eye(4))
        block.attn.out_proj.bias.fill_(0.5)
        added = vv_attention(block, x)[0].numpy()
    t = 3 * np.tanh(2**0.5)
    expected = [[t + 0.5, 0.5 - t, 3.5, -2.5], [0.5 - t, t + 0.5, 3.5, -2.5]]
    np.testing.assert_allclose(added, expected, atol=1e-4)


def test_vv_block_equals_numpy_and_uses_the_values_alone():
    block = build(1).visual.transformer.resblocks[2]
    x = torch.randn(2, 7, 32, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        added = vv_attention(block, x).numpy()
        np.testing.assert_allclose(added, slow_vv(block, x.numpy()), atol=1e-5)
        block.attn.in_proj_weight[:64] = 0  # queries and keys
        block.mlp.c_fc.weight.zero_()
        assert (vv_attention(block, x).numpy() == added).all()


def test_layer_scale_is_kept():
    block = build(ls_init_value=1.0).visual.transformer.resblocks[0]
    x = torch.randn(1, 5, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        before = vv_attention(block, x)
        block.ls_1.gamma.mul_(2)
        torch.testing.assert_close(vv_attention(block, x), 2 * before)


def intermediates(model, x):
    """Image embedding (N, e) and the output of all four blocks, as plain open_clip gives them."""
    with torch.inference_mode():
        both = model.forward_intermediates(x, image_indices=[0, 1, 2, 3], image_output_fmt="NLC")
    return both["image_features"], both["image_intermediates"]


def test_original_path_is_plain_open_clip_bit_for_bit(images):
    plain = build()
    backbone = wrap(copy.deepcopy(plain))
    features = backbone.encode_images(images)
    image, blocks = intermediates(plain, prepared(images))
    assert backbone.levels == (3, 4)
    assert (features.image == image.numpy()).all()
    texts = ["a linear scratch", "a hole"]
    with torch.inference_mode():
        tokens = plain.visual.ln_post(torch.stack([blocks[2], blocks[3]], 1)).half()
        text = plain.encode_text(open_clip.tokenize(texts), normalize=True)
    assert (features.tokens[:, 0] == tokens.numpy()).all()
    assert (backbone.encode_texts(texts) == text.numpy()).all()


def test_vv_path_is_the_sum_of_the_dual_blocks_beside_the_original(images):
    model = build()
    blocks, streams = model.visual.transformer.resblocks, []
    for block in blocks:
        block.register_forward_hook(lambda _, x, y: streams.append(x[0].numpy()))
    intermediates(model, prepared(images))
    stream, expected = streams[1].copy(), []
    for number in (2, 3, 4):
        stream = stream + slow_vv(blocks[number - 1], streams[number - 1])
        expected.append(norm(stream, model.visual.ln_post)[:, 1:])
    tokens = wrap(model, levels=3).encode_images(images).tokens
    assert tokens.shape == (5, 2, 3, 9, 32) and tokens.dtype == np.float16
    np.testing.assert_allclose(tokens[:, 1], np.stack(expected, 1), atol=4e-3)
    assert np.abs(tokens[:, 0].astype(float) - tokens[:, 1]).max() > 0.1


def test_seen_upside_down_too_is_the_mean_of_both(images):
    upright = wrap().encode_images(images)
    turned = wrap().encode_images(images[:, ::-1, ::-1])
    both = Backbone(Source(build(), open_clip.tokenize, turned=True), vv_blocks=3, levels=2)
    seen = both.encode_images(images)
    mean = upright.image + turned.image
    mean /= np.linalg.norm(mean, axis=1, keepdims=True)
    np.testing.assert_allclose(seen.image, mean, atol=1e-6)
    tokens = (upright.tokens.astype(float) + turned.tokens[:, :, :, ::-1]) / 2  # place by place
    np.testing.assert_allclose(seen.tokens, tokens, atol=4e-3)
    again = both.encode_images(images[:, ::-1, ::-1])
    np.testing.assert_allclose(again.image, seen.image, atol=1e-6)
    np.testing.assert_allclose(again.tokens[:, :, :, ::-1], seen.tokens.astype(float), atol=4e-3)


@pytest.mark.slow
def test_only_our_own_model_is_asked_twice(images):
    assert Backbone().turned
    assert not wrap().turned and not clip.read("ViT-S-16", "random").turned


def test_batches_do_not_matter(images):
    whole, parts = (wrap().encode_images(images, batch_size=size) for size in (5, 2))
    np.testing.assert_allclose(whole.image, parts.image, atol=1e-6)
    np.testing.assert_allclose(whole.tokens.astype(np.float32), parts.tokens, atol=4e-3)


@pytest.mark.parametrize(
    ("depth", "vv_blocks", "levels", "tapped"),
    [
        (12, 6, 4, (8, 9, 11, 12)),
        (12, 12, 4, (3, 6, 9, 12)),
        (4, 4, 4, (1, 2, 3, 4)),
        (4, 3, 1, (4,)),
    ],
)
def test_levels_are_spread_over_the_dual_blocks(depth, vv_blocks, levels, tapped):
    backbone = wrap(build(layers=depth, width=8), vv_blocks=vv_blocks, levels=levels)
    assert backbone.levels == tapped
    image = np.zeros((1, 48, 48), np.uint8)
    assert backbone.encode_images(image).tokens.shape == (1, 2, len(tapped), 9, 8)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"vv_blocks": 5}, "vv_blocks=5, levels=2: use 1 <= levels <= vv_blocks <= 4"),
        ({"levels": 4}, "levels=4: use 1 <= levels <= vv_blocks <= 4"),
        ({"model": {"block_type": "custom"}}, "tiny: V-V is not defined"),
    ],
)
def test_settings_that_do_not_fit(options, message):
    if "model" in options:
        options = {"model": build(**options["model"])}
    with pytest.raises(ValueError, match=message):
        wrap(**options)


def test_attention_of_both_paths(images):
    """Alike patches share their attention equally, and the values alone decide."""
    model, inputs = build(), []
    block = model.visual.transformer.resblocks[3]
    block.register_forward_hook(lambda _, x, y: inputs.append(x[0]))
    model.visual.positional_embedding.data.zero_()
    images[0] = 0
    images[0, :16, :16] = images[0, 32:, 32:] = 255  # patches 0 and 8
    original, vv = wrap(model).attention(images, np.int64(0))
    with torch.inference_mode():
        model.encode_image(prepared(images))
        x = block.ln_1(inputs[0])
        weights = block.attn(x, x, x, need_weights=True)[1].numpy()
    np.testing.assert_allclose(original, weights[:, 1, 1:], atol=1e-6)
    assert vv.shape == (5, 9) and (vv > 0).all() and (vv.sum(1) < 1).all()
    assert vv[0, 0] == pytest.approx(vv[0, 8]) and np.ptp(vv[0, 1:8]) < 1e-6
    assert vv[0, 0] != pytest.approx(vv[0, 4], rel=0.01)


def test_images_of_another_size_are_resized_as_pillow_does():
    rng = np.random.default_rng(1)
    noise = Image.fromarray(rng.integers(0, 256, (9, 9), dtype=np.uint8))
    big = np.asarray(noise.resize((130, 100), Image.BICUBIC))
    small = np.asarray(Image.fromarray(big).resize((48, 48), Image.BICUBIC))
    backbone = wrap()
    resized, exact = (backbone.to_input(x[None]) for x in (big, small))
    assert resized.shape == (1, 3, 48, 48)
    assert (resized - exact).abs().max() < 1.5 / 255 / min(open_clip.OPENAI_DATASET_STD)
    torch.testing.assert_close(exact, prepared(small[None]))
    grey = (prepared(np.full((1, 48, 48), value, np.uint8))[:, :, :1, :1] for value in (0, 255))
    black, white = grey
    step = backbone.to_input(np.uint8(255 * (np.indices((20, 20))[1:] > 9)))
    assert (step >= black).all() and (step <= white).all()  # bicubic weights overshoot at an edge


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (np.zeros((2, 8, 8)), r"images must be uint8 \(N, H, W\)"),
        (np.zeros((2, 8, 8, 3), np.uint8), r"images must be uint8 \(N, H, W\)"),
    ],
)
def test_images_that_are_none(bad, message):
    with pytest.raises(ValueError, match=message):
        wrap().encode_images(bad)
