"""A folder of images classified and segmented after a few shots: the order of the work."""

from pathlib import Path

from semlib import paths
from semlib.images import databar, folder, lot
from semlib.semclip import data, inspection, keeping, learners, learning, store
from semlib.semclip.backbone import Backbone
from semlib.semclip.clip import OURS
from semlib.semclip.prompts import Prompts


def run(
    images,
    out,
    *,
    shots=None,
    model=None,
    reference=None,
    method=None,
    backbone=None,
    pretrained=None,
    prompts=None,
    bar=None,
):
    """Learn from labelled shots, or take a saved model, and write what it sees in a folder.

    What can learn from the shots is compared on shots left out, and the best is used, unless
    `method` names another one. Images are looked at in tiles at the scale of the shots; shots and
    images are read by one rule, which the model keeps for later lots. With the folder `reference`
    (same names) maps are what differs from those images, which needs no shots. An interrupted run
    continues; what has other content, model or reading is done again.

    `model` is the ``model/`` of an earlier run, `bar` that of `read.image`, by default the model's.
    `out` receives ``results.csv`` (also returned), ``defects.csv``, ``masks/``, ``overlays/``,
    ``index.html``, ``methods.csv``, ``model/``, ``shots.csv`` (how these were read) and
    ``skipped.csv`` (files that were not used, and why).
    """
    images = Path(images)
    out = Path(out)
    if shots is not None and model is not None or (shots is model is reference is None):
        raise ValueError("give either shots to learn from or a saved model (or a --reference)")
    if model is not None and (backbone or pretrained or prompts):
        raise ValueError("a saved model brings its own backbone and prompts: leave those out")
    if method not in (None, *learners.NAMES):
        raise ValueError(f"unknown method {method!r}: use one of {', '.join(learners.NAMES)}")
    paths.check_writable(out, "name another folder with --out")
    passed_over = [(file.as_posix(), why) for file, why in folder.listing(images).passed_over]
    if model is not None:
        learnt, words, reading = keeping.load(model, method)
        reading["bar"] = databar.option(bar or reading["bar"])
        table = lot.describe(images, reading["bar"], masked=False)
        _read_as_taught(table, reading["range"])
    elif shots is None:
        learnt = None
        table = lot.describe(images, databar.option(bar or "auto"), masked=False)
    else:
        reading = dict(store.READING)
        reading["bar"] = databar.option(bar or reading["bar"])
        words = Prompts.load(prompts)
        taught = lot.describe(Path(shots), reading["bar"])
        data.check_shots(Path(shots), taught, words)
        table = lot.describe(images, reading["bar"], masked=False)
        reading["range"] = _read_alike(taught, table)
        net = Backbone(backbone or OURS, pretrained)
        learnt = learning.learn(net, words, Path(shots), taught, out, method)
    if learnt:
        keeping.save(learnt, words, reading, out / "model")
    beside = Path(reference) if reference else None
    return inspection.inspect(learnt, images, table, out, passed_over, beside)


def _read_alike(*tables):
    """Give several lots one rule for the grey range: as all files state it, or by quantiles."""
    rules = {rule for table in tables for rule in table["range"]}
    if len(rules) > 1:
        print(
            "grey range: by quantiles for shots and images alike, as one folder does not state it"
        )
    rule = "quantiles" if "quantiles" in rules else "stated"
    for table in tables:
        table["range"] = rule
    return rule


def _read_as_taught(table, rule):
    """Give a lot the rule by which the shots of its model were read, as far as it can be."""
    if rule == "stated" and "quantiles" in set(table["range"]):
        note = "grey range by quantiles, while the model learnt from files that state theirs"
        print(f"{note}: better learn anew from the shots, with these images as --images")
        table["notes"] = [f"{notes}; {note}".lstrip("; ") for notes in table["notes"]]
    else:
        table["range"] = rule
