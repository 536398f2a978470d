"""What changed between two runs: values beyond their intervals, parameters, versions, code."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
from pandas.api.types import is_integer_dtype, is_numeric_dtype

from semlib import paths

COLUMNS = ["kind", "where", "what", "a", "b", "verdict"]
_NOT_SETTINGS = ("started", "seconds", "outputs", "source", "semlib", "inputs", "parameters")


def compare(first, second):
    """Compare two folders ``figures/<dataset>``, given as paths or as names in ``figures/``.

    A value with an interval (columns ``name``, ``name_lo``, ``name_hi``) counts as changed if the
    two intervals do not overlap, which is stricter than a test at their level (our choice). Of
    values without an interval only the largest change of a column is told, without a verdict.

    Returns a table: kind ("value", "column", "table", "parameter", "code", "run", "version"),
    where (table or notebook), what, a, b as text, verdict; empty for two runs that agree.
    ValueError if a folder holds no run.
    """
    folders = [_folder(first), _folder(second)]
    records = [json.loads((folder / "run.json").read_text(encoding="utf-8")) for folder in folders]
    changes = [*_record_changes(*records)]
    tables = [{path.name: path for path in folder.glob("*.csv")} for folder in folders]
    for name in sorted(tables[0].keys() | tables[1].keys()):
        if name not in tables[0] or name not in tables[1]:
            changes.append(("table", name, "", *_presence(name, tables), "in one run only"))
        elif tables[0][name].read_bytes() != tables[1][name].read_bytes():
            changes += _table_changes(name, *(pd.read_csv(files[name]) for files in tables))
    return pd.DataFrame(changes, columns=COLUMNS)


def _folder(name):
    for folder in (Path(name), paths.figures_root() / name):
        if (folder / "run.json").is_file():
            return folder
    raise ValueError(
        f"{name} holds no run.json: give a folder figures/DATASET in which notebooks were run"
    )


def _record_changes(one, other):
    """Differences of two run.json: the whole run, its packages, then each notebook."""
    yield from _entries("run", "", one, other, but=("packages", "notebooks", "started"))
    yield from _entries("version", "", one.get("packages", {}), other.get("packages", {}))
    books = one.get("notebooks", {}), other.get("notebooks", {})
    for name in sorted(books[0].keys() | books[1].keys()):
        if name not in books[0] or name not in books[1]:
            yield "run", name, "", *_presence(name, books), "in one run only"
            continue
        a = books[0][name]
        b = books[1][name]
        yield from _entries("run", name, a, b, but=_NOT_SETTINGS)
        yield from _entries("parameter", name, a["parameters"], b["parameters"])
        changed = ["cells"] if a["source"] != b["source"] else []
        changed += [file for _, _, file, *_ in _entries("", "", a["semlib"], b["semlib"])]
        if changed:
            more = f" and {len(changed) - 4} more" if len(changed) > 4 else ""
            yield "code", name, ", ".join(changed[:4]) + more, "–", "–", "changed"
        yield from _entries("run", f"{name} input", a["inputs"], b["inputs"])


def _presence(name, both):
    return ("there" if name in files else "–" for files in both)


def _entries(kind, place, one, other, but=()):
    """Entries of two dictionaries that differ."""
    for name in sorted((one.keys() | other.keys()) - set(but)):
        a = one.get(name, "–")
        b = other.get(name, "–")
        if a != b:
            yield kind, place, name, str(a), str(b), "changed"


def _table_changes(name, one, other):
    """Changes in the rows that two tables share."""
    shared = [column for column in one if column in other]
    keys = _keys(one[shared], other[shared])
    lengths = f"{len(one)} rows", f"{len(other)} rows"
    if keys is None:
        yield "table", name, "", *lengths, "rows cannot be matched"
        return
    numbers = [c for c in shared if c not in keys and _all(is_numeric_dtype, c, one, other)]
    if keys:
        one = one.set_index(keys)
        other = other.set_index(keys)
    both = one.index.intersection(other.index, sort=False)
    if len(both) < max(len(one), len(other)):
        yield "table", name, f"{len(both)} rows in both", *lengths, "rows differ"
    one = one.loc[both, numbers]
    other = other.loc[both, numbers]
    for column in numbers:
        ends = [f"{column}_lo", f"{column}_hi"]
        if set(ends) <= set(numbers):
            with_ends = (one[ends].notna() & other[ends].notna()).all(axis=1)
            parts = [table.loc[with_ends, [column, *ends]] for table in (one, other)]
            yield from _beyond(name, column, *parts)
            yield from _largest(name, column, one[~with_ends], other[~with_ends])
        elif column.removesuffix("_lo").removesuffix("_hi") not in set(numbers) - {column}:
            yield from _largest(name, column, one, other)


def _keys(one, other):
    """Fewest leading columns that name each row once in both tables; None if none do.

    Texts come first, then whole numbers, then numbers that both tables share (settings such as a
    severity). Two tables of one row each need no name: [].
    """
    if len(one) == len(other) == 1:
        return []
    texts = [column for column in one if not _all(is_numeric_dtype, column, one, other)]
    whole = [column for column in one if _all(is_integer_dtype, column, one, other)]
    rest = [column for column in one if column not in texts + whole]
    settings = [column for column in rest if set(one[column]) == set(other[column])]
    more = whole + settings
    for count in range(len(more) + 1):
        keys = texts + more[:count]
        if keys and not one.duplicated(keys).any() and not other.duplicated(keys).any():
            return keys
    return None


def _all(test, column, *tables):
    return all(test(table[column]) for table in tables)


def _beyond(name, column, one, other):
    """Rows whose intervals do not overlap."""
    for key, a, b in zip(one.index, one.to_numpy(float), other.to_numpy(float), strict=True):
        if a[2] < b[1] or b[2] < a[1]:
            texts = ["{:.3f} [{:.3f}, {:.3f}]".format(*values) for values in (a, b)]
            yield "value", name, f"{_text(key)}: {column}", *texts, "intervals apart"


def _largest(name, column, one, other):
    """The largest change of a column without intervals, if it is more than rounding."""
    a = one[column].to_numpy(float)
    b = other[column].to_numpy(float)
    same = np.isclose(a, b, rtol=1e-6, atol=1e-12, equal_nan=True)
    if not same.all():
        change = np.nan_to_num(np.abs(a - b), nan=np.inf)
        i = int(np.argmax(np.where(same, -1, change)))
        what = f"{_text(one.index[i])}: {column}, largest of {np.sum(~same)}"
        yield "column", name, what, f"{a[i]:.4g}", f"{b[i]:.4g}", "no interval"


def _text(key):
    return ", ".join(str(part) for part in key) if isinstance(key, tuple) else str(key)
