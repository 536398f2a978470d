"""SEM-VLM's words, schedule and training on a few made-up pairs."""

import json
from dataclasses import replace

import click
import numpy as np
import pytest
from safetensors.numpy import load_file

from semlib.semclip import clip
from semlib.semclip.backbone import Backbone
from training import sem_vlm, sem_vlm_check, sem_vlm_pairs

CAPTIONS = ("nothing to see", "a bright blob", "a dark blob")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
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
    return folder


@pytest.fixture(scope="module")
def pairs(folder):
    return sem_vlm_pairs.Pairs(folder)


SETTINGS = sem_vlm.Settings(n_images=24, steps=4, batch_size=8, short=False)


def test_pairs_of_two_worlds_follow_each_other(folder, pairs):
    both = sem_vlm_pairs.Pairs(folder, folder)
    assert both.labels.tolist() == 2 * pairs.labels.tolist()
    assert both.captions == 2 * pairs.captions
    for i in (0, 23):
        np.testing.assert_array_equal(both.images[24 + i], pairs.images[i])
        np.testing.assert_array_equal(both.masks[24 + i], pairs.masks[i])


def test_vocabulary_orders_words_and_ends_with_the_end_token():
    words = sem_vlm.vocabulary(["A dark-line, a line", "line"], least=2)
    assert words == ["<pad>", "<start>", "<unknown>", "a", "line", "<end>"]


def test_rate_rises_then_is_level_then_falls_to_zero():
    settings = sem_vlm.Settings(steps=100, cycles=0, warm=5, fall=0.25)
    rates = [sem_vlm.rate(step, settings) for step in range(100)]
    assert rates[0] == pytest.approx(0.2)
    assert set(rates[5:75]) == {1}
    assert rates[99] == pytest.approx(0.04)
    assert rates[75:] == sorted(rates[75:], reverse=True)


def test_rate_along_two_cosines():
    settings = sem_vlm.Settings(steps=100, cycles=2)
    rates = [sem_vlm.rate(step, settings) for step in range(100)]
    assert rates[:50] == rates[50:]
    assert rates[25] == pytest.approx(0.5)


def test_settings_from_the_command_line():
    assert sem_vlm._settings(None, None, ["stem=0", "seed=3", "world=narrow"]) == {
        "stem": False,
        "seed": 3,
        "world": "narrow",
    }
    with pytest.raises(click.BadParameter, match="'stems' is none of world"):
        sem_vlm._settings(None, None, ["stems=0"])


@pytest.mark.slow
@pytest.mark.parametrize("stem", [True, False])
def test_what_is_written_is_read_as_open_clip_reads_it(tmp_path, stem):
    settings = sem_vlm.Settings(stem=stem)
    model = clip.network(sem_vlm.architecture(5, stem)).eval()
    words = ["<pad>", "<start>", "<unknown>", "line", "<end>"]
    sem_vlm._finish(tmp_path, settings, model, words, [{"step": 1}])
    images = np.random.default_rng(0).integers(0, 256, (2, 240, 240), dtype=np.uint8)
    again = Backbone(sem_vlm_check.source(tmp_path))
    expected = (
        Backbone(clip.Source(model, None, 0.4, 0.17, turned=True)).encode_images(images).image
    )
    np.testing.assert_allclose(again.encode_images(images).image, expected, atol=5e-3)
    assert again.tokenize(["line"])[0, :3].tolist() == [1, 3, 4]


@pytest.mark.slow
def test_training_resumes_to_the_same_weights(pairs, tmp_path, monkeypatch):
    monkeypatch.setattr(sem_vlm, "LOG_EVERY", 2)
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
    sem_vlm.train(tmp_path / "whole", SETTINGS, data=pairs, held_out={"own": pairs})

    step = sem_vlm._step

    def killed(*given):
        if given[-1] == 3:
            raise KeyboardInterrupt
        return step(*given)

    monkeypatch.setattr(sem_vlm, "_step", killed)
    with pytest.raises(KeyboardInterrupt):
        sem_vlm.train(tmp_path / "killed", SETTINGS, data=pairs, held_out={"own": pairs})
    assert (tmp_path / "killed" / "sem_vlm_checkpoint.pt").is_file()
    monkeypatch.setattr(sem_vlm, "_step", step)
    sem_vlm.train(tmp_path / "killed", SETTINGS, data=pairs, held_out={"own": pairs})

    for name in ("sem_vlm.safetensors", "sem_vlm.json"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "killed" / name).read_bytes()
    assert not (tmp_path / "killed" / "sem_vlm_checkpoint.pt").exists()


@pytest.mark.slow
def test_training_starts_from_finished_weights_and_their_words(pairs, tmp_path):
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    sem_vlm.train(tmp_path / "first", SETTINGS, data=pairs, held_out={})
    still = replace(SETTINGS, start=str(tmp_path / "first"), steps=1, learning_rate=0.0, seed=5)
    sem_vlm.train(tmp_path / "second", still, data=pairs, held_out={})
    first, second = (
        load_file(tmp_path / name / "sem_vlm.safetensors") for name in ("first", "second")
    )
    for name, weights in first.items():
        np.testing.assert_array_equal(weights, second[name])
    words, again = (
        json.loads((tmp_path / name / "sem_vlm.json").read_text())["vocabulary"]
        for name in ("first", "second")
    )
    assert words == again


@pytest.mark.slow
def test_the_level_part_goes_on_with_more_steps(pairs, tmp_path, monkeypatch):
    monkeypatch.setattr(sem_vlm, "LOG_EVERY", 2)
    short = sem_vlm.Settings(n_images=24, steps=5, warm=1, fall=0.4, batch_size=4)
    more = replace(short, steps=6)
    folders = [tmp_path / name for name in ("short", "on", "whole")]
    for folder in folders:
        folder.mkdir()
    given = {"data": pairs, "held_out": {}}
    sem_vlm.train(folders[0], short, **given)
    level = folders[0] / "sem_vlm_level.pt"
    level.rename(folders[1] / "sem_vlm_checkpoint.pt")
    sem_vlm.train(folders[1], more, **given)
    sem_vlm.train(folders[2], more, **given)
    on, whole = ((folder / "sem_vlm.safetensors").read_bytes() for folder in folders[1:])
    assert on == whole
