"""The ways to a model: ours, open_clip's, files of any kind; no code in a file is run."""

import argparse
import json
import pickle

import numpy as np
import open_clip
import pytest
import torch
from safetensors.torch import load_file, save_file

from semlib.semclip import clip
from semlib.semclip.backbone import Backbone

VISION = {"image_size": 48, "patch_size": 16, "width": 32, "layers": 4, "head_width": 8}
TEXT = {"vocab_size": 49408, "width": 8, "heads": 2, "layers": 1}
TINY = {"embed_dim": 24, "vision_cfg": VISION, "text_cfg": TEXT}
BLOCKS = {"vv_blocks": 3, "levels": 2}


def build(seed=1, **vision):
    torch.manual_seed(seed)
    return open_clip.CLIP(24, VISION | vision, dict(TEXT)).eval()


@pytest.fixture
def tiny(monkeypatch):
    """The name of a tiny ViT that open_clip knows while the test runs."""
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "ViT-tiny", TINY)
    return "ViT-tiny"


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (5, 48, 48), dtype=np.uint8)


def same(first, second):
    first, second = first.state_dict(), second.state_dict()
    return first.keys() == second.keys() and all(torch.equal(first[n], second[n]) for n in first)


@pytest.mark.parametrize("kind", ["safetensors", "torch", "training"])
def test_weights_from_a_file(tiny, tmp_path, images, kind):
    model = build()
    state = model.state_dict()
    file = tmp_path / ("w.safetensors" if kind == "safetensors" else "w.pt")
    if kind == "safetensors":
        save_file(state, file)
    elif kind == "torch":
        torch.save(state, file)
    else:
        wrapped = {f"module.{name}": tensor for name, tensor in state.items()}
        torch.save({"epoch": 3, "state_dict": wrapped}, file)
    backbone = Backbone(tiny, file, **BLOCKS)
    assert same(backbone.model, model) and backbone.label == f"ViT-tiny ({file.name})"
    assert backbone.settings == {"name": tiny, "pretrained": str(file)} | BLOCKS
    again = Backbone(**backbone.settings).encode_images(images)
    assert (again.image == backbone.encode_images(images).image).all()


def test_random_weights_only_when_asked_for(tiny):
    torch.manual_seed(5)
    first, drawn = clip.read(tiny, "random"), torch.rand(3)
    assert first.label == "ViT-tiny (random weights)"
    assert same(first.model, clip.read(tiny, "random").model)
    torch.manual_seed(5)
    assert torch.equal(torch.rand(3), drawn)
    with pytest.raises(ValueError, match="pretrained=None is neither a file nor a tag of ViT-tiny"):
        clip.read(tiny)
    with pytest.raises(ValueError, match="of open_clip's tags .*laion400m_e32"):
        clip.read("ViT-B-16-plus-240", "laion5b")


def test_weights_that_open_clip_downloads(monkeypatch):
    """The download itself cannot be had here; what is asked for, and what is made of it."""
    asked, model = [], build()
    model.visual.image_mean, model.visual.image_std = (0.1, 0.2, 0.3), (1.0, 1.0, 1.0)
    monkeypatch.setattr(open_clip, "create_model", lambda *a, **k: asked.append((a, k)) or model)
    source = clip.read("ViT-B-16-plus-240", "laion400m_e32")
    assert asked == [(("ViT-B-16-plus-240",), {"pretrained": "laion400m_e32"})]
    assert source.label == "CLIP ViT-B-16-plus-240 (laion400m_e32)"
    assert (source.mean, source.std) == ((0.1, 0.2, 0.3), (1.0, 1.0, 1.0))

    def offline(*_, **__):
        raise RuntimeError("no route")

    monkeypatch.setattr(open_clip, "create_model", offline)
    with pytest.raises(ConnectionError, match="laion400m_e32.*no route.*pretrained=FILE"):
        clip.read("ViT-B-16-plus-240", "laion400m_e32")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ViT-B-16-plus-241", "ViT-B-16-plus-241 is none of .*: use sem-vlm or ViT-B-16-plus-240"),
        ("RN50", "RN50 is none of open_clip's own ViTs"),
        ("ViT-B-16-SigLIP", "ViT-B-16-SigLIP is none of open_clip's own ViTs"),
        ("coca_ViT-B-32", "coca_ViT-B-32 is none of open_clip's own ViTs"),
    ],
)
def test_names_that_are_no_vit(name, message):
    with pytest.raises(ValueError, match=message):
        clip.read(name, "random")


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (lambda: build(width=16).state_dict(), r"[0-9]+ of another shape \(visual.class_embedding"),
        (lambda: build(layers=3).state_dict(), r"12 missing \(visual.transformer.resblocks.3.attn"),
        (lambda: build().state_dict() | {"extra": torch.zeros(1)}, r"1 unknown names \(extra\)"),
    ],
)
def test_weights_of_another_architecture(tiny, tmp_path, state, message):
    file = tmp_path / "other.safetensors"
    save_file(state(), file)
    expected = f"other.safetensors: {message}.*another architecture than ViT-tiny"
    with pytest.raises(ValueError, match=expected):
        clip.read(tiny, file)


