"""Which values the parameters of a notebook may have: a wrong one waits for no training."""

import math
from pathlib import Path

import numpy as np
import yaml

LIMITS = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))


def check(notebook, values, images=None):
    """Refuse values with which a notebook fails late, or does something else in silence.

    ``limits.yaml`` has them. ValueError names parameter, value and what fits. `images` is the shape
    of ``level0.npy``, (N, H, W), as soon as it is there.
    """
    for name, limit in LIMITS.get(notebook, {}).items():
        if name in values and (advice := _advice(name, values[name], limit, images)):
            raise ValueError(f"{notebook}: {name} is {values[name]!r}: {advice}")
    if values.get("candidates") and not {"paper", "ours"} <= set(values["candidates"]):
        raise ValueError(f"{notebook}: candidates are compared with paper and ours: add these")
    if "paper" not in values.get("methods", ["paper"]):
        raise ValueError(f"{notebook}: methods is {values['methods']!r}: add paper, which is shown")
    if values.get("n_robust", math.inf) <= values.get("k", 0):
        raise ValueError(f"{notebook}: n_robust is {values['n_robust']}: use more than k")


def shape(notebook, place):
    """Shape of the preprocessed images, (N, H, W), if a notebook reads them; else None."""
    if "data/level0.npy" not in notebook.inputs:
        return None
    return np.load(place.level(0), mmap_mode="r").shape


def _advice(name, value, limit, images):
    """What would fit, in words; "" where the value does."""
    items = value if isinstance(value, list) else [value]
    if isinstance(limit, list):
        fits = all(item in limit for item in items) and (items or name == "candidates")
        more = "; ..." if len(limit) > 8 else ""
        return "" if fits else f"use {'; '.join(map(str, limit[:8]))}{more}"
    span, _, step = str(limit).partition(" by ")
    low, _, high = span.partition(" to ")
    counts = items is value and "." not in low  # of a list the notebook does not tell the kind
    kinds = {int} if counts else {int, float}
    fit = items and all(type(x) in kinds and float(low) <= x <= float(high or "inf") for x in items)
    if not fit:
        kind = "whole numbers of " if counts else ""
        return f"use {kind}{span}" + ("" if high else " or more")
    if step and value % int(step):
        return f"use a multiple of {step}, as the pyramid halves it twice"
    if images and name in ("k", "ks") and min(items) >= images[0]:
        return f"there are {images[0]} images: use fewer clusters, or more images"
    if images and name == "glcm_distances" and max(items) >= images[1]:
        return f"the images have {images[1]} pixels a side: use less"
    return ""
