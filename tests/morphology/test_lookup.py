import json
from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from safetensors.torch import save_file

from semlib import paths
from semlib.__main__ import main
from semlib.images.preprocess import preprocess
from semlib.morphology import lookup, recipe, train
from semlib.morphology.encoder import Encoder


@pytest.fixture
def folder(tmp_path):
    """An own folder of eight images, as notebooks 01 to 04 leave it, with an encoder that was not trained."""
    rng = np.random.default_rng(0)
    place = tmp_path / "lot"
    place.mkdir()
    scans = [np.uint8(60 + 20 * i + rng.integers(0, 10, (40, 40))) for i in range(8)]
    for i, scan in enumerate(scans):
        Image.fromarray(scan).save(place / f"{i}.png")
    where = paths.of(place)
    torch.manual_seed(0)
    encoder = Encoder().eval()
    level0 = np.array([preprocess(scan, size=32) for scan in scans])
    where.ssl(0).mkdir(parents=True)
    np.save(where.level(0), level0)
    np.save(where.ssl(0) / "embeddings.npy", train.embed(encoder, level0, progress=False))
    save_file(encoder.state_dict(), where.ssl(0) / "encoder.safetensors")
    (where.ssl(0) / "config.json").write_text(
        json.dumps({"seed": 0, "recipe": asdict(recipe.find("paper"))})
    )
    rows = [(f"id{i}", f"{i}.png", "", "a" if i else "", "0") for i in range(8)]
    table = pd.DataFrame(rows, columns=["image_id", "path", "mask_path", "label", "sha256"])
    table.to_csv(where.manifest, index=False)
    return place


def test_an_image_of_the_data_set_finds_the_others_and_a_copy_of_it_finds_itself(folder, tmp_path):
    found, _ = lookup.similar(folder / "3.png", folder, count=3)
    assert "3.png" not in set(found["path"]) and set(found["path"][:2]) == {"2.png", "4.png"}
    copy = tmp_path / "copy.png"
    copy.write_bytes((folder / "3.png").read_bytes())
    found, _ = lookup.similar(copy, folder, count=3)
    assert found["path"][0] == "3.png" and found["distance"][0] == pytest.approx(0, abs=1e-4)
    stored = pd.read_csv(paths.of(folder).figures / "similar_copy.csv")
    assert list(stored) == ["rank", "image_id", "path", "label", "distance"] and stored[
        "rank"
    ].tolist() == [1, 2, 3]
    with Image.open(paths.of(folder).figures / "similar_copy.png") as sheet:
        assert min(sheet.size) > 100


def test_outliers_come_most_unusual_first(folder):
    where = paths.of(folder)
    embeddings = np.load(where.ssl(0) / "embeddings.npy")
    embeddings[5] += 100
    np.save(where.ssl(0) / "embeddings.npy", embeddings)
    found, _ = lookup.outliers(folder, count=4)
    assert found["path"][0] == "5.png" and len(found) == 4
    assert found["distance"].is_monotonic_decreasing
    assert (where.figures / "outliers.png").is_file() and (where.figures / "outliers.csv").is_file()


def test_commands_write_where_they_are_told_and_say_so(folder, tmp_path):
    out = tmp_path / "results" / "mine"
    for command in (
        ["similar", str(folder / "1.png"), "--count", "2"],
        ["outliers", "--count", "2"],
    ):
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
    (paths.of(folder).ssl(0) / "embeddings.npy").unlink()
    assert "run notebook 04" in said("outliers", "--dataset", str(folder))


def test_data_that_do_not_fit_together_are_refused(folder):
    np.save(paths.of(folder).ssl(0) / "embeddings.npy", np.zeros((3, 128)))
    with pytest.raises(ValueError, match="3 embeddings, 8 images, 8 rows.*run notebooks 01 to 04"):
        lookup.outliers(folder)
