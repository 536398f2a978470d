"""Carinthia, Carinthia-S, the synthetic set or an own folder: fetched, checked, in one manifest."""

import hashlib
import json
import os
import shutil
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from tqdm import tqdm

from semlib import paths
from semlib.images import folder
from semlib.images.download import Archive, download, extract

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
CLASS_TOTALS = {1: 55, 2: 8, 3: 4008, 4: 289, 5: 4, 6: 227}  # of both published sets
COLUMNS = ["image_id", "path", "label", "mask_path", "sha256"]


def fetch(dataset, *, n=4591, seed=0, mix="preset"):
    """Make the raw files of a data set available and return their folder.

    Parameters
    ----------
    dataset : str or Path
        "carinthia" and "carinthia-s" are downloaded (or taken from a ``data.zip`` placed by hand),
        "synthetic" is simulated, a folder of own images is taken as it is.
    n, seed, mix
        Only for "synthetic": see `semlib.images.simulate.write_archive`. The set is made anew when
        they, or the simulator, differ from what ``raw/simulation.json`` records.

    Returns
    -------
    Path
        The raw folder. Nothing is done where it is complete already.
    """
    where = paths.of(dataset)
    if dataset == "synthetic":
        _simulate(where, {"n": n, "seed": seed, "mix": mix})
    if dataset in ARCHIVES and not (where.raw / "data").exists():
        download(ARCHIVES[dataset], where.archive)
    if str(dataset) in paths.BUILT_IN:
        extract(where.archive, where.raw)
    return where.raw


def _simulate(where, wanted):
    record = where.raw / "simulation.json"
    sources = sorted(Path(__file__).parent.glob("simulate*.py"))
    wanted = wanted | {"simulator": hashlib.sha256(b"".join(f.read_bytes() for f in sources)).hexdigest()}
    if record.exists() and wanted.items() <= json.loads(record.read_text()).items():
        return
    from semlib.images import simulate

    record.unlink(missing_ok=True)
    where.raw.mkdir(parents=True, exist_ok=True)
    simulate.write_archive(where.archive, wanted["n"], seed=wanted["seed"], mix=wanted["mix"], masks=True)
    shutil.rmtree(where.raw / "data", ignore_errors=True)
    where.manifest.unlink(missing_ok=True)
    with paths.atomic(record) as temporary:
        temporary.write_text(json.dumps(wanted | {"sha256": _sha256(where.archive)}, indent=1) + "\n")


def manifest(dataset):
    """List every image of a fetched data set, check it, and write ``manifest.csv``.

    Parameters
    ----------
    dataset : str or Path

    Returns
    -------
    DataFrame
        Columns image_id (str), path and mask_path (str, relative to the raw folder; mask_path empty
        if there is none), label (int 1 to 6; for an own folder str, empty if unlabelled), sha256.

    Raises
    ------
    FileNotFoundError
        If the CSV, or a file it names, is missing.
    ValueError
        If a delimiter, column, label, id, the number of images or a class total is not as published.
    """
    where = paths.of(dataset)
    table = _published(where) if where.name in paths.BUILT_IN else pd.DataFrame(folder.rows(where.raw))
    files = [where.raw / path for path in table["path"]]
    with ThreadPoolExecutor() as pool:
        table["sha256"] = list(tqdm(pool.map(_sha256, files), total=len(files), unit="image", desc="checksums"))
    table = table[COLUMNS]
    with paths.atomic(where.manifest) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")
    skipped(where).unlink(missing_ok=True)
    return table


def load_manifest(dataset):
    """Read ``manifest.csv`` as `manifest` returned it, without the images that were skipped since.

    Row i describes row i of ``level0.npy``.

    Raises
    ------
    FileNotFoundError
        If there is no manifest yet.
    """
    where = paths.of(dataset)
    if not where.manifest.exists():
        raise FileNotFoundError(f"{where.manifest} is missing: run notebook 01, datasets.manifest")
    table = pd.read_csv(where.manifest, dtype=str, keep_default_na=False)
    return table.astype({"label": int}) if where.name in paths.BUILT_IN else table


def skipped(where):
    """Path of the list of images that a run left out."""
    return where.data / "skipped.csv"


def _published(where):
    """Rows of the archive's CSV, masks joined where Carinthia-S lies at hand."""
    data = where.raw / "data"
    main, masks = data / "carinthia.csv", data / "carinthia-s.csv"
    if where.name == "carinthia-s":
        main = masks
    elif where.name == "carinthia" and not masks.exists():
        masks = paths.of("carinthia-s").raw / "data" / "carinthia-s.csv"
    table = _read(main, where.raw)
    if where.name != "synthetic":
        _check_totals(table, main)
    if masks.exists() and masks != main:
        lookup = _read(masks, where.raw).set_index("image_id")["mask_path"]
        table["mask_path"] = table["image_id"].map(lookup).fillna("")
    return table


def _read(file, raw):
    """Rows of carinthia.csv or carinthia-s.csv, with paths relative to `raw`."""
    if not file.exists():
        raise FileNotFoundError(f"{file} is missing: fetch the data set first")
    try:
        table = pd.read_csv(file, sep=";", dtype=str, keep_default_na=False, encoding="utf-8-sig")
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
    found = {"image_id": ids, "path": [_locate(p, file, raw) for p in table["image_path"]]}
    masks = [_locate(p, file, raw) for p in table["mask_path"]] if "mask_path" in table else ""
    return pd.DataFrame(found | {"label": table["label"].astype(int), "mask_path": masks})


def _locate(name, file, raw):
    """Path of a file named in the CSV, whichever folder it counts from, relative to `raw`."""
    for root in (file.parent.parent, file.parent):
        if (root / name).is_file():
            return Path(os.path.relpath(root / name, raw)).as_posix()
    raise FileNotFoundError(f"{file} names {name!r}, which is not in {file.parent.parent}")


def _check_totals(table, file):
    totals = {k: int((table["label"] == k).sum()) for k in CLASSES}
    if totals != CLASS_TOTALS:
        raise ValueError(
            f"{file}: {len(table)} images, per class {totals}; "
            f"published are {sum(CLASS_TOTALS.values())}, per class {CLASS_TOTALS}"
        )


def check_members(raw, members_json):
    """Compare extracted files with a list of known sizes, CRC-32 and SHA-256 sums.

    Parameters
    ----------
    raw : Path
        Folder in which the archive was extracted.
    members_json : Path
        ``{"input_members": [{"member", "member_bytes", "member_crc32", "member_sha256"}, ...]}``,
        the two sums in hexadecimal.

    Returns
    -------
    int
        Number of members compared.

    Raises
    ------
    FileNotFoundError, ValueError
        If a member is missing or differs.
    """
    members = json.loads(Path(members_json).read_text())["input_members"]
    for member in members:
        file = Path(raw) / member["member"]
        content = file.read_bytes()
        found = len(content), f"{zlib.crc32(content):08x}", hashlib.sha256(content).hexdigest()
        known = member["member_bytes"], member["member_crc32"], member["member_sha256"]
        if found != known:
            raise ValueError(f"{file}: bytes, crc32, sha256 are {found}, known are {known}")
    return len(members)


def load_mask(path):
    """Read a mask of any mode as bool (H, W): foreground where its luminance is at least 128.

    Raises
    ------
    ValueError
        If the file is no readable image.
    """
    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("L")) >= 128
    except (OSError, SyntaxError) as error:
        raise ValueError(f"{path}: not a readable mask: {error}") from error


def _sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
