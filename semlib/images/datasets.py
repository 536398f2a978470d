"""Carinthia, Carinthia-S, the synthetic set or an own folder: fetched, checked, in one manifest."""

import json
import os
import shutil
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from semlib import paths
from semlib.images import lot
from semlib.images.download import ARCHIVES, PUBLISHED, download, extract
from semlib.workers import threads

CLASS_TOTALS = dict(enumerate(PUBLISHED["class_totals"], start=1))  # of both sets
COLUMNS = ["image_id", "path", "label", "mask_path", "sha256"]


def fetch(dataset, *, n=4591, seed=0, mix="preset"):
    """Make the raw files of a data set available, if they are not, and return their folder.

    "carinthia" and "carinthia-s" are downloaded (or taken from a ``data.zip`` placed by hand), a
    folder of own images is taken as it is. "synthetic" is simulated with n, seed and mix, see
    `simulator.sample`, and anew when these or the simulator differ from ``raw/simulation.json``.
    """
    place = paths.of(dataset)
    if place.name == "synthetic":
        _simulate(place, n, seed, mix)
    if place.name in ARCHIVES and not (place.raw / "data").exists():
        download(ARCHIVES[place.name], place.archive)
    if place.name in paths.BUILT_IN:
        extract(place.archive, place.raw)
    return place.raw


def _simulate(place, n, seed, mix):
    """Write the synthetic archive, unless one of these properties is there."""
    from semlib.images import simulator

    record = place.raw / "simulation.json"
    wanted = {"n": n, "seed": seed, "mix": mix, "simulator": simulator.sources_digest()}
    is_made = record.exists() and (place.archive.exists() or (place.raw / "data").exists())
    if is_made and wanted.items() <= json.loads(record.read_text()).items():
        return
    record.unlink(missing_ok=True)  # first away, last written: a killed run starts over
    place.raw.mkdir(parents=True, exist_ok=True)
    simulator.write_archive(place.archive, n, seed=seed, mix=mix)
    shutil.rmtree(place.raw / "data", ignore_errors=True)
    place.manifest.unlink(missing_ok=True)
    wanted["sha256"] = paths.sha256(place.archive)
    paths.write_text(record, json.dumps(wanted, indent=1) + "\n")


def manifest(dataset, *, bar="auto"):
    """List every image of a fetched data set, check it, and write ``manifest.csv``.

    Columns of the DataFrame: image_id (str), path and mask_path (str, relative to the raw folder;
    mask_path empty if there is none), label (int 1 to 6; for an own folder str, "" without one),
    sha256. An own folder has `lot.COLUMNS`, too: how its files were read, and what the instrument
    states. `bar` is the data bar to cut off own images, as for `read.image`. What is missing or
    not as published is a FileNotFoundError or ValueError.
    """
    place = paths.of(dataset)
    own = place.name not in paths.BUILT_IN
    table = lot.describe(place.raw, bar) if own else _published(place)
    files = [place.raw / path for path in table["path"]]
    digests = threads(paths.sha256, files, os.cpu_count())
    table["sha256"] = list(tqdm(digests, "checksums", len(files), unit="image"))
    table = table[COLUMNS + lot.COLUMNS * own]
    paths.write_text(place.manifest, table.to_csv(index=False, lineterminator="\n"))
    place.skipped.unlink(missing_ok=True)
    return table


def load_manifest(dataset):
    """Read ``manifest.csv`` without what ``skipped.csv`` lists; row i describes ``level0[i]``."""
    place = paths.of(dataset)
    if not place.manifest.exists():
        raise FileNotFoundError(f"{place.manifest} is missing: run notebook 01, datasets.manifest")
    table = pd.read_csv(place.manifest, dtype=str, keep_default_na=False)
    if place.skipped.exists():
        left_out = pd.read_csv(place.skipped, dtype=str, keep_default_na=False)["image_id"]
        table = table[~table["image_id"].isin(left_out)].reset_index(drop=True)
    return table.astype({"label": int}) if place.name in paths.BUILT_IN else table


def labels(dataset):
    """Labels in the order of ``level0.npy``, as in the manifest; None where no image has one."""
    column = load_manifest(dataset)["label"].to_numpy()
    return column if (column != "").any() else None


def _published(place):
    """Images of an archive, masks joined where Carinthia-S lies at hand."""
    masked = paths.of("carinthia-s") if place.name == "carinthia" else place
    masks = masked.raw / "data" / "carinthia-s.csv"
    file = masks if place.name == "carinthia-s" else place.raw / "data" / "carinthia.csv"
    table = _listed(file, place.raw)
    totals = table["label"].value_counts().reindex(CLASS_TOTALS, fill_value=0).to_dict()
    if place.name != "synthetic" and totals != CLASS_TOTALS:
        raise ValueError(
            f"{file}: {len(table)} images, per class {totals}; "
            f"published are {sum(CLASS_TOTALS.values())}, per class {CLASS_TOTALS}"
        )
    if masks != file and masks.exists():
        paths_by_id = _listed(masks, place.raw).set_index("image_id")["mask_path"]
        table["mask_path"] = table["image_id"].map(paths_by_id).fillna("")
    return table


def _listed(file, raw):
    """Images of a published CSV, checked; paths count from `raw`."""
    if not file.exists():
        raise FileNotFoundError(f"{file} is missing: fetch the data set first")
    masked = file.name == "carinthia-s.csv"
    name = "filename" if masked else "file_name"
    table = _read_csv(file, [name, "label", "image_path", *["mask_path"] * masked])
    wrong = table[~table["label"].isin(list(map(str, CLASS_TOTALS)))]
    if len(wrong):
        first = wrong.iloc[0]
        raise ValueError(f"{file}: label {first['label']!r} of {first[name]!r} is not 1 to 6")
    images = [_locate(path, "images", file, raw) for path in table["image_path"]]
    masks = [_locate(path, "masks", file, raw) for path in table["mask_path"]] if masked else ""
    ids = table[name].str.removesuffix(".jpg")
    columns = {"image_id": ids, "path": images, "label": table["label"].astype(int)}
    return pd.DataFrame(columns | {"mask_path": masks})


def _locate(name, kind, file, raw):
    """Path from `raw` of a file that the CSV names, whichever folder the name counts from."""
    data = file.parent
    for folder in (data.parent, data, data / kind):
        if (folder / name).is_file():
            return Path(os.path.relpath(folder / name, raw)).as_posix()
    raise FileNotFoundError(f"{file} names {name!r}, which is not in {data.parent}")


def _read_csv(file, columns):
    """A published CSV as text, with these columns and no value of the first one twice."""
    options = {"dtype": str, "keep_default_na": False, "encoding": "utf-8-sig"}
    try:
        table = pd.read_csv(file, sep=";", skipinitialspace=True, **options)
    except (ValueError, OSError) as error:
        raise ValueError(f"{file} is no readable UTF-8 CSV file: {error}") from error
    if missing := [column for column in columns if column not in table]:
        expected = ";".join(columns)
        raise ValueError(f"{file}: no column {missing[0]!r} in {list(table)}; expected {expected}")
    names = table[columns[0]]
    if names.duplicated().any():
        raise ValueError(f"{file}: {names[names.duplicated()].iloc[0]!r} is listed twice")
    return table
