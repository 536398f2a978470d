"""Two runs beside each other: what is told, and what is left unsaid."""

import copy
import json

import pandas as pd
import pytest
from click.testing import CliRunner

from semlib import paths
from semlib.__main__ import main
from semlib.reproduce.diff import compare

ENTRY = {"dataset": "synthetic", "seed": 0, "profile": "quick"}
ENTRY |= {"started": "now", "seconds": 1.0, "outputs": []}
ENTRY |= {"source": "aa", "parameters": {"k": 6}, "inputs": {"data/level0.npy": "33"}}
ENTRY |= {"semlib": {"paths.py": "11", "plots.py": "22"}}
RECORD = {"python": "3.11", "started": "now", "packages": {"torch": "2.1"}}
RECORD["notebooks"] = {"05_baselines": ENTRY}
TABLE = pd.DataFrame(
    {"method": ["GLCM", "SSL"], "k": [6, 6], "nmi": [0.2, 0.5], "time": [1.0, 2.0]}
)
TABLE[["nmi_lo", "nmi_hi"]] = [[0.1, 0.3], [0.4, 0.6]]


def write(name, table=TABLE, record=RECORD):
    folder = paths.figures_root() / name
    folder.mkdir(parents=True, exist_ok=True)
    table.to_csv(folder / "scores.csv", index=False)
    (folder / "run.json").write_text(json.dumps(record))
    return folder


def changed(record):
    """The record of RECORD after a function has changed it."""
    new = copy.deepcopy(RECORD)
    record(new)
    return new


def rows(table):
    return [tuple(row) for row in table.drop(columns=["a", "b"]).itertuples(index=False)]


def test_equal_runs_have_no_difference_whenever_they_ran():
    def change(record):
        record["started"] = "later"
        record["notebooks"]["05_baselines"].update(seconds=9, started="later")

    assert compare(write("a"), write("b", record=changed(change))).empty


@pytest.mark.parametrize(
    ("shift", "told"), [(0.15, False), (0.19, False), (0.21, True), (-0.21, True)]
)
def test_a_value_is_told_only_where_the_intervals_are_apart(shift, told):
    moved = TABLE.copy()
    moved.loc[0, ["nmi", "nmi_lo", "nmi_hi"]] += shift
    table = compare(write("a"), write("b", moved))
    change = ("value", "scores.csv", "GLCM: nmi", "intervals apart")
    assert rows(table) == ([change] if told else [])
    if told:
        assert table["a"].item() == "0.200 [0.100, 0.300]"


def test_rows_are_matched_by_name_not_by_place():
    assert compare(write("a"), write("b", TABLE.iloc[::-1])).empty


def test_columns_without_interval_give_their_largest_change_and_no_verdict():
    slow = TABLE.assign(time=[1.5, 4.0])
    table = compare(write("a"), write("b", slow))
    assert rows(table) == [("column", "scores.csv", "SSL: time, largest of 2", "no interval")]
    assert table[["a", "b"]].iloc[0].tolist() == ["2", "4"]
    unknown = TABLE.copy()
    unknown.loc[1, ["nmi_lo", "nmi_hi"]] = float("nan")
    other = unknown.copy()
    other.loc[1, "nmi"] = 0.9
    table = compare(write("a", unknown), write("b", other))
    assert rows(table) == [("column", "scores.csv", "SSL: nmi, largest of 1", "no interval")]


def test_rounding_is_no_difference():
    assert compare(write("a"), write("b", TABLE.assign(time=TABLE["time"] * (1 + 1e-9)))).empty


def test_rows_columns_and_tables_of_one_run_only():
    extra = write("b", pd.concat([TABLE, TABLE.assign(method=["new", "newer"])]))
    (extra / "more.csv").write_text("x\n1\n")
    table = compare(write("a"), extra)
    assert rows(table) == [
        ("table", "more.csv", "", "in one run only"),
        ("table", "scores.csv", "2 rows in both", "rows differ"),
    ]
    numbers = pd.DataFrame({"severity": [0.5, 0.5], "psnr": [1.0, 2.0]})
    (extra / "more.csv").unlink()
    table = compare(write("a", numbers), write("b", numbers * [1, 2]))
    assert rows(table) == [("table", "scores.csv", "", "rows cannot be matched")]


def test_numbers_name_rows_where_texts_do_not():
    table = pd.DataFrame({"stress": "blur", "severity": [0.1, 0.5], "psnr": [30.0, 20.0]})
    table = compare(write("a", table), write("b", table.assign(psnr=[30.0, 25.0])))
    assert rows(table) == [("column", "scores.csv", "blur, 0.5: psnr, largest of 1", "no interval")]


def test_parameters_versions_seeds_code_and_inputs():
    def change(record):
        record["packages"]["torch"] = "2.2"
        entry = record["notebooks"]["05_baselines"]
        entry.update(seed=3, source="bb", parameters={"k": 7}, inputs={"data/level0.npy": "44"})
        entry["semlib"]["plots.py"] = "99"
        record["notebooks"]["06_umap"] = ENTRY

    table = compare(write("a"), write("b", record=changed(change)))
    told = {tuple(row[:5]) for row in table.itertuples(index=False)}
    assert told == {
        ("version", "", "torch", "2.1", "2.2"),
        ("run", "05_baselines", "seed", "0", "3"),
        ("parameter", "05_baselines", "k", "6", "7"),
        ("code", "05_baselines", "cells, plots.py", "–", "–"),
        ("run", "05_baselines input", "data/level0.npy", "33", "44"),
        ("run", "06_umap", "", "–", "there"),
    }


def test_command_writes_nothing_unless_asked(tmp_path):
    a = write("a")
    write("b", TABLE.assign(time=[1.0, 7.0]))
    before = sorted(tmp_path.rglob("*"))
    said = CliRunner().invoke(main, ["compare", str(a), "b"])
    assert said.exit_code == 0 and "SSL: time, largest of 1" in said.output
    assert sorted(tmp_path.rglob("*")) == before
    assert CliRunner().invoke(main, ["compare", "a", "a"]).output == "no difference\n"
    CliRunner().invoke(main, ["compare", "a", "b", "--out", str(tmp_path / "out.csv")])
    assert pd.read_csv(tmp_path / "out.csv")["kind"].tolist() == ["column"]


def test_a_folder_without_a_run_is_named(tmp_path):
    said = CliRunner().invoke(main, ["compare", str(write("a")), str(tmp_path)])
    assert said.exit_code == 2 and f"{tmp_path} holds no run.json" in said.output
