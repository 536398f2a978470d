"""Downloads against a local server that misbehaves, and archives that do."""

import hashlib
import os
import zipfile
from dataclasses import replace

import numpy as np
import pytest

from semlib.images import download as module
from semlib.images.download import Archive, download, extract


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr("pooch.core.time.sleep", lambda seconds: None)


@pytest.fixture
def archive(server):
    """800 kB on the server, and its description."""
    server.body = np.random.default_rng(0).bytes(800_000)
    return Archive("a test", server.url, hashlib.sha256(server.body).hexdigest(), len(server.body))


@pytest.fixture
def target(tmp_path):
    return tmp_path / "raw" / "data.zip"


def files(folder):
    return sorted(file.name for file in folder.iterdir())


def test_a_download_arrives_whole_with_a_user_agent_and_a_bar(server, archive, target, capsys):
    download(archive, target)
    assert target.read_bytes() == server.body
    assert files(target.parent) == ["data.zip"]
    assert server.seen[0]["User-Agent"].startswith("semlib/")
    assert "800k/800k" in capsys.readouterr().err
    download(archive, target)  # a right file is taken without asking the server
    assert len(server.seen) == 1


def test_a_wrong_file_placed_by_hand_is_an_error_and_stays(server, archive, target):
    target.parent.mkdir()
    target.write_bytes(b"not it")
    with pytest.raises(ValueError, match="Remove or replace") as error:
        download(archive, target)
    for part in (str(target), archive.sha256, hashlib.sha256(b"not it").hexdigest()):
        assert part in str(error.value)
    assert target.read_bytes() == b"not it"
    assert server.seen == []


def test_a_cut_connection_and_an_overloaded_server_are_tried_again(server, archive, target):
    server.cuts = [300_000, 200_000]
    server.statuses = [503, 429, 503]
    download(archive, target)
    assert target.read_bytes() == server.body
    assert len(server.seen) == 6


def test_a_silent_server_times_out_and_is_asked_again(server, archive, target, monkeypatch):
    monkeypatch.setattr(module, "TIMEOUT", (0.2, 0.2))
    server.stalls = [0.5]
    download(archive, target)
    assert target.read_bytes() == server.body
    assert len(server.seen) == 2


@pytest.mark.parametrize(
    ("retries", "status", "requests"), [(0, 403, 1), (5, 503, 6)], ids=["refusal", "overload"]
)
def test_what_stays_refused_says_what_to_do(
    server, archive, target, monkeypatch, retries, status, requests
):
    monkeypatch.setattr(module, "RETRIES", retries)
    server.statuses = [status] * 20
    with pytest.raises(ConnectionError, match=str(status)) as error:
        download(archive, target)
    assert f"by hand (a browser will do) and place it as {target}" in str(error.value)
    assert files(target.parent) == []
    assert len(server.seen) == requests


def test_a_wrong_checksum_leaves_nothing_behind(server, archive, target, monkeypatch):
    monkeypatch.setattr(module, "RETRIES", 1)
    wrong = replace(archive, sha256="0" * 64)
    with pytest.raises(ValueError, match=f"expected {'0' * 64} but got {archive.sha256}") as error:
        download(wrong, target)
    assert f"place it as {target}" in str(error.value)
    assert files(target.parent) == []
    assert len(server.seen) == 2


def test_no_server_at_all(archive, target, monkeypatch):
    monkeypatch.setattr(module, "RETRIES", 1)
    with pytest.raises(ConnectionError, match="by hand"):
        download(replace(archive, url="http://127.0.0.1:1/data.zip"), target)


def test_extraction_gives_the_files_once(tmp_path, make_archive):
    ids = make_archive(tmp_path / "data.zip", masks=True)
    extract(tmp_path / "data.zip", tmp_path / "raw")
    assert files(tmp_path / "raw") == ["data"]
    assert files(tmp_path / "raw/data/images") == sorted(f"{i}.jpg" for i in ids)
    with zipfile.ZipFile(tmp_path / "data.zip") as source:
        for name in source.namelist():
            assert (tmp_path / "raw" / name).read_bytes() == source.read(name)
    (tmp_path / "data.zip").unlink()
    extract(tmp_path / "data.zip", tmp_path / "raw")


@pytest.mark.parametrize(
    "member",
    ["../outside.jpg", "data/../../outside.jpg", "/tmp/outside.jpg", "other/inside.jpg"],
)
def test_an_archive_that_climbs_out_is_refused_whole(tmp_path, make_archive, member):
    make_archive(tmp_path / "in/data.zip", extra=[(member, b"x")])
    with pytest.raises(ValueError, match="refused") as error:
        extract(tmp_path / "in/data.zip", tmp_path / "raw")
    assert str(tmp_path / "in/data.zip") in str(error.value)
    assert sorted(os.listdir(tmp_path)) == ["in", "raw"]
    assert files(tmp_path / "raw") == []


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty", "no zip"])
def test_a_damaged_archive_is_an_error_and_leaves_nothing(tmp_path, make_archive, damage):
    archive = tmp_path / "data.zip"
    make_archive(archive)
    content = bytearray(archive.read_bytes())
    content[content.index(b"JFIF") + 50] ^= 255
    broken = {"truncated": content[:-500], "flipped": content, "empty": b"", "no zip": b"<html>"}
    archive.write_bytes(broken[damage])
    with pytest.raises(ValueError, match="data.zip is damaged"):
        extract(archive, tmp_path)
    assert files(tmp_path) == ["data.zip"]


def test_a_missing_archive_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"data\.zip"):
        extract(tmp_path / "data.zip", tmp_path)
