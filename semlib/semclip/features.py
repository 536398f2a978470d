"""What a backbone sees in images, kept in memory or on the disk."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from semlib.paths import atomic


@dataclass(frozen=True)
class Features:
    """What a backbone sees in N images.

    Attributes
    ----------
    image : float32 (N, e)
        The unchanged model's image embedding, L2-normalised.
    tokens : float16 (N, 2, L, P, d)
        Patch tokens behind the last layer norm. Axis 1: original path, V-V path; L levels, shallow to deep; P patches,
        row by row.
    """

    image: np.ndarray
    tokens: np.ndarray

    def __len__(self):
        return len(self.image)

    def __getitem__(self, index):
        """Features of some of the images; `index` is a slice, or an int or bool array."""
        return Features(self.image[index], self.tokens[index])

    def save(self, folder):
        """Write ``tokens.npy`` and ``image.npy``; the folder is whole once the latter is there."""
        for name in ("tokens", "image"):
            with atomic(Path(folder) / f"{name}.npy") as temporary:
                np.save(temporary, getattr(self, name))

    @classmethod
    def load(cls, folder):
        """Read what `save` wrote; the tokens stay on the disk until they are used (memory map)."""
        return cls(
            np.load(Path(folder) / "image.npy"), np.load(Path(folder) / "tokens.npy", mmap_mode="r")
        )
