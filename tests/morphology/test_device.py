"""Levels on a device: made there as the files are, bit for bit."""

import numpy as np
import pytest
import torch

from semlib.images.pyramid import pyramid
from semlib.morphology import device


@pytest.fixture
def levels():
    return pyramid(np.random.default_rng(0).integers(256, size=(40, 24, 32), dtype=np.uint8))


def test_levels_made_on_the_device_are_those_of_the_files(levels, monkeypatch):
    sent = []
    monkeypatch.setattr(
        device.torch, "tensor", lambda level, device: sent.append(level) or torch.as_tensor(level)
    )
    found = device.send(levels, "cpu")
    assert len(sent) == 1 and all(level.dtype == torch.uint8 for level in found)
    assert all(np.array_equal(made, level) for made, level in zip(found, levels, strict=True))


@pytest.mark.parametrize(
    "other", [np.zeros((40, 12, 16), np.uint8), np.zeros((40, 7, 5), np.uint8)]
)
def test_a_level_of_its_own_is_sent(levels, other):
    assert np.array_equal(device.send([levels[0], other], "cpu")[1], other)


def test_a_cpu_reads_the_levels_where_they_are(levels):
    assert device.resident(levels, "cpu") is levels