class Trap:
    """A pickle that writes a file when it is opened without care."""

    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return open, (str(self.file), "w")


def pickled(value, file):
    file.write_bytes(pickle.dumps(value, 2))


@pytest.mark.parametrize("save", [torch.save, pickled])
def test_no_code_in_a_file_is_run(tiny, tmp_path, save):
    save({"weight": Trap(tmp_path / "sprung")}, tmp_path / "trap.pt")
    with pytest.raises(ValueError, match="trap.pt is damaged or holds more than tensors"):
        clip.read(tiny, tmp_path / "trap.pt")
    assert not (tmp_path / "sprung").exists()


def test_damaged_files(tiny, tmp_path):
    for name, content in {"a.safetensors": b"nothing", "b.pt": b"nothing", "c.pt": b""}.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=name):
            clip.read(tiny, tmp_path / name)
    for value in ([1, 2], {}, {"epoch": 3}):
        torch.save(value, tmp_path / "d.pt")
        with pytest.raises(ValueError, match="d.pt:? (.*missing|is damaged or holds more than)"):
            clip.read(tiny, tmp_path / "d.pt")


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_a_torchscript_program_is_not_run_and_its_tensors_fit_once_saved(tiny, tmp_path):
    """OpenAI's ViT-B-32.pt is such a program, with three numbers beside its tensors."""
    model = build()
    torch.jit.save(torch.jit.script(torch.nn.Identity()), tmp_path / "ViT-B-32.pt")
    advice = r"is a TorchScript program.*the tag openai.*jit.load\(FILE\).state_dict"
    with pytest.raises(ValueError, match=advice) as raised:
        clip.read(tiny, tmp_path / "ViT-B-32.pt")
    assert "\n" not in str(raised.value)
    numbers = {name: torch.tensor(1) for name in clip.OPENAI_NUMBERS}
    torch.save(model.state_dict() | numbers, tmp_path / "tensors.pt")
    assert same(clip.read(tiny, tmp_path / "tensors.pt").model, build())


def test_a_checkpoint_of_hugging_face_is_named_as_such(tiny, tmp_path):
    names = ("vision_model.embeddings.class_embedding", "text_model.final_layer_norm.bias")
    save_file({name: torch.zeros(2) for name in names}, tmp_path / "model.safetensors")
    with pytest.raises(
        ValueError, match="Hugging Face's form: take the model's file for open_clip"
    ):
        clip.read(tiny, tmp_path / "model.safetensors")
    with pytest.raises(
        ValueError, match=f"unknown names .{names[1]}, {names[0]}.*missing .ln_final.bias"
    ):
        clip.read(tiny, tmp_path / "model.safetensors")


def test_a_pickle_of_something_else_is_one_sentence(tiny, tmp_path):
    torch.save({"args": argparse.Namespace(width=3)}, tmp_path / "run.pt")
    with pytest.raises(ValueError, match=r"more than tensors \(argparse.Namespace\)$"):
        clip.read(tiny, tmp_path / "run.pt")


