"""The parts of ``make bench-gpu``: functions of sizes, device and ceilings that yield `row`s.

- Images are random textures: 64 different ones, each copy shifted anew. Scans, image-caption pairs
  and fields are simulated, too. Nothing of real images is in any figure.
- Speeds are medians, the device waited for, after three calls that do not count; trainings run as
  `semlib` and `training` run them, with all that they do on the CPU between two steps.
- Shares: of the float32 or bfloat16 rate of a large matrix product (operations of products and
  convolutions), and of the copy's bytes a second (each operation reads its inputs and writes its
  results once; what stays in the cache counts as well).
- Losses of CPU and GPU may differ by what bfloat16 makes of them; embeddings are float32 on both.
"""

import copy
import json
import tempfile
import time
from contextlib import contextmanager, nullcontext
from pathlib import Path
from unittest import mock

import numpy as np
import torch

from benchmarks.gpu_rows import apart, gap, row, seconds, shares, steps_of, textures

LOSS = 0.02  # more than bfloat16 beside float32 makes of it in two epochs on a CPU; a test holds it
SPREAD = 1e-3  # float32 stays below it, convolutions in TF32 do not; a test holds it on a CPU
DISTANCE = 1e-3  # of DISTS, which is 0 to 1; a difference of 0.02 counts in the trust profile
DOSES = (3, 5, 10, 20, 40, 80, 200, 400)  # electrons a pixel


