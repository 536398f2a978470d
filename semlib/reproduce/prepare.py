"""What a first run fetches and compiles, in a process beside its first notebooks."""

import contextlib
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from semlib import weights


def begin():
    """Start it, where weights or umap-learn's compiled code are missing; it ends by itself."""
    compiled = Path(find_spec("umap").origin).parent.glob("__pycache__/*.nbi")
    if not any(compiled) or any(state == "missing" for state, *_ in weights.status()):
        quiet = dict.fromkeys(("stdout", "stderr"), subprocess.DEVNULL)
        subprocess.Popen([sys.executable, "-m", __name__], start_new_session=True, **quiet)


if __name__ == "__main__":
    from semlib.morphology import layout  # seconds to import, which the run does not wait for
    from semlib.semnr import metrics

    for name in weights.REGISTRY:
        with contextlib.suppress(weights.WeightsError):  # the notebook that wants them says why
            weights.load(name)
    noise = np.random.default_rng(0).random((32, 32), np.float32)
    layout.umap(noise)
    metrics.ssim(noise, noise)
