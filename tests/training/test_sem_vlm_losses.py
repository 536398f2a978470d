"""The losses of SEM-VLM, and what its towers give against open_clip."""

import numpy as np
import pytest
import torch

from semlib.semclip import clip
from training import sem_vlm
from training import sem_vlm_losses as losses


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (6, 240, 240), dtype=np.uint8)


@pytest.fixture(scope="module")
def covered():
    """Patches that a square in all images but the first covers."""
    masks = np.zeros((6, 240, 240), bool)
    masks[1:, 40:90, 60:100] = True
    return losses.cover(masks)


def test_image_text_loss_by_hand():
    image = torch.eye(2)
    text = torch.tensor([[0.6, 0.8], [0.8, 0.6]])
    # both directions: softmax over (0.6, 0.8), the right one is 0.6
    expected = np.log(np.exp(0.6) + np.exp(0.8)) - 0.6
    assert losses.image_text_loss(image, text, torch.eye(2), 1.0).item() == pytest.approx(
        expected, abs=1e-6
    )


def test_equal_captions_are_positives_of_each_other():
    image = text = torch.nn.functional.normalize(torch.ones(2, 3), dim=1)
    loss = losses.image_text_loss(image, text, torch.ones(2, 2), 10.0).item()
    assert loss == pytest.approx(np.log(2), abs=1e-6)


def test_patch_text_loss_prefers_patches_that_match_their_class():
    text = torch.eye(3)  # captions of classes 0, 1, 2
    labels, covered = torch.tensor([0, 1, 2]), torch.zeros(3, 6)
    covered[1:, 0] = 1.0
    right = text[0].expand(3, 6, 3).clone()
    right[1, 0], right[2, 0] = text[1], text[2]
    wrong = right.clone()
    wrong[1, 0], wrong[2, 0] = text[2], text[1]
    right_loss, wrong_loss = [
        losses.patch_text_loss(p, covered, labels, text, 5.0, torch.Generator(), each=2)
        for p in (right, wrong)
    ]
    assert right_loss < 0.1 < wrong_loss


@pytest.mark.parametrize("stem", [True, False])
def test_patches_on_a_defect_are_always_shown(images, covered, stem):
    model = clip.network(sem_vlm.architecture(10, stem))
    draw = torch.Generator().manual_seed(0)
    _, patches, which = losses.see(model, losses.to_input(images), covered, 0.2, draw)
    assert patches.shape == (6, 45, 128)
    shown = covered.gather(1, which) > losses.ON_DEFECT
    assert torch.equal(shown.sum(1), (covered > losses.ON_DEFECT).sum(1))


@pytest.mark.parametrize("stem", [True, False])
def test_all_patches_shown_equals_open_clip(images, covered, stem):
    model = clip.network(sem_vlm.architecture(10, stem)).eval()
    given = losses.to_input(images[:2])
    with torch.inference_mode():
        image, _, _ = losses.see(model, given, covered[:2], 1.0, torch.Generator())
        expected = model.encode_image(given, normalize=True)
    torch.testing.assert_close(image, expected, atol=1e-5, rtol=0)


def test_sentences_cut_after_the_longest_equal_open_clip():
    words = ["<pad>", "<start>", "<unknown>", "a", "line", "<end>"]
    model = clip.network(sem_vlm.architecture(len(words))).eval()
    tokens = clip.tokenize(["a line", "a", "line line a line"], words)
    with torch.inference_mode():
        text = losses.embed_texts(model, tokens)
        torch.testing.assert_close(
            text, model.encode_text(tokens, normalize=True), atol=1e-5, rtol=0
        )


def test_bfloat16_products_hardly_change_what_is_seen(images, covered):
    words = ["<pad>", "<start>", "<unknown>", "a", "line", "<end>"]
    model = clip.network(sem_vlm.architecture(len(words)))
    tokens = clip.tokenize(["a line", "a"], words)
    both = []
    for short in (True, False):
        draw = torch.Generator().manual_seed(0)
        given = tokens, losses.to_input(images[:2]), covered[:2], 0.5, draw
        both.append(losses.embed(model, *given, short=short))
    for quick, exact in zip(*both, strict=True):
        assert quick.dtype == exact.dtype
        torch.testing.assert_close(quick, exact, atol=0.03, rtol=0)
