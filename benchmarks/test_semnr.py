"""Metrics of many candidates against one reference image."""

from functools import partial
from unittest import mock

import numpy as np
import piq
import pytest
import torch
from torchvision.models import vgg16

from benchmarks.inputs import images, size
from semlib import weights
from semlib.semnr import dists, fsim, trust

CLEAN = images(1, size(512, 48))[0] / np.float32(255)
LEVELS = np.linspace(0.02, 0.16, size(8, 2), dtype=np.float32)
NOISE = np.random.default_rng(1).standard_normal((len(LEVELS), *CLEAN.shape), np.float32)
CANDIDATES = np.clip(CLEAN + LEVELS[:, None, None] * NOISE, 0, 1)
PIQ = {
    "psnr": piq.psnr,
    "ssim": partial(piq.ssim, downsample=False),
    "fsim": partial(piq.fsim, chromatic=False),
}
WITH_DISTS = dists.unavailable() is None


def piq_dists():
    """piq's DISTS with the weights of `semlib.weights` instead of its own download."""
    stored = {
        name: {key: torch.from_numpy(values) for key, values in weights.load(name).items()}
        for name in ("vgg16", "dists")
    }
    network = vgg16(weights=None)
    network.load_state_dict(stored["vgg16"], strict=False)
    with (
        mock.patch.object(torch.hub, "load_state_dict_from_url", lambda *_, **__: stored["dists"]),
        mock.patch.object(piq.perceptual, "vgg16", lambda **_: network),
    ):
        metric = piq.DISTS().eval()
    return lambda a, b: metric(a.expand(-1, 3, -1, -1), b.expand(-1, 3, -1, -1))


@torch.inference_mode()
def pair_by_pair(*metrics):
    """Values (n, metrics) of piq's metrics, which take tensors (1, 1, H, W)."""
    clean, *others = [torch.from_numpy(image)[None, None] for image in (CLEAN, *CANDIDATES)]
    return [[metric(clean, other).item() for metric in metrics] for other in others]


def test_fsim(compare):
    def ours():
        known = fsim.features(CLEAN)
        return [[fsim.compare(known, fsim.features(image))] for image in CANDIDATES]

    def reference():
        return pair_by_pair(PIQ["fsim"])

    compare("FSIM", "piq", reference, ours, len(CANDIDATES), 1e-4)


@pytest.mark.skipif(not WITH_DISTS, reason="the weights of DISTS are not here")
def test_dists(compare):
    metric = piq_dists()

    def ours():
        distance = dists.Distance(CLEAN)
        return [[distance(image)] for image in CANDIDATES]

    compare("DISTS", "piq", lambda: pair_by_pair(metric), ours, len(CANDIDATES), 1e-4, rounds=2)


def test_trust_profile(compare):
    """PSNR, SSIM, FSIM and, where its weights are, DISTS."""
    metrics = PIQ | ({"dists": piq_dists()} if WITH_DISTS else {})

    def reference():
        return pair_by_pair(*metrics.values())

    def ours():
        reference = trust.Reference(CLEAN)
        profiles = [trust.profile(reference, image) for image in CANDIDATES]
        return [[profile[name] for name in metrics] for profile in profiles]

    compare("trust profile", "piq", reference, ours, len(CANDIDATES), 1e-4, rounds=2)
