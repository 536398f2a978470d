"""Inputs of the benchmarks, the same in each run, and how large they are."""

import os

import numpy as np


def size(full, tiny):
    """`full`, or `tiny` where the environment variable SEMLIB_BENCH_SIZE is "tiny": for a test."""
    return tiny if os.environ.get("SEMLIB_BENCH_SIZE") == "tiny" else full


def images(count, side):
    """Random textures, uint8 (count, side, side): smooth in part, as neighbours may be equal."""
    rng = np.random.default_rng(0)
    walk = np.cumsum(rng.standard_normal((count, side, side), np.float32), axis=2)
    return (128 + 3 * walk).clip(0, 255).astype(np.uint8)


def embeddings(count):
    """Six overlapping Gaussian groups, float32 (count, 128), and the group of each row."""
    rng = np.random.default_rng(0)
    labels = rng.integers(6, size=count)
    centres = rng.standard_normal((6, 128))
    return (centres[labels] + rng.standard_normal((count, 128))).astype(np.float32), labels
