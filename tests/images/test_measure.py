from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from semlib.images import measure

REAL = Path(__file__).resolve().parents[3] / "shared" / "real-sem" / "carinthia"


def test_noise_of_white_noise_on_a_slope():
    y, x = np.mgrid[:128, :128]
    image = 90 + 0.1 * x - 0.05 * y + np.random.default_rng(0).normal(0, 3, (128, 128))
    std, lag_x, lag_y = measure.noise(image)
    assert std == pytest.approx(3, abs=0.15)
    assert abs(lag_x) < 0.05 and abs(lag_y) < 0.05


def test_noise_of_smoothed_noise():
    white = np.random.default_rng(0).normal(0, 3, (128, 129))
    std, lag_x, lag_y = measure.noise((white[:, 1:] + white[:, :-1]) / 2)
    assert std == pytest.approx(3 / np.sqrt(2), rel=0.05)
    assert lag_x == pytest.approx(0.5, abs=0.05)
    assert abs(lag_y) < 0.05


def test_known_image_and_mask_statistics():
    images = np.full((2, 100, 100), 51, np.uint8)
    images[1] = 153
    images[:, :, -3:] = 5
    masks = np.zeros((2, 100, 100), bool)
    masks[0, 10:20, 30:70] = True
    masks[0, 50:55, 30:34] = True
    found = measure.statistics(images, masks, [3, 6])
    assert found["body_mean"] == 102 and found["body_std"] == 0 and found["border_max"] == 5
    assert found["set_mean"] == pytest.approx(images.mean() / 255)
    assert found["set_std"] == pytest.approx(images.std() / 255)
    expected = {
        "count": 1,
        "empty": 0,
        "mean": 0.042,
        "median": 0.042,
        "parts": 2,
        "width": 40,
        "height": 45,
    }
    assert found["masks"] == {3: pytest.approx(expected), 6: {"count": 1, "empty": 1}}
    assert measure.statistics(images, masks)["masks"]["all"]["empty"] == 0.5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([],), "no image"),
        ((np.zeros((1, 50, 50)),), r"\(50, 50\)"),
        ((np.zeros((2, 100, 100)), np.zeros((1, 100, 100))), "2 images but 1 masks"),
        ((np.zeros((2, 100, 100)), None, [3]), "2 images but 1 labels"),
    ],
)
def test_bad_input(arguments, message):
    with pytest.raises(ValueError, match=message):
        measure.statistics(*arguments)


@pytest.mark.skipif(
    not REAL.is_dir(), reason="the real images of ../shared/real-sem/carinthia are absent"
)
def test_the_estimator_finds_the_documented_values_on_real_images():
    images = [np.array(Image.open(file).convert("L")) for file in sorted(REAL.glob("*.png"))]
    for image in images:
        std, lag_x, lag_y = measure.noise(image)
        assert 1.9 < std < 2.5
        assert lag_x == pytest.approx(0.7, abs=0.06)
        assert 0.35 < lag_y < 0.57
    found = measure.statistics(images)
    assert 94 < found["body_mean"] < 101
    assert 3.8 < found["body_std"] < 9.3
    assert found["border_max"] <= 12
