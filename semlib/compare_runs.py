"""What changed between two runs: values beyond their intervals, parameters, versions, seeds, code, data."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from semlib import paths

COLUMNS = ["kind", "where", "what", "a", "b", "verdict"]
_TIMES = ("started", "seconds", "outputs", "source", "semlib", "inputs", "parameters")


def compare(first, second):
    """Compare two folders ``figures/<dataset>``.

    A value that has an interval (columns ``name``, ``name_lo``, ``name_hi``) counts as changed if the two intervals
    do not overlap, which is stricter than a test at their level (our choice). Of values without an interval only the
    largest change of a column is told, without a verdict.

    Parameters
    ----------
    first, second : path
        The folders, or names of folders in ``figures/``.

    Returns
    -------
    DataFrame
        kind ("value", "column", "table", "parameter", "code", "run", "version"), where (table or notebook), what, a, b
        as text, verdict. Empty for two runs that agree.

    Raises
    ------
    ValueError
        If a folder holds no run.
    """
    folders = [_folder(name) for name in (first, second)]
    records = [json.loads((folder / "run.json").read_text(encoding="utf-8")) for folder in folders]
    rows = [*_record_changes(*records)]
    tables = [{path.name: path for path in folder.glob("*.csv")} for folder in folders]
    for name in sorted(tables[0].keys() | tables[1].keys()):
        if name not in tables[0] or name not in tables[1]:
            rows.append(("table", name, "", *_presence(name, tables), "in one run only"))
        elif tables[0][name].read_bytes() != tables[1][name].read_bytes():
            rows += _table_changes(name, *(pd.read_csv(known[name]) for known in tables))
    return pd.DataFrame(rows, columns=COLUMNS)


def _folder(name):
    for folder in (Path(name), paths.figures_root() / name):
        if (folder / "run.json").is_file():
            return folder
    raise ValueError(
        f"{name} holds no run.json: give a folder figures/DATASET in which notebooks were run"
    )


def _record_changes(one, other):
    """Differences of the two run.json: the whole run, its packages, then each notebook."""
    known = {"packages", "notebooks", "started"}
    yield from _entries(
        "run", "", *({k: v for k, v in run.items() if k not in known} for run in (one, other))
    )
    yield from _entries("version", "", one.get("packages", {}), other.get("packages", {}))
    books = one.get("notebooks", {}), other.get("notebooks", {})
    for name in sorted(books[0].keys() | books[1].keys()):
        if name not in books[0] or name not in books[1]:
            yield "run", name, "", *_presence(name, books), "in one run only"
            continue
        a, b = (known[name] for known in books)
        yield from _entries(
            "run", name, *({k: v for k, v in entry.items() if k not in _TIMES} for entry in (a, b))
        )
        yield from _entries("parameter", name, a["parameters"], b["parameters"])
        changed = ["cells"] if a["source"] != b["source"] else []
        changed += [file for _, _, file, *_ in _entries("", "", a["semlib"], b["semlib"])]
        if changed:
            shown = ", ".join(changed[:4]) + (
                f" and {len(changed) - 4} more" if len(changed) > 4 else ""
            )
            yield "code", name, shown, "–", "–", "changed"
        yield from _entries("run", f"{name} input", a["inputs"], b["inputs"])


def _presence(name, both):
    return ("there" if name in known else "–" for known in both)


def _entries(kind, where, one, other):
    for name in sorted(one.keys() | other.keys()):
        if one.get(name, "–") != other.get(name, "–"):
            yield kind, where, name, str(one.get(name, "–")), str(other.get(name, "–")), "changed"


def _table_changes(name, one, other):
    """Rows are matched by their texts, then by whole numbers, then by numbers that both tables share."""
    shared = [column for column in one if column in other]
    keys = _keys(one[shared], other[shared])
    if keys is None or not shared:
        return [
            ("table", name, "", f"{len(one)} rows", f"{len(other)} rows", "rows cannot be matched")
        ]
    one, other = (table.set_index(keys) if keys else table for table in (one, other))
    both = one.index.intersection(other.index, sort=False)
    rows = []
    if len(both) < max(len(one), len(other)):
        counts = f"{len(one)} rows", f"{len(other)} rows"
        rows.append(("table", name, f"{len(both)} rows in both", *counts, "rows differ"))
    one, other = one.loc[both], other.loc[both]
    numbers = [
        c
        for c in shared
        if c not in keys and all(pd.api.types.is_numeric_dtype(t[c]) for t in (one, other))
    ]
    for column in numbers:
        ends = [f"{column}_lo", f"{column}_hi"]
        if set(ends) <= set(numbers):
            known = (one[ends].notna() & other[ends].notna()).all(axis=1).to_numpy()
            rows += _beyond(
                name, column, one.loc[known, [column, *ends]], other.loc[known, [column, *ends]]
            )
            rows += _largest(name, column, one.loc[~known, column], other.loc[~known, column])
        elif column.removesuffix("_lo").removesuffix("_hi") not in set(numbers) - {column}:
            rows += _largest(name, column, one[column], other[column])
    return rows


def _keys(one, other):
    """Fewest leading columns that name each row once in both tables; None if none do, [] for one row each."""
    numeric = [
        c for c in one if all(pd.api.types.is_numeric_dtype(table[c]) for table in (one, other))
    ]
    whole = [
        c for c in numeric if all(pd.api.types.is_integer_dtype(table[c]) for table in (one, other))
    ]
    settings = [c for c in numeric if c not in whole and set(one[c]) == set(other[c])]
    for count in range(len(whole + settings) + 1):
        keys = [c for c in one if c not in numeric] + (whole + settings)[:count]
        if len(one) == len(other) == 1 or (
            keys and not any(table.duplicated(keys).any() for table in (one, other))
        ):
            return keys
    return None


def _beyond(name, column, one, other):
    """Rows whose intervals do not overlap."""
    for key, a, b in zip(one.index, one.to_numpy(float), other.to_numpy(float), strict=True):
        if a[2] < b[1] or b[2] < a[1]:
            yield (
                "value",
                name,
                f"{_text(key)}: {column}",
                _interval(a),
                _interval(b),
                "intervals apart",
            )


def _largest(name, column, one, other):
    """The largest change of a column without intervals, if it is more than rounding."""
    change = np.abs(one.to_numpy(float) - other.to_numpy(float))
    same = np.isclose(
        one.to_numpy(float), other.to_numpy(float), rtol=1e-6, atol=1e-12, equal_nan=True
    )
    if not same.all():
        i = int(np.argmax(np.where(same, -1, np.nan_to_num(change, nan=np.inf))))
        what = f"{_text(one.index[i])}: {column}, largest of {np.sum(~same)}"
        yield "column", name, what, f"{one.iloc[i]:.4g}", f"{other.iloc[i]:.4g}", "no interval"


def _text(key):
    return ", ".join(str(part) for part in key) if isinstance(key, tuple) else str(key)


def _interval(values):
    return "{:.3f} [{:.3f}, {:.3f}]".format(*values)
