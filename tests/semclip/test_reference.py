"""Die to reference: changes of the pattern are the first peaks, whatever else differs."""

import numpy as np
import pandas as pd
import pytest
from skimage.feature import peak_local_max

from semlib.semclip import reference
from tests.conftest import real_sem
from tests.semclip.pairs import pair


def peaks(differences):
    """The largest peaks of a map of `compare`: table of x, y and deviations, largest first."""
    places = peak_local_max(differences, min_distance=10, num_peaks=50, exclude_border=False)
    table = pd.DataFrame({"x": places[:, 1], "y": places[:, 0]})
    return table.assign(deviations=differences[tuple(places.T)])


def ranks(table, places):
    """Rank of the first peak within 12 pixels of each place (x, y)."""
    return [
        int(np.flatnonzero(np.hypot(table["x"] - x, table["y"] - y) <= 12)[0]) + 1
        for x, y in places
    ]


@pytest.mark.slow
@pytest.mark.parametrize("seed", [200, 201, 202])
def test_changes_of_a_pattern_are_the_first_peaks(seed):
    image, other, places = pair(seed)
    table = peaks(reference.compare(image, other))
    assert sorted(ranks(table, places)) == [1, 2, 3]
    assert table["deviations"].is_monotonic_decreasing


@pytest.mark.slow
@pytest.mark.parametrize("seed", [203, 204])
def test_a_pair_without_a_change_raises_no_alarm(seed):
    image, other, _ = pair(seed, defects=0)
    assert reference.compare(image, other).max() < reference.ALARM


def texture(size=96, seed=0):
    from scipy import ndimage

    noise = np.random.default_rng(seed).normal(size=(size, size))
    field = ndimage.gaussian_filter(noise, 3)
    return 120 + 40 * field / field.std()


def test_shift_and_grey_scale_are_undone():
    large = texture(120)
    image = large[10:106, 10:106]
    moved = (0.7 * large[13:109, 6:102] + 30).clip(0, 255)
    back, inside = reference.registered(image.astype(np.float32), moved.astype(np.float32))
    back = reference.grey_matched(back, image, inside)
    assert inside[8:-8, 8:-8].all()
    assert np.abs(back - image)[8:-8, 8:-8].mean() < 2


def test_grey_scale_is_not_pulled_by_a_defect():
    moved = texture().astype(np.float32)
    image = 0.5 * moved + 60
    image[:20, :20] = 255
    matched = reference.grey_matched(moved, image, np.ones(image.shape, bool))
    np.testing.assert_allclose(matched[30:, 30:], image[30:, 30:], atol=0.5)


def test_equal_images_differ_nowhere_and_sizes_must_agree():
    image = texture().clip(0, 255).astype(np.uint8)
    assert reference.compare(image, image).max() < 1
    with pytest.raises(ValueError, match=r"the image has \(96, 96\) pixels, its reference"):
        reference.compare(image, image[:90])


@pytest.mark.slow
def test_the_marked_points_of_the_real_wafer_stand_out():
    from semlib.images import read
    from semlib.semclip.real import POINTS

    folder = real_sem() / "patterned_wafer"
    names = ("inspected", "reference")
    images = [read.image(folder / f"case1_{n}_image.png", bar="none").uint8() for n in names]
    table = peaks(reference.compare(*images))
    last = max(ranks(table, POINTS))
    near = [np.hypot(table["x"] - x, table["y"] - y) <= 12 for x, y in POINTS]
    assert np.any(near, axis=0)[:last].all(), "no false peak before the last marked point"
