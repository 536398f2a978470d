"""The rule by which SEMNR's terms are weighted."""

import pandas as pd

from training import tradeoff


def test_most_recall_within_half_a_decibel():
    curve = pd.DataFrame({"factor": [0.0, 1.0, 3.0, 9.0]})
    curve["psnr"] = [30.0, 29.9, 29.6, 29.0]
    curve["recall"] = [0.7, 0.72, 0.75, 0.8]
    assert tradeoff.choose(curve) == 2
    curve["recall"] = [0.8, 0.72, 0.75, 0.9]
    assert tradeoff.choose(curve) == 0
