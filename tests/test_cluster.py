"""Images by the million: the same values with and without Dask, whatever dies on the way."""

import csv
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
from click.testing import CliRunner
from PIL import Image
from sklearn.metrics import adjusted_rand_score, silhouette_score

from semlib import paths
from semlib.__main__ import main
from semlib.cluster import groups, manifest, shards, stages, view
from semlib.cluster import run as module
from semlib.cluster.run import run
from semlib.images.preprocess import decode, preprocess
from semlib.morphology import embed, evaluate, features, train
from semlib.semnr import dists, page, trust

SMALL = {"size": 32, "chunk": 4, "progress": False}


def write_images(folder, count, size=40, seed=0):
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    names = [f"{i:03d}.png" for i in range(count)]
    for name in names:
        Image.fromarray(rng.integers(0, 256, (size, size), dtype=np.uint8)).save(folder / name)
    return names


def write_csv(file, columns, rows):
    with open(file, "w", newline="") as stream:
        csv.writer(stream).writerows([columns, *rows])
    return file


@pytest.fixture
def listing(tmp_path):
    """A manifest of ten images, the sixth of them broken."""
    names = write_images(tmp_path / "lot", 10)
    (tmp_path / "lot" / names[5]).write_bytes(b"no image")
    return write_csv(tmp_path / "lot" / "images.csv", ["id", "path"], enumerate(names))


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
    return {
        file.relative_to(folder): file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


def whole(folder):
    return np.concatenate(list(shards.Shards(folder)))


# without Dask


def test_values_are_those_of_the_functions_of_the_notebooks(listing, encoder, tmp_path):
    names = ["preprocess", "glcm", "lbp", "wavelet", "embed"]
    found = run(listing, tmp_path / "out", names, workers=0, encoder=encoder, **SMALL)
    assert found == dict.fromkeys(names, {"chunks": 3, "rows": 10, "bad": 1, "computed": 3})
    good = [i for i in range(10) if i != 5]
    images = np.array([preprocess(decode(listing.parent / f"{i:03d}.png"), size=32) for i in good])
    expected = {name: getattr(features, name)(images, progress=False) for name in names[1:4]}
    expected |= {
        "preprocess": images,
        "embed": train.embed(train.load_encoder(encoder), images, progress=False),
    }
    for name in names:
        values = whole(tmp_path / "out" / name)
        assert values.dtype == expected[name].dtype
        np.testing.assert_allclose(values[good], expected[name], rtol=1e-5, atol=1e-6)
        assert (values[5] == 0).all() if name == "preprocess" else np.isnan(values[5]).all()


def test_broken_image_is_listed_and_done_again_when_repaired(listing, tmp_path):
    run(listing, tmp_path / "out", ["lbp"], workers=0, **SMALL)
    skipped = pd.read_csv(tmp_path / "out" / "lbp" / "skipped.csv")
    assert skipped[["row", "path"]].to_numpy().tolist() == [[5, "005.png"]]
    assert "005.png" in skipped["reason"][0] and "not a readable image" in skipped["reason"][0]
    write_images(listing.parent, 6, seed=1)  # all six are new: chunks 0 and 1
    assert run(listing, tmp_path / "out", ["lbp"], workers=0, **SMALL)["lbp"] == {
        "chunks": 3, "rows": 10, "bad": 0, "computed": 2,
    }  # fmt: skip
    assert np.isfinite(whole(tmp_path / "out" / "lbp")).all()


def test_done_chunks_are_skipped_and_a_longer_manifest_adds_only_its_own(listing, tmp_path):
    run(listing, tmp_path / "out", ["glcm"], workers=0, **SMALL)
    before = contents(tmp_path / "out")
    assert run(listing, tmp_path / "out", ["glcm"], workers=0, **SMALL)["glcm"]["computed"] == 0
    assert contents(tmp_path / "out") == before
    (tmp_path / "out" / "glcm" / "00000001.json").unlink()
    assert (
        run(listing, tmp_path / "out", ["glcm", "lbp"], workers=0, **SMALL)["glcm"]["computed"] == 1
    )
    assert contents(tmp_path / "out" / "glcm") == {
        p.relative_to("glcm"): v for p, v in before.items()
    }
    with open(listing, "a") as stream:
        stream.write("10,000.png\n11,001.png\n12,002.png\n")
    assert run(listing, tmp_path / "out", ["glcm"], workers=0, **SMALL)["glcm"] == {
        "chunks": 4, "rows": 13, "bad": 1, "computed": 2,
    }  # fmt: skip


def test_other_settings_do_not_mix(listing, tmp_path, encoder):
    run(listing, tmp_path / "out", ["lbp", "embed"], workers=0, encoder=encoder, **SMALL)
    with pytest.raises(ValueError, match="lbp was made with other settings .chunk, size."):
        run(listing, tmp_path / "out", ["lbp"], workers=0, size=16, chunk=2)
    trained(encoder, seed=1)
    with pytest.raises(ValueError, match="other settings .encoder."):
        run(listing, tmp_path / "out", ["embed"], workers=0, encoder=encoder, **SMALL)


def test_profiles(tmp_path, monkeypatch):
    monkeypatch.setattr(dists, "unavailable", lambda: "left out of this test")
    names = write_images(tmp_path, 3, size=96)
    Image.fromarray(np.pad(np.full((8, 8), 255, np.uint8), 44)).save(tmp_path / "mask.png")
    rows = [
        [names[0], names[1], "mask.png", names[2]],
        [names[0], names[2], "", ""],
        [names[0], "none.png", "", ""],
    ]
    listing = write_csv(tmp_path / "pairs.csv", ["reference", "restored", "mask", "noisy"], rows)
    found = run(listing, tmp_path / "out", ["profile"], workers=0, chunk=2, progress=False)
    assert found["profile"]["bad"] == 1
    values = whole(tmp_path / "out" / "profile")
    columns = json.loads((tmp_path / "out" / "profile" / "settings.json").read_text())["columns"]
    assert columns[8:] == [f"noisy_{name}" for name in columns[:8]]
    known = trust.Reference(
        page.read(tmp_path / names[0]), mask=page.read_mask(tmp_path / "mask.png")
    )
    expected = [trust.profile(known, page.read(tmp_path / name)) for name in names[1:]]
    np.testing.assert_array_equal(values[0], [p[name] for p in expected for name in columns[:8]])
    plain = trust.profile(page.read(tmp_path / names[0]), page.read(tmp_path / names[2]))
    np.testing.assert_array_equal(values[1, :8], [plain[name] for name in columns[:8]])
    assert np.isnan(values[1, 8:]).all() and np.isnan(values[2]).all()


def test_bad_requests_say_what_to_do(listing, tmp_path):
    out = tmp_path / "out"
    for names, options, said in [
        (["sobel"], {}, "unknown stages {'sobel'}: use some of preprocess"),
        (["profile"], {}, "has the columns id, path, but not reference, restored"),
        (["profile", "lbp"], {}, "profile needs another manifest"),
        (["embed"], {}, "embed needs an encoder"),
        (["lbp"], {"chunk": 0}, "chunk = 0"),
    ]:
        with pytest.raises(ValueError, match=said):
            run(listing, out, names, workers=0, progress=False, **options)
    with pytest.raises(FileNotFoundError, match="manifest is a CSV"):
        run(tmp_path / "none.csv", out, ["lbp"], workers=0)
    with pytest.raises(FileNotFoundError, match="finished training"):
        run(listing, out, ["embed"], workers=0, encoder=tmp_path)
    with pytest.raises(FileNotFoundError, match="no complete stage"):
        shards.Shards(out / "lbp")
    assert not out.exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("path\na,b.png\n", "line 2: 2 columns, expected 1"),
        ("path,x\n,1", "no path"),
    ],
)
def test_bad_manifests_name_the_line(tmp_path, text, said):
    file = tmp_path / "images.csv"
    file.write_text(text)
    with pytest.raises(ValueError, match=said):
        list(manifest.chunks(file, ["path"], 10))


