"""Real images: tiles, what may be learnt and what is tested, and the table, on generated files."""

import numpy as np
import pytest
from PIL import Image

from semlib.semclip import pixels, real, study, unet
from tests.conftest import real_sem

COMPOSITES, CRACKS, WAFER = real.NAMES


@pytest.fixture(scope="session")
def root(tmp_path_factory):
    """All three data sets, micrographs of 3 x 4 tiles, of which the left six hold a defect."""
    root, rng = tmp_path_factory.mktemp("real-sem"), np.random.default_rng(0)

    def write(folder, name, image):
        (root / folder).mkdir(exist_ok=True)
        Image.fromarray(image.astype(np.uint8)).save(root / folder / name, quality=95)

    for number in range(4):
        marks = np.zeros((360, 480), bool)
        for row in range(3):
            for column in range(2):
                top, left = (row, column) * np.array(120) + rng.integers(0, 80, 2)
                marks[top : top + 30, left : left + 30] = True
        image = rng.normal(100, 8, marks.shape).clip(0, 150)
        write(COMPOSITES, f"a_{number}.jpg", image + 100 * marks)
        write(COMPOSITES, f"a_{number}_mask.png", np.where(marks, 0, 255))
        layer = np.ones(marks.shape)
        layer[:120] = 0  # no oxide in the upper tiles
        write(CRACKS, f"specimen{number // 2}#1_{number}.png", image - 80 * marks)
        write(CRACKS, f"specimen{number // 2}#1_{number}_mask.png", layer * (1 + marks))
    for kind in ("inspected", "reference"):
        write(WAFER, f"case1_{kind}_image.png", rng.normal(100, 8, (480, 340)).clip(0, 255))
    return root


@pytest.fixture(scope="session")
def sets(root):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEMLIB_MICROGRAPHS", str(root))
        return real.pools()


def test_tiles_follow_the_masks(sets):
    pool, groups = sets[COMPOSITES]
    assert pool.images.shape == (48, 240, 240) and pool.counts().tolist() == [24, 24]
    assert (pool.masks.any((1, 2)) == (pool.labels == 1)).all()
    assert pool.images[pool.masks].mean() > 190
    assert pool.images[~pool.masks].mean() == pytest.approx(100, abs=2)
    area = pool.masks[pool.labels == 1].mean((1, 2))
    assert area == pytest.approx(30**2 / 120**2)  # repeated, not blurred
    assert set(groups) == {"a_0", "a_1", "a_2", "a_3"}


def test_cracks_are_sought_in_the_oxide_layer_alone(sets):
    pool, groups = sets[CRACKS]
    assert pool.counts().tolist() == [16, 16]  # the lower eight tiles of each
    assert pool.images[pool.masks].mean() < 30
    assert set(groups) == {"specimen0#1", "specimen1#1"}


def test_a_sliver_of_a_defect_makes_no_tile(tmp_path, monkeypatch):
    monkeypatch.setenv("SEMLIB_MICROGRAPHS", str(tmp_path))
    mask = np.full((120, 360), 255, np.uint8)
    mask[0, :5] = mask[:30, 130:160] = 0
    (tmp_path / COMPOSITES).mkdir()
    Image.fromarray(mask).save(tmp_path / COMPOSITES / "a_0_mask.png")
    Image.fromarray(mask).save(tmp_path / COMPOSITES / "a_0.jpg")
    assert real.pools()[COMPOSITES].pool.labels.tolist() == [0, 1]


def test_at_most_each_tiles_of_a_micrograph(root, monkeypatch):
    monkeypatch.setattr(real, "EACH", 2)
    monkeypatch.setenv("SEMLIB_MICROGRAPHS", str(root))
    pool, groups = real.pools()[COMPOSITES]
    assert len(pool.images) == 16 and (np.unique(groups, return_counts=True)[1] == 4).all()


def test_points_lie_whole_in_tiles_that_do_not_meet(sets):
    pool, groups = sets[WAFER]
    points = np.array(real.POINTS)
    apart = np.abs(points[:, None] - points[None]).max(2)[~np.eye(3, dtype=bool)]
    assert apart.min() >= real.WAFER_SIDE + 2 * real.JITTER
    masks = pool.masks[pool.labels == 1]
    assert len(masks) == 3
    assert set(masks.sum((1, 2))) == {16 * 197}  # pixels within 8 of a pixel, 4 x 4 each
    centres = [np.argwhere(mask).mean(0) for mask in masks]
    assert np.ptp(centres, axis=0).min() > 4  # not always at the same place
    assert groups[pool.labels == 1].tolist() == ["point 0", "point 1", "point 2"]
    assert set(groups[pool.labels == 0]) == {"inspected", "reference"}


@pytest.mark.parametrize("name", [COMPOSITES, CRACKS])
def test_no_group_gives_shots_and_tests(sets, name):
    tiles = sets[name]
    drawn = real.episodes(name, tiles)
    order = [(episode.k, episode.seed) for episode in drawn]
    assert order == [(k, seed) for k in (2, 4) for seed in range(3)]
    for two, four in zip(drawn[:3], drawn[3:], strict=True):
        assert not set(tiles.groups[four.support]) & set(tiles.groups[four.test])
        assert tiles.pool.labels[four.support].tolist() == [0] * 4 + [1] * 4
        assert set(two.support) < set(four.support) and np.array_equal(two.test, four.test)
        assert np.bincount(tiles.pool.labels[four.test]).max() <= 20
    again = real.episodes(name, tiles)
    assert all(np.array_equal(a.support, b.support) for a, b in zip(drawn, again, strict=True))


