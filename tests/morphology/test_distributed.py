"""Training on several processes: the same as on one, and it goes on after any of them died."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import psutil
import pytest
import torch
from safetensors.numpy import load_file
from torch import distributed, nn

from semlib import paths
from semlib.morphology.distributed import SyncNorm, Team
from semlib.morphology.recipe import Learner, Recipe

IN_FLOAT64 = """import contextlib, sys, torch
from semlib.morphology import train
torch.set_default_dtype(torch.float64)
torch.Tensor.float = torch.Tensor.double
single = train.to_input
train.to_input = lambda images, device: single(images, device).double()
train.autocast = lambda device: contextlib.nullcontext()
train.main(sys.argv[1:])
"""
PROGRAM = ["-m", "semlib.morphology.train"]


@pytest.fixture
def levels():
    """Levels of 21 images of the synthetic set of the test: batches of 8, 8 and 5."""
    where = paths.of("synthetic")
    where.data.mkdir(parents=True)
    fine = np.random.default_rng(0).integers(0, 256, (21, 32, 32), dtype=np.uint8)
    fine[::3] //= 2
    for k in range(3):
        np.save(where.level(k), fine[:, :: 2**k, :: 2**k])
    rows = [
        {"image_id": i, "path": f"{i}.jpg", "label": i % 3, "mask_path": "", "sha256": ""}
        for i in range(21)
    ]
    pd.DataFrame(rows).to_csv(where.manifest, index=False)


def start(processes, program, *options):
    launch = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        str(processes),
    ]
    command = [
        *(launch if processes > 1 else [sys.executable]),
        *program,
        "synthetic",
        "--batch-size",
        "8",
        *options,
    ]
    alone = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "GLOO_SOCKET_IFNAME": "lo"}
    environment = os.environ | alone | {"PYTHONPATH": str(paths.ROOT)}
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)


def finish(*arguments):
    """Run to the end; history and weights of the training, whose folder is then free for another."""
    process = start(*arguments)
    said = process.communicate(timeout=180)[1]
    assert process.returncode == 0, said[-3000:]
    folder = paths.of("synthetic").ssl(0, "ours" if "ours" in arguments else "paper")
    found = pd.read_csv(folder / "history.csv"), load_file(folder / "encoder.safetensors")
    folder.rename(folder.with_name(f"done-{time.monotonic_ns()}"))
    return found


@pytest.mark.slow
def test_processes_train_what_one_does(levels, tmp_path):
    """In float64 to 1e-8; in float32 and bfloat16 the order of additions shows, and Adam magnifies it."""
    program = tmp_path / "in_float64.py"
    program.write_text(IN_FLOAT64)
    history, weights = finish(1, [str(program)], "--epochs", "3")
    others, same = finish(2, [str(program)], "--epochs", "3")
    np.testing.assert_allclose(others["loss"], history["loss"], rtol=0, atol=1e-8)
    assert same.keys() == weights.keys() and weights["blocks.0.weight"].dtype == np.float64
    for name, values in weights.items():
        np.testing.assert_allclose(same[name], values, rtol=0, atol=1e-8, err_msg=name)
    assert history["loss"].iloc[-1] < history["loss"].iloc[0] - 0.1


@pytest.mark.slow
def test_more_processes_than_images_in_a_batch(levels):
    history, weights = finish(
        3, PROGRAM, "--method", "ours", "--epochs", "1", "--batch-size", "19"
    )  # then 2 are left
    assert np.isfinite(history["loss"]).all() and all(
        np.isfinite(values).all() for values in weights.values()
    )


@pytest.mark.slow
def test_killed_process_ends_the_run_and_the_next_one_resumes(levels):
    options = [2, PROGRAM, "--epochs", "8"]
    whole, weights = finish(*options)
    folder = paths.of("synthetic").ssl(0)
    process = start(*options)
    while not (folder / "checkpoint.pt").exists():
        assert process.poll() is None
        time.sleep(0.02)
    workers = psutil.Process(process.pid).children()
    ranks = {
        int(worker.environ()["RANK"]): worker for worker in workers if "RANK" in worker.environ()
    }
    ranks[1].send_signal(signal.SIGKILL)
    process.communicate(timeout=180)
    assert process.returncode != 0 and not any(worker.is_running() for worker in ranks.values())
    assert not (folder / "embeddings.npy").exists()
    stored = torch.load(folder / "checkpoint.pt", weights_only=True)
    assert 1 <= len(stored["history"]) < 8
    resumed, same = finish(*options)
    pd.testing.assert_frame_equal(resumed, whole)
    for name, values in weights.items():
        np.testing.assert_array_equal(same[name], values, err_msg=name)


@pytest.fixture
def group():
    """A process group of this process alone."""
    distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


@pytest.mark.parametrize(
    ("kind", "shape"),
    [(nn.BatchNorm2d, (6, 5, 4, 3)), (nn.BatchNorm1d, (6, 5))],
    ids=["maps", "rows"],
)
def test_synchronised_normalisation_equals_that_of_torch(group, kind, shape):
    torch.manual_seed(0)
    plain = kind(5)
    nn.init.uniform_(plain.weight)
    mine = SyncNorm.like(plain)
    for _ in range(2):
        first = (100 + 3 * torch.randn(shape)).requires_grad_()
        second = first.detach().clone().requires_grad_()
        expected, found = plain(first), mine(second)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
        expected.pow(3).sum().backward()
        found.pow(3).sum().backward()
        torch.testing.assert_close(second.grad, first.grad, rtol=1e-3, atol=1e-3)
        torch.testing.assert_close(mine.weight.grad, plain.weight.grad, rtol=1e-4, atol=1e-3)
    for name, values in plain.state_dict().items():
        torch.testing.assert_close(mine.state_dict()[name], values, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(mine.eval()(first), plain.eval()(first))


def test_every_normalisation_is_replaced_under_the_same_names():
    torch.manual_seed(0)
    learner = Learner(Recipe("byol"))
    before = {name: values.clone() for name, values in learner.state_dict().items()}
    frozen = [weight.requires_grad for weight in learner.parameters()]
    assert Team().synchronise(learner) is learner and not any(
        isinstance(m, SyncNorm) for m in learner.modules()
    )
    kinds = [type(module) for module in Team(0, 2).synchronise(learner).modules()]
    assert (
        kinds.count(SyncNorm) == 9 and nn.BatchNorm2d not in kinds and nn.BatchNorm1d not in kinds
    )
    assert [weight.requires_grad for weight in learner.parameters()] == frozen
    after = learner.state_dict()
    assert list(after) == list(before) and all(
        torch.equal(after[name], values) for name, values in before.items()
    )


@pytest.mark.parametrize("count", [2, 5, 8])
def test_shares_are_the_whole_batch_in_order(count):
    rows = np.arange(count)
    assert (
        np.concatenate([Team(rank, 3).share(rows) for rank in range(3)]).tolist() == rows.tolist()
    )
    assert Team().share(rows).tolist() == rows.tolist()


def test_missing_levels_are_named(capsys):
    from semlib.morphology.distributed import main

    with pytest.raises(SystemExit):
        main(["synthetic"])
    assert "level0.npy is missing: run notebooks 01 to 03" in capsys.readouterr().err
