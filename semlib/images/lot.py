"""A lot of own images: how each file of a folder is read, decided once and kept in the manifest."""

import os
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
from tqdm import tqdm

from semlib.images import databar, folder, instrument, masks, read
from semlib.workers import threads

COLUMNS = ["range", "bar_top", "bar_bottom", "mask_rule", "mask_side", *instrument.COLUMNS, "notes"]


def describe(raw, bar="auto", *, masked=True):
    """List the images of a folder and how each is to be read; print what was decided.

    Returns a DataFrame of text: image_id, path, label, mask_path and `COLUMNS`, which are how the
    grey range is found ("stated" or "quantiles"), the rows of the data bar, the rule of the mask,
    what the instrument states ("" where unknown) and notes. `bar` is that of `read.image`; with
    `masked` false the masks are not opened.
    """
    bar = databar.option(bar)  # before any file is opened
    listing = folder.listing(raw)
    _print(f"{raw}: {listing.line()}")
    files = [raw / image["path"] for image in listing.images]
    opened = threads(lambda file: _opened(file, bar), files, os.cpu_count())
    pictures = list(tqdm(opened, "looking at images", len(files), unit="image"))
    stated = all(picture.stated for picture in pictures if picture)
    by = "stated" if stated else "quantiles"
    table = pd.DataFrame(listing.images).assign(range=by, mask_rule="", mask_side="")
    table["bar_top"] = [picture.bar[0] if picture else "" for picture in pictures]
    table["bar_bottom"] = [picture.bar[1] if picture else "" for picture in pictures]
    for name in instrument.COLUMNS:
        table[name] = [(picture and picture.facts or {}).get(name, "") for picture in pictures]
    notes = [list(picture.notes) if picture else [] for picture in pictures]
    numbers = [i for i, one in enumerate(pictures) if masked and one and table["mask_path"][i]]
    mask_files = [raw / table["mask_path"][i] for i in numbers]
    decided = masks.decide_set(mask_files, [pictures[i] for i in numbers], keep=False)
    for i, mask in zip(numbers, decided, strict=True):
        table.loc[i, "mask_rule"] = mask.rule
        table.loc[i, "mask_side"] = masks.SIDES[mask.bright]
        notes[i] += [f"mask: {mask.doubt}"] * bool(mask.doubt)
    table["notes"] = ["; ".join(texts) for texts in notes]
    _say(table)
    return table.astype(str)


def _opened(file, bar):
    """A picture without its pixels; None where it cannot be read, which `preprocess` reports."""
    try:
        picture = read.image(file, bar=bar)
    except (ValueError, OSError):
        return None
    shape = np.broadcast_to(np.uint8(0), picture.shape)  # all that is needed from here on
    return replace(picture, pixels=shape)


def _say(table):
    """What was decided for how many images, a line each."""
    if (table["range"] == "quantiles").any():
        _print("grey range: by quantiles for all images, as not every file states its own")
    notes = table["notes"][table["notes"] != ""].str.split("; ").explode()
    for note, count in notes.value_counts().head(8).items():
        _print(f"{count} image{'s' * (count > 1)}: {note}")
    for rule, count in table["mask_rule"][table["mask_rule"] != ""].value_counts().items():
        _print(f"{count} mask{'s' * (count > 1)}: {rule}")


def _print(text):
    """Say something on standard error, which the driver shows on the terminal, too."""
    print(text, file=sys.stderr)
