"""The images of the few-shot study."""

import numpy as np
import pytest
from PIL import Image

from semlib.images import datasets
from semlib.semclip import data, episodes
from semlib.semclip.prompts import Prompts
from tests.images.own_files import bar


def test_only_used_keeps_the_images_of_the_episodes(spots_pool):
    drawn = episodes.episodes(spots_pool, shots=(1, 2), seeds=range(1), n_test=2, n_test_min=2)
    small, moved = episodes.only_used(spots_pool, drawn)
    assert len(small.images) == 3 * (2 + 2)
    for before, after in zip(drawn, moved, strict=True):
        for part in ("support", "test"):
            images = small.images[getattr(after, part)]
            assert np.array_equal(spots_pool.images[getattr(before, part)], images)
        assert np.array_equal(spots_pool.labels[before.test], small.labels[after.test])


@pytest.mark.slow
def test_synthetic_images_are_those_of_the_simulator():
    pool = data.images("synthetic", data.listed("synthetic", n=63), n=63, size=64)
    assert pool.images.shape == (63, 64, 64) and pool.classes == Prompts.load().classes
    assert pool.masks[pool.labels == pool.normal].sum() == 0
    assert pool.masks[pool.labels != pool.normal].any((1, 2)).all()


def test_a_folder_with_labels_and_masks_makes_a_pool(tmp_path, capsys):
    folder = tmp_path / "own"
    (folder / "masks").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for i in range(4):
        Image.fromarray(rng.integers(0, 256, (80, 90)).astype(np.uint8)).save(folder / f"{i}.png")
    mask = np.zeros((80, 90), np.uint8)
    mask[20:50, 30:60] = 255
    Image.fromarray(mask).save(folder / "masks" / "1.png")
    (folder / "labels.csv").write_text("file,label\n0.png,0\n1.png,1\n2.png,0\n3.png,6\n")
    datasets.manifest(folder)
    listed = data.listed(folder)
    assert "left out 1 images of a defect without a mask" in capsys.readouterr().out
    assert listed.images.tolist() == [0, 1, 2]
    pool = data.images(folder, listed, size=64)
    assert pool.images.shape == (3, 64, 64)
    assert [pool.classes[c] for c in pool.labels].count("defect-free") == 2
    assert pool.masks.any((1, 2)).tolist().count(True) == 1


@pytest.mark.parametrize("shape", [(400, 400), (320, 480), (600, 400)])
def test_a_mask_takes_the_same_steps_as_its_picture(tmp_path, shape):
    """On rectangular pictures the mask met the defect with an IoU of .32 to .43."""
    folder = tmp_path / "own"
    (folder / "masks").mkdir(parents=True)
    image = np.random.default_rng(0).normal(90, 3, shape)
    mask = np.zeros(shape, bool)
    mask[180:260, 140:240] = True
    image[mask] += 90
    with_bar = np.vstack([image, bar("white on black", 24, shape[1])]).astype(np.uint8)
    Image.fromarray(with_bar).save(folder / "1.png")
    Image.fromarray(with_bar).save(folder / "0.png")
    Image.fromarray(np.uint8(np.vstack([mask, mask[:24] & False]))).save(folder / "masks" / "1.png")
    (folder / "labels.csv").write_text("file,label\n0.png,0\n1.png,1\n")
    datasets.manifest(folder)
    pool = data.images(folder, data.listed(folder), size=240)
    bright = pool.images[1] > 135
    assert (bright & pool.masks[1]).sum() / (bright | pool.masks[1]).sum() > 0.95
    assert data.reading(folder) == {"range": "stated", "bar": "auto"} == data.reading("synthetic")


def test_a_data_set_without_masks_is_refused(tmp_path):
    folder = tmp_path / "own"
    folder.mkdir()
    Image.fromarray(np.zeros((80, 90), np.uint8)).save(folder / "0.png")
    datasets.manifest(folder)
    assert "no labels or no masks" in data.unusable(folder, Prompts.load())


def test_carinthia_gets_neutral_prompts():
    assert data.prompts_of("carinthia-s").classes[-1] == "no visible defect"
    assert data.prompts_of("synthetic").classes[0] == "defect-free"


def test_burnt_in_text_changes_only_where_it_says(spots):
    images, _, _ = spots(3)
    written, places = data.burn_text(images, seed=1)
    assert places.any((1, 2)).all() and (written[places] != images[places]).any()
    assert np.array_equal(written[~places], images[~places])
    assert np.array_equal(written, data.burn_text(images, seed=1)[0])
