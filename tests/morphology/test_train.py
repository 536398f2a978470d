import subprocess
import sys
import time
from unittest.mock import Mock

import numpy as np
import pytest
import torch

from semlib import paths
from semlib.morphology import train as module
from semlib.morphology.encoder import Encoder, embed
from semlib.morphology.recipes import LOSSES, METHODS, Learner, Recipe, load_encoder
from semlib.morphology.train import train


@pytest.fixture
def levels():
    rng = np.random.default_rng(0)
    fine = rng.integers(0, 256, (10, 32, 32), dtype=np.uint8)
    return [fine, fine[:, ::2, ::2].copy(), fine[:, ::4, ::4].copy()]


def run(levels, folder, **settings):
    return train(levels, folder, **({"epochs": 3, "batch_size": 4, "progress": False} | settings))


def test_history_and_files(levels, tmp_path):
    history = run(levels, tmp_path)
    assert list(history.columns) == ["epoch", "loss", "embedding_std", *module.TRACED]
    assert len(history) == 3
    assert history["loss"].iloc[-1] < history["loss"].iloc[0]
    stored = np.load(tmp_path / "embeddings.npy")
    assert stored.shape == (10, 128) and stored.dtype == np.float32
    again = embed(load_encoder(tmp_path), levels[0], progress=False)
    np.testing.assert_allclose(again, stored, rtol=1e-4, atol=1e-5)
    names = {"config.json", "cost.json", "embeddings.npy", "encoder.safetensors", "history.csv"}
    assert {path.name for path in tmp_path.iterdir()} == names


@pytest.mark.slow
def test_same_seed_same_bytes_and_another_seed_differs(levels, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        run(levels, tmp_path / name, seed=seed)
    for file in ("encoder.safetensors", "embeddings.npy", "history.csv"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    first, other = ((tmp_path / name / "embeddings.npy").read_bytes() for name in "ac")
    assert first != other


def test_a_training_beside_another_gives_what_it_gives_alone():
    """PyTorch's cache of short weights is one for all threads: another may empty it at any time."""
    torch.manual_seed(0)
    learner = Learner(METHODS["paper"], "all")
    views = [torch.rand(8, 1, side, side) for side in (64, 32, 16)]

    def gradients():
        learner.zero_grad()
        learner(views)[0].backward()
        return [one.grad.clone() for one in learner.parameters()]

    alone = gradients()
    learner.encoder.register_forward_hook(lambda *_: torch.clear_autocast_cache())
    assert all(map(torch.equal, alone, gradients()))


@pytest.mark.slow
@pytest.mark.parametrize(("method", "last"), [("paper", 1), ("paper", 2), ("ours", 2)])
def test_killed_run_goes_on_to_the_same_weights(levels, tmp_path, monkeypatch, method, last):
    run(levels, tmp_path / "whole", method=method)
    original = module.run_epoch

    def dying(learner, optimiser, data, config, epoch, *others):
        if epoch == last:
            raise KeyboardInterrupt
        return original(learner, optimiser, data, config, epoch, *others)

    monkeypatch.setattr(module, "run_epoch", dying)
    with pytest.raises(KeyboardInterrupt):
        run(levels, tmp_path / "killed", method=method)
    assert not (tmp_path / "killed" / "embeddings.npy").exists()
    monkeypatch.setattr(module, "run_epoch", original)
    run(levels, tmp_path / "killed", method=method)
    for file in ("encoder.safetensors", "embeddings.npy"):
        assert (tmp_path / "whole" / file).read_bytes() == (tmp_path / "killed" / file).read_bytes()


PROGRAM = """if True:
    import sys
    from pathlib import Path
    import numpy as np
    from semlib.morphology.train import train
    folder = Path(sys.argv[1])
    levels = [np.load(folder / f"{k}.npy") for k in range(3)]
    train(levels, folder / "killed", epochs=60, batch_size=4, progress=False)
"""


@pytest.mark.slow
def test_runs_side_by_side_have_their_own_weights_and_are_done_once(levels, tmp_path, monkeypatch):
    def weights(name):
        runs = [(tmp_path / name / f"{method}{seed}", method, seed) for method, seed in asked]
        histories = module.train_all(levels, runs, epochs=2, batch_size=4)
        assert [len(history) for history in histories] == [2] * len(runs)
        return [(folder / "encoder.safetensors").read_bytes() for folder, *_ in runs]

    asked = [("paper", 0), ("ours", 0), ("paper", 1)]
    first = weights("a")
    assert len(set(first)) == 3 and weights("b") == first
    counting = Mock(wraps=module.run_epoch)
    monkeypatch.setattr(module, "run_epoch", counting)
    assert weights("a") == first and counting.call_count == 0
    monkeypatch.setattr(module, "TOGETHER", 0)  # one after the other
    assert len(set(weights("c"))) == 3


@pytest.mark.slow
def test_process_that_is_killed_goes_on_to_the_same_weights(levels, tmp_path):
    for k, level in enumerate(levels):
        np.save(tmp_path / f"{k}.npy", level)
    file = tmp_path / "killed" / "checkpoint.pt"
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, tmp_path], cwd=paths.ROOT)
    while not file.exists():
        assert process.poll() is None
        time.sleep(0.005)
    process.kill()
    process.wait()
    assert not (tmp_path / "killed" / "embeddings.npy").exists()
    assert 1 <= len(torch.load(file, weights_only=True)["progress"]) < 25
    weights = []
    for name in ("killed", "whole"):
        run(levels, tmp_path / name, epochs=60)
        weights.append((tmp_path / name / "encoder.safetensors").read_bytes())
    assert weights[0] == weights[1]


