"""Micrographs from a local server that misbehaves, or from a folder that has them."""

import hashlib

import pytest
from click.testing import CliRunner

from semlib import paths
from semlib.__main__ import main
from semlib.images import download, micrographs

NAMES = ("kriss/a.png", "patterned_wafer/b.tif")


@pytest.fixture
def registry(server, tmp_path, monkeypatch):
    """Two files of the same bytes on the server, and the table that names them."""
    monkeypatch.setattr("pooch.core.time.sleep", lambda seconds: None)
    monkeypatch.setattr(download, "RETRIES", 1)
    monkeypatch.delenv("SEMLIB_MICROGRAPHS", raising=False)
    server.body = b"a micrograph"
    file = tmp_path / "micrographs.csv"
    monkeypatch.setattr(micrographs, "REGISTRY", file)

    def write(sha256):
        lines = [f"{name},{server.url},{sha256},{len(server.body)}\n" for name in NAMES]
        file.write_text("name,url,sha256,bytes\n" + "".join(lines))

    write(hashlib.sha256(server.body).hexdigest())
    return write


def stored():
    place = paths.data_root() / "micrographs"
    files = (file for file in place.rglob("*") if file.is_file())
    return sorted(file.relative_to(place).as_posix() for file in files)


def test_they_arrive_once_and_the_sets_know_them(registry, server):
    assert "(kriss, nanocomposites" in micrographs.missing()
    place = micrographs.fetch()
    assert [(place / name).read_bytes() for name in NAMES] == [server.body] * 2
    assert stored() == sorted(NAMES) and len(server.seen) == 2
    assert server.seen[0]["User-Agent"].startswith("semlib/")
    micrographs.fetch()
    assert len(server.seen) == 2, "nothing is fetched twice"
    assert list(micrographs.files("kriss")) == ["a"]
    assert micrographs.missing(["kriss", "patterned_wafer"]) == ""
    assert "(nanocomposites, nasa_micronet)" in micrographs.missing()


def test_a_cut_transfer_is_tried_again_and_a_second_run_takes_what_is_missing(registry, server):
    server.cuts = [3]
    micrographs.fetch()
    assert stored() == sorted(NAMES) and len(server.seen) == 3
    (paths.data_root() / "micrographs" / NAMES[1]).unlink()
    micrographs.fetch()
    assert stored() == sorted(NAMES) and len(server.seen) == 4


def test_another_checksum_is_an_error_and_leaves_nothing(registry, server):
    registry("ab" * 32)
    result = CliRunner().invoke(main, ["fetch", "micrographs"])
    assert result.exit_code == 2 and "abab" in result.output and server.url in result.output
    assert stored() == []


def test_a_server_that_is_down_leaves_what_came_before(registry, server):
    micrographs.fetch()
    (paths.data_root() / "micrographs" / NAMES[1]).unlink()
    server.statuses = [503, 503]
    with pytest.raises(ConnectionError, match="503.*Run again later; what is here stays"):
        micrographs.fetch()
    assert stored() == [NAMES[0]]


def test_a_server_that_is_not_there_is_said_in_one_sentence(registry, server):
    server.shutdown()
    server.server_close()
    result = CliRunner().invoke(main, ["fetch", "micrographs"])
    said = "could not be had: the connection to its server failed or broke off. Run again later"
    assert result.exit_code == 2 and f"error: {server.url} {said}" in result.output
    assert "Max retries" not in result.output and stored() == []


def test_a_folder_that_is_named_serves_and_nothing_is_fetched(
    registry, server, tmp_path, monkeypatch
):
    mine = tmp_path / "mine"
    (mine / "kriss").mkdir(parents=True)
    (mine / "kriss" / "scan.TIF").touch()
    (mine / "kriss" / "SOURCES.md").touch()
    monkeypatch.setenv("SEMLIB_MICROGRAPHS", str(mine))
    assert list(micrographs.files("kriss")) == ["scan"]
    assert f"are not in {mine}" in micrographs.missing()
    with pytest.raises(ValueError, match=r"SEMLIB_MICROGRAPHS names .*mine, .*: unset it"):
        micrographs.fetch()
    assert server.seen == [] and len(list(mine.rglob("*"))) == 3


def test_an_unknown_set_is_named():
    with pytest.raises(ValueError, match="unknown micrographs 'wafers': use one of kriss"):
        micrographs.files("wafers")
