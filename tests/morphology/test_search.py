import hashlib
import json
import shutil
from dataclasses import asdict
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import tifffile
import torch
from click.testing import CliRunner
from PIL import Image
from safetensors.torch import save_file
from scipy.spatial.distance import cdist
from scipy.stats import energy_distance

from semlib import paths, plots
from semlib.__main__ import main
from semlib.images import datasets, preprocess
from semlib.morphology import features, recipes, search
from semlib.morphology.encoder import Encoder, embed
from tests.images.own_files import bar


def prepared(lot, **options):
    """Own images as notebooks 01 to 04 leave them, with an untrained encoder."""
    place = paths.of(lot)
    datasets.manifest(lot)
    level0 = np.load(preprocess.preprocess_dataset(lot, **{"size": 32} | options))
    torch.manual_seed(0)
    encoder = Encoder().eval()
    place.ssl(0).mkdir(parents=True)
    np.save(place.ssl(0) / "embeddings.npy", embed(encoder, level0, progress=False))
    save_file(encoder.state_dict(), place.ssl(0) / "encoder.safetensors")
    digest = hashlib.sha256(level0).hexdigest()
    config = {"seed": 0, "recipe": asdict(recipes.METHODS["paper"]), "data": digest}
    (place.ssl(0) / "config.json").write_text(json.dumps(config))
    return lot


@pytest.fixture
def folder(tmp_path):
    """Eight own images, all but the first labelled."""
    rng = np.random.default_rng(0)
    lot = tmp_path / "lot"
    lot.mkdir()
    for i in range(8):
        scan = np.uint8(60 + 20 * i + rng.integers(0, 10, (40, 40)))
        Image.fromarray(scan).save(lot / f"{i}.png")
    names = "".join(f"{i}.png,a\n" for i in range(1, 8))
    (lot / "labels.csv").write_text(f"file,label\n{names}")
    return prepared(lot)


@pytest.mark.slow
def test_an_image_of_the_data_set_finds_the_others_and_a_copy_of_it_finds_itself(folder, tmp_path):
    table, _ = search.similar(folder / "3.png", folder, count=3)
    assert "3.png" not in set(table["path"]) and set(table["path"][:2]) == {"2.png", "4.png"}
    table = of_a_copy(folder, "3.png", tmp_path)
    assert table["path"][0] == "3.png" and table["distance"][0] == pytest.approx(0, abs=1e-4)
    stored = pd.read_csv(paths.of(folder).figures / "similar_copy.csv")
    assert list(stored) == ["rank", "image_id", "path", "label", "distance"]
    assert stored["rank"].tolist() == [1, 2, 3]
    with Image.open(paths.of(folder).figures / "similar_copy.png") as sheet:
        assert min(sheet.size) > 100


@pytest.fixture
def sheets(monkeypatch):
    """What contact sheets show, without the time that drawing takes."""
    asked = []

    def drawn(images, titles, **options):
        asked.append({"images": images, "titles": titles} | options)
        return plt.figure(figsize=(1, 1), dpi=20)

    monkeypatch.setattr(plots, "image_grid", drawn)
    return asked


def of_a_copy(lot, name, elsewhere, **options):
    """The table of `similar` for a copy, outside the lot, of one of its pictures."""
    copy = (elsewhere / "copy").with_suffix(Path(name).suffix)
    copy.write_bytes((lot / name).read_bytes())
    return search.similar(copy, lot, count=3, **options)[0]


@pytest.mark.slow
@pytest.mark.parametrize("options", [{"intensity": "stretch"}, {"border": 20, "size": 48}])
@pytest.mark.parametrize("kind", ["8 bits", "16 bits with a bar"])
def test_a_copy_is_read_as_the_run_read_its_pictures(tmp_path, sheets, options, kind):
    """It was read with a border of 4, without stretch and by the range of its own depth."""
    lot = tmp_path / "lot"
    lot.mkdir()
    for number in range(4):
        noise = np.random.default_rng(number).normal(100, 3, (120, 160))
        stripes = 30 * np.sin(np.arange(160) / (2 + 3 * number))
        picture = np.rint(noise + stripes).astype(np.uint8)
        if kind != "8 bits":
            picture = np.concatenate([picture, bar("white on black", 20, 160)])
        if kind != "8 bits" and number % 2:
            tifffile.imwrite(lot / f"{number}.tif", picture.astype(np.uint16) * 16)
        else:
            tifffile.imwrite(lot / f"{number}.tif", picture)
    prepared(lot, **options)
    for name in ("1.tif", "2.tif"):
        table = of_a_copy(lot, name, tmp_path)
        assert table["path"][0] == name
        assert table["distance"][0] == pytest.approx(0, abs=1e-4)
        assert table["distance"][1] > 1e-3