@pytest.mark.slow
def test_finished_run_is_not_repeated_unless_settings_or_data_change(levels, tmp_path, monkeypatch):
    first = run(levels, tmp_path)
    counting = Mock(wraps=module.run_epoch)
    monkeypatch.setattr(module, "run_epoch", counting)
    again = run(levels, tmp_path)
    assert counting.call_count == 0 and np.allclose(again["loss"], first["loss"])
    run(levels, tmp_path, learning_rate=0.01)
    assert counting.call_count == 3
    levels[0][0, 0, 0] ^= 1
    run(levels, tmp_path, learning_rate=0.01)
    assert counting.call_count == 6


@pytest.mark.slow
def test_checkpoint_of_other_settings_is_not_continued(levels, tmp_path, monkeypatch):
    original = module._finish
    monkeypatch.setattr(module, "_finish", lambda *args: None)
    run(levels, tmp_path, seed=5)
    monkeypatch.setattr(module, "_finish", original)
    other = run(levels, tmp_path, seed=6)
    assert other.equals(run(levels, tmp_path / "fresh", seed=6))


@pytest.mark.parametrize(("count", "batch_size"), [(9, 4), (10, 4), (3, 2), (2, 32), (5, 4)])
def test_batches_hold_every_image_once_and_never_one_alone(count, batch_size):
    batches = module.batches(count, batch_size, 0, 0)
    assert sorted(np.concatenate(batches)) == list(range(count))
    assert min(map(len, batches)) >= 2


def test_batch_order_is_a_shuffle():
    first = [tuple(rows) for rows in module.batches(100, 10, 0, 0)]
    assert first != [tuple(range(i, i + 10)) for i in range(0, 100, 10)]
    assert first != [tuple(rows) for rows in module.batches(100, 10, 1, 0)]
    assert first != [tuple(rows) for rows in module.batches(100, 10, 0, 1)]


def test_too_few_images_and_uneven_levels(levels, tmp_path):
    with pytest.raises(ValueError, match=r"\[1, 1, 1\]"):
        run([level[:1] for level in levels], tmp_path)
    with pytest.raises(ValueError, match=r"\[10, 10, 9\]"):
        run([levels[0], levels[1], levels[2][:9]], tmp_path)
    assert not any(tmp_path.iterdir())


def test_weights_are_read_without_pickles(levels, tmp_path):
    run(levels, tmp_path, epochs=1)
    (tmp_path / "encoder.safetensors").write_bytes(b"\x80\x04cos\nsystem\n.")
    with pytest.raises(Exception, match="(?i)header"):
        load_encoder(tmp_path)


def test_embedding_does_not_depend_on_the_batch(levels):
    torch.manual_seed(0)
    encoder = Encoder()
    whole, parts = (embed(encoder, levels[0], batch_size=n, progress=False) for n in (10, 3))
    np.testing.assert_allclose(parts, whole, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("loss", LOSSES)
def test_stored_encoder_of_any_recipe_gives_the_stored_embeddings(levels, tmp_path, loss):
    recipe = Recipe(loss, ("dose",), standardise=True, pooling="max", readout=True)
    run(levels, tmp_path, method=recipe, epochs=1)
    stored = np.load(tmp_path / "embeddings.npy")
    assert stored.min() > 0 and stored.std() > 0.1
    again = embed(load_encoder(tmp_path), levels[0], progress=False)
    np.testing.assert_allclose(again, stored, rtol=1e-4, atol=1e-5)


def test_readout_is_fitted_to_the_training_images(levels, tmp_path):
    run(levels, tmp_path, method="ours")
    encoder = load_encoder(tmp_path)
    readout = encoder.readout
    encoder.readout = torch.nn.Identity()
    plain = embed(encoder, levels[0], progress=False)
    np.testing.assert_allclose(readout.mean, plain.mean(axis=0), rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(readout.spread, plain.std(axis=0), rtol=1e-3, atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_labels_are_drawn_and_not_learned(levels, tmp_path, method):
    labels = ["a", "b"] * 4 + ["", "c"]
    with_labels = run(levels, tmp_path / "with", method=method, labels=labels)
    without = run(levels, tmp_path / "without", method=method)
    for file in ("encoder.safetensors", "embeddings.npy"):
        assert (tmp_path / "with" / file).read_bytes() == (tmp_path / "without" / file).read_bytes()
    assert with_labels[["nmi", "knn_macro"]].notna().all().all()
    assert without[["nmi", "knn_macro"]].isna().all().all()
    kept = ["epoch", "loss", "embedding_std", "rankme", "silhouette"]
    assert with_labels[kept].equals(without[kept])


def test_trace_of_one_direction_is_no_clustering():
    trace = module._trace(np.ones((9, 4), np.float32), [1, 2, 3] * 3)
    assert trace["rankme"] == 1 and np.isnan(trace["silhouette"]) and np.isnan(trace["nmi"])