def ceilings(sizes, device, _):
    """What the card reaches in the two simplest tasks."""
    source = torch.rand(sizes.copied // 4, device=device)
    target = torch.empty_like(source)
    spent = seconds(lambda: target.copy_(source), device, sizes.rounds)
    yield row("copy", 2 * sizes.copied / spent / 1e9, "GB/s read and written")
    for kind in ("float32", "bfloat16"):
        shape = (sizes.matrix, sizes.matrix)
        a = torch.randn(shape, device=device).to(getattr(torch, kind))
        spent = seconds(lambda a=a: a @ a, device, sizes.rounds)
        yield row(f"{kind} product", 2 * sizes.matrix**3 / spent / 1e12, "TFLOP/s")


def agreement(sizes, device, _):
    """Losses of two epochs and embeddings, the same seeds on CPU and GPU."""
    from semlib.images.pyramid import pyramid
    from semlib.morphology import encoder, recipes, train

    levels = pyramid(textures(*sizes.compared))
    options = {"epochs": 2, "batch_size": sizes.batch, "progress": False}
    for method in recipes.METHODS:
        losses = []
        for place in ("cpu", device):
            with tempfile.TemporaryDirectory() as folder:
                given = {"method": method, "device": place} | options
                losses.append(train.train(levels, Path(folder), **given)["loss"].to_numpy())
                network = recipes.load_encoder(Path(folder))
        name = f"losses, recipe {method}"
        yield row(name, gap(*losses), "relative above 1", at_most=LOSS, must=True)
        vectors = [
            encoder.embed(copy.deepcopy(network), levels[0], device=place, progress=False)
            for place in ("cpu", device)
        ]
        name = f"embeddings, recipe {method}"
        yield row(name, apart(*vectors), "of their spread", at_most=SPREAD, must=True)


def ssl(sizes, device, ceilings):
    """A step of the paper's recipe at three scales, and all its epochs as `train` runs them."""
    from semlib.images.pyramid import pyramid
    from semlib.morphology import encoder, recipes, train

    count, epochs = sizes.ssl[0], sizes.epochs
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()  # the parts before do not count
    levels = pyramid(textures(*sizes.ssl))
    learner = recipes.Learner(recipes.METHODS["paper"])
    learner = learner.to(device, memory_format=torch.channels_last)
    optimiser = torch.optim.Adam(learner.parameters(), lr=1e-3)
    views = [encoder.to_input(np.array(level[: sizes.batch]), device) for level in levels]

    def step():
        loss, _ = learner(views)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()

    spent = seconds(step, device, sizes.rounds)
    yield row(f"step of {sizes.batch} at {sizes.ssl[1]} pixels", 1e3 * spent, "ms")
    yield from shares(step, spent, ceilings, "bfloat16")
    steps = epochs * len(train.batches(count, sizes.batch, 0, 0))
    yield row(f"{epochs} epochs of {count}, extrapolated from it", steps * spent, "s")
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        options = {"epochs": epochs, "batch_size": sizes.batch, "progress": False}
        train.train(levels, Path(folder), device=device, **options)
        alone = json.loads(Path(folder, "cost.json").read_text())["seconds"]
    whole = time.perf_counter() - begin
    yield row("the same, run, steps alone", alone, "s")
    yield row("the same, run, with scores, checkpoints and embeddings", whole, "s", at_most=60)
    if device == "cuda":
        yield row("most memory of the card", torch.cuda.max_memory_allocated() / 2**30, "GiB")


def embedding(sizes, device, ceilings):
    """Embeddings of bytes in memory, and what the network alone reaches."""
    from semlib.morphology import encoder, recipes

    many = textures(*sizes.embedded)
    torch.manual_seed(0)
    network = recipes.METHODS["paper"].encoder()
    for batch, goal in ((64, 10_000), (1024, None)):  # 64 is the default of `embed`
        options = {"batch_size": batch, "device": device, "progress": False}
        encoder.embed(network, many[: 2 * batch], **options)  # does not count
        begin = time.perf_counter()
        encoder.embed(network, many, **options)  # its result is on the CPU: nothing is pending
        rate = len(many) / (time.perf_counter() - begin)
        name = f"{sizes.embedded[1]} pixels, batches of {batch}"
        yield row(name, rate, "images/s", at_least=goal)
    batch = encoder.to_input(many[:1024], device)
    # float32 as in `embed`
    with torch.no_grad(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        spent = seconds(lambda: network(batch), device, sizes.rounds)
        yield row("the network alone, images on the device", len(batch) / spent, "images/s")
        yield from shares(lambda: network(batch), spent, ceilings, "float32")


def trust(sizes, device, _):
    """DISTS and the trust profile of one image under several doses, on CPU and GPU."""
    from semlib.semnr import dists
    from semlib.semnr import trust as semnr
    from training import held_out

    count, side = sizes.judged
    cases = [*held_out.patterns(1, DOSES[:count], side, seed=0)]
    noisy = [case[1] for case in cases]
    _, _, clean, _, mask = cases[0]
    values = []
    with vgg_weights() as kind:
        for place in ("cpu", device):
            said = "CPU" if place == "cpu" else "GPU"
            # DISTS takes a GPU where there is one
            hidden = mock.patch("torch.cuda.is_available", return_value=False)
            with hidden if place == "cpu" else nullcontext():
                distance = dists.Distance(clean)
                values.append(np.array([distance(image) for image in noisy]))
                spent = seconds(lambda d=distance: d(noisy[0]), place, sizes.rounds)
                yield row(f"DISTS, {said}, {kind}", 1 / spent, "images/s")
                truth = semnr.Reference(clean, mask=mask)
                spent = seconds(lambda t=truth: semnr.profile(t, noisy[0]), place, sizes.rounds)
                yield row(f"trust profile, {said}, {kind}", 1 / spent, "images/s")
        yield row("DISTS, difference", gap(*values), "", at_most=DISTANCE, must=True)


@contextmanager
def vgg_weights():
    """Those of ImageNet if ``data/weights`` has them, else random ones: as fast, other scores."""
    from semlib import vgg, weights

    if all(weights.path(name).is_file() for name in ("vgg16", "dists")):
        yield "ImageNet weights"
        return
    rng = np.random.default_rng(0)
    share = np.full((1, 3 + sum(vgg.CHANNELS), 1, 1), 1, np.float32)
    random = {"dists": {"alpha": share, "beta": share}, "vgg16": {}}
    before = 3
    for stage, after in zip(vgg.STAGES, vgg.CHANNELS, strict=True):
        for layer in stage:
            # of this deviation, so that the maps neither vanish nor grow from layer to layer
            kernel = rng.normal(0, np.sqrt(2 / (9 * before)), (after, before, 3, 3))
            random["vgg16"][f"features.{layer}.weight"] = kernel.astype(np.float32)
            random["vgg16"][f"features.{layer}.bias"] = np.zeros(after, np.float32)
            before = after
    vgg._layers.cache_clear()
    try:
        with mock.patch.object(weights, "load", random.get):
            yield "random weights"
    finally:
        vgg._layers.cache_clear()  # nobody else may find them there


def trainings(sizes, device, _):
    """Steps of SEM-VLM and of the denoiser "semnr", whole trainings as `training` runs them."""
    from semlib.images import simulator
    from training import denoisers, fields, sem_vlm
    from training.sem_vlm_pairs import PRESETS, SIZE, Pairs

    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        preset = PRESETS["narrow"]
        simulator.write_arrays(folder / "pairs", sizes.pairs, seed=0, preset=preset, size=SIZE)
        pairs = Pairs(folder / "pairs")

        def vision(target, device, steps):
            settings = sem_vlm.Settings(steps=steps, batch_size=sizes.pair_batch)
            sem_vlm.train(target, settings, data=pairs, held_out={}, device=device)

        yield from compared("SEM-VLM", sem_vlm, vision, sizes, device)
        batch, crop = sizes.crops
        settings = {"pieces": sizes.pieces, "batch_size": batch, "crop": crop}

        def denoiser(target, device, steps):
            options = {"look": False, "data": folder, "device": device, "steps": steps}
            denoisers.train("semnr", target, **options, **settings)

        yield from compared("SEMNR denoiser", denoisers, denoiser, sizes, device)
        bank = fields.bank(sizes.pieces, seed=1, folder=folder)
        config = denoisers.TRAINING | settings | {"kind": "semnr"}
        rng = np.random.default_rng(0)
        spent = seconds(lambda: denoisers.batch(bank, rng, config), "cpu", sizes.rounds)
        yield row("SEMNR denoiser, its crops alone, made on the CPU", 1 / spent, "batches/s")


def compared(name, module, train, sizes, device):
    """Rows: losses of the first steps on CPU and GPU, and steps a second."""
    first = [steps_of(module, train, place, sizes.compared_steps)[0] for place in ("cpu", device)]
    yield row(f"{name}, losses", gap(*first), "relative above 1", at_most=LOSS, must=True)
    _, spent = steps_of(module, train, device, sizes.steps)
    yield row(name, 1 / spent, "steps/s")
