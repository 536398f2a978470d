"""One training loop for the multi-resolution encoder, resumable at every epoch."""

import dataclasses
import hashlib
import json
import time

import numpy as np
import pandas as pd
import torch
from safetensors.torch import load_file, save_file
from tqdm import tqdm

from semlib import workers
from semlib.morphology import evaluate, probe, recipe
from semlib.morphology.augment import augment
from semlib.morphology.device import autocast, best_device, resident
from semlib.morphology.distributed import Team, main
from semlib.morphology.encoder import Readout, to_input
from semlib.morphology.loss import normalised_std, rankme
from semlib.paths import atomic

ALONE = Team()
TRACED = ("rankme", "silhouette", "nmi", "knn_macro")


def train(
    levels, folder, *, method="paper", seed=0, epochs=15, batch_size=32, learning_rate=1e-3, pairs="all", labels=None,
    device=None, progress=True, team=ALONE,
):  # fmt: skip
    """Train encoder and projection head on an image pyramid; embed every image at L0.

    Sci Rep 2026, section 5 "Training strategy": Adam, learning rate 1e-3, batch 32, 15 epochs, no
    labels. Writes to `folder`: ``checkpoint.pt`` after each epoch (a killed run goes on from
    there and ends with the same weights), ``history.csv``, and at the end ``encoder.safetensors``,
    ``embeddings.npy``, ``config.json`` and ``cost.json`` (seconds of training, over all calls). A folder that
    was finished with the same settings and data is left as it is.

    Parameters
    ----------
    levels : sequence of uint8 array (N, H, W)
        L0 (finest) first. Memmaps are read batch by batch.
    folder : Path
        Where results and checkpoint go.
    method : str or semlib.morphology.recipe.Recipe
        "paper" or "ours", see `recipe.METHODS`.
    seed : int
        Seeds the weights, the order of the images and their random changes.
    epochs, batch_size, learning_rate
        As in the paper.
    pairs : str
        Scale pairs of the cosine losses, see `semlib.morphology.loss.PAIRS`.
    labels : sequence (N,), optional
        For the history only: nothing that is trained sees them.
    device : str, optional
        "cpu" or "cuda"; the best there is when not given.
    progress : bool
        Show a bar over all steps.
    team : semlib.morphology.distributed.Team
        The processes that share each batch, under torchrun. All read `levels` and `folder`, the first writes.

    Returns
    -------
    DataFrame
        One row an epoch: epoch, loss (mean over the epoch's steps), and of the L0 embeddings in training, that is with
        the batch's own normalisation statistics and random changes: embedding_std, rankme, silhouette (k-means, k = 6),
        nmi and knn_macro (NaN without labels; see `evaluate.all_scores`).

    Raises
    ------
    ValueError
        With fewer than two images, levels of different length, or an unknown method.
    """
    count = len(levels[0])
    if count < 2 or any(len(level) != count for level in levels):
        raise ValueError(
            f"training needs two or more images, as many in each level; got {[len(x) for x in levels]}"
        )
    device, chosen = device or best_device(), recipe.find(method)
    config = {
        "seed": seed,
        "epochs": epochs,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
    }
    config |= {
        "pairs": pairs,
        "levels": [level.shape[1] for level in levels],
        "data": _digest(levels[0]),
    }
    config |= {
        "recipe": dataclasses.asdict(chosen),
        "labels": None if labels is None else _digest(np.asarray(labels, "U")),
    }
    config = json.loads(json.dumps(config))  # as it will be read again
    if _stored_config(folder) == config and (folder / "embeddings.npy").exists():
        return pd.read_csv(folder / "history.csv")

    if device == "cpu":
        workers.keep_memory()
    torch.manual_seed(seed)
    learner = team.synchronise(recipe.Learner(chosen, pairs)).to(
        device, memory_format=torch.channels_last
    )
    optimiser = torch.optim.Adam(learner.trained(), lr=learning_rate)
    parts = {"learner": learner, "optimiser": optimiser}
    history = _resume(folder, config, parts)
    model = team.parallel(learner)
    steps, data = len(_batches(count, batch_size, seed, 0)), resident(levels, device)
    done = len(history) * steps
    with tqdm(
        total=epochs * steps,
        initial=done,
        desc=f"SSL seed {seed}",
        unit="step",
        disable=not progress,
    ) as bar:
        for epoch in range(len(history), epochs):
            row = _epoch(data, labels, model, optimiser, device, epoch, config, bar, team)
            history.append({"epoch": epoch + 1} | row)
            if team.rank == 0:
                _checkpoint(folder, config, parts, history)
    if team.rank > 0:
        return pd.DataFrame(history).drop(columns="seconds")
    if chosen.readout:
        learner.encoder.readout = _fitted(learner.encoder, levels[0], device, progress)
    table = pd.DataFrame(history)
    _finish(
        folder,
        config,
        learner.encoder,
        embed(learner.encoder, levels[0], device=device, progress=progress),
        table,
    )
    return table.drop(columns="seconds")


