"""Noise, look and mask statistics against known answers."""

from pathlib import Path

import numpy as np
import pytest

from semlib.images import measure, read

REAL = Path(__file__).resolve().parents[3] / "shared" / "real-sem" / "carinthia"


def test_noise_of_white_noise_on_a_slope_and_of_smoothed_noise():
    y, x = np.mgrid[:128, :128]
    white = np.random.default_rng(0).normal(0, 3, (128, 129))
    std, *lags = measure.noise(90 + 0.1 * x - 0.05 * y + white[:, 1:])
    assert std == pytest.approx(3, abs=0.15)
    assert lags == pytest.approx([0, 0], abs=0.05)
    std, *lags = measure.noise((white[:, 1:] + white[:, :-1]) / 2)
    assert std == pytest.approx(3 / np.sqrt(2), rel=0.05)
    assert lags == pytest.approx([0.5, 0], abs=0.05)


def test_known_image_and_mask_statistics():
    images = np.full((2, 100, 100), 51, np.uint8)
    images[1] = 153
    images[:, :, -3:] = 5
    masks = np.zeros((2, 100, 100), bool)
    masks[0, 10:20, 30:70] = True
    masks[0, 50:55, 30:34] = True
    measured = measure.statistics(images)
    assert measured["body_mean"] == 102 and measured["body_std"] == 0
    assert measured["border_max"] == 5
    assert measured["set_mean"] == pytest.approx(images.mean() / 255)
    assert measured["set_std"] == pytest.approx(images.std() / 255)
    table = measure.mask_table(masks, [3, 6])
    assert table["mask statistic"].tolist() == ["mean", "median", "parts", "width", "height"]
    assert table["measured"].tolist() == pytest.approx([0.042, 0.042, 2, 40, 45])
    assert table["documented (Carinthia)"].tolist() == [0.0197, 0.0167, 1.2, 85, 72]
    assert set(table["class"]) == {"3"} and set(table["images"]) == {1}
    assert measure.mask_table(masks, ["a", "b"])["documented (Carinthia)"].isna().all()
    assert measure.mask_table(masks[1:], [3]).empty


def test_bad_input():
    with pytest.raises(ValueError, match="same length"):
        measure.mask_table(np.zeros((2, 9, 9), bool), [3])


def test_the_documented_numbers_stand_beside_the_measured():
    images = np.random.default_rng(0).integers(90, 110, (2, 100, 100)).astype(np.uint8)
    table = measure.statistics_table(images).set_index("statistic")
    assert table["documented (Carinthia)"].to_dict() == {
        "body_mean": "94–101",
        "body_std": "4–9",
        "noise_std": "2.1–2.4",
        "lag1_x": "0.7",
        "lag1_y": "0.35–0.49",
        "border_max": "0–12",
        "set_mean": "0.3775",
        "set_std": "0.05",
    }
    assert table["measured"].to_dict() == measure.statistics(images)
    assert measure.statistics_table(images, documented=False)["documented (Carinthia)"].isna().all()
    assert measure.statistics_table(images[:, :50]).empty


def test_what_a_dark_border_adds():
    plain = np.full((3, 20, 20), 100, np.uint8)
    plain[:, :, :10] += np.arange(1, 4, dtype=np.uint8)[:, None, None]
    bordered = plain.copy()
    bordered[:, :, -3:] = 5
    table = measure.border_table({"with": bordered, "without": plain}).set_index("images")
    shares = table["gradient energy in the last 4 columns %"]
    assert shares["with"] > 99 and shares["without"] == 0
    assert table["GLCM contrast"]["with"] == pytest.approx((95**2 + (1 + 4 + 9) / 3) / 19, rel=1e-3)
    assert table["correlation of column profiles"]["with"] > 0.9


@pytest.mark.skipif(
    not REAL.is_dir(), reason="the real images of ../shared/real-sem/carinthia are absent"
)
def test_the_estimator_finds_the_documented_values_on_real_images():
    images = [read.image(file).uint8() for file in sorted(REAL.glob("*.png"))]
    for image in images:
        std, lag_x, lag_y = measure.noise(image)
        assert 1.9 < std < 2.5
        assert lag_x == pytest.approx(0.7, abs=0.06)
        assert 0.35 < lag_y < 0.57
    measured = measure.statistics(images)
    assert 94 < measured["body_mean"] < 101
    assert 3.8 < measured["body_std"] < 9.3
    assert measured["border_max"] <= 12
