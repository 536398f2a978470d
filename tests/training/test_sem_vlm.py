"""SEM-VLM's words, losses and training on a few made-up pairs."""

import json

import numpy as np
import open_clip
import pytest
import torch

from training import sem_vlm

CAPTIONS = ("nothing to see", "a bright blob", "a dark blob")


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """24 grey images: nothing, a bright or a dark square."""
    folder, rng = tmp_path_factory.mktemp("pairs"), np.random.default_rng(0)
    labels = np.arange(24) % 3
    images, masks = (
        rng.integers(90, 110, (24, 240, 240)).astype(np.uint8),
        np.zeros((24, 240, 240), bool),
    )
    for image, mask, label in zip(images, masks, labels, strict=True):
        if label:
            y, x = rng.integers(0, 200, 2)
            mask[y : y + 40, x : x + 40] = True
            image[mask] = 200 if label == 1 else 20
    for name, array in {"images": images, "masks": masks, "labels": labels}.items():
        np.save(folder / f"{name}.npy", array)
    (folder / "captions.json").write_text(json.dumps([CAPTIONS[label] for label in labels]))
    return sem_vlm.Pairs(folder)


SETTINGS = sem_vlm.Settings(n_images=24, steps=4, batch_size=8, learning_rate=1e-3)


def test_vocabulary_orders_words_and_ends_with_the_end_token():
    words = sem_vlm.vocabulary(["A dark-line, a line", "line"], least=2)
    assert words == ["<pad>", "<start>", "<unknown>", "a", "line", "<end>"]


def test_image_text_loss_by_hand():
    image = torch.eye(2)
    text = torch.tensor([[0.6, 0.8], [0.8, 0.6]])
    # both directions: softmax over (0.6, 0.8), the right one is 0.6
    expected = np.log(np.exp(0.6) + np.exp(0.8)) - 0.6
    assert sem_vlm.image_text_loss(image, text, torch.eye(2), 1.0).item() == pytest.approx(
        expected, abs=1e-6
    )


def test_equal_captions_are_positives_of_each_other():
    image = text = torch.nn.functional.normalize(torch.ones(2, 3), dim=1)
    loss = sem_vlm.image_text_loss(image, text, torch.ones(2, 2), 10.0).item()
    assert loss == pytest.approx(np.log(2), abs=1e-6)


def test_patch_text_loss_prefers_patches_that_match_their_class():
    text = torch.eye(3)  # captions of classes 0, 1, 2
    labels, covered = torch.tensor([0, 1, 2]), torch.zeros(3, 6)
    covered[1:, 0] = 1.0
    right = text[0].expand(3, 6, 3).clone()
    right[1, 0], right[2, 0] = text[1], text[2]
    wrong = right.clone()
    wrong[1, 0], wrong[2, 0] = text[2], text[1]
    losses = [
        sem_vlm.patch_text_loss(p, covered, labels, text, 5.0, torch.Generator(), each=2)
        for p in (right, wrong)
    ]
    assert losses[0] < 0.1 < losses[1]


def test_patches_on_a_defect_are_always_shown(pairs):
    model = open_clip.CLIP(**sem_vlm.architecture(10))
    covered = pairs.covered(np.arange(6))
    images, draw = sem_vlm.to_input(pairs.images[:6]), torch.Generator().manual_seed(0)
    _, patches, which = sem_vlm.see(model, images, covered, 0.2, draw)
    assert patches.shape == (6, 45, 128)
    shown = covered.gather(1, which) > sem_vlm.ON_DEFECT
    assert torch.equal(shown.sum(1), (covered > sem_vlm.ON_DEFECT).sum(1))


def test_all_patches_shown_equals_open_clip(pairs):
    model = open_clip.CLIP(**sem_vlm.architecture(10)).eval()
    images = sem_vlm.to_input(pairs.images[:2])
    with torch.inference_mode():
        covered = pairs.covered(np.arange(2))
        image, _, _ = sem_vlm.see(model, images, covered, 1.0, torch.Generator())
        expected = model.encode_image(images, normalize=True)
    torch.testing.assert_close(image, expected, atol=1e-5, rtol=0)


@pytest.mark.slow
def test_training_resumes_to_the_same_weights(pairs, tmp_path, monkeypatch):
    monkeypatch.setattr(sem_vlm, "LOG_EVERY", 2)
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
    sem_vlm.train(tmp_path / "whole", SETTINGS, data=pairs, held_out=pairs)

    step = sem_vlm._step

    def killed(*given):
        if given[-1] == 3:
            raise KeyboardInterrupt
        return step(*given)

    monkeypatch.setattr(sem_vlm, "_step", killed)
    with pytest.raises(KeyboardInterrupt):
        sem_vlm.train(tmp_path / "killed", SETTINGS, data=pairs, held_out=pairs)
    assert (tmp_path / "killed" / "sem_vlm_checkpoint.pt").is_file()
    monkeypatch.setattr(sem_vlm, "_step", step)
    sem_vlm.train(tmp_path / "killed", SETTINGS, data=pairs, held_out=pairs)

    for name in ("sem_vlm.safetensors", "sem_vlm.json"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "killed" / name).read_bytes()
    assert not (tmp_path / "killed" / "sem_vlm_checkpoint.pt").exists()
