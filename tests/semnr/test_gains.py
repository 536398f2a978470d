"""The gains: 1 (or 0) for the truth, unmoved by noise, each moved by its own damage."""

import numpy as np
import pytest

from semlib.semnr import damage, trust
from semlib.semnr.gains import gains


@pytest.fixture
def reference(lines, without_weights):
    return trust.Reference(lines[0], mask=lines[1])


def test_the_truth_and_noise(reference, noisy):
    perfect = {"edge": 1, "contrast": 1, "invention": 0, "outlier": 0, "defect": 1}
    assert gains(reference, reference.image) == pytest.approx(perfect, abs=1e-5)
    of_noise = gains(reference, noisy)
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
def test_each_damage_moves_its_gain(kind, gain, sign, lines, reference):
    image, mask = lines
    grain = 0.01 * np.random.default_rng(0).normal(size=image.shape).astype(np.float32)
    restored = [damage.apply(kind, image, s, seed=0, mask=mask) + grain for s in (0, 0.5, 1)]
    moved = [gains(reference, np.clip(one, 0, 1))[gain] for one in restored]
    assert sign * (moved[1] - moved[0]) > 0.01 and sign * (moved[2] - moved[1]) > 0


def test_the_contrast_gain_is_the_factor_and_the_defect_needs_a_mask(lines, reference):
    assert gains(reference, 0.5 * lines[0] + 0.2)["contrast"] == pytest.approx(0.5, abs=1e-4)
    assert np.isnan(gains(trust.Reference(lines[0]), lines[0])["defect"])
