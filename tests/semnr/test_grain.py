"""Invented texture is told from what a restorer leaves of the noise."""

import numpy as np
import pytest
from scipy import ndimage

from semlib.semnr import damage, grain, trust


@pytest.fixture
def reference(lines, without_weights):
    return trust.Reference(lines[0], mask=lines[1])


def test_a_share_of_the_noise_is_explained_whatever_its_size(reference, noisy):
    for share in (0, 0.3, 1):
        image = reference.image + share * (noisy - reference.image)
        assert grain.unexplained(reference, noisy, image) == pytest.approx(0, abs=1e-5)


def test_a_filter_is_below_invented_texture(reference, noisy):
    smooth = ndimage.gaussian_filter(noisy, 1.2)
    own = grain.unexplained(reference, noisy, smooth)
    values = [own]
    for severity in (0.3, 0.6, 1.0):
        image = damage.apply("hallucinated texture", smooth, severity, seed=1)
        values.append(grain.unexplained(reference, noisy, image))
    assert values == sorted(values) and values[-1] > 3 * values[0]


@pytest.mark.parametrize("name", ["blur", "contrast loss"])
def test_what_takes_grain_away_has_invented_none(lines, noisy, name, without_weights):
    textured = damage.apply("hallucinated texture", lines[0], 0.6, seed=2)
    reference = trust.Reference(textured, mask=lines[1])
    noisy = textured + noisy - lines[0]
    image = damage.apply(name, textured, 1.0, seed=1)
    assert grain.unexplained(reference, noisy, image) == 0
    image = damage.apply("hallucinated texture", textured, 1.0, seed=1)
    assert grain.unexplained(reference, noisy, image) > grain.LIMIT


def test_edges_and_the_defect_do_not_count(reference, noisy):
    image = noisy.copy()
    image[reference.mask] = 0.9
    assert grain.unexplained(reference, noisy, image) == pytest.approx(
        grain.unexplained(reference, noisy, noisy), abs=0.02
    )
    flat = grain.flat_areas(reference)
    assert flat.any() and not (flat & reference.mask).any()


def test_clean_input_is_measured_in_grey_values(reference):
    image = damage.apply("hallucinated texture", reference.image, 1.0, seed=1)
    value = grain.unexplained(reference, reference.image, image)
    assert 0.02 < value < 0.1  # the grain's own standard deviation is 0.08 before the blur


def test_without_a_mask(lines, noisy, without_weights):
    plain = trust.Reference(lines[0])
    assert np.isfinite(grain.unexplained(plain, noisy, noisy))