def test_manifest_is_read_in_chunks(tmp_path):
    file = write_csv(
        tmp_path / "m.csv", ["path", "label"], [["a, b.png", "x"], ["c.png", ""], ["d.png", "y"]]
    )
    assert manifest.count(file) == 3
    assert list(manifest.chunks(file, ["label", "path"][1:], 2)) == [
        [("a, b.png",), ("c.png",)],
        [("d.png",)],
    ]


def test_named_code_exists_and_other_code_is_refused(listing, tmp_path):
    for name, stage in stages.STAGES.items():
        assert (
            all((paths.ROOT / "semlib" / file).is_file() for file in stage.code)
            and len(stages.code(name)) == 16
        )
    job = {"stages": {"lbp": {"code": "other"}}}
    with pytest.raises(ValueError, match="other semlib code"):
        module.process(job)


def test_without_dask_the_extra_is_named(listing, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    result = CliRunner().invoke(
        main, ["bulk", "run", str(listing), "lbp", "--out", str(tmp_path / "out")]
    )
    assert (
        result.exit_code == 2
        and "Dask is not installed" in result.output
        and "[cluster]" in result.output
    )


def test_command_line(listing, tmp_path):
    call = [
        "bulk",
        "run",
        str(listing),
        "lbp",
        "--out",
        str(tmp_path / "out"),
        "--workers",
        "0",
        "--size",
        "32",
    ]
    result = CliRunner().invoke(main, call)
    assert result.exit_code == 0, result.output
    assert "10 rows in 1 shards (1 computed now), 1 rows empty, see skipped.csv" in result.output


# a scheduler and two workers, each a process of its own


def start(*arguments):
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(paths.ROOT)}
    command = [
        sys.executable,
        "-m",
        "distributed.cli.dask_" + arguments[0],
        *arguments[1:],
        "--host",
        "127.0.0.1",
    ]
    return subprocess.Popen(
        [*command, "--no-dashboard"], env=environment, stderr=subprocess.DEVNULL
    )


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
def test_failing_chunks_are_tried_again(dask, tmp_path):
    def flaky(job, folder=tmp_path):
        tries = sum(1 for _ in folder.glob(f"{job['index']}-*"))
        (folder / f"{job['index']}-{tries}").touch()
        if job["index"] == 3 or tries < job["index"]:
            raise OSError("disk away")
        return tries

    found = list(module.spread(dask[1], flaky, ({"index": i} for i in range(4)), retries=2))
    assert sorted(row[:2] for row in found) == [(0, 0), (1, 1), (2, 2), (3, None)]
    assert [str(error) for *_, error in found if error] == ["disk away"]


