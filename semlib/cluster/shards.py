"""Results as one .npy file for each chunk of a manifest, beside a JSON file that says what it was made from."""

import csv
import hashlib
import json
import os
import uuid
from pathlib import Path

import numpy as np

from semlib.paths import atomic


def key(settings, rows, files):
    """Digest of what a shard depends on: settings, names, and size and time of change of each file."""
    stats = [[_stat(file) for file in row] for row in files]
    return hashlib.sha256(json.dumps([settings, rows, stats], sort_keys=True).encode()).hexdigest()


def _stat(file):
    try:
        found = os.stat(file)
    except (OSError, TypeError):
        return None
    return found.st_size, found.st_mtime_ns


def is_done(folder, index, wanted):
    """Whether chunk number `index` was finished with this key."""
    file = _record(folder, index)
    return file.exists() and json.loads(file.read_text())["key"] == wanted


def write(folder, index, wanted, values, bad):
    """Write a shard, then its record; a record thus never stands beside the values of another key.

    Dask may run a chunk twice at a time when it takes a slow worker for dead, so each attempt has temporary files of
    its own.

    Parameters
    ----------
    folder : Path
    index : int
    wanted : str
        From `key`.
    values : array (n, ...)
    bad : dict
        Row of the chunk -> reason.
    """
    folder.mkdir(parents=True, exist_ok=True)
    record = json.dumps({"key": wanted, "rows": len(values), "bad": bad}, indent=1) + "\n"
    _record(folder, index).unlink(missing_ok=True)
    _replace(folder / f"{index:08d}.npy", lambda file: np.save(file, values))
    _replace(_record(folder, index), lambda file: file.write(record.encode()))


def _replace(path, fill):
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with open(temporary, "wb") as file:
            fill(file)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _record(folder, index):
    return folder / f"{index:08d}.json"


def begin(folder, settings):
    """Claim a folder for these settings.

    Raises
    ------
    ValueError
        If it holds shards of other settings; the message says which differ.
    """
    file = folder / "settings.json"
    stored = json.loads(file.read_text()) if file.exists() else settings
    if differing := sorted(
        name for name in stored.keys() | settings.keys() if stored.get(name) != settings.get(name)
    ):
        raise ValueError(
            f"{folder} was made with other settings ({', '.join(differing)}): remove it or write elsewhere"
        )
    (folder / "complete.json").unlink(missing_ok=True)
    with atomic(file) as temporary:
        temporary.write_text(json.dumps(settings, indent=1))


def finish(folder, chunks, names):
    """List the rows that are empty in ``skipped.csv`` and say in ``complete.json`` how much there is.

    Parameters
    ----------
    folder : Path
    chunks : iterable of list of tuple
        The rows of the manifest.
    names : sequence of str
        Their columns.

    Returns
    -------
    dict
        chunks, rows and bad (number of empty rows).
    """
    total = {"chunks": 0, "rows": 0, "bad": 0}
    with (
        atomic(folder / "skipped.csv") as temporary,
        open(temporary, "w", newline="", encoding="utf-8") as stream,
    ):
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["row", *names, "reason"])
        for index, rows in enumerate(chunks):
            bad = json.loads(_record(folder, index).read_text())["bad"]
            writer.writerows(
                [total["rows"] + int(row), *rows[int(row)], reason] for row, reason in bad.items()
            )
            total = {
                "chunks": index + 1,
                "rows": total["rows"] + len(rows),
                "bad": total["bad"] + len(bad),
            }
    with atomic(folder / "complete.json") as temporary:
        temporary.write_text(json.dumps(total, indent=1))
    return total


class Shards:
    """The finished shards of a stage, read one at a time.

    Parameters
    ----------
    folder : path
        OUT/STAGE of a run.

    Attributes
    ----------
    rows, chunks, chunk : int
        Number of rows and of shards, rows in each shard but the last.

    Raises
    ------
    FileNotFoundError
        If the run is not complete.
    """

    def __init__(self, folder):
        self.folder = Path(folder)
        if not (self.folder / "complete.json").is_file():
            raise FileNotFoundError(
                f"{folder} is no complete stage: run the same `bulk run` command again"
            )
        total = json.loads((self.folder / "complete.json").read_text())
        self.rows, self.chunks = total["rows"], total["chunks"]
        self.chunk = json.loads((self.folder / "settings.json").read_text())["chunk"]

    def load(self, index):
        """Values (n, ...) of one shard, mapped into memory."""
        return np.load(self.folder / f"{index:08d}.npy", mmap_mode="r")

    def __iter__(self):
        return map(self.load, range(self.chunks))

    def take(self, rows):
        """Values of some rows of the manifest, given in ascending order."""
        rows = np.asarray(rows)
        owner = rows // self.chunk
        parts = [
            self.load(index)[rows[owner == index] - index * self.chunk]
            for index in np.unique(owner)
        ]
        return np.concatenate(parts)
