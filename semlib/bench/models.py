"""Cases of metrics and of few-shot detection: trust profile, SEM-CLIP."""

from unittest import mock

import numpy as np

from semlib.bench.case import Case, example_images


def trust(count=8, size=512):
    """PSNR, SSIM, FSIM and DISTS of candidates against one reference image."""
    import piq
    import torch

    from semlib.semnr import dists as dists_module
    from semlib.semnr import trust

    clean = example_images(1, size)[0] / np.float32(255)
    levels = 0.02 + 0.14 * np.arange(count) / count
    noise = np.random.default_rng(1).standard_normal((count, size, size), np.float32)
    candidates = np.clip(clean + levels[:, None, None].astype(np.float32) * noise, 0, 1)
    tensors = [torch.from_numpy(image)[None, None] for image in (clean, *candidates)]
    dists = None if dists_module.unavailable() else _piq_dists()
    names = ("psnr", "ssim", "fsim", "dists")[: 4 if dists else 3]

    def pair(a, b):
        values = [piq.psnr(a, b), piq.ssim(a, b, downsample=False), piq.fsim(a, b, chromatic=False)]
        values += [dists(a.expand(-1, 3, -1, -1), b.expand(-1, 3, -1, -1))] if dists else []
        return [value.item() for value in values]

    def reference():
        with torch.inference_mode():
            return [pair(tensors[0], other) for other in tensors[1:]]

    def ours():
        truth = trust.Reference(clean)
        found = [trust.profile(truth, image) for image in candidates]
        return [[one[name] for name in names] for one in found]

    title = "trust profile" if dists else "trust profile, no DISTS"
    return Case(title, "piq, pair by pair", reference, ours, "candidates", count, 1e-4)


def _piq_dists():
    """piq's DISTS with the weights of `semlib.weights` instead of its own download."""
    import piq
    import torch
    from torchvision.models import vgg16

    from semlib import weights

    network = vgg16(weights=None)
    network.load_state_dict(
        {k: torch.from_numpy(v) for k, v in weights.load("vgg16").items()}, strict=False
    )
    coefficients = {
        name: torch.from_numpy(values) for name, values in weights.load("dists").items()
    }
    with (
        mock.patch.object(torch.hub, "load_state_dict_from_url", lambda *_, **__: coefficients),
        mock.patch.object(piq.perceptual, "vgg16", lambda **_: network),
    ):
        return piq.DISTS().eval()


def semclip_features(count=48, size=240):
    """Embeddings and patch tokens of both paths."""
    backbone, images = _backbone(), example_images(count, size)
    backbone.encode_images(images[:1])
    return Case(
        f"SEM-CLIP features, {backbone.label}", "image by image", lambda: _one_by_one(backbone, images),
        lambda: backbone.encode_images(images), "images", count, 0.01,
        check=lambda found: np.concatenate([part.ravel() for part in (found.image, found.tokens)]),
    )  # fmt: skip


def semclip_episode(shots=2, tests=3, size=120):
    """Fit on a few shots a class and predict; ours has the features at hand, as in every episode but the first."""
    from semlib.images import simulate
    from semlib.semclip.episodes import Pool, episodes
    from semlib.semclip.model import SemClip
    from semlib.semclip.prompts import Prompts

    prompts, backbone = Prompts.load(), _backbone()
    batch = simulate.sample(
        7 * (shots + tests),
        seed=0,
        preset="semclip",
        size=size,
        labels=[*range(7)] * (shots + tests),
    )
    pool = Pool(batch.images, batch.labels, batch.masks, prompts.classes, prompts.normal)
    (episode,) = episodes(pool, shots=(shots,), seeds=(0,), n_test=tests, n_test_min=1)
    labels, masks = (
        [pool.classes[i] for i in pool.labels[episode.support]],
        pool.masks[episode.support],
    )
    kept = backbone.encode_images(pool.images)

    def reference():
        model = SemClip(backbone, prompts).fit(
            _one_by_one(backbone, pool.images[episode.support]), labels, masks
        )
        found = [model.predict(pool.images[i : i + 1]) for i in episode.test]
        return tuple(np.concatenate(part) for part in zip(*found, strict=True))

    def ours():
        model = SemClip(backbone, prompts).fit(kept[episode.support], labels, masks)
        return model.predict(kept[episode.test], shape=(size, size))

    return Case(
        f"SEM-CLIP episode, {shots} shots", "image by image, nothing kept", reference, ours, "images", len(pool.images),
        0.02, check=lambda found: np.concatenate([part.ravel() for part in found]),
        compared="probabilities and maps",
    )  # fmt: skip


def _one_by_one(backbone, images):
    from semlib.semclip.features import Features

    found = [backbone.encode_images(image[None]) for image in images]
    return Features(
        *(np.concatenate(part) for part in zip(*((f.image, f.tokens) for f in found), strict=True))
    )


def _backbone():
    """Our embedded model, or the same architecture with random weights where its weights are missing."""
    from semlib.semclip import vlm
    from semlib.semclip.backbone import Backbone

    return Backbone(
        pretrained=None if (vlm.MODELS / f"{vlm.NAME}.safetensors").exists() else "random"
    )