@pytest.mark.slow
def test_few_jobs_are_known_to_dask_at_a_time(dask, monkeypatch):
    monkeypatch.setattr(module, "AHEAD", 3)
    taken = []

    def jobs():
        for index in range(20):
            taken.append(index)
            yield {"index": index}

    for done, _ in enumerate(module.spread(dask[1], lambda job: None, jobs(), 0)):
        assert len(taken) <= done + 3
    assert done == 19


@pytest.mark.slow
def test_failed_chunks_are_named_and_the_others_done(dask, listing, encoder, tmp_path):
    blocked = tmp_path / "out" / "lbp" / "00000001.npy"
    blocked.mkdir(parents=True)
    with pytest.raises(RuntimeError, match="1 chunks failed(.|\n)*chunk 1: IsADirectoryError"):
        run(listing, tmp_path / "out", ["lbp"], scheduler=dask[0], retries=1, **SMALL)
    blocked.rmdir()
    assert (
        run(listing, tmp_path / "out", ["lbp"], scheduler=dask[0], **SMALL)["lbp"]["computed"] == 1
    )


@pytest.mark.slow
def test_killed_worker_leaves_a_complete_and_identical_result(dask, encoder, tmp_path):
    address, client, processes = dask
    names = write_images(tmp_path / "lot", 120, size=150)
    listing = write_csv(tmp_path / "lot" / "images.csv", ["path"], [[name] for name in names])
    (tmp_path / "lot" / names[77]).write_bytes(b"")
    wanted, options = (
        ["glcm", "lbp", "embed"],
        {"encoder": encoder, "chunk": 2, "size": 128, "progress": False},
    )
    at_kill = {}

    def kill():
        while len(list((tmp_path / "dask" / "glcm").glob("*.json"))) < 4:
            time.sleep(0.02)
        at_kill["busy"] = {
            client.scheduler_info()["workers"][w]["name"]: len(t)
            for w, t in client.processing().items()
        }
        os.kill(processes["a"].pid, signal.SIGKILL)
        at_kill["done"] = len(list((tmp_path / "dask" / "glcm").glob("*.json")))

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    found = run(listing, tmp_path / "dask", wanted, scheduler=address, **options)
    killer.join(10)
    assert (
        processes["a"].wait(10) == -signal.SIGKILL
        and at_kill["busy"]["a"] > 0
        and at_kill["done"] < 60
    )
    assert [worker["name"] for worker in client.scheduler_info()["workers"].values()] == ["b"]
    assert all(total["rows"] == 120 and total["bad"] == 1 for total in found.values())
    run(listing, tmp_path / "plain", wanted, workers=0, **options)
    files = contents(tmp_path / "plain")
    assert contents(tmp_path / "dask") == files and len(files) == 3 * (2 * 60 + 3)
    again = run(listing, tmp_path / "dask", wanted, scheduler=address, **options)
    assert all(total["computed"] == 0 for total in again.values())
    assert contents(tmp_path / "dask") == files


