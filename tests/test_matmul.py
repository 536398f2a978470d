"""Products with packed matrices against NumPy's."""

import numpy as np
import pytest

from semlib import matmul


@pytest.mark.parametrize("rows", [1, 3, 4, 12, 13, 30])
@pytest.mark.parametrize(("inside", "panels"), [(1, 1), (16, 2), (100, 3)])
def test_equals_numpy(rows, inside, panels):
    rng, outside = np.random.default_rng(0), panels * matmul.PANEL
    left = rng.standard_normal((5, rows * inside + 3), np.float32)
    matrices = rng.standard_normal((5, inside, outside), np.float32)
    result = np.full((5, rows * outside + 2), 7, np.float32)
    matmul.multiply(1, 4, rows, left, matmul.pack(matrices), result)
    expected = left[:, : rows * inside].reshape(5, rows, inside).astype(float) @ matrices
    assert np.abs(result[1:4, :-2].reshape(3, rows, outside) - expected[1:4]).max() < 1e-6 * inside
    assert (result[[0, 4]] == 7).all() and (result[:, -2:] == 7).all()  # nothing else is written


def test_a_row_does_not_depend_on_its_company():
    rng = np.random.default_rng(1)
    left, panels = (
        rng.random((1, 30 * 64), np.float32),
        matmul.pack(rng.random((1, 64, matmul.PANEL), np.float32)),
    )
    results = [np.empty((1, rows * matmul.PANEL), np.float32) for rows in (30, 1)]
    for rows, result in zip((30, 1), results, strict=True):
        matmul.multiply(0, 1, rows, left, panels, result)
    assert np.array_equal(results[0][0, : matmul.PANEL], results[1][0])


def test_columns_that_do_not_fill_the_panels():
    with pytest.raises(ValueError, match=f"20 columns: must be a multiple of {matmul.PANEL}"):
        matmul.pack(np.zeros((1, 16, 20), np.float32))