def test_the_tested_point_is_left_out(sets):
    tiles = sets[WAFER]
    drawn = real.episodes(WAFER, tiles, seeds=range(5))
    assert [(episode.k, episode.seed) for episode in drawn] == [(2, 0), (2, 1), (2, 2)]
    for point, episode in enumerate(drawn):
        shots = {"point 0", "point 1", "point 2", "reference"} - {f"point {point}"}
        assert set(tiles.groups[episode.support]) == shots
        assert set(tiles.groups[episode.test]) == {"inspected", f"point {point}"}


def test_too_few_tiles_for_two_halves(sets):
    with pytest.raises(ValueError, match="no halves of the groups .*a_3.* hold 13 tiles"):
        real.episodes(COMPOSITES, sets[COMPOSITES], shots=(2, 13))


@pytest.mark.parametrize("suffix", [".tif", ".PNG"])
def test_tiles_do_not_depend_on_the_suffix(root, sets, tmp_path, monkeypatch, suffix):
    """Fetched files are TIFF, some of them in three equal channels."""
    (tmp_path / CRACKS).mkdir()
    for file in (root / CRACKS).glob("*.png"):
        picture = Image.open(file)
        picture = picture if file.stem.endswith("_mask") else picture.convert("RGB")
        picture.save((tmp_path / CRACKS / file.name).with_suffix(suffix))
    monkeypatch.setenv("SEMLIB_MICROGRAPHS", str(tmp_path))
    pool = real.pools()[CRACKS].pool
    assert np.array_equal(pool.images, sets[CRACKS].pool.images)
    assert np.array_equal(pool.masks, sets[CRACKS].pool.masks)


def test_absent_folders_are_said_and_left_out(tmp_path, spots_backbone, capsys, monkeypatch):
    monkeypatch.setenv("SEMLIB_MICROGRAPHS", str(tmp_path))
    sets = real.pools()
    said = capsys.readouterr().out
    assert sets == {} and "left out: real micrographs (nanocomposites, nasa_micronet, pat" in said
    assert "python -m semlib fetch micrographs" in said
    table, differences, panels = real.evaluate(spots_backbone, sets, folder=tmp_path)
    assert table.empty and differences.empty and not panels


def test_a_missing_image_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("SEMLIB_MICROGRAPHS", str(tmp_path))
    (tmp_path / COMPOSITES).mkdir()
    Image.new("L", (240, 120)).save(tmp_path / COMPOSITES / "a_0_mask.png")
    with pytest.raises(FileNotFoundError, match="nanocomposites has no image a_0"):
        real.pools()


@pytest.mark.slow
def test_table_and_examples(sets, tmp_path, spots_backbone, monkeypatch):
    monkeypatch.setattr(study, "vgg_features", lambda *_, **__: None)  # no weights of VGG16
    monkeypatch.setattr(real, "unet", lambda: unet.unet(steps=2, side=64, crop=32))
    few = {name: sets[name] for name in (COMPOSITES, WAFER)}
    whole, paired, shown = real.evaluate(spots_backbone, few, seeds=range(1), folder=tmp_path)
    assert list(whole)[0] == "dataset"
    table = whole[whole["k"] == 4].set_index(["dataset", "method"])
    names = {"SEM-CLIP", "SEM-CLIP, zero-shot", "WinCLIP (zero-shot)", "WinCLIP+"}
    assert names | {"APRIL-GAN", "U-Net", *real.SHOWN[:-1]} <= set(table.loc[COMPOSITES].index)
    assert table.loc[COMPOSITES, "episodes"].eq(1).all()
    assert paired["k"].tolist() == [4 if name == COMPOSITES else 2 for name in paired["dataset"]]
    paired = paired.set_index(["dataset", "competitor", "metric"])
    for rival in ("random forest", "U-Net", "SEM-CLIP"):
        for score in ("pAUROC", "F1-max"):
            means = table.loc[[(COMPOSITES, pixels.NAME), (COMPOSITES, rival)], score]
            gained = paired.loc[(COMPOSITES, rival, score), "difference"]
            assert gained == pytest.approx(-np.diff(means)[0])
    assert table.loc[(COMPOSITES, "SEM-CLIP"), "pAUROC"] > 0.9  # bright squares
    assert table.loc[WAFER].index.tolist() == ["all"]
    assert np.isnan(table.loc[(WAFER, "all"), "AP"])
    assert "not possible" in table.loc[(WAFER, "all"), "note"]
    assert [image.shape for image in shown["images"]] == [(240, 240)] * 2
    assert all(mask.any() for mask in shown["masks"])
    assert {name: np.shape(some) for name, some in shown["maps"].items()} == dict.fromkeys(
        real.SHOWN[:-1], (2, 240, 240)
    )
    assert shown["names"] == ["nanocomposites\n4 shots", "patterned_wafer\n2 shots"]


@pytest.mark.parametrize(("name", "groups"), [(COMPOSITES, 8), (CRACKS, 9), (WAFER, 5)])
@pytest.mark.slow
def test_the_real_files(name, groups, monkeypatch):
    monkeypatch.setenv("SEMLIB_MICROGRAPHS", str(real_sem()))
    tiles = real.pools()[name]
    assert len(set(tiles.groups)) == groups
    free, defective = (tiles.pool.take(tiles.pool.labels == label) for label in (0, 1))
    assert min(len(free.images), len(defective.images)) >= 3
    assert free.masks.mean() == 0 < defective.masks.mean() < 0.3
    for episode in real.episodes(name, tiles):
        assert not set(episode.support) & set(episode.test)
        assert np.bincount(tiles.pool.labels[episode.test], minlength=2).min() >= 1