@pytest.mark.slow
def test_local_cluster_and_command(listing, encoder, tmp_path):
    call = [
        str(listing),
        "embed",
        "--out",
        str(tmp_path / "out"),
        "--encoder",
        str(encoder),
        "--workers",
        "2",
    ]
    command = [sys.executable, "-m", "semlib", "bulk", "run", *call, "--size", "32", "--chunk", "4"]
    result = subprocess.run(
        command, capture_output=True, text=True, cwd=paths.ROOT, timeout=120, check=True
    )
    assert "10 rows in 3 shards (3 computed now), 1 rows empty" in result.stdout
    assert (
        "dashboard: http://127.0.0.1:" in result.stdout + result.stderr and "3/3" in result.stderr
    )
    run(listing, tmp_path / "plain", ["embed"], workers=0, encoder=encoder, **SMALL)
    assert contents(tmp_path / "out") == contents(tmp_path / "plain")


# clusters and views of shards


@pytest.fixture
def blobs(tmp_path):
    """Shards of 3,050 rows around four centres, sorted by centre, every hundredth row empty; and their centres."""
    rng = np.random.default_rng(0)
    truth = np.sort(rng.integers(0, 4, 3050))
    values = (rng.normal(size=(4, 8)) * 3)[truth] + rng.normal(size=(3050, 8))
    values[::100] = np.nan
    folder = tmp_path / "embed"
    shards.begin(folder, {"chunk": 100})
    for index, start in enumerate(range(0, 3050, 100)):
        shards.write(folder, index, "key", values[start : start + 100].astype(np.float32), {})
    chunks = ([("x",)] * len(part) for part in np.array_split(values, range(100, 3050, 100)))
    shards.finish(folder, chunks, ["path"])
    return folder, truth, values


def test_rows_are_taken_from_their_shards(blobs):
    rows = [1, 99, 101, 2999, 3049]
    np.testing.assert_array_equal(
        shards.Shards(blobs[0]).take(rows), blobs[2][rows].astype(np.float32)
    )


@pytest.mark.parametrize("standardise", [False, True])
def test_mini_batches_find_the_clusters_of_k_means(blobs, standardise):
    folder, truth, values = blobs
    found = groups.write(folder, k=4, standardise=standardise, progress=False)
    labels = np.load(folder / "clusters.npy")
    good = np.isfinite(values).all(axis=1)
    assert (labels[~good] == -1).all() and (labels[good] >= 0).all()
    assert found["sizes"] == np.bincount(labels[good]).tolist()
    rows = evaluate.standardise(values[good]) if standardise else values[good]
    assert adjusted_rand_score(evaluate.cluster(rows, k=4), labels[good]) > 0.98
    assert adjusted_rand_score(truth[good], labels[good]) > 0.9
    first = contents(folder)
    groups.write(folder, k=4, standardise=standardise, progress=False)
    assert contents(folder) == first


def test_sampled_silhouette_lies_within_its_error(blobs):
    folder, _, values = blobs
    part = shards.Shards(folder)
    fitted = groups.fit(part, k=4, progress=False)
    rows, good = fitted.prepare(values)
    exact = silhouette_score(rows, fitted.model.predict(rows))
    offs = []
    for seed in range(8):
        found = groups.silhouette(part, fitted, draws=8, sample=100, seed=seed)
        assert 0 < found["error"] < 0.02
        offs.append((found["silhouette"] - exact) / found["error"])
    assert np.abs(offs).max() < 4 and np.sqrt(np.mean(np.square(offs))) < 2
    with pytest.raises(ValueError, match="too few for 500 samples"):
        groups.silhouette(part, fitted, draws=500)


@pytest.mark.slow
def test_approximate_neighbours_are_nearly_the_exact_ones(blobs):
    values = blobs[2][np.isfinite(blobs[2]).all(axis=1)][:1500]
    values[10:14] = values[10]  # equal embeddings
    exact, distances = embed.neighbours(values, count=15)
    found, near = view.neighbours(values, count=15)
    assert (found[:, 0] == np.arange(len(values))).all() and (near[:, 0] == 0).all()
    assert (np.diff(near, axis=1) >= 0).all()
    assert np.mean([len(set(a) & set(b)) for a, b in zip(exact, found, strict=True)]) / 15 > 0.95
    again, _ = view.neighbours(values, count=15)
    np.testing.assert_array_equal(again, found)


@pytest.mark.slow
@pytest.mark.parametrize("exact", [view.EXACT, 100])
def test_view_of_a_sample(blobs, monkeypatch, exact):
    monkeypatch.setattr(view, "EXACT", exact)
    folder, truth, _ = blobs
    groups.write(folder, k=4, progress=False)
    table = view.write(folder, sample=400)
    assert list(table.columns) == ["row", "x", "y", "cluster"] and 390 <= len(table) <= 400
    assert np.isfinite(table[["x", "y"]].to_numpy()).all() and table["row"].is_monotonic_increasing
    assert silhouette_score(table[["x", "y"]], truth[table["row"]]) > 0.4
