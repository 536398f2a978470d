"""The command for Carinthia, whole, against a local server that has a simulated stand-in.

Nothing here is a result on Carinthia: the images are simulated, and every caption says so.
"""

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import zipfile

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageFilter

from semlib import paths
from semlib.images import datasets, read, simulator
from semlib.images.download import PUBLISHED

BOOKS = ["01", "02", "03", "04", "05", "06", "07"]
SOURCES = {name: f"a simulated stand-in for {name}" for name in PUBLISHED["archives"]}
SIMULATED = {"ssl_variants", "ssl_verdict", "semclip_cross_domain"}
SMALL = {
    "size": "64",
    "n_seeds": "1",
    "epochs": "1",
    "variant_size": "32",
    "candidates": "[paper, ours]",
    "draws": "2",
    "vgg_size": "32",
    "pca_components": "16",
    "ks": "[2, 6]",
    "n_robust": "8",
    "shots": "[1]",
    "n_test": "5",
    "ablation_shots": "[1]",
    "steps": "{SEM-CLIP: 1, APRIL-GAN: 1, U-Net: 1}",
    "cross": "{shots: 1, tests: 1, seeds: 1}",
}


@pytest.fixture
def clone(tmp_path):
    """A copy of the package and the notebooks: kernels, too, read the registry that lies in it."""
    for part in ("semlib", "notebooks"):
        shutil.copytree(paths.ROOT / part, tmp_path / "clone" / part)
    weights = paths.ROOT / "data" / "weights"  # not downloaded again for each test
    weights.mkdir(parents=True, exist_ok=True)
    paths.data_root().mkdir()
    (paths.data_root() / "weights").symlink_to(weights)
    return tmp_path / "clone"


@pytest.fixture
def register(clone, server):
    """Write the registry of the copy with local addresses; a given file gets its own checksum."""

    def write(files, class_totals):
        archives = {}
        for name, facts in PUBLISHED["archives"].items():
            path = f"/records/{name}/files/data.zip?download=1"
            archives[name] = facts | {"source": SOURCES[name], "url": server.root + path}
            server.bodies[path] = files.get(name, b"another file")
            if name in files:
                archives[name]["sha256"] = hashlib.sha256(files[name]).hexdigest()
                archives[name]["bytes"] = len(files[name])
        registry = {"class_totals": class_totals, "archives": archives}
        (clone / "semlib/images/archives.json").write_text(json.dumps(registry))

    return write


