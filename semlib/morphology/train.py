"""One training loop for the multi-resolution encoder, resumable at every epoch."""

import contextlib
import dataclasses
import hashlib
import json
import threading
import time
from functools import partial

import numpy as np
import pandas as pd
import torch
from safetensors.torch import save_file
from tqdm import tqdm

from semlib import checkpoint, workers
from semlib.morphology import clustering, recipes
from semlib.morphology.augment import augment
from semlib.morphology.encoder import Readout, best_device, embed, to_input
from semlib.morphology.loss import normalised_std, rankme
from semlib.paths import atomic, write_text

TRACED = ("rankme", "silhouette", "nmi", "knn_macro")
HELD = 300  # bytes that a training holds for each pixel of a batch at L0, about
TOGETHER = 4e9  # bytes that four trainings side by side may hold
_SEEDING = threading.Lock()  # PyTorch draws weights from one generator for all threads


def train_all(levels, runs, *, epochs, batch_size, **settings):
    """Train all `runs`, (folder, method, seed), see `train`; a list of their histories.

    On a CPU small ones go side by side, as two trainings of one thread each are a third quicker
    than two threads on one after the other. Other threads round otherwise: ask for all runs again.
    """
    steps = len(batches(len(levels[0]), batch_size, 0, 0))
    settings |= {"epochs": epochs, "batch_size": batch_size}
    with tqdm(total=len(runs) * epochs * steps, desc="SSL", unit="step") as bar:
        one = partial(train, levels, progress=bar, **settings)
        jobs = [partial(one, folder, method=method, seed=seed) for folder, method, seed in runs]
        if best_device() == "cpu" and 4 * HELD * batch_size * levels[0][0].size <= TOGETHER:
            return list(workers.side_by_side(jobs))
        return [job() for job in jobs]


def train(
    levels,
    folder,
    *,
    method="paper",
    seed=0,
    epochs=15,
    batch_size=32,
    learning_rate=1e-3,
    pairs="all",
    labels=None,
    device=None,
    progress=True,
):
    """Train encoder and projection head on an image pyramid; embed every image at L0.

    Sci Rep 2026, section 5 "Training strategy": Adam, learning rate 1e-3, batch 32, 15 epochs, no
    labels. `levels` are uint8 arrays (N, H, W), finest first; memmaps are read batch by batch.
    `method` is a `Recipe` or a key of `recipes.METHODS`, `pairs` those of its cosine loss. `seed`
    decides weights, order of the images and their random changes. A killed run goes on to the same
    weights; a finished `folder` of the same settings and data is left as it is. `progress` may be a
    bar of the steps of several trainings.

    Returns the history by epoch, a DataFrame: loss, and of the L0 embeddings in training rankme,
    embedding_std, silhouette (k-means, k = 6), nmi, knn_macro; the last two look at `labels` (N,).
    """
    counts = [len(level) for level in levels]
    if min(counts) < 2 or len(set(counts)) > 1:
        raise ValueError(f"training needs two or more images, as many in each level; got {counts}")
    recipe = recipes.METHODS.get(method, method)
    device = device or best_device()
    config = {
        "seed": seed,
        "epochs": epochs,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "pairs": pairs,
        "levels": [level.shape[1] for level in levels],
        "data": _digest(levels[0]),
        "recipe": dataclasses.asdict(recipe),
        "labels": None if labels is None else _digest(np.asarray(labels, "U")),
    }
    config = json.loads(json.dumps(config))  # as it will be read again: lists for tuples
    steps = len(batches(counts[0], batch_size, seed, 0))
    shared = isinstance(progress, tqdm)
    file = folder / "config.json"  # written last
    if file.exists() and json.loads(file.read_text()) == config:
        if shared:
            progress.update(epochs * steps)
        return pd.read_csv(folder / "history.csv")

    if device == "cpu":
        workers.keep_memory()  # buffers are reused and not faulted in anew: 1.5 times as fast
    with _SEEDING:
        torch.manual_seed(seed)  # draws the initial weights
        learner = recipes.Learner(recipe, pairs)
    learner = learner.to(device, memory_format=torch.channels_last)
    optimiser = torch.optim.Adam(learner.parameters(), lr=learning_rate)
    parts = {"learner": learner, "optimiser": optimiser}
    history = checkpoint.resume(folder / "checkpoint.pt", config, parts, [])
    data = levels
    size = sum(level.nbytes for level in levels)
    if device != "cpu" and size < torch.cuda.mem_get_info()[0] / 2:  # of the free memory
        data = [torch.tensor(level, device=device) for level in levels]
    options = {"desc": f"SSL seed {seed}", "unit": "step", "disable": not progress}
    own = tqdm(total=epochs * steps, **options) if not shared else None
    with own or contextlib.nullcontext(progress) as bar:
        bar.update(len(history) * steps)
        for epoch in range(len(history), epochs):
            row = run_epoch(learner, optimiser, data, config, epoch, labels, bar)
            history.append({"epoch": epoch + 1} | row)
            checkpoint.keep(folder / "checkpoint.pt", config, parts, history)

    history = pd.DataFrame(history)
    _finish(folder, config, learner, levels[0], history, device, progress and not shared)
    return history.drop(columns="seconds")


