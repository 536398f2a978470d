"""The dose experiment: graded fields, fair rows, resume."""

import numpy as np
import pytest

from semlib.semnr import dose


@pytest.fixture(scope="module")
def graded():
    return dose.fields(9, seed=40)


@pytest.fixture
def quick(monkeypatch, without_weights):
    monkeypatch.setattr(dose.calibrate, "names", lambda: ["Gaussian", "TV"])


def test_fields_are_graded_in_contrast_and_size(graded):
    grades = {(field.about["size"], field.about["contrast"]) for field in graded}
    assert len(grades) == 9
    for field in graded:
        assert field.truth.shape == field.golden.shape == field.mask.shape == (96, 96)
        assert field.mask.sum() == field.about["area"] > 0
        assert field.truth.min() >= 0 and field.truth.max() <= 1
    areas = {size: [] for size in dose.SIZES}
    for field in dose.fields(18, seed=40):
        areas[field.about["size"]].append(field.about["area"])
    assert np.mean(areas[360]) > np.mean(areas[160])


def test_a_fainter_defect_differs_less_from_the_field_without_it(graded, monkeypatch):
    strength = [np.abs(field.truth - field.golden).max() for field in graded]
    monkeypatch.setattr(dose, "CONTRASTS", (0.1,))
    faint = [np.abs(field.truth - field.golden).max() for field in dose.fields(9, seed=40)]
    assert all(a < b for a, b in zip(faint, strength, strict=True))


@pytest.mark.slow
def test_rows_and_resume(quick, tmp_path, monkeypatch):
    options = {"seed": 40, "doses": (5, 200), "kinds": ("mse",), "folder": tmp_path}
    table = dose.evaluate(3, **options)
    assert list(table["restorer"].unique()) == ["truth", "noisy", "classical filter", "U-Net MSE"]
    assert len(table) == 3 * 2 * 4 and table["filter"].ne("").sum() == 6
    means = table.groupby(["restorer", "dose"])["psnr"].mean()
    assert means["U-Net MSE", 5] > means["classical filter", 5] > means["noisy", 5]
    assert means["noisy", 200] > means["noisy", 5]
    assert table["recall"].between(0, 1).all() and table["dists"].isna().all()
    monkeypatch.setattr(dose.visibility, "recall", None)  # would fail if anything were computed
    assert dose.evaluate(3, **options).equals(table)


def test_crop_must_fit():
    with pytest.raises(ValueError, match="crop=200"):
        dose.fields(1, seed=40, crop=200)
