"""Carinthia, Carinthia-S, the synthetic set or an own folder: fetched, checked, in one manifest."""

import hashlib
import json
import shutil
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from tqdm import tqdm

from semlib import paths
from semlib.images import carinthia, folder
from semlib.images.download import download, extract

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
    if where.name == "synthetic":
        _simulate(where, {"n": n, "seed": seed, "mix": mix})
    if where.name in carinthia.ARCHIVES and not (where.raw / "data").exists():
        download(carinthia.ARCHIVES[where.name], where.archive)
    if where.name in paths.BUILT_IN:
        extract(where.archive, where.raw)
    return where.raw


def _simulate(where, wanted):
    """Write the synthetic archive, unless one of these properties is there."""
    from semlib.images import simulate

    record = where.raw / "simulation.json"
    wanted = wanted | {"simulator": simulate.sources_digest()}
    there = record.exists() and (where.archive.exists() or (where.raw / "data").exists())
    if there and wanted.items() <= json.loads(record.read_text()).items():
        return
    record.unlink(missing_ok=True)
    where.raw.mkdir(parents=True, exist_ok=True)
    simulate.write_archive(
        where.archive, wanted["n"], seed=wanted["seed"], mix=wanted["mix"], masks=True
    )
    shutil.rmtree(where.raw / "data", ignore_errors=True)
    where.manifest.unlink(missing_ok=True)
    with paths.atomic(record) as temporary:
        temporary.write_text(
            json.dumps(wanted | {"sha256": _sha256(where.archive)}, indent=1) + "\n"
        )


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
    table = (
        _published(where) if where.name in paths.BUILT_IN else pd.DataFrame(folder.rows(where.raw))
    )
    files = [where.raw / path for path in table["path"]]
    with ThreadPoolExecutor() as pool:
        table["sha256"] = list(
            tqdm(pool.map(_sha256, files), total=len(files), unit="image", desc="checksums")
        )
    table = table[COLUMNS]
    with paths.atomic(where.manifest) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")
    skipped(where).unlink(missing_ok=True)
    return table


def load_manifest(dataset):
    """Read ``manifest.csv`` without the images that ``skipped.csv`` lists.

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
    if skipped(where).exists():
        left_out = pd.read_csv(skipped(where), dtype=str)["image_id"]
        table = table[~table["image_id"].isin(left_out)].reset_index(drop=True)
    return table.astype({"label": int}) if where.name in paths.BUILT_IN else table


def labels(dataset):
    """Labels in the order of ``level0.npy``, or None where no image has one.

    Returns
    -------
    ndarray (N,) or None
        Whole numbers 1 to 6; for an own folder str, "" where an image has no label.
    """
    column = load_manifest(dataset)["label"].to_numpy()
    return column if (column != "").any() else None


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
    table = carinthia.rows(main, where.raw)
    if where.name != "synthetic":
        carinthia.check_totals(table, main)
    if masks.exists() and masks != main:
        lookup = carinthia.rows(masks, where.raw).set_index("image_id")["mask_path"]
        table["mask_path"] = table["image_id"].map(lookup).fillna("")
    return table


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
