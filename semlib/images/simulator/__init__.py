"""Synthetic SEM images with everything known of them.

`film` and `defects`, `patterns`, or `layers` and `lines` make a scene on a `surface` grid,
`microscope` takes its image, `words` describe it; `presets` say which, `write` keeps a set.
"""

from semlib.images.simulator.batch import SimulatedBatch, sample
from semlib.images.simulator.write import sources_digest, write_archive, write_arrays

__all__ = ["SimulatedBatch", "sample", "sources_digest", "write_archive", "write_arrays"]