def run_epoch(learner, optimiser, levels, config, epoch, labels, bar):
    """Show all images to the learner once; epoch (from 0) and config["seed"] decide the order.

    Returns loss, embedding_std, seconds and `TRACED`, a dict; `labels` serve the last alone.
    """
    start = time.perf_counter()
    device = next(learner.parameters()).device
    # a number of its own for each (seed, epoch), so that a resumed run draws the same changes
    draws = np.random.SeedSequence([config["seed"], epoch]).generate_state(1)
    generator = torch.Generator().manual_seed(int(draws[0]))
    learner.train()
    losses = []
    outputs = []
    order = batches(len(levels[0]), config["batch_size"], config["seed"], epoch)
    for batch in order:
        views = [to_input(level[batch], device) for level in levels]  # three of N x 1 x H x W
        views = [augment(view, learner.recipe.changes, generator) for view in views]
        loss, embeddings = learner(views)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
        outputs.append(embeddings[0].detach().cpu())  # N x 128, of L0
        bar.set_postfix(epoch=epoch + 1, loss=f"{losses[-1]:.4f}", refresh=False)
        bar.update()
    outputs = torch.cat(outputs)
    if learner.recipe.readout:
        outputs = Readout(outputs.shape[1]).fit(outputs).eval()(outputs)
    row = {"loss": float(np.mean(losses)), "embedding_std": normalised_std(outputs)}
    row["seconds"] = time.perf_counter() - start
    ordered = None if labels is None else np.asarray(labels)[np.concatenate(order)]
    return row | _trace(outputs.numpy(), ordered)


def batches(count, batch_size, seed, epoch):
    """Image numbers of each step, shuffled by (seed, epoch).

    A last batch of one image joins the one before: batch normalisation needs two.
    """
    order = np.random.default_rng([seed, epoch]).permutation(count)
    cuts = range(batch_size, count - 1, batch_size)
    return [np.sort(batch) for batch in np.split(order, cuts)]  # sorted: a memmap reads forwards


def _trace(embeddings, labels):
    """`TRACED` of one epoch's embeddings; NaN where there are too few different images."""
    trace = dict.fromkeys(TRACED, np.nan) | {"rankme": rankme(embeddings)}
    if len(np.unique(embeddings, axis=0)) > 6:
        scores = clustering.cluster_scores(embeddings, labels)
        trace |= {name: scores[name] for name in ("silhouette", "nmi")}
    if labels is not None:
        neighbour = clustering.nearest_neighbour(embeddings, labels)
        trace["knn_macro"] = clustering.micro_macro(clustering.codes(labels), neighbour)[1]
    return trace


def _digest(array):
    return hashlib.sha256(np.ascontiguousarray(array)).hexdigest()


def _finish(folder, config, learner, images, history, device, progress):
    encoder = learner.encoder
    readout = encoder.readout
    encoder.readout = torch.nn.Identity()
    embeddings = embed(encoder, images, device=device, progress=progress)
    encoder.readout = readout
    if learner.recipe.readout:  # mean and deviation of the embeddings before it
        plain = torch.from_numpy(embeddings).to(device)
        embeddings = readout.fit(plain).eval()(plain).cpu().numpy()
    weights = {name: tensor.cpu().contiguous() for name, tensor in encoder.state_dict().items()}
    with atomic(folder / "encoder.safetensors") as temporary:
        save_file(weights, temporary)
    write_text(folder / "history.csv", history.drop(columns="seconds").to_csv(index=False))
    write_text(folder / "cost.json", json.dumps({"seconds": history["seconds"].sum()}))
    with atomic(folder / "embeddings.npy") as temporary:
        np.save(temporary, embeddings)
    write_text(folder / "config.json", json.dumps(config, indent=1))
    (folder / "checkpoint.pt").unlink(missing_ok=True)