def test_the_bar_of_the_query_is_cut_as_told(folder, tmp_path, sheets, monkeypatch):
    read = []
    monkeypatch.setattr(preprocess, "like", lambda path, lot, bar: read.append(bar) or (blank, 0))
    blank = np.zeros((32, 32), np.uint8)
    for bar_option in ("0,12", "none"):
        of_a_copy(folder, "1.png", tmp_path, bar=bar_option)
    assert read == [(0, 12), "none"]
    with pytest.raises(ValueError, match="bar is 'off': use auto, none, or the rows"):
        search.similar(tmp_path / "no.png", folder, bar="off")


def test_scale_bars_stand_where_the_pixel_size_is_known(folder, sheets):
    """3 nm a pixel, 40 - 2 x 4 of which became 32: the pixels on the sheet have 3 nm, too."""
    stated = "$CM_FULL_SIZE 40 40\n$SM_MICRON_BAR 10\n$SM_MICRON_MARKER 30nm\n"
    (folder / "2.txt").write_text(stated)
    shutil.rmtree(paths.of(folder).data)
    search.outliers(prepared(folder))
    names = [title.splitlines()[0].partition(" ")[2] for title in sheets[0]["titles"]]
    expected = {str(i): 3.0 if i == 2 else 0.0 for i in range(8)}
    assert dict(zip(names, sheets[0]["pixel_nm"], strict=True)) == expected


def test_a_run_of_other_settings_and_one_before_they_were_kept_are_refused(folder):
    preprocess.preprocess_dataset(folder, size=32, border=8)
    with pytest.raises(ValueError, match="mixes different runs: run notebooks 01 to 04"):
        search.outliers(folder)
    paths.of(folder).level(0).with_suffix(".json").unlink()
    with pytest.raises(FileNotFoundError, match=r"level0\.json is missing.*run notebook 02 again"):
        search.outliers(folder)


def test_outliers_come_most_unusual_first(folder):
    place = paths.of(folder)
    embeddings = np.load(place.ssl(0) / "embeddings.npy")
    embeddings[5] += 100
    np.save(place.ssl(0) / "embeddings.npy", embeddings)
    table, _ = search.outliers(folder, count=4)
    assert table["path"][0] == "5.png" and len(table) == 4
    assert table["distance"].is_monotonic_decreasing
    assert (place.figures / "outliers.png").is_file() and (place.figures / "outliers.csv").is_file()


def test_commands_write_where_they_are_told_and_say_so(folder, tmp_path):
    out = tmp_path / "results" / "mine"
    for command in (["similar", str(folder / "1.png")], ["outliers"]):
        command += ["--count", "2"]
        result = CliRunner().invoke(main, [*command, "--dataset", str(folder), "--out", str(out)])
        assert result.exit_code == 0, result.output
        assert f"{out}.png" in result.output and len(pd.read_csv(f"{out}.csv")) == 2
        out.with_name("mine.png").unlink()


def test_what_is_missing_is_named(folder, tmp_path):
    def said(*arguments):
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == 2 and result.output.count("\n") == 1, result.output
        return result.output

    assert "no such image" in said("similar", str(tmp_path / "none.png"), "--dataset", str(folder))
    latin = str(tmp_path / "\udce9.png")  # the byte E9 of Latin-1
    assert r"\udce9.png' is not UTF-8: rename it" in said("similar", latin)
    (paths.of(folder).ssl(0) / "embeddings.npy").unlink()
    assert "run notebook 04" in said("outliers", "--dataset", str(folder))


def test_data_that_do_not_fit_together_are_refused(folder):
    np.save(paths.of(folder).ssl(0) / "embeddings.npy", np.zeros((3, 128)))
    with pytest.raises(ValueError, match="different runs: run notebooks 01 to 04"):
        search.outliers(folder)