def embed(encoder, images, *, batch_size=64, device=None, progress=True):
    """Embed images, uint8 array or tensor (N, H, W), as float32 (N, 128) with the encoder in evaluation mode.

    In float32 throughout: bfloat16 rounds away what little an embedding near collapse still tells apart.
    """
    device = device or best_device()
    encoder = encoder.to(device).eval()
    chunks = []
    with torch.inference_mode():
        for start in tqdm(
            range(0, len(images), batch_size), desc="embed L0", unit="batch", disable=not progress
        ):
            batch = images[start : start + batch_size]
            batch = batch if torch.is_tensor(batch) else np.array(batch)
            chunks.append(encoder(to_input(batch, device)).float().cpu().numpy())
    return np.concatenate(chunks)


def load_encoder(folder):
    """Load the trained encoder of a run folder, in evaluation mode."""
    encoder = recipe.Recipe(**_stored_config(folder)["recipe"]).encoder()
    encoder.load_state_dict(load_file(folder / "encoder.safetensors"))
    return encoder.eval()


def _epoch(levels, labels, model, optimiser, device, epoch, config, bar, team):
    learner = getattr(model, "module", model)
    model.train()
    begin, losses, seen, order = time.perf_counter(), [], [], []
    source = np.random.SeedSequence([config["seed"], epoch, team.rank])
    generator = torch.Generator().manual_seed(int(source.generate_state(1)[0]))
    for rows in _batches(len(levels[0]), config["batch_size"], config["seed"], epoch):
        own = team.share(rows)
        views = [to_input(level[own], device) for level in levels]
        if learner.recipe.changes and len(own):
            views = [augment(view, learner.recipe.changes, generator) for view in views]
        loss, embeddings = model(views, autocast(device), team.join(len(rows)))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        learner.follow()
        losses.append(loss.item())
        seen.append(embeddings[0].detach().cpu())
        order.append(rows)
        bar.set_postfix(epoch=epoch + 1, loss=f"{losses[-1]:.4f}", refresh=False)
        bar.update()
    seen, order = torch.cat(seen), np.concatenate(order)
    if learner.recipe.readout:
        seen = Readout(seen.shape[1]).fit(seen).eval()(seen)
    row = {"loss": float(np.mean(losses)), "embedding_std": normalised_std(seen)}
    row["seconds"] = time.perf_counter() - begin
    if team.rank > 0:
        return row
    return row | _trace(seen.numpy(), None if labels is None else np.asarray(labels)[order])


def _trace(embeddings, labels, k=6):
    """`TRACED` of one epoch's embeddings; NaN for what too few, or too few different, images cannot give."""
    found = dict.fromkeys(TRACED, np.nan) | {"rankme": rankme(embeddings)}
    if len(np.unique(embeddings, axis=0)) > k:
        scores = evaluate.cluster_scores(embeddings, labels, k=k)
        found |= {name: scores[name] for name in TRACED if name in scores}
    if labels is not None:
        truth = probe.codes(labels)
        found["knn_macro"] = probe.micro_macro(truth, probe.nearest_neighbour(embeddings, labels))[
            1
        ]
    return found


def _fitted(encoder, images, device, progress):
    """The encoder's readout with mean and deviation of all images' embeddings."""
    readout, encoder.readout = encoder.readout, torch.nn.Identity()
    return readout.fit(
        torch.as_tensor(embed(encoder, images, device=device, progress=progress)).to(device)
    )


def _batches(count, batch_size, seed, epoch):
    """Row numbers per step, shuffled by (seed, epoch); a last batch of one joins the one before it."""
    order = np.random.default_rng([seed, epoch]).permutation(count)
    cuts = list(range(batch_size, count - 1, batch_size))
    return [np.sort(rows) for rows in np.split(order, cuts)]


def _digest(array):
    return hashlib.sha256(np.ascontiguousarray(array)).hexdigest()


def _stored_config(folder):
    path = folder / "config.json"
    return json.loads(path.read_text()) if path.exists() else None


def _checkpoint(folder, config, parts, history):
    state = {name: part.state_dict() for name, part in parts.items()}
    with atomic(folder / "checkpoint.pt") as temporary:
        torch.save(state | {"config": config, "history": history}, temporary)


def _resume(folder, config, parts):
    path = folder / "checkpoint.pt"
    if not path.exists():
        return []
    state = torch.load(path, map_location="cpu", weights_only=True)
    if state["config"] != config:
        return []
    for name, part in parts.items():
        part.load_state_dict(state[name])
    return state["history"]


def _finish(folder, config, encoder, embeddings, table):
    with atomic(folder / "encoder.safetensors") as temporary:
        save_file(
            {name: tensor.cpu().contiguous() for name, tensor in encoder.state_dict().items()},
            temporary,
        )
    with atomic(folder / "history.csv") as temporary:
        table.drop(columns="seconds").to_csv(temporary, index=False)
    with atomic(folder / "cost.json") as temporary:
        temporary.write_text(json.dumps({"seconds": table["seconds"].sum()}))
    with atomic(folder / "embeddings.npy") as temporary:
        np.save(temporary, embeddings)
    with atomic(folder / "config.json") as temporary:
        temporary.write_text(json.dumps(config, indent=1))
    (folder / "checkpoint.pt").unlink(missing_ok=True)


if __name__ == "__main__":
    main()
