"""The two published archives, Carinthia and Carinthia-S: where they are and how to read their CSV."""

import os
from pathlib import Path

import pandas as pd

from semlib.images.download import Archive

ARCHIVES = {
    "carinthia": Archive(
        url="https://zenodo.org/records/10715190/files/data.zip?download=1",
        sha256="02436de8c2d6b0c7eabdcdcf133ab5f17e59a0e3de56ebffc4cb6b2acb771490",
        bytes=133_840_870,
    ),
    "carinthia-s": Archive(
        url="https://zenodo.org/records/16895427/files/data.zip?download=1",
        sha256="e7cc8507657611f89db33345d50fc7951e8784045684888dc997ac5298b7a3a2",
        bytes=139_225_942,
    ),
}
CLASSES = range(1, 7)
CLASS_TOTALS = {1: 55, 2: 8, 3: 4008, 4: 289, 5: 4, 6: 227}  # of both sets


def rows(file, raw):
    """Read carinthia.csv or carinthia-s.csv and check every line.

    Parameters
    ----------
    file : Path
        The CSV in its ``data`` folder: ``image_path;file_name;label`` (names ending in ``.jpg``), or
        ``image_path;mask_path;filename;label`` (names without an extension).
    raw : Path
        Folder from which the returned paths count.

    Returns
    -------
    DataFrame
        Columns image_id, path, label (int) and mask_path (empty without masks).

    Raises
    ------
    FileNotFoundError
        If the CSV, or a file it names, is missing.
    ValueError
        If the delimiter, a column, a label or an id is wrong, or no image is listed.
    """
    if not file.exists():
        raise FileNotFoundError(f"{file} is missing: fetch the data set first")
    try:
        table = pd.read_csv(
            file, sep=";", dtype=str, keep_default_na=False, index_col=False, encoding="utf-8-sig"
        )
    except (ValueError, OSError) as error:
        raise ValueError(f"{file} is no readable CSV file: {error}") from error
    name = "filename" if "filename" in table else "file_name"
    for column in ("image_path", name, "label"):
        if column not in table:
            raise ValueError(
                f"{file}: no column {column!r} among {list(table.columns)}; expected the delimiter ';' "
                "and image_path;file_name;label, or image_path;mask_path;filename;label"
            )
    if table.empty:
        raise ValueError(f"{file} lists no image")
    ids = table[name].str.removesuffix(".jpg")
    if ids.duplicated().any():
        raise ValueError(f"{file}: duplicate id {ids[ids.duplicated()].iloc[0]!r}")
    bad = table["label"][~table["label"].isin([str(k) for k in CLASSES])]
    if len(bad):
        raise ValueError(f"{file}, line {bad.index[0] + 2}: label {bad.iloc[0]!r}, expected 1 to 6")
    found = {
        "image_id": ids,
        "path": [_locate(p, "images", file, raw) for p in table["image_path"]],
    }
    masks = (
        [_locate(p, "masks", file, raw) for p in table["mask_path"]] if "mask_path" in table else ""
    )
    return pd.DataFrame(found | {"label": table["label"].astype(int), "mask_path": masks})


def _locate(name, kind, file, raw):
    """Path of a file named in the CSV, whichever folder it counts from, relative to `raw`."""
    data = file.parent
    for place in (data.parent / name, data / name, data / kind / name):
        if place.is_file():
            return Path(os.path.relpath(place, raw)).as_posix()
    raise FileNotFoundError(
        f"{file} names {name!r}, which is neither in {data.parent} nor in {data / kind}"
    )


def check_totals(table, file):
    """Raise ValueError unless the rows of `file` have the published class totals."""
    totals = {k: int((table["label"] == k).sum()) for k in CLASSES}
    if totals != CLASS_TOTALS:
        raise ValueError(
            f"{file}: {len(table)} images, per class {totals}; "
            f"published are {sum(CLASS_TOTALS.values())}, per class {CLASS_TOTALS}"
        )
