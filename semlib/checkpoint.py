"""Trainings that go on after a kill: the state of every part and how far it came, in one file."""

import json
from pathlib import Path

from semlib.paths import atomic


def keep(file, config, parts, progress):
    """Write the state of a training into a ``.pt`` file, whole or not at all.

    Parameters
    ----------
    config : dict of all that the training depends on, JSON types only
    parts : dict of str to object with ``state_dict``: model, optimiser, schedule
    progress : what was done so far, such as the losses of the steps; JSON types only
    """
    import torch

    states = {name: part.state_dict() for name, part in parts.items()}
    with atomic(file) as temporary:
        torch.save({"parts": states, "config": json.dumps(config), "progress": progress}, temporary)


def resume(file, config, parts, start):
    """Bring `parts` to the state that `keep` wrote for the same `config`.

    Returns the progress as it was kept, or `start` without a file or with that of another training.
    """
    import torch

    if not Path(file).is_file():
        return start
    state = torch.load(file, map_location="cpu", weights_only=True)
    if state.get("config") != json.dumps(config):
        return start
    for name, part in parts.items():
        part.load_state_dict(state["parts"][name])
    return state["progress"]
