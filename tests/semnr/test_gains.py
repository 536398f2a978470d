"""The gains: 1 (or 0) for the truth, unmoved by noise, each moved by its own damage."""

import numpy as np
import pytest

from semlib.semnr import damage
from semlib.semnr import gains as module


@pytest.fixture
def gains(lines):
    image, mask = lines
    golden = damage.without_defect(image, mask)
    return lambda restored: module.gains(image, restored, mask=mask, golden=golden)


def test_the_truth_and_noise(lines, noisy, gains):
    perfect = {"edge": 1, "contrast": 1, "invention": 0, "outlier": 0, "defect": 1}
    assert gains(lines[0]) == pytest.approx(perfect, abs=1e-5)
    of_noise = gains(noisy)
    assert 3 < of_noise["outlier"] < 7
    assert [of_noise["edge"], of_noise["contrast"]] == pytest.approx([1, 1], abs=0.05)
    assert of_noise["defect"] == pytest.approx(1, abs=0.25)


@pytest.mark.parametrize(
    ("kind", "gain", "sign"),
    [
        ("blur", "edge", -1),
        ("over-sharpening", "edge", 1),
        ("hallucinated texture", "invention", 1),
        ("added artefacts", "outlier", 1),
        ("contrast loss", "contrast", -1),
        ("defect erased", "defect", -1),
    ],
)
def test_each_damage_moves_its_gain(kind, gain, sign, lines, gains):
    image, mask = lines
    grain = 0.01 * np.random.default_rng(0).normal(size=image.shape).astype(np.float32)
    restored = [damage.apply(kind, image, s, seed=0, mask=mask) + grain for s in (0, 0.5, 1)]
    moved = [gains(np.clip(r, 0, 1))[gain] for r in restored]
    assert sign * (moved[1] - moved[0]) > 0.01 and sign * (moved[2] - moved[1]) > 0


def test_the_contrast_gain_is_the_factor(lines, gains):
    assert gains(0.5 * lines[0] + 0.2)["contrast"] == pytest.approx(0.5, abs=1e-4)


def test_without_a_mask_the_defect_is_unknown(lines):
    assert np.isnan(module.gains(lines[0], lines[0])["defect"])
