"""The table of gaps: ours and J-invariance against the truth's setting."""

import numpy as np
import pytest

from semlib.semnr import damage, opponents

FEW = ("Gaussian", "wavelet")


@pytest.fixture(scope="module")
def clean():
    return damage.scenes(2, seed=70, size=128).clean / np.float32(255)


def test_the_truth_is_never_beaten_and_cases_keep_their_names(clean):
    table = opponents.gaps(opponents.correlated(clean[:1], correlations=(0.2, 0.6)), FEW)
    assert list(table["correlation"]) == [0.2, 0.2, 0.6, 0.6] and set(table["filter"]) == set(FEW)
    assert (table["truth"] >= table["psnr"]).all()
    assert (table["truth"] >= table["j_invariance"]).all()


def test_j_invariance_fails_where_noise_is_correlated_and_ours_does_not(clean):
    cases = opponents.correlated(clean, correlations=(0.0, 0.7))
    table = opponents.gaps(cases, FEW)
    lost = opponents.lost(table, "correlation").set_index("correlation")
    assert lost.loc[0.7, "J-invariance"] > lost.loc[0.0, "J-invariance"] + 0.5
    assert lost.loc[0.7, "ours"] < lost.loc[0.7, "J-invariance"] / 3
