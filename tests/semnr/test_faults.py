"""Faults and flags: what no metric may hide, on simulated scenes that set no limit."""

import re

import numpy as np
import pandas as pd
import pytest

from semlib.semnr import damage, denoise, faults, fsim, trust


@pytest.mark.parametrize("shift", [(0, 13), (13, 0), (2, -3), (-5, 6)])
def test_a_rolled_image_is_told_from_an_inverted_one(lines, noisy, shift):
    image, _ = lines
    rolled = faults.faults(image, np.roll(noisy, shift, (0, 1)))
    assert list(rolled) == ["shifted"]
    assert list(faults.faults(image, 1 - noisy)) == ["inverted"]
    assert list(faults.faults(image, noisy.max() - 0.3 * noisy)) == ["inverted"]


def test_the_shift_is_said_in_pixels(lines, noisy):
    said = faults.faults(lines[0], np.roll(noisy, (4, -3), (0, 1)))["shifted"]
    assert re.fullmatch(r"it lies [34].\d px down and [23].\d px to the left of its place", said)


def test_blank_images_and_good_ones(lines, noisy):
    image, _ = lines
    for level in (0.0, 0.4, 1.0):
        assert list(faults.faults(image, np.full_like(image, level))) == ["blank"]
    assert list(faults.faults(image, np.float32(0.4 + 0.01 * image))) == ["blank"]
    for good in (image, noisy, np.float32(0.3 + 0.3 * image)):
        assert faults.faults(image, good) == {}


CASES = {  # the flag that each must raise
    "blank": lambda x, mask: np.full_like(x, x.mean()),
    "inverted": lambda x, mask: 1 - x,
    "shifted": lambda x, mask: np.roll(x, (13, 13), (0, 1)),
    "defect erased": lambda x, mask: damage.apply("defect erased", x, 1.0, seed=0, mask=mask),
}
GOOD = {"Gaussian": {"sigma": 0.8}, "median": {"size": 3}, "NL means": {}, "wavelet": {}}


@pytest.mark.slow
def test_misses_and_false_alarms(without_weights, monkeypatch):
    """Seeds 900 and 901, from which nothing was chosen. No flag needs FSIM, which takes long."""
    monkeypatch.setattr(fsim, "features", lambda image: None)
    monkeypatch.setattr(fsim, "compare", lambda a, b: 0.9)
    counted = []
    for seed in (900, 901):
        batch = damage.scenes(10, seed=seed, size=128)
        truths = batch.clean / np.float32(255)
        for number, (truth, mask) in enumerate(zip(truths, batch.masks, strict=True)):
            reference = trust.Reference(truth, mask=mask)
            noisy = damage.acquire(truth, seed=[seed, number])
            before = trust.profile(reference, noisy)
            good = {name: denoise.denoise(name, noisy, **own) for name, own in GOOD.items()}
            bad = {flag: make(good["NL means"], mask) for flag, make in CASES.items()}
            for name, image in (good | bad).items():
                raised = trust.flags(before, trust.profile(reference, image))
                counted.append({"case": name, "own": name in raised, "any": bool(raised)})
    share = pd.DataFrame(counted).groupby("case")[["own", "any"]].mean()
    assert (share.loc[["blank", "inverted"], "own"] == 1).all()
    assert share.loc["shifted", "own"] >= 0.8 and share.loc["defect erased", "own"] >= 0.8
    assert (share.loc[list(CASES), "any"] >= 0.9).all()
    assert (share.loc[list(GOOD), "any"] <= 0.1).all()
