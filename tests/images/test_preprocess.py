"""Cropping, resizing, intensities, and a whole data set with bad images in it."""

import json
import threading

import numpy as np
import pytest
from PIL import Image

from semlib import paths
from semlib.images import read
from semlib.images.datasets import load_manifest, manifest
from semlib.images.preprocess import preprocess, preprocess_dataset, settings
from semlib.workers import threads


def noise(shape, seed=0):
    return np.random.default_rng(seed).integers(20, 200, shape, dtype=np.uint8)


def spoil(file):
    """Cut an image file in the middle."""
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])


def test_without_resizing_only_the_border_goes():
    image = noise((72, 72))
    np.testing.assert_array_equal(preprocess(image, border=4, size=64), image[4:-4, 4:-4])


def test_the_near_black_columns_leave_no_trace():
    image = noise((480, 480))
    black = image.copy()
    black[:, -3:] = 5
    np.testing.assert_array_equal(preprocess(black), preprocess(image))
    assert preprocess(image).shape == (512, 512)


@pytest.mark.parametrize("name", ["incubit_gt_0.png", "incubit_gt_1.png", "incubit_gt_2.png"])
def test_the_near_black_columns_of_the_real_images_go(name):
    file = paths.ROOT.parent / "shared/real-sem/carinthia" / name
    if not file.exists():
        pytest.skip("../shared/real-sem is not here")
    image = read.image(file).uint8()
    assert image.shape == (480, 480)
    assert image[:, -3:].max() <= 12
    assert preprocess(image)[:, -1].mean() > 80


@pytest.mark.parametrize("shape", [(40, 64), (64, 40)])
def test_a_rectangle_is_cut_to_its_central_square(shape):
    image = noise(shape)
    top = (shape[0] - 40) // 2
    left = (shape[1] - 40) // 2
    np.testing.assert_array_equal(
        preprocess(image, border=0, size=40), image[top : top + 40, left : left + 40]
    )


def test_resizing_is_bicubic():
    """Keys' cubic (a = -0.5) written out for one row of a twofold enlargement."""
    image = np.tile(np.array([10, 40, 200, 90, 60, 70, 80, 30], dtype=np.uint8), (8, 1))
    left = np.array([-0.0234375, 0.2265625, 0.8671875, -0.0703125])
    row = np.pad(image[0].astype(float), 2, mode="edge")
    result = preprocess(image, border=0, size=16)[8]
    for k in range(2, 6):
        window = row[k : k + 4]
        assert abs(result[2 * k] - window @ left) <= 1
        assert abs(result[2 * k + 1] - row[k + 1 : k + 5] @ left[::-1]) <= 1


def test_stretch_maps_the_percentiles_to_the_full_range():
    image = np.random.default_rng(0).normal(100, 8, (256, 256)).clip(0, 255).astype(np.uint8)
    low, high = np.percentile(image, (1, 99), method="inverted_cdf")
    expected = np.clip((image.astype(float) - low) / (high - low), 0, 1) * 255
    result = preprocess(image, border=0, size=256, intensity="stretch")
    assert np.abs(result - expected).max() <= 0.5
    assert (result.min(), result.max()) == (0, 255)


def test_stretch_of_an_almost_constant_image_uses_its_extremes():
    image = np.full((64, 64), 7, np.uint8)
    image[30, 30] = 6
    image[40, 40] = 9
    result = preprocess(image, border=0, size=64, intensity="stretch")
    assert (result[30, 30], result[0, 0], result[40, 40]) == (0, 85, 255)


@pytest.mark.parametrize("value", [0, 255])
@pytest.mark.parametrize("intensity", ["full", "stretch"])
def test_a_constant_image_is_an_error(value, intensity):
    image = np.full((64, 64), value, np.uint8)
    image[:, -3:] = 9
    with pytest.raises(ValueError, match=rf"constant \(all {value}\)"):
        preprocess(image, size=64, intensity=intensity)


@pytest.mark.parametrize(
    "image, options, message",
    [
        (noise((64, 64)).astype(float), {}, "float64"),
        (noise((64, 64, 3)), {}, r"\(64, 64, 3\)"),
        (noise((8, 64)), {}, "8 x 64 pixels: a border of 4"),
        (noise((64, 64)), {"border": -1}, "border -1"),
        (noise((64, 64)), {"size": 0}, "size 0"),
        (noise((64, 64)), {"intensity": "auto"}, "intensity 'auto'"),
    ],
)
def test_bad_input_is_named(image, options, message):
    with pytest.raises(ValueError, match=message):
        preprocess(image, **options)


@pytest.fixture
def own(tmp_path):
    """A folder of 70 small images of mixed sizes, with its manifest."""
    folder = tmp_path / "own"
    folder.mkdir()
    for k in range(70):
        Image.fromarray(noise((30 + k % 9, 40), seed=k)).save(folder / f"{k:02d}.png")
    manifest(folder)
    return folder


def test_rows_follow_the_manifest_whatever_the_number_of_threads(own, monkeypatch):
    table = load_manifest(own)
    expected = [preprocess(read.image(own / path).uint8(), size=32) for path in table["path"]]
    for cores in (1, 3):
        monkeypatch.setattr("os.cpu_count", lambda cores=cores: cores)
        file = preprocess_dataset(own, size=32)
        level0 = np.load(file, mmap_mode="r")
        assert (level0.shape, level0.dtype) == ((70, 32, 32), np.uint8)
        np.testing.assert_array_equal(level0, expected)
    assert file == paths.of(own).level(0)


def test_options_reach_every_image(own):
    level0 = np.load(preprocess_dataset(own, border=2, size=16, intensity="stretch"))
    expected = preprocess(
        read.image(own / "33.png").uint8(), border=2, size=16, intensity="stretch"
    )
    np.testing.assert_array_equal(level0[33], expected)


