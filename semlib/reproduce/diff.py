"""What changed between two runs: values beyond their intervals, parameters, versions, code."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
from pandas.api.types import is_integer_dtype, is_numeric_dtype

from semlib import paths

COLUMNS = ["kind", "where", "what", "a", "b", "verdict"]
_ABSENT = "–"


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
    books = [record["notebooks"] for record in records]
    shared = books[0].keys() & books[1].keys()
    changes = [*_differences(*(_facts(record, shared) for record in records))]
    for book in sorted(shared):
        code = [{"cells": of[book]["source"], **of[book]["semlib"]} for of in books]
        changed = [name for name in code[0] | code[1] if code[0].get(name) != code[1].get(name)]
        if changed:
            changes.append(("code", book, ", ".join(changed), _ABSENT, _ABSENT, "changed"))
    tables = [{path.name: path for path in folder.glob("*.csv")} for folder in folders]
    changes += _differences(*({("table", name, ""): "there" for name in of} for of in tables))
    for name in sorted(tables[0].keys() & tables[1].keys()):
        if tables[0][name].read_bytes() != tables[1][name].read_bytes():
            options = {"keep_default_na": False, "na_values": [""]}  # NA may be a name
            both = (pd.read_csv(files[name], **options) for files in tables)
            changes += _table_changes(name, *both)
    return pd.DataFrame(changes, columns=COLUMNS)


def _folder(name):
    for folder in (Path(name), paths.figures_root() / name):
        if (folder / "run.json").is_file():
            return folder
    raise ValueError(f"{name} holds no run.json: give a folder figures/DATASET of a run")


def _facts(record, shared):
    """What a run.json says of the run and of notebooks: {(kind, where, what): value}."""
    facts = {("version", "", name): value for name, value in record["packages"].items()}
    for name, value in record.items():
        if name not in ("packages", "notebooks", "started"):
            facts["run", "", name] = value
    for book, entry in record["notebooks"].items():
        facts["run", book, ""] = "there"
        if book in shared:
            facts |= {("run", book, name): entry[name] for name in ("dataset", "profile", "seed")}
            facts |= {("parameter", book, name): v for name, v in entry["parameters"].items()}
            facts |= {("run", f"{book} input", name): v for name, v in entry["inputs"].items()}
    return facts


def _differences(first, second):
    """Facts that differ; one without a `what` says that a notebook or a table is there."""
    for key in sorted(first.keys() | second.keys()):
        a = first.get(key, _ABSENT)
        b = second.get(key, _ABSENT)
        if a != b:
            yield *key, str(a), str(b), "changed" if key[-1] else "in one run only"


def _table_changes(name, first, second):
    """Changes in the rows that two tables share."""
    lengths = f"{len(first)} rows", f"{len(second)} rows"
    first, second = first.align(second, join="inner", axis=1)
    numbers = [c for c in first if is_numeric_dtype(first[c]) and is_numeric_dtype(second[c])]
    keys = _keys(first, second, numbers)
    if keys is None:
        yield "table", name, "", *lengths, "rows cannot be matched"
        return
    if keys:
        first = first.set_index(keys)
        second = second.set_index(keys)
    both = first.index.intersection(second.index, sort=False)
    if len(both) < max(len(first), len(second)):
        yield "table", name, f"{len(both)} rows in both", *lengths, "rows differ"
    scores = [column for column in numbers if column not in keys]
    for column in scores:
        if column.removesuffix("_lo").removesuffix("_hi") not in set(scores) - {column}:
            columns = [column, f"{column}_lo", f"{column}_hi"]
            a, b = (table.reindex(both, columns=columns) for table in (first, second))
            yield from _score_changes(name, a.astype(float), b.astype(float))


def _keys(first, second, numbers):
    """Fewest leading columns that name each row once in both tables; None if none do.

    Texts come first, then whole numbers, then numbers that both tables share (settings such as a
    severity). Two tables of one row each need no name: [].
    """
    if len(first) == len(second) == 1:
        return []
    texts = [column for column in first if column not in numbers]
    whole = [c for c in numbers if is_integer_dtype(first[c]) and is_integer_dtype(second[c])]
    settings = [c for c in numbers if c not in whole and set(first[c]) == set(second[c])]
    more = whole + settings
    for count in range(len(more) + 1):
        keys = texts + more[:count]
        if keys and not first.duplicated(keys).any() and not second.duplicated(keys).any():
            return keys
    return None


def _score_changes(name, first, second):
    """Rows whose intervals lie apart; without intervals the largest change beyond rounding."""
    column, low, high = first.columns
    for key in first.index[(first[high] < second[low]) | (second[high] < first[low])]:
        texts = ["{:.3f} [{:.3f}, {:.3f}]".format(*table.loc[key]) for table in (first, second)]
        yield "value", name, f"{_text(key)}: {column}", *texts, "intervals apart"
    no_interval = (first + second)[[low, high]].isna().any(axis=1)
    a = first.loc[no_interval, column]
    b = second.loc[no_interval, column]
    differ = ~np.isclose(a, b, rtol=1e-6, atol=1e-12, equal_nan=True)
    if differ.any():
        key = (a - b).abs().fillna(np.inf)[differ].idxmax()
        what = f"{_text(key)}: {column}, largest of {differ.sum()}"
        yield "column", name, what, f"{a[key]:.4g}", f"{b[key]:.4g}", "no interval"


def _text(key):
    return ", ".join(map(str, key)) if isinstance(key, tuple) else str(key)
