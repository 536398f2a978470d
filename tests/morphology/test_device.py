"""Where a training computes."""

import numpy as np

from semlib.morphology import device


def test_a_cpu_reads_the_levels_where_they_are():
    levels = [np.zeros((4, 8, 8), np.uint8)]
    assert device.resident(levels, "cpu") is levels