@pytest.fixture
def ours(tmp_path, monkeypatch):
    """A small stand-in for the embedded model's files."""
    words = [clip.PAD, clip.START, clip.UNKNOWN, "hole", "scratch", clip.END]
    text = {"context_length": clip.CONTEXT, "vocab_size": 6, "width": 8, "heads": 2, "layers": 1}
    settings = {"embed_dim": 24, "vision_cfg": VISION, "text_cfg": text}
    model = open_clip.CLIP(**settings)
    settings |= {"mean": 0.4, "std": 0.2, "training": {}, "vocabulary": words}
    (tmp_path / f"{clip.NAME}.json").write_text(json.dumps(settings))
    halves = {name: tensor.half() for name, tensor in model.state_dict().items()}
    save_file(halves, tmp_path / f"{clip.NAME}.safetensors")
    monkeypatch.setattr(clip, "MODELS", tmp_path)
    clip.config.cache_clear()
    yield model.eval()
    clip.config.cache_clear()


def test_the_embedded_model_is_the_default_and_never_called_clip(ours, tmp_path):
    backbone = Backbone(**BLOCKS)
    assert backbone.label == "SEM-VLM (ours, simulated)"
    assert backbone.settings == {"name": "sem-vlm", "pretrained": None} | BLOCKS
    grey = backbone.to_input(np.full((1, 48, 48), 51, np.uint8))
    assert grey.unique().item() == pytest.approx(-1)
    half = load_file(tmp_path / f"{clip.NAME}.safetensors")
    state = backbone.model.state_dict()
    assert all(torch.equal(tensor, half[name].float()) for name, tensor in state.items())
    texts = backbone.encode_texts(["hole", "scratch", "a hole"])
    assert texts.shape == (3, 24) and texts.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(texts, axis=1), 1, rtol=1e-5)
    assert np.abs(texts[0] - texts[1]).max() > 1e-3


def test_other_weights_of_the_embedded_architecture(ours, tmp_path):
    save_file(ours.state_dict(), tmp_path / "own.safetensors")
    other = clip.read("sem-vlm", tmp_path / "own.safetensors")
    assert same(other.model, ours) and other.label == "SEM-VLM architecture (own.safetensors)"
    assert "random" in clip.read("sem-vlm", "random").label
    with pytest.raises(ValueError, match="laion400m_e32 is neither a file"):
        clip.read("sem-vlm", "laion400m_e32")


def test_tokenize_pads_cuts_and_marks_unknown_words():
    words = [clip.PAD, clip.START, clip.UNKNOWN, "a", "line", clip.END]
    tokens = clip.tokenize(["A line?", "a scratch", "a " * 100], words)
    assert tokens.shape == (3, clip.CONTEXT)
    assert tokens[0, :5].tolist() == [1, 3, 4, 5, 0]
    assert tokens[1, :4].tolist() == [1, 3, 2, 5]
    assert tokens[2, -1] == 5 == tokens.max()


@pytest.mark.slow
def test_pretrained_route_at_full_size(tmp_path):
    """ViT-B-16-plus-240 (208 M parameters), random: saved, loaded strictly, encoded."""
    name, file = "ViT-B-16-plus-240", tmp_path / "weights.safetensors"
    images = np.random.default_rng(0).integers(0, 256, (2, 300, 260), dtype=np.uint8)
    model = clip.read(name, "random").model
    assert sum(one.numel() for one in model.parameters()) == pytest.approx(208e6, rel=0.01)
    save_file(model.state_dict(), file)
    backbone = Backbone(name, file)
    assert same(backbone.model, model)
    assert backbone.grid == (15, 15) and backbone.projection.shape == (896, 640)
    assert backbone.levels == (8, 9, 11, 12)
    with torch.inference_mode():
        plain = model.encode_image(backbone.to_input(images), normalize=True).numpy()
    features = backbone.encode_images(images)
    assert (features.image == plain).all()
    assert features.tokens.shape == (2, 2, 4, 225, 896) and np.isfinite(features.tokens).all()
    texts = backbone.encode_texts(["A SEM image of linear scratch on wafer surface", "a hole"])
    assert texts.shape == (2, 640)
