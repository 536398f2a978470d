"""One comparison: a plain reference and our path on the same input, and what counts as equal."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class Case:
    """Two functions without arguments, and how their results compare.

    Parameters
    ----------
    title, reference_name : str
    reference, ours : function
    unit : str
        What `count` counts.
    count : int
    tolerance : float
        Largest difference that counts as equal, see `verdict`.
    check : function
        Makes of a result the array that is compared; not timed. For example distances where signs are free.
    compared : str
        What `check` gives.
    quality : bool
        Results cannot be equal (layouts): `check` gives one number, higher is better, and only what ours lacks of the
        reference counts as a difference.
    work : (float, float)
        Operations and bytes of our side that are not PyTorch's, where they are known (`semlib.bench.profile`).
    """

    title: str
    reference_name: str
    reference: Callable
    ours: Callable
    unit: str
    count: int
    tolerance: float
    check: Callable = np.asarray
    compared: str = "values"
    quality: bool = False
    work: tuple = (0, 0)

    def described(self):
        """The same without its functions, to be sent to another process."""
        return replace(self, reference=None, ours=None, check=None)

    def verdict(self, reference, ours):
        """Whether two checked results are equal: dict of what was compared, difference, tolerance and equal.

        The difference is the largest one, absolute for values up to 1 and relative for larger ones.
        """
        reference, ours = (np.asarray(values, dtype=float) for values in (reference, ours))
        if reference.shape != ours.shape:
            raise ValueError(
                f"{self.title}: the reference gives {reference.shape}, ours {ours.shape}"
            )
        gaps = (reference - ours) / np.maximum(1, np.abs(reference))
        found = {"compared": self.compared, "tolerance": self.tolerance}
        if self.quality:
            found |= {"reference_quality": float(reference), "ours_quality": float(ours)}
            gap = max(0.0, float(gaps))
        else:
            gap = float(np.abs(gaps).max())
        return found | {"difference": gap, "equal": gap <= self.tolerance}


def example_images(count, size):
    """Random textures, uint8 (count, size, size): smooth in part, so that ties and equal neighbours occur."""
    rng = np.random.default_rng(0)
    walk = np.cumsum(rng.standard_normal((count, size, size), np.float32), axis=2)
    return (128 + 3 * walk).clip(0, 255).astype(np.uint8)


def example_embeddings(count, dim=128, groups=6):
    """Overlapping Gaussian groups, float32 (count, dim), and the group of each row."""
    rng = np.random.default_rng(0)
    labels = rng.integers(groups, size=count)
    centres = rng.standard_normal((groups, dim))
    return (centres[labels] + rng.standard_normal((count, dim))).astype(np.float32), labels