def start(clone, *options):
    """The command in a process of its own."""
    command = [sys.executable, "-m", "semlib", "reproduce", "--dataset", "carinthia"]
    environment = os.environ | {"PYTHONPATH": str(clone)}
    pipe = {"stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([*command, *options], cwd=clone, env=environment, **pipe)


def finished(process):
    """Exit code of a process and what it said; it does not outlive a test that is stopped."""
    try:
        said = process.communicate()[1]
    finally:
        process.kill()
    return process.returncode, said


def as_published(file):
    """Bytes of Carinthia, which has no masks, and of Carinthia-S, from one simulated archive."""
    content = {name: io.BytesIO() for name in PUBLISHED["archives"]}
    zips = {name: zipfile.ZipFile(file, "w") for name, file in content.items()}
    with zipfile.ZipFile(file) as source:
        for number, member in enumerate(source.namelist()):
            data = source.read(member)
            for name, target in zips.items():
                if member == f"data/{name}.csv" or member.startswith("data/images/"):
                    target.writestr(member, data)
            if member.startswith("data/masks/"):
                zips["carinthia-s"].writestr(member, unusual(data, number % 12))
    for target in zips.values():
        target.close()
    return {name: file.getvalue() for name, file in content.items()}


def unusual(data, number):
    """A mask as some of Carinthia-S are: in colour, with an opacity, or with soft edges."""
    mask = Image.open(io.BytesIO(data))
    if number < 4:
        mask = mask.convert("RGBA" if number < 2 else "RGB")
    elif number < 8:
        mask = mask.filter(ImageFilter.GaussianBlur(1))
    file = io.BytesIO()
    mask.save(file, "PNG")
    return file.getvalue()


def check_refused(process):
    """The archive is not the published one: nothing of it is left, and the command says so."""
    code, said = finished(process)
    place = paths.of("carinthia")
    assert code == 1 and "does not match the known hash" in said
    assert f"place it as {place.archive}" in said
    assert PUBLISHED["archives"]["carinthia"]["sha256"] in said
    assert list(place.raw.iterdir()) == [] and not place.manifest.exists()
    assert [file.name for file in place.notebooks.iterdir()] == ["01_download.failed.ipynb"]


def check_manifest(files):
    """Each row is an image of the archive, and its mask is what the file of Carinthia-S marks."""
    place = paths.of("carinthia")
    table = datasets.load_manifest("carinthia")
    images, masks = (zipfile.ZipFile(io.BytesIO(files[name])) for name in SOURCES)
    listed = pd.read_csv(images.open("data/carinthia.csv"), sep=";")
    assert [f"{name}.jpg" for name in table["image_id"]] == listed["file_name"].tolist()
    assert table["label"].tolist() == listed["label"].tolist()
    for row in table.itertuples():
        assert row.sha256 == hashlib.sha256(images.read(row.path)).hexdigest()
        file = Image.open(masks.open(f"data/masks/{row.image_id}.png")).convert("L")
        _, picture = read.listed(place.raw, row)
        mask = read.listed_mask(place.raw, row, picture)
        assert np.array_equal(mask, np.asarray(file) >= 128)
        assert mask.any() == (row.label != 6)


def check_figures(figures):
    """All that the paper has was made, and says where its images come from."""
    numbered = {file.stem.split("_")[0] for file in figures.glob("fig*.png")}
    assert numbered >= {"fig1", "fig2", "fig3", *(f"figS{i}" for i in range(1, 9))}
    assert len(pd.read_csv(figures / "table1.csv")) == 5
    stamped = {file.stem: Image.open(file).info.get("Source", "") for file in figures.glob("*.png")}
    del stamped["fig1_architecture"]  # a drawing without data
    captions = {file.stem: file.read_text() for file in figures.glob("*.md")}
    assert len(stamped) > 25 and len(captions) > 15
    for name, text in [*stamped.items(), *captions.items()]:
        assert ("simulator" if name in SIMULATED else SOURCES["carinthia"]) in text, name
        assert "Zenodo" not in text
    areas = pd.read_csv(figures / "semclip_segmentation.csv").set_index("method")
    assert 0 <= areas.loc["SEM-CLIP", "pAUROC"] <= 1, "there are defects to find"
    copies = [file.read_text() for file in sorted((figures / "notebooks").glob("*.ipynb"))]
    assert len(copies) == len(BOOKS) and f"- data: {SOURCES['carinthia']}" in copies[-1]


@pytest.mark.slow
def test_the_command_for_carinthia_from_the_download_to_the_last_table(
    server, clone, register, tmp_path
):
    small = [part for name, value in SMALL.items() for part in ("-p", name, value)]
    command = ["--profile", "quick", *small, "--only", *BOOKS]
    register({}, PUBLISHED["class_totals"])
    refused = start(clone, *command)  # its retries take 15 seconds
    archive = tmp_path / "simulated.zip"
    simulator.write_archive(archive, 72, seed=5, mix="teaching")
    files = as_published(archive)
    check_refused(refused)

    labels = pd.read_csv(io.BytesIO(zipfile.ZipFile(archive).read("data/carinthia.csv")), sep=";")
    register(files, labels["label"].value_counts().sort_index().tolist())
    server.seen.clear()
    server.cuts = [10_000]
    code, said = finished(start(clone, *command))
    assert code == 0, said
    assert "made no" not in said
    assert len(server.seen) == 3, "each archive once, and the first transfer was cut"
    assert all(headers["User-Agent"].startswith("semlib/") for headers in server.seen)
    check_manifest(files)
    check_figures(paths.of("carinthia").figures)

    code, said = finished(start(clone, *command))
    assert code == 0 and said.count("skipped: unchanged") == len(BOOKS), said
    assert len(server.seen) == 3, "nothing is downloaded twice"
