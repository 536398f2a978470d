"""Downloads against a local server that misbehaves, and archives that do."""

import hashlib
import os
import stat
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
    assert "Range" not in server.seen[0]
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


def test_a_cut_connection_is_resumed_within_the_call(server, archive, target):
    server.cuts = [5 * module.CHUNK, 3 * module.CHUNK]
    download(archive, target)
    assert target.read_bytes() == server.body
    assert [seen.get("Range") for seen in server.seen] == [None, "bytes=327680-", "bytes=524288-"]


def test_a_cut_download_keeps_its_part_and_the_next_call_resumes_it(
    server, archive, target, monkeypatch
):
    monkeypatch.setattr(module, "RETRIES", 0)
    server.cuts = [5 * module.CHUNK]
    with pytest.raises(ConnectionError, match="by hand"):
        download(archive, target)
    assert files(target.parent) == ["data.zip.part"]
    assert (target.parent / "data.zip.part").read_bytes() == server.body[:327_680]
    download(archive, target)
    assert server.seen[-1]["Range"] == "bytes=327680-"
    assert target.read_bytes() == server.body


def test_a_server_without_ranges_starts_over(server, archive, target):
    server.ranges, server.cuts = False, [5 * module.CHUNK]
    download(archive, target)
    assert target.read_bytes() == server.body


@pytest.mark.parametrize("size, requests", [(800_000, 0), (900_000, 1)])
def test_a_part_that_is_complete_or_too_long(server, archive, target, size, requests):
    target.parent.mkdir()
    (target.parent / "data.zip.part").write_bytes((server.body + bytes(100_000))[:size])
    download(archive, target)
    assert target.read_bytes() == server.body
    assert len(server.seen) == requests


def test_a_damaged_part_is_found_by_the_checksum_and_fetched_anew(server, archive, target):
    target.parent.mkdir()
    (target.parent / "data.zip.part").write_bytes(bytes(1000))
    download(archive, target)
    assert target.read_bytes() == server.body
    assert [seen.get("Range") for seen in server.seen] == ["bytes=1000-", None]


def test_a_wrong_checksum_leaves_nothing_behind(server, archive, target, monkeypatch):
    monkeypatch.setattr(module, "RETRIES", 1)
    wrong = replace(archive, sha256="0" * 64)
    with pytest.raises(ValueError, match=f"expected {'0' * 64} but got {archive.sha256}") as error:
        download(wrong, target)
    assert f"place it as {target}" in str(error.value)
    assert files(target.parent) == []
    assert len(server.seen) == 2


def test_another_size_is_refused_before_the_transfer(server, archive, target):
    with pytest.raises(FileNotFoundError, match="800,000 bytes, expected 123"):
        download(replace(archive, bytes=123), target)
    assert len(server.seen) == 1
    assert files(target.parent) == []


@pytest.mark.parametrize("status", [403, 404])
def test_a_refusal_is_not_retried_and_says_what_to_do(server, archive, target, status):
    server.statuses = [status]
    with pytest.raises(FileNotFoundError, match=f"answered {status}") as error:
        download(archive, target)
    assert f"download {archive.url} by hand" in str(error.value)
    assert f"place it as {target}" in str(error.value)
    assert len(server.seen) == 1


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


def symlink(name, target):
    """A zip member that is a symbolic link."""
    member = zipfile.ZipInfo(name)
    member.create_system, member.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    return member, target


@pytest.mark.parametrize(
    "member",
    [
        ("../outside.jpg", b"x"),
        ("data/../../outside.jpg", b"x"),
        ("/tmp/outside.jpg", b"x"),
        ("C:/outside.jpg", b"x"),
        ("data/..\\..\\outside.jpg", b"x"),
        ("other/inside.jpg", b"x"),
        symlink("data/link.jpg", "/etc/passwd"),
    ],
    ids=["parent", "hidden parent", "absolute", "drive", "backslash", "other folder", "symlink"],
)
def test_an_archive_that_climbs_out_is_refused_whole(tmp_path, make_archive, member):
    make_archive(tmp_path / "in/data.zip", extra=[member])
    with pytest.raises(ValueError, match="refused") as error:
        extract(tmp_path / "in/data.zip", tmp_path / "raw")
    assert str(tmp_path / "in/data.zip") in str(error.value)
    assert sorted(os.listdir(tmp_path)) == ["in", "raw"]
    assert files(tmp_path / "raw") == []


def test_a_bomb_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "data.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("data/images/a.jpg", bytes(5_000_000))
    with pytest.raises(ValueError, match="5,000,000 bytes"):
        extract(tmp_path / "data.zip", tmp_path)
    assert files(tmp_path) == ["data.zip"]


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
