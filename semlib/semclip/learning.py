"""A folder of shots becomes a method that learnt from them, the best of those that can."""

import numpy as np
import pandas as pd
from tqdm import tqdm

from semlib.semclip import data, keeping, learners
from semlib.semclip.inspection import READ, write

DEFAULT = learners.PIXELS  # where nothing can be compared but masks are there


def learn(backbone, prompts, place, table, out, method=None):
    """Train on a folder of shots, and write down how each was read and marked.

    `table` is `lot.describe` of the folder. Without a `method` those that can learn from the shots
    are compared; ``methods.csv`` in `out` says how well. Returns a `keeping.Learnt`.
    """
    images, masks = data.shots(place, table, backbone.image_size)
    _note_masks(prompts, place, table, masks, out)
    shots = learners.Shots(images, table["label"].to_numpy(str), masks)
    possible = learners.possible(shots, prompts)
    compared = pd.DataFrame()
    if method:
        keeping.check(method, shots, prompts)
    elif len(possible) > 1:
        make = learners.makers(backbone, prompts, masked=True)
        compared = learners.compare(make, possible, shots, prompts)
        method = compared["method"].iloc[0] if len(compared) else DEFAULT
        _say(compared, method)
    else:
        (method,) = possible
    rows = compared.assign(used=compared["method"] == method) if len(compared) else compared
    write(rows, out / "methods.csv", by="method")
    threshold = compared["threshold"].iloc[0] if len(compared) else learners.THRESHOLD
    scale = tuple(int(side) for side in np.median(_shapes(place, table), axis=0))
    nm = pd.to_numeric(table["pixel_nm"], errors="coerce")
    nm = float(nm.median()) if nm.notna().all() else None
    model = keeping.fit(method, shots, backbone, prompts)
    kept = compared.to_dict("records"), backbone.settings
    return keeping.Learnt(method, model, shots, float(threshold), scale, nm, *kept)


def _shapes(place, table):
    """Height and width of each shot without its data bar, (N, 2)."""
    return [data.shape(place, row) for row in table.itertuples()]


def _say(compared, method):
    if compared.empty:
        print(f"one shot of each class: nothing to compare on, so {method} is used")
        return
    print(compared.round(3).to_string(index=False))
    print(
        f"used: {method}, best on {compared['shots'].iloc[0]} shots left out (--method overrules)"
    )


def _note_masks(prompts, place, table, masks, out):
    masked = (table["mask_path"] != "").to_numpy()
    marked = masks.mean((1, 2))
    normal = prompts.positions(table["label"]) == prompts.normal
    for i in np.flatnonzero(masked & ((marked > 0) == normal)):
        note = f"its mask marks {'a defect' if normal[i] else 'nothing'}"
        tqdm.write(f"{place / table['path'][i]} is {table['label'][i]!r}, but {note}")
        table.loc[i, "notes"] = f"{table['notes'][i]}; {note}".lstrip("; ")
    about = table.rename(columns={"path": "file"}).assign(marked=marked.round(4))
    write(about[["file", "label", "mask_path", "mask_rule", "marked", *READ]], out / "shots.csv")
    if not masked.any() and not normal.all():
        tqdm.write(f"{place} has no masks: the Transformation Layers stay untrained")
