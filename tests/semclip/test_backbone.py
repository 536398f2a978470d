"""The dual path against numpy by hand and plain open_clip; levels, attention, the ways to the weights."""

import copy
import gc
import json
import pickle
import zlib

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from semlib.semclip import vlm
from semlib.semclip.backbone import Backbone, vv_attention
from semlib.semclip.features import Features

VISION = {"image_size": 48, "patch_size": 16, "width": 32, "layers": 4, "head_width": 8}
TINY = {
    "embed_dim": 24,
    "vision_cfg": VISION,
    "text_cfg": {"vocab_size": 49408, "width": 8, "heads": 2, "layers": 1},
}


def build(seed=0, **vision):
    torch.manual_seed(seed)
    model = open_clip.CLIP(**copy.deepcopy(TINY) | {"vision_cfg": VISION | vision}).eval()
    for parameter in model.parameters():  # biases and norms that do something
        parameter.data += 0.1 * torch.randn(parameter.shape)
    return model


def wrap(model=None, **options):
    return Backbone.wrap(
        model or build(), open_clip.tokenize, **{"vv_blocks": 3, "levels": 2} | options
    )


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (5, 48, 48), dtype=np.uint8)


@pytest.fixture
def tiny(monkeypatch):
    """The name of a tiny ViT that open_clip knows while the test runs."""
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "ViT-tiny", TINY)
    return "ViT-tiny"


def prepared(images):
    """The model's input as open_clip's own transform makes it."""
    transform = open_clip.image_transform(48, is_train=False)
    return torch.stack([transform(Image.fromarray(image)) for image in images])


def norm(x, layer):
    x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + layer.eps)
    return x * layer.weight.numpy(force=True) + layer.bias.numpy(force=True)


def slow_vv(block, x):
    """The formula of a dual block in numpy, one image and one head at a time."""
    weight, bias = (
        block.attn.in_proj_weight.numpy(force=True),
        block.attn.in_proj_bias.numpy(force=True),
    )
    width = x.shape[-1]
    size = width // block.attn.num_heads
    v = norm(x, block.ln_1) @ weight[2 * width :].T + bias[2 * width :]
    mixed = np.empty_like(v)
    for n in range(len(x)):
        for start in range(0, width, size):
            one = v[n, :, start : start + size]
            alike = np.exp(one @ one.T / np.sqrt(size))
            mixed[n, :, start : start + size] = alike / alike.sum(1, keepdims=True) @ one
    return mixed @ block.attn.out_proj.weight.numpy(force=True).T + block.attn.out_proj.bias.numpy(
        force=True
    )


