"""Images by the million: the same values with and without Dask, whatever dies on the way."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pandas as pd
import pytest
import tifffile
from click.testing import CliRunner
from PIL import Image
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score, silhouette_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from semlib import bulk, chunks, paths
from semlib.__main__ import main
from semlib.images import datasets, read
from semlib.images.preprocess import preprocess, preprocess_dataset
from semlib.morphology import clustering, features, recipes, train
from semlib.morphology.encoder import embed
from semlib.semnr import dists, trust
from tests.images.own_files import bar, scan


def call(*arguments, code=0):
    """What `semlib bulk` says, and that it ends with this exit code."""
    result = CliRunner().invoke(main, ["bulk", *map(str, arguments)])
    assert result.exit_code == code, result.output
    return result.output


def run(listing, out, *stages, code=0, size=32, chunk=4, **options):
    """`semlib bulk run` with small chunks of small images, without Dask if not told otherwise."""
    options |= {"out": out, "size": size, "chunk": chunk}
    options |= {} if {"scheduler", "workers"} & options.keys() else {"workers": 0}
    named = [text for name, value in options.items() for text in (f"--{name}", value)]
    return call("run", listing, *stages, *named, code=code)


def write_images(folder, count, size=40, seed=0):
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    names = [f"{i:03d}.png" for i in range(count)]
    for name in names:
        Image.fromarray(rng.integers(0, 256, (size, size), dtype=np.uint8)).save(folder / name)
    return names


def write_csv(file, columns, rows):
    pd.DataFrame(rows, columns=columns).to_csv(file, index=False)
    return file


@pytest.fixture
def listing(tmp_path):
    """A manifest of ten images, the sixth of them broken, the last with a comma in its name."""
    names = write_images(tmp_path / "lot", 10)
    (tmp_path / "lot" / names[5]).write_bytes(b"no image")
    (tmp_path / "lot" / names[9]).rename(tmp_path / "lot" / "009, last.png")
    rows = enumerate([*names[:9], "009, last.png"])
    return write_csv(tmp_path / "lot" / "images.csv", ["id", "path"], rows)


@pytest.fixture
def encoder(tmp_path):
    """Folder of a training of one epoch on six images."""
    return trained(tmp_path / "ssl")


def trained(folder, seed=0):
    fine = np.random.default_rng(0).integers(0, 256, (6, 32, 32), dtype=np.uint8)
    levels = [fine, fine[:, ::2, ::2], fine[:, ::4, ::4]]
    train.train(levels, folder, epochs=1, batch_size=6, seed=seed, device="cpu", progress=False)
    return folder


def contents(folder):
    files = [file for file in sorted(folder.rglob("*")) if file.is_file()]
    return {file.relative_to(folder): file.read_bytes() for file in files}


def whole(folder):
    reader = chunks.Chunks(folder)
    return np.concatenate([reader.load(index) for index in range(reader.count)])


# without Dask


def test_values_are_those_of_the_functions_of_the_notebooks(listing, encoder, tmp_path):
    names = ["preprocess", "glcm", "lbp", "wavelet", "embed"]
    said = run(listing, tmp_path / "out", *names, encoder=encoder)
    for name in names:
        told = "10 rows in 3 chunks (3 computed now), 1 rows empty, see skipped.csv"
        assert f"{tmp_path / 'out'}/{name}: {told}" in said
    good = [i for i in range(10) if i != 5]
    files = sorted(listing.parent.glob("*.png"))
    images = np.array([preprocess(read.image(files[i]).uint8(), size=32) for i in good])
    expected = {name: getattr(features, name)(images, progress=False) for name in names[1:4]}
    expected["preprocess"] = images
    expected["embed"] = embed(recipes.load_encoder(encoder), images, progress=False)
    for name in names:
        values = whole(tmp_path / "out" / name)
        assert values.dtype == expected[name].dtype
        np.testing.assert_allclose(values[good], expected[name], rtol=1e-5, atol=1e-6)
        assert (values[5] == 0).all() if name == "preprocess" else np.isnan(values[5]).all()


def test_images_of_a_mixed_folder_are_those_of_notebook_02(tmp_path):
    """16 bits beside 8, a hot pixel, MinIsWhite and a data bar: one rule for range and bar."""
    lot = tmp_path / "lot"
    lot.mkdir()
    for number in range(6):
        picture = scan(number).astype(np.uint16) * 8 + 2000
        picture[60, 60] = 65535
        options = {"photometric": "miniswhite"} if number == 3 else {}
        tifffile.imwrite(lot / f"{number}.tif", 65535 - picture if options else picture, **options)
    for number in (1, 4):
        (lot / f"{number}.tif").unlink()
        below = np.concatenate([scan(number), bar("white on black", 40)])
        Image.fromarray(below).save(lot / f"{number}.png")
    datasets.manifest(lot)
    expected = np.load(preprocess_dataset(lot, size=32, border=2))
    listing = paths.of(lot).manifest
    run(listing, tmp_path / "out", "preprocess", root=lot, border=2)
    np.testing.assert_array_equal(whole(tmp_path / "out" / "preprocess"), expected)
    assert np.ptp(expected.mean(axis=(1, 2))) < 2
    made = json.loads((tmp_path / "out" / "preprocess" / "settings.json").read_text())
    assert (made["range"], made["bar"]) == ("quantiles", "auto")
    run(listing, tmp_path / "cut", "preprocess", root=lot, bar="0,60")
    datasets.manifest(lot, bar=(0, 60))
    expected = np.load(preprocess_dataset(lot, size=32))
    np.testing.assert_array_equal(whole(tmp_path / "cut" / "preprocess"), expected)


def test_broken_image_is_listed_and_done_again_when_repaired(listing, tmp_path):
    run(listing, tmp_path / "out", "lbp")
    skipped = pd.read_csv(tmp_path / "out" / "lbp" / "skipped.csv")
    assert skipped[["row", "path"]].to_numpy().tolist() == [[5, "005.png"]]
    assert "005.png" in skipped["reason"][0] and "not a readable image" in skipped["reason"][0]
    write_images(listing.parent, 6, seed=1)  # all six are new: chunks 0 and 1
    assert "10 rows in 3 chunks (2 computed now), 0 rows" in run(listing, tmp_path / "out", "lbp")
    assert np.isfinite(whole(tmp_path / "out" / "lbp")).all()


def test_done_chunks_are_skipped_and_a_longer_manifest_adds_only_its_own(listing, tmp_path):
    out = tmp_path / "out"
    run(listing, out, "glcm")
    before = contents(out / "glcm")
    assert "(0 computed now)" in run(listing, out, "glcm")
    (out / "glcm" / "00000001.json").unlink()
    (out / "glcm" / "00000001.npy").write_bytes(b"half a")  # as a killed run may leave it
    assert "glcm: 10 rows in 3 chunks (1 computed" in run(listing, out, "glcm", "lbp")
    assert contents(out / "glcm") == before
    with open(listing, "a") as stream:
        stream.write("10,000.png\n11,001.png\n12,002.png\n")
    assert "13 rows in 4 chunks (2 computed now), 1 rows" in run(listing, out, "glcm")


def test_other_settings_and_other_code_do_not_mix(listing, tmp_path, encoder, monkeypatch):
    out = tmp_path / "out"
    run(listing, out, "lbp", "embed", encoder=encoder)
    said = run(listing, out, "lbp", size=16, chunk=2, code=2)
    assert "lbp has other settings of ['chunk', 'size']" in said
    trained(encoder, seed=1)
    assert "other settings of ['encoder']" in run(listing, out, "embed", encoder=encoder, code=2)
    own = json.loads((out / "lbp" / "settings.json").read_text())
    monkeypatch.setattr(chunks, "_code", lambda: "of a worker with another version")
    job = {"index": 0, "rows": [], "out": str(out), "encoder": None, "stages": {"lbp": own}}
    with pytest.raises(ValueError, match="other semlib code"):
        chunks.compute(job)


def test_profiles(tmp_path, monkeypatch):
    monkeypatch.setattr(dists, "unavailable", lambda: "left out of this test")
    names = write_images(tmp_path, 3, size=96)
    Image.fromarray(np.pad(np.full((8, 8), 255, np.uint8), 44)).save(tmp_path / "mask.png")
    rows = [[names[0], names[1], "mask.png", names[2]]]
    rows += [[names[0], restored, "", ""] for restored in (names[2], "none.png")]
    listing = write_csv(tmp_path / "pairs.csv", ["reference", "restored", "mask", "noisy"], rows)
    said = run(listing, tmp_path / "out", "profile", chunk=2)
    assert "3 rows in 2 chunks (2 computed now), 1 rows empty" in said
    values = whole(tmp_path / "out" / "profile")
    columns = json.loads((tmp_path / "out" / "profile" / "settings.json").read_text())["columns"]
    assert columns[8:] == [f"noisy_{name}" for name in columns[:8]]
    images = [read.image(tmp_path / name).pixels / np.float32(255) for name in names]
    reference = trust.Reference(images[0], mask=read.mask(tmp_path / "mask.png"))
    expected = [trust.profile(reference, image) for image in images[1:]]
    np.testing.assert_array_equal(values[0], [p[name] for p in expected for name in columns[:8]])
    plain = trust.profile(trust.Reference(images[0]), images[2])
    np.testing.assert_array_equal(values[1, :8], [plain[name] for name in columns[:8]])
    assert np.isnan(values[1, 8:]).all() and np.isnan(values[2]).all()


@pytest.mark.parametrize(
    ("stages", "said"),
    [
        (["sobel"], "'sobel' is not one of 'preprocess', 'glcm'"),
        (["profile"], "has the columns ['id', 'path'], but not ['reference', 'restored']"),
        (["profile", "lbp"], "profile needs another manifest"),
        (["embed"], "embed needs --encoder"),
        (["embed", "--encoder", "nowhere"], "nowhere/encoder.safetensors"),
        (["lbp", "--chunk", 0], "0 is not in the range x>=1"),
        (["lbp", "--bar", "60"], "bar is '60': use auto, none, or the rows"),
        (["lbp", "--intensity", "log"], "'log' is not one of 'full', 'stretch'"),
    ],
)
def test_bad_requests_say_what_to_do(listing, tmp_path, stages, said):
    assert said in call("run", listing, "--out", tmp_path / "out", *stages, code=2)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has the columns [], but not ['path']"),
        ("path\na,b.png\n", "line 2: expected ['path']"),
        ("x,path\n1\n", "line 2: expected ['x', 'path']"),
        ("path,x\n,1", "line 2: expected ['path', 'x']"),
    ],
)
def test_bad_manifests_name_the_line(tmp_path, text, said):
    file = tmp_path / "images.csv"
    file.write_text(text)
    output = run(file, tmp_path / "out", "lbp", code=2)
    assert f"{file}" in output and said in output
    assert "no.csv' does not exist" in run(tmp_path / "no.csv", tmp_path / "out", "lbp", code=2)


def test_without_dask_the_extra_is_named(listing, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    said = run(listing, tmp_path / "out", "lbp", workers=2, code=2)
    assert "no Dask" in said and "[cluster]" in said


# a scheduler and two workers, each a process of its own


def start(kind, *arguments):
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(paths.ROOT)}
    command = [sys.executable, "-m", f"distributed.cli.dask_{kind}", *arguments]
    command += ["--host", "127.0.0.1", "--no-dashboard"]
    return subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)


@pytest.fixture(scope="module")
def dask(tmp_path_factory):
    """Address of a scheduler, its client and its workers by name."""
    from distributed import Client

    place = tmp_path_factory.mktemp("dask")
    file = str(place / "scheduler.json")
    processes = {"scheduler": start("scheduler", "--port", "0", "--scheduler-file", file)}
    for name in ("a", "b"):
        local = ["--local-directory", str(place), "--no-nanny", "--nthreads", "1"]
        processes[name] = start("worker", "--scheduler-file", file, "--name", name, *local)
    try:
        with Client(scheduler_file=file, timeout=60) as client:
            client.wait_for_workers(2, timeout=60)
            yield client.scheduler.address, client, processes
    finally:
        for process in reversed(processes.values()):
            process.kill()
            process.wait()


@pytest.mark.slow
def test_failing_chunks_are_tried_again_and_the_others_done(dask, listing, tmp_path, monkeypatch):
    def flaky(job, folder=tmp_path):
        tries = len(list(folder.glob(f"{job['index']}-*")))
        (folder / f"{job['index']}-{tries}").touch()
        if job["index"] == 3 or tries < job["index"]:
            raise OSError("disk away")
        return tries

    monkeypatch.setattr(chunks, "compute", flaky)
    monkeypatch.setattr(bulk, "AHEAD", 3)  # the last of four jobs comes in a second batch
    ended = list(bulk._on_dask(iter([{"index": i} for i in range(4)]), dask[0], None, 2))
    assert sorted(row[::2] for row in ended) == [(0, 0), (1, 1), (2, 2), (3, None)]
    assert [str(error) for _, error, _ in ended if error] == ["disk away"]


@pytest.mark.slow
def test_failed_chunks_are_named_and_the_same_command_does_them(dask, listing, tmp_path):
    blocked = tmp_path / "out" / "lbp" / "00000001.npy"
    blocked.mkdir(parents=True)
    said = run(listing, tmp_path / "out", "lbp", scheduler=dask[0], retries=1, code=1)
    assert "1 chunks failed" in said and "chunk 1: IsADirectoryError" in said
    blocked.rmdir()
    said = run(listing, tmp_path / "out", "lbp", scheduler=dask[0])
    assert "10 rows in 3 chunks (1 computed now)" in said


@pytest.mark.slow
def test_killed_worker_leaves_a_complete_and_identical_result(dask, encoder, tmp_path):
    address, client, processes = dask
    names = write_images(tmp_path / "lot", 120, size=150)
    listing = write_csv(tmp_path / "lot" / "images.csv", ["path"], [[name] for name in names])
    (tmp_path / "lot" / names[77]).write_bytes(b"")
    stages = ["glcm", "lbp", "embed"]
    options = {"encoder": encoder, "chunk": 2, "size": 128}
    at_kill = {}

    def done():
        return len(list((tmp_path / "dask" / "glcm").glob("0*.json")))

    def kill():
        while done() < 4:
            time.sleep(0.02)
        workers = client.scheduler_info()["workers"]
        at_kill["busy"] = {workers[w]["name"]: len(t) for w, t in client.processing().items()}
        os.kill(processes["a"].pid, signal.SIGKILL)
        at_kill["done"] = done()

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    said = run(listing, tmp_path / "dask", *stages, scheduler=address, **options)
    killer.join(10)
    assert processes["a"].wait(10) == -signal.SIGKILL
    assert at_kill["busy"]["a"] > 0 and at_kill["done"] < 60
    assert [worker["name"] for worker in client.scheduler_info()["workers"].values()] == ["b"]
    assert said.count("120 rows in 60 chunks") == 3 and said.count(" 1 rows empty") == 3
    run(listing, tmp_path / "plain", *stages, **options)
    files = contents(tmp_path / "plain")
    assert contents(tmp_path / "dask") == files and len(files) == 3 * (2 * 60 + 3)


@pytest.mark.slow
def test_cluster_on_this_machine(listing, tmp_path):
    said = run(listing, tmp_path / "out", "lbp", workers=2)
    assert "10 rows in 3 chunks (3 computed now), 1 rows empty" in said
    assert "dashboard: http://127.0.0.1:" in said and "3/3" in said
    run(listing, tmp_path / "plain", "lbp")
    assert contents(tmp_path / "out") == contents(tmp_path / "plain")


# clusters and views of chunks


@pytest.fixture
def blobs(tmp_path):
    """Chunks of 3,050 rows around four centres, sorted by centre, every hundredth row empty."""
    rng = np.random.default_rng(0)
    truth = np.sort(rng.integers(0, 4, 3050))
    values = (rng.normal(size=(4, 8)) * 3)[truth] + rng.normal(size=(3050, 8))
    values[::100] = np.nan
    folder = tmp_path / "embed"
    for index, start in enumerate(range(0, 3050, 100)):
        chunks.write(folder, index, "key", values[start : start + 100].astype(np.float32), {})
    (folder / "settings.json").write_text(json.dumps({"chunk": 100}))
    (folder / "complete.json").write_text(json.dumps({"chunks": 31, "rows": 3050}))
    return folder, truth, values


def test_rows_are_taken_from_their_chunks(blobs):
    reader = chunks.Chunks(blobs[0])
    rows, values = reader.sample(500, np.random.default_rng(0))
    assert 480 < len(rows) < 500 and (np.diff(rows) > 0).all() and (rows % 100 > 0).all()
    np.testing.assert_array_equal(values, blobs[2][rows].astype(np.float32))
    with pytest.raises(FileNotFoundError, match="complete.json"):
        chunks.Chunks(blobs[0] / "lbp")


@pytest.mark.slow
@pytest.mark.parametrize("standardise", [False, True])
def test_mini_batches_find_the_clusters_of_k_means(blobs, standardise):
    folder, truth, values = blobs
    arguments = ["group", folder, "--k", 4, *(["--standardise"] if standardise else [])]
    said = call(*arguments)
    labels = np.load(folder / "clusters.npy")
    good = np.isfinite(values).all(axis=1)
    assert (labels[~good] == -1).all() and (labels[good] >= 0).all()
    assert f"sizes {np.bincount(labels[good]).tolist()}, silhouette 0." in said
    rows = clustering.standardise(values[good]) if standardise else values[good]
    assert adjusted_rand_score(clustering.fit_clusters(rows, k=4).labels_, labels[good]) > 0.98
    assert adjusted_rand_score(truth[good], labels[good]) > 0.9
    first = contents(folder)
    call(*arguments)
    assert contents(folder) == first


def test_sampled_silhouette_lies_within_its_error(blobs):
    folder, _, values = blobs
    values = values[np.isfinite(values).all(axis=1)]
    model = make_pipeline(StandardScaler(), KMeans(4, n_init=10, random_state=0)).fit(values)
    exact = silhouette_score(model[0].transform(values), model.predict(values))
    offs = []
    for seed in range(8):
        told = chunks.silhouette(chunks.Chunks(folder), model, draws=8, sample=100, seed=seed)
        assert 0 < told["error"] < 0.02
        offs.append((told["silhouette"] - exact) / told["error"])
    assert np.abs(offs).max() < 4 and np.sqrt(np.mean(np.square(offs))) < 2
    with pytest.raises(ValueError, match="too few for 500 samples"):
        chunks.silhouette(chunks.Chunks(folder), model, draws=500)


@pytest.mark.slow
def test_view_of_a_sample(blobs):
    folder, truth, _ = blobs
    said = call("group", folder, "--k", 4, "--view", 400)
    table = pd.read_csv(folder / "umap.csv")
    assert f"{len(table)} images in {folder}/umap.csv" in said and 390 <= len(table) <= 400
    assert list(table.columns) == ["row", "x", "y", "cluster"]
    assert np.isfinite(table[["x", "y"]].to_numpy()).all() and table["row"].is_monotonic_increasing
    assert silhouette_score(table[["x", "y"]], truth[table["row"]]) > 0.4