def spoil_three(own):
    spoil(own / "05.png")
    Image.fromarray(np.zeros((40, 40), np.uint8)).save(own / "40.png")
    (own / "69.png").unlink()


def test_bad_images_are_listed_together_and_nothing_is_written(own):
    spoil_three(own)
    with pytest.raises(ValueError, match="3 of 70 images cannot be used: .*skip_bad") as error:
        preprocess_dataset(own, size=32)
    truncated, black, gone = str(error.value).splitlines()[1:]
    assert f"{own / '05.png'}: not a readable image" in truncated
    assert f"{own / '40.png'}: constant (all 0)" in black
    assert f"{own / '69.png'}: no such image" in gone
    assert [file.name for file in paths.of(own).data.iterdir()] == ["manifest.csv"]


def test_only_the_first_ten_bad_images_are_listed(own):
    for k in range(12):
        spoil(own / f"{k:02d}.png")
    with pytest.raises(ValueError, match="12 of 70") as error:
        preprocess_dataset(own, size=32)
    assert str(error.value).count("not a readable image") == 10
    assert str(error.value).endswith("and 2 more")


def test_bad_images_can_be_left_out(own, capsys):
    spoil_three(own)
    level0 = np.load(preprocess_dataset(own, size=32, skip_bad=True))
    table = load_manifest(own)
    assert len(level0) == len(table) == 67
    assert not {"05", "40", "69"} & set(table["image_id"])
    np.testing.assert_array_equal(
        level0[66], preprocess(read.image(own / "68.png").uint8(), size=32)
    )
    listed = (paths.of(own).data / "skipped.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in listed] == ["image_id", "05", "40", "69"]
    assert "3 images left out" in capsys.readouterr().out


def test_a_second_run_keeps_the_list_and_adds_to_it(own):
    spoil_three(own)
    preprocess_dataset(own, size=32, skip_bad=True)
    spoil(own / "11.png")
    assert len(np.load(preprocess_dataset(own, size=32, skip_bad=True))) == 66
    listed = (paths.of(own).data / "skipped.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in listed] == ["image_id", "05", "40", "69", "11"]


def test_a_new_manifest_takes_repaired_images_back(own):
    spoil(own / "05.png")
    preprocess_dataset(own, size=32, skip_bad=True)
    Image.fromarray(noise((30, 30))).save(own / "05.png")
    assert len(manifest(own)) == 70
    assert not (paths.of(own).data / "skipped.csv").exists()
    assert len(np.load(preprocess_dataset(own, size=32))) == 70


def test_no_image_left_is_an_error(tmp_path):
    (tmp_path / "a.png").touch()
    manifest(tmp_path)
    with pytest.raises(ValueError, match="1 of 1 images cannot be used: no image is left"):
        preprocess_dataset(tmp_path, skip_bad=True)


def test_a_wrong_option_is_an_error(own):
    with pytest.raises(ValueError, match="^border 4, size 512, intensity 'auto': need"):
        preprocess_dataset(own, intensity="auto", skip_bad=True)


def test_without_a_manifest_it_says_so(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"manifest\.csv is missing"):
        preprocess_dataset("carinthia")


def test_an_interrupted_run_leaves_the_old_file(own, monkeypatch):
    before = preprocess_dataset(own, size=32).read_bytes()
    made = settings(own)
    lock = threading.Lock()
    calls = []
    image = read.image

    def interrupted(path, **options):
        with lock:
            calls.append(path)
        if len(calls) > 30:
            raise KeyboardInterrupt
        return image(path, **options)

    monkeypatch.setattr(read, "image", interrupted)
    with pytest.raises(KeyboardInterrupt):
        preprocess_dataset(own, size=16)
    place = paths.of(own)
    assert place.level(0).read_bytes() == before
    assert settings(own) == made and made["size"] == 32
    names = sorted(file.name for file in place.data.iterdir())
    assert names == ["level0.json", "level0.npy", "manifest.csv"]


def test_how_it_was_read_never_lies_beside_pixels_of_other_settings(own, monkeypatch):
    """Killed between the two files, a run leaves the new pixels without a word on them."""
    preprocess_dataset(own, size=32, border=2)
    expected = {"border": 2, "size": 32, "intensity": "full", "range": "stated"}
    assert settings(own) == expected | {"pixel_nm": [0.0] * 70}
    dumps = json.dumps
    monkeypatch.setattr(json, "dumps", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        preprocess_dataset(own, size=16)
    assert np.load(paths.of(own).level(0)).shape[1] == 16
    with pytest.raises(FileNotFoundError, match=r"level0\.json is missing.*run notebook 02 again"):
        settings(own)
    monkeypatch.setattr(json, "dumps", dumps)
    preprocess_dataset(own, size=16)
    assert settings(own)["size"] == 16


def test_threads_stay_close_ahead_of_the_writer():
    started = []
    results = threads(lambda k: started.append(k) or k, list(range(500)), workers=2)
    for consumed, value in enumerate(results):
        assert value == consumed
        assert len(started) <= consumed + 64
    assert len(started) == 500


def test_a_file_called_like_a_missing_value_shifts_no_row(tmp_path):
    """pandas reads NA as missing: the file that was left out then stayed in the manifest."""
    for name in ("1.png", "2.png"):
        Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(tmp_path / name)
    (tmp_path / "NA.png").write_bytes(b"no image")
    manifest(tmp_path)
    level0 = np.load(preprocess_dataset(tmp_path, border=0, size=8, skip_bad=True))
    assert load_manifest(tmp_path)["image_id"].tolist() == ["1", "2"]
    assert len(level0) == 2