def test_vv_block_by_hand():
    """Two tokens, two heads of two: apart in the first head, alike in the second.

    Each row has mean 0 and variance 1, so the norm leaves it, and v = x. First head: v v^T = +-2, s = 2^-1/2, the
    softmax is (p, 1 - p) with p = 1 / (1 + exp(-4 / 2^1/2)), so it gives (2p - 1) v = tanh(2^1/2) v. Second head: v.
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
        found = vv_attention(block, x)[0].numpy()
    t = 3 * np.tanh(2**0.5)
    np.testing.assert_allclose(
        found, [[t + 0.5, 0.5 - t, 3.5, -2.5], [0.5 - t, t + 0.5, 3.5, -2.5]], atol=1e-4
    )


def test_vv_block_equals_numpy_and_uses_the_values_alone():
    block = build(1).visual.transformer.resblocks[2]
    x = torch.randn(2, 7, 32, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        found = vv_attention(block, x).numpy()
        np.testing.assert_allclose(found, slow_vv(block, x.numpy()), atol=1e-5)
        block.attn.in_proj_weight[:64] = 0  # queries and keys
        block.mlp.c_fc.weight.zero_()
        assert (vv_attention(block, x).numpy() == found).all()


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
        found = model.forward_intermediates(x, image_indices=[0, 1, 2, 3], image_output_fmt="NLC")
    return found["image_features"], found["image_intermediates"]


def test_original_path_is_plain_open_clip_bit_for_bit(images):
    plain = build()
    backbone = wrap(copy.deepcopy(plain))
    features = backbone.encode_images(images)
    image, blocks = intermediates(plain, prepared(images))
    assert backbone.levels == (3, 4)
    assert (features.image == image.numpy()).all()
    with torch.inference_mode():
        assert (
            features.image == plain.encode_image(prepared(images), normalize=True).numpy()
        ).all()
        tokens = plain.visual.ln_post(torch.stack([blocks[2], blocks[3]], 1)).half()
    assert (features.tokens[:, 0] == tokens.numpy()).all()
    texts = ["a linear scratch", "a hole"]
    with torch.inference_mode():
        assert (
            backbone.encode_texts(texts)
            == plain.encode_text(open_clip.tokenize(texts), normalize=True).numpy()
        ).all()


def test_vv_path_is_the_sum_of_the_dual_blocks_beside_the_original(images):
    model = build()
    seen = []
    hooks = [
        block.register_forward_hook(lambda _, x, y: seen.append(x[0]))
        for block in model.visual.transformer.resblocks
    ]
    intermediates(model, prepared(images))
    for hook in hooks:
        hook.remove()
    blocks, x = model.visual.transformer.resblocks, [before.numpy() for before in seen]
    stream, expected = x[1].copy(), []
    for number in (2, 3, 4):
        stream = stream + slow_vv(blocks[number - 1], x[number - 1])
        expected.append(norm(stream, model.visual.ln_post)[:, 1:])
    tokens = wrap(model, levels=3).encode_images(images).tokens
    assert tokens.shape == (5, 2, 3, 9, 32) and tokens.dtype == np.float16
    np.testing.assert_allclose(tokens[:, 1], np.stack(expected, 1), atol=4e-3)
    assert np.abs(tokens[:, 0].astype(float) - tokens[:, 1]).max() > 0.1


def test_nothing_is_left_behind(images):
    model = build()
    before = {name: tensor.numpy().tobytes() for name, tensor in model.state_dict().items()}
    embedding, blocks = intermediates(model, prepared(images))
    backbone = wrap(model)
    backbone.encode_images(images)
    backbone.attention(images, 2)
    model.visual.transformer.resblocks[3].mlp.register_forward_hook(_break)
    with pytest.raises(RuntimeError, match="broken"):
        backbone.encode_images(images)
    model.visual.transformer.resblocks[3].mlp._forward_hooks.clear()
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    assert {name: tensor.numpy().tobytes() for name, tensor in model.state_dict().items()} == before
    again, blocks_again = intermediates(model, prepared(images))
    assert torch.equal(embedding, again) and all(map(torch.equal, blocks, blocks_again))


def _break(*_):
    raise RuntimeError("broken")


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
        (4, 3, (2, 4), (2, 4)),
        (4, 3, [3], (3,)),
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
        ({"vv_blocks": 5}, "vv_blocks=5: the image encoder has 4 blocks, use 1 to 4"),
        ({"vv_blocks": 0}, "vv_blocks=0"),
        ({"levels": 4}, "levels=4: there are 3 dual blocks"),
        ({"levels": 0}, "levels=0"),
        ({"levels": ()}, "ascending numbers of dual blocks, 2 to 4"),
        ({"levels": (1, 4)}, "ascending numbers of dual blocks, 2 to 4"),
        ({"levels": (3, 5)}, "ascending numbers"),
        ({"levels": (4, 2)}, "ascending numbers"),
        ({"model": "custom"}, "attention of their own kind"),
    ],
)
def test_settings_that_do_not_fit(options, message):
    if "model" in options:
        options = {"model": build(block_type="custom")}
    with pytest.raises(ValueError, match=message):
        wrap(**options)


def test_attention_of_both_paths(images):
    model = build()
    backbone, seen = wrap(model), []
    hook = model.visual.transformer.resblocks[1].register_forward_hook(
        lambda _, x, y: seen.append(x[0])
    )
    original, vv = backbone.attention(images, 2)
    hook.remove()
    block = model.visual.transformer.resblocks[1]
    with torch.inference_mode():
        x = block.ln_1(seen[0])
        weights = block.attn(x, x, x, need_weights=True)[1].numpy()
    np.testing.assert_allclose(original, weights[:, 0, 1:], atol=1e-6)
    np.testing.assert_allclose(
        backbone.attention(images, 2, "mean")[0], weights[:, 1:, 1:].mean(1), atol=1e-6
    )
    np.testing.assert_allclose(
        backbone.attention(images, 2, np.int64(7))[0], weights[:, 8, 1:], atol=1e-6
    )
    assert vv.shape == (5, 9) and (vv > 0).all() and (vv.sum(1) < 1).all()
    with pytest.raises(ValueError, match="block=5: use 1 to 4"):
        backbone.attention(images, 5)
    with pytest.raises(ValueError, match="query='sum'"):
        backbone.attention(images, 2, "sum")


def test_in_the_vv_path_a_patch_looks_at_patches_like_itself():
    """Alike patches share their attention equally, and the values alone decide."""
    model = build()
    model.visual.positional_embedding.data.zero_()
    image = np.zeros((1, 48, 48), np.uint8)
    image[:, :16, :16] = image[:, 32:, 32:] = 255  # patches 0 and 8
    _, vv = wrap(model).attention(image, 1, query=0)
    assert vv[0, 0] == pytest.approx(vv[0, 8]) and np.ptp(vv[0, 1:8]) < 1e-6
    assert vv[0, 0] != pytest.approx(vv[0, 4], rel=0.01)


def test_images_of_another_size_are_resized_as_pillow_does(images):
    rng = np.random.default_rng(1)
    big = np.asarray(
        Image.fromarray(rng.integers(0, 256, (9, 9), dtype=np.uint8)).resize(
            (130, 100), Image.BICUBIC
        )
    )
    small = np.asarray(Image.fromarray(big).resize((48, 48), Image.BICUBIC))
    found, exact = (wrap()._to_input(x[None]) for x in (big, small))
    assert found.shape == (1, 3, 48, 48)
    assert (found - exact).abs().max() < 1.5 / 255 / min(open_clip.OPENAI_DATASET_STD)
    torch.testing.assert_close(exact, prepared(small[None]))
    black, white = (
        prepared(np.full((1, 48, 48), grey, np.uint8))[:, :, :1, :1] for grey in (0, 255)
    )
    step = wrap()._to_input(
        np.uint8(255 * (np.indices((20, 20))[1:] > 9))
    )  # bicubic weights overshoot at an edge
    assert (step >= black).all() and (step <= white).all()


@pytest.mark.parametrize(
    "bad", [np.zeros((2, 8, 8)), np.zeros((2, 8, 8, 3), np.uint8), np.zeros((8, 8), np.uint8)]
)
def test_images_that_are_none(bad):
    with pytest.raises(ValueError, match=r"images must be uint8 \(N, H, W\)"):
        wrap().encode_images(bad)


def test_no_image_is_an_error():
    with pytest.raises(ValueError, match="no image"):
        wrap().encode_images(np.zeros((0, 8, 8), np.uint8))


def test_features_are_kept_and_parted(images, tmp_path):
    features = wrap().encode_images(images)
    features.save(tmp_path / "x")
    loaded = Features.load(tmp_path / "x")
    assert isinstance(loaded.tokens, np.memmap) and len(loaded) == 5
    for index in (slice(1, 3), np.array([4, 0]), np.array([True, False, True, False, False])):
        assert (loaded[index].tokens == features.tokens[index]).all()
        assert (loaded[index].image == features.image[index]).all()


def test_attributes():
    backbone = wrap(label="tiny")
    assert (backbone.image_size, backbone.patch_size, backbone.grid) == (48, 16, (3, 3))
    assert (backbone.width, backbone.embed_dim, backbone.label) == (32, 24, "tiny")
    assert (
        torch.equal(backbone.projection, backbone.model.visual.proj)
        and not backbone.projection.requires_grad
    )
    assert backbone.state_dict().keys() == {f"model.{name}" for name in backbone.model.state_dict()}


def same(first, second):
    first, second = first.state_dict(), second.state_dict()
    return first.keys() == second.keys() and all(
        torch.equal(first[name], second[name]) for name in first
    )


@pytest.mark.parametrize("kind", ["safetensors", "torch", "training"])
def test_weights_from_a_file(tiny, tmp_path, images, kind):
    model = build()
    file = tmp_path / ("w.safetensors" if kind == "safetensors" else "w.pt")
    if kind == "safetensors":
        save_file(model.state_dict(), file)
    elif kind == "torch":
        torch.save(model.state_dict(), file)
    else:
        torch.save(
            {"epoch": 3, "state_dict": {f"module.{k}": v for k, v in model.state_dict().items()}},
            file,
        )
    backbone = Backbone(tiny, file, vv_blocks=3, levels=2)
    assert same(backbone.model, model) and backbone.label == f"ViT-tiny ({file.name})"
    assert backbone.settings == {"name": tiny, "pretrained": str(file), "vv_blocks": 3, "levels": 2}
    assert (backbone.encode_images(images).tokens == wrap(model).encode_images(images).tokens).all()
    assert (
        Backbone(**backbone.settings).encode_images(images).image
        == backbone.encode_images(images).image
    ).all()


def test_random_weights_only_when_asked_for(tiny):
    torch.manual_seed(5)
    first, drawn = Backbone(tiny, "random", vv_blocks=2, levels=2), torch.rand(3)
    assert first.label == "ViT-tiny (random weights)"
    assert same(first, Backbone(tiny, "random", vv_blocks=2, levels=2))
    torch.manual_seed(5)
    assert torch.equal(torch.rand(3), drawn)
    with pytest.raises(ValueError, match="pretrained=None is neither a file nor a tag of ViT-tiny"):
        Backbone(tiny)
    with pytest.raises(ValueError, match="one of open_clip's tags .*laion400m_e32"):
        Backbone("ViT-B-16-plus-240", "laion5b")


def test_weights_that_open_clip_downloads(monkeypatch):
    """The download itself cannot be had here; what is asked for, and what is made of it."""
    asked, model = [], build()
    model.visual.image_mean, model.visual.image_std = (0.1, 0.2, 0.3), (1.0, 1.0, 1.0)
    monkeypatch.setattr(open_clip, "create_model", lambda *a, **k: asked.append((a, k)) or model)
    backbone = Backbone("ViT-B-16-plus-240", "laion400m_e32", vv_blocks=3, levels=2)
    assert asked == [(("ViT-B-16-plus-240",), {"pretrained": "laion400m_e32"})]
    assert backbone.label == "CLIP ViT-B-16-plus-240 (laion400m_e32)"
    torch.testing.assert_close(backbone.mean.flatten(), torch.tensor([0.1, 0.2, 0.3]))

    def offline(*_, **__):
        raise RuntimeError("no route")

    monkeypatch.setattr(open_clip, "create_model", offline)
    with pytest.raises(ConnectionError, match="laion400m_e32.*no route.*pretrained=FILE"):
        Backbone("ViT-B-16-plus-240", "laion400m_e32")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "ViT-B-16-plus-241",
            "unknown backbone 'ViT-B-16-plus-241': use 'sem-vlm' or .* ViT-B-16-plus-240",
        ),
        ("RN50", "RN50 is not one of open_clip's own ViTs"),
        ("ViT-B-16-SigLIP", "ViT-B-16-SigLIP is not one of open_clip's own ViTs"),
        ("coca_ViT-B-32", "coca_ViT-B-32 is not one of open_clip's own ViTs"),
    ],
)
def test_names_that_are_no_vit(name, message):
    with pytest.raises(ValueError, match=message):
        Backbone(name, "random")


def test_weights_of_another_architecture(tiny, tmp_path):
    file = tmp_path / "other.safetensors"
    save_file(build(width=16).state_dict(), file)
    with pytest.raises(
        ValueError, match=r"other.safetensors .* another architecture than ViT-tiny: .* is \(16"
    ) as raised:
        Backbone(tiny, file)
    assert " more" in str(raised.value)
    save_file(build(layers=3).state_dict(), file)
    with pytest.raises(ValueError, match="visual.transformer.resblocks.3.ln_1.weight is missing"):
        Backbone(tiny, file)
    save_file(build().state_dict() | {"extra": torch.zeros(1)}, file)
    with pytest.raises(ValueError, match="ViT-tiny: extra is unknown$"):
        Backbone(tiny, file)


class Trap:
    """A pickle that writes a file when it is opened without care."""

    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return open, (str(self.file), "w")


@pytest.mark.parametrize(
    "save", [torch.save, lambda value, file: file.write_bytes(pickle.dumps(value, 2))]
)
def test_no_code_in_a_file_is_run(tiny, tmp_path, save):
    save({"weight": Trap(tmp_path / "sprung")}, tmp_path / "trap.pt")
    with pytest.raises(ValueError, match="trap.pt is damaged or holds more than tensors"):
        Backbone(tiny, tmp_path / "trap.pt")
    assert not (tmp_path / "sprung").exists()


def test_damaged_files(tiny, tmp_path):
    for name, content in {"a.safetensors": b"nothing", "b.pt": b"nothing", "c.pt": b""}.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=name):
            Backbone(tiny, tmp_path / name)
    for value in ([1, 2], {}, {"epoch": 3}):
        torch.save(value, tmp_path / "d.pt")
        with pytest.raises(ValueError, match="d.pt holds no tensors by name"):
            Backbone(tiny, tmp_path / "d.pt")


@pytest.fixture
def ours(tmp_path, monkeypatch):
    """A small stand-in for the embedded model's files."""
    model = open_clip.CLIP(**(vlm.architecture(6) | {"vision_cfg": VISION}))
    words = [vlm.PAD, vlm.START, vlm.UNKNOWN, "hole", "scratch", "<end>"]
    config = vlm.architecture(6) | {
        "vision_cfg": VISION,
        "mean": 0.4,
        "std": 0.2,
        "vocabulary": words,
    }
    (tmp_path / f"{vlm.NAME}.json").write_text(json.dumps(config))
    save_file(
        {name: tensor.half() for name, tensor in model.state_dict().items()},
        tmp_path / f"{vlm.NAME}.safetensors",
    )
    monkeypatch.setattr(vlm, "MODELS", tmp_path)
    vlm.config.cache_clear()
    yield model.eval()
    vlm.config.cache_clear()


