"""A CSV that lists files, read in chunks: however long it is, one chunk of it is in memory."""

import csv
from itertools import islice


def columns(file):
    """Names in the first line of the manifest.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such file, or it is empty.
    """
    if not file.is_file():
        raise FileNotFoundError(
            f"{file} does not exist: a manifest is a CSV file with a column 'path'"
        )
    with open(file, newline="", encoding="utf-8-sig") as stream:
        names = next(csv.reader(stream), [])
    if not names:
        raise ValueError(f"{file} is empty: its first line names the columns, such as 'path'")
    return [name.strip() for name in names]


def select(file, required, optional=()):
    """The required columns and those of the optional ones that the manifest has, in this order.

    Raises
    ------
    ValueError
        If a required column is missing.
    """
    there = columns(file)
    if missing := [name for name in required if name not in there]:
        raise ValueError(f"{file} has the columns {', '.join(there)}, but not {', '.join(missing)}")
    return [name for name in (*required, *optional) if name in there]


def count(file):
    """Number of rows, the line of names not counted."""
    return sum(1 for _ in _rows(file, columns(file)))


def chunks(file, names, size):
    """Yield lists of at most `size` rows; a row is a tuple of the columns `names`.

    Raises
    ------
    ValueError
        Naming the line, if a row is longer or shorter than the first line or its first column in `names` is empty.
    """
    there = columns(file)
    places = [there.index(name) for name in names]
    lines = _rows(file, there)
    while part := list(islice(lines, size)):
        rows = [tuple(row[place].strip() for place in places) for _, row in part]
        for (line, _), row in zip(part, rows, strict=True):
            if not row[0]:
                raise ValueError(f"{file}, line {line}: no {names[0]}")
        yield rows


def _rows(file, there):
    with open(file, newline="", encoding="utf-8-sig") as stream:
        reader = csv.reader(stream)
        next(reader)
        for row in reader:
            if row and len(row) != len(there):
                raise ValueError(
                    f"{file}, line {reader.line_num}: {len(row)} columns, expected {len(there)}; "
                    "names that hold a comma stand in double quotes"
                )
            if row:
                yield reader.line_num, row