def test_neighbours_by_hand_and_by_brute_force():
    points = np.array([[0.0], [10], [1], [-3]])
    indices, distances = search.neighbours(points, 2)
    assert indices[0].tolist() == [2, 3] and distances[0].tolist() == [1, 3]
    indices, _ = search.neighbours(points, 9, [[0.4]])
    assert indices.tolist() == [[0, 2, 3, 1]]
    cloud = np.random.default_rng(0).normal(size=(80, 6))
    slow = np.sort(cdist(cloud, cloud), axis=1)[:, 1:11]
    np.testing.assert_allclose(search.neighbours(cloud, 10)[1], slow)


def test_no_point_is_its_own_neighbour_even_among_duplicates():
    indices, distances = search.neighbours(np.ones((5, 3)), 3)
    assert not (indices == np.arange(5)[:, None]).any() and (distances == 0).all()
    assert all(len(set(row)) == 3 for row in indices.tolist())


def test_unusualness_by_hand_and_a_pair_does_not_hide_itself():
    points = np.array([[0.0], [1], [2], [50], [50.1]])
    distances = search.unusualness(points, count=2)
    np.testing.assert_allclose(distances, [1.5, 1, 1.5, (0.1 + 48) / 2, (0.1 + 48.1) / 2])
    assert set(np.argsort(distances)[-2:]) == {3, 4}
    assert len(search.unusualness(points[:3], count=20)) == 3


def test_energy_distance_equals_scipy_in_one_dimension():
    rng = np.random.default_rng(0)
    first = rng.normal(size=30)
    second = rng.normal(size=20) + 0.5
    test = search.drift(first[:, None], second[:, None], draws=9)
    assert test["energy"] == pytest.approx(energy_distance(first, second) ** 2)


def test_drift_is_found_where_there_is_one():
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, 60, 5))
    assert search.drift(first, second + 1, draws=99)["p"] == pytest.approx(1 / 100)
    wider = search.drift(first, 3 * second, draws=99)  # a change of spread alone
    assert wider["p"] == pytest.approx(1 / 100)
    same = search.drift(first, first, draws=99)
    assert same["energy"] == pytest.approx(0, abs=1e-12) and same["p"] == 1


def test_p_is_even_without_drift():
    rng = np.random.default_rng(0)
    p = [search.drift(*rng.normal(size=(2, 25, 3)), draws=99, seed=i)["p"] for i in range(60)]
    assert np.mean(p) == pytest.approx(0.5, abs=0.12) and np.mean(np.array(p) <= 0.1) < 0.25


def finished(seed, epochs=3, method="paper"):
    folder = paths.of("synthetic").ssl(seed, method)
    folder.mkdir(parents=True)
    np.save(folder / "embeddings.npy", np.full((4, 2), seed))
    config = {"seed": seed, "epochs": epochs, "data": "digest", "levels": [64, 32, 16]}
    (folder / "config.json").write_text(json.dumps(config))


def test_trainings_go_on_while_the_settings_are_those_of_the_first():
    for seed, epochs in ((0, 9), (1, 3), (2, 3), (3, 5)):
        finished(seed, epochs)
    assert [folder.name for folder in search.trainings("synthetic", 1)] == ["seed-1", "seed-2"]
    assert [folder.name for folder in search.trainings("synthetic")] == ["seed-0"]


def test_trainings_of_ours_are_read_where_they_saw_what_the_papers_saw():
    """An older run of other sizes may have left some: they are of other images."""
    finished(0)
    finished(1)
    assert search.trainings_of_ours("synthetic") == []
    finished(0, method="ours")
    finished(1, epochs=9, method="ours")
    assert [folder.name for folder in search.trainings_of_ours("synthetic")] == ["seed-0"]
    assert search.trainings_of_ours("synthetic", 1) == []


def test_methods_are_all_that_the_notebooks_stored():
    with pytest.raises(FileNotFoundError, match="run notebook 04"):
        search.methods("synthetic")
    finished(0)
    with pytest.raises(FileNotFoundError, match="run notebook 05"):
        search.methods("synthetic")
    for name in features.BASELINES.values():
        with paths.atomic(paths.of("synthetic").features(name)) as temporary:
            np.save(temporary, np.ones((4, 3)))
    embeddings = search.methods("synthetic")
    assert list(embeddings) == ["Proposed SSL", *features.BASELINES]
    assert len(embeddings["Proposed SSL"]) == 1 and embeddings["LBP"].shape == (4, 3)