def test_the_embedded_model_is_the_default_and_never_called_clip(ours, images, tmp_path):
    backbone = Backbone(vv_blocks=3, levels=2)
    assert backbone.label == "SEM-VLM (ours, simulated)"
    assert backbone.settings == {"name": "sem-vlm", "pretrained": None, "vv_blocks": 3, "levels": 2}
    assert backbone._to_input(np.full((1, 48, 48), 51, np.uint8)).unique().item() == pytest.approx(
        -1
    )
    half = load_file(tmp_path / f"{vlm.NAME}.safetensors")
    assert all(
        torch.equal(tensor, half[name].float())
        for name, tensor in backbone.model.state_dict().items()
    )
    texts = backbone.encode_texts(["hole", "scratch", "a hole"])
    assert texts.shape == (3, 128) and texts.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(texts, axis=1), 1, rtol=1e-5)
    assert np.abs(texts[0] - texts[1]).max() > 1e-3

    save_file(ours.state_dict(), tmp_path / "own.safetensors")
    other = Backbone("sem-vlm", tmp_path / "own.safetensors", vv_blocks=3, levels=2)
    assert same(other.model, ours) and other.label == "SEM-VLM architecture (own.safetensors)"
    assert "random" in Backbone("sem-vlm", "random", vv_blocks=3, levels=2).label
    with pytest.raises(ValueError, match="laion400m_e32.*neither a file"):
        Backbone("sem-vlm", "laion400m_e32")


