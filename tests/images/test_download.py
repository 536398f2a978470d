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
    return Archive(server.url, hashlib.sha256(server.body).hexdigest(), len(server.body))


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


def test_a_right_file_placed_by_hand_is_taken_without_asking_the_server(server, archive, target):
    target.parent.mkdir()
    target.write_bytes(server.body)
    download(archive, target)
    assert server.seen == []


def test_a_wrong_file_placed_by_hand_is_an_error_and_stays(server, archive, target):
    target.parent.mkdir()
    target.write_bytes(b"not it")
    with pytest.raises(ValueError, match="Remove or replace") as error:
        download(archive, target)
    for part in (str(target), archive.sha256, hashlib.sha256(b"not it").hexdigest()):
        assert part in str(error.value)
    assert target.read_bytes() == b"not it"
    assert server.seen == []


def test_a_cut_connection_is_tried_again(server, archive, target):
    server.cuts = [300_000, 200_000]
    download(archive, target)
    assert target.read_bytes() == server.body
    assert len(server.seen) == 3


def test_a_wrong_checksum_leaves_nothing_behind(server, archive, target, monkeypatch):
    monkeypatch.setattr(module, "RETRIES", 1)
    wrong = replace(archive, sha256="0" * 64)
    with pytest.raises(ValueError, match=f"expected {'0' * 64} but got {archive.sha256}") as error:
        download(wrong, target)
    assert f"place it as {target}" in str(error.value)
    assert files(target.parent) == []
    assert len(server.seen) == 2


def test_a_refusal_says_what_to_do(server, archive, target, monkeypatch):
    monkeypatch.setattr(module, "RETRIES", 0)
    server.statuses = [403]
    with pytest.raises(ConnectionError, match="403") as error:
        download(archive, target)
    assert f"place it as {target}" in str(error.value)
    assert files(target.parent) == []


def test_an_overloaded_server_is_asked_again(server, archive, target):
    server.statuses = [503, 429, 503]
    download(archive, target)
    assert target.read_bytes() == server.body
    assert len(server.seen) == 4


def test_a_server_that_stays_overloaded_is_given_up(server, archive, target):
    server.statuses = [503] * 20
    with pytest.raises(ConnectionError, match="503"):
        download(archive, target)
    assert len(server.seen) == 1 + module.RETRIES


def test_a_silent_server_times_out_and_is_asked_again(server, archive, target, monkeypatch):
    monkeypatch.setattr(module, "TIMEOUT", (0.2, 0.2))
    server.stalls = [0.5]
    download(archive, target)
    assert target.read_bytes() == server.body
    assert len(server.seen) == 2


def test_no_server_at_all(server, archive, target, monkeypatch):
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
    [
        ("../outside.jpg", b"x"),
        ("data/../../outside.jpg", b"x"),
        ("/tmp/outside.jpg", b"x"),
        ("other/inside.jpg", b"x"),
    ],
    ids=["parent", "hidden parent", "absolute", "other folder"],
)
def test_an_archive_that_climbs_out_is_refused_whole(tmp_path, make_archive, member):
    make_archive(tmp_path / "in/data.zip", extra=[member])
    with pytest.raises(ValueError, match="refused") as error:
        extract(tmp_path / "in/data.zip", tmp_path / "raw")
    assert str(tmp_path / "in/data.zip") in str(error.value)
    assert sorted(os.listdir(tmp_path)) == ["in", "raw"]
    assert files(tmp_path / "raw") == []


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty", "no zip"])
def test_a_damaged_archive_is_an_error_and_leaves_nothing(tmp_path, make_archive, damage):
    make_archive(tmp_path / "data.zip")
    content = bytearray((tmp_path / "data.zip").read_bytes())
    content[content.index(b"JFIF") + 50] ^= 255
    broken = {"truncated": content[:-500], "flipped": content, "empty": b"", "no zip": b"<html>"}[
        damage
    ]
    (tmp_path / "data.zip").write_bytes(broken)
    with pytest.raises(ValueError, match="data.zip is damaged"):
        extract(tmp_path / "data.zip", tmp_path)
    assert files(tmp_path) == ["data.zip"]


def test_a_missing_archive_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"data\.zip"):
        extract(tmp_path / "data.zip", tmp_path)