@pytest.mark.slow
def test_pretrained_route_at_full_size(tmp_path):
    """ViT-B-16-plus-240 (208 M parameters), random: saved, loaded strictly, encoded; as a downloaded file would be."""
    name, file = "ViT-B-16-plus-240", tmp_path / "weights.safetensors"
    images = np.random.default_rng(0).integers(0, 256, (2, 300, 260), dtype=np.uint8)
    backbone = Backbone(name, "random")
    assert sum(parameter.numel() for parameter in backbone.model.parameters()) == pytest.approx(
        208e6, rel=0.01
    )
    digest = {
        key: zlib.crc32(tensor.numpy()) for key, tensor in backbone.model.state_dict().items()
    }
    with torch.inference_mode():
        plain = backbone.model.encode_image(backbone._to_input(images), normalize=True).numpy()
    save_file(backbone.model.state_dict(), file)
    del backbone
    gc.collect()

    backbone = Backbone(name, file)
    file.unlink()
    assert {
        key: zlib.crc32(tensor.numpy()) for key, tensor in backbone.model.state_dict().items()
    } == digest
    assert (backbone.grid, backbone.width, backbone.embed_dim, backbone.levels) == (
        (15, 15),
        896,
        640,
        (8, 9, 11, 12),
    )
    features = backbone.encode_images(images)
    assert (features.image == plain).all()
    assert features.tokens.shape == (2, 2, 4, 225, 896) and np.isfinite(features.tokens).all()
    texts = backbone.encode_texts(["A SEM image of linear scratch on wafer surface", "a hole"])
    assert texts.shape == (2, 640)
    np.testing.assert_allclose(np.linalg.norm(texts, axis=1), 1, rtol=1e-5)
