"""Getting a published archive onto the disk: checksum, retries, extraction."""

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pooch
from tqdm import tqdm

from semlib import __version__
from semlib.paths import atomic, sha256

RETRIES = 5
TIMEOUT = (15, 60)  # seconds to connect, seconds without a byte
CHUNK = 1 << 16  # bytes
# Zenodo turns away clients without a name; what a server compresses has another checksum
HEADERS = {"User-Agent": f"semlib/{__version__}", "Accept-Encoding": "identity"}
ROOT = "data"  # the one top-level folder of an archive


@dataclass(frozen=True)
class Archive:
    """Where a published archive lies, how to recognise it and how captions name it."""

    source: str
    url: str
    sha256: str
    bytes: int


PUBLISHED = json.loads(Path(__file__).with_name("archives.json").read_text(encoding="utf-8"))
ARCHIVES = {name: Archive(**facts) for name, facts in PUBLISHED["archives"].items()}


def download(archive, path):
    """Bring an `Archive` to `path`; a file placed there by hand is taken if its checksum is right.

    Another checksum is a ValueError (a file placed by hand stays). A server that cannot be reached,
    refuses the file or keeps failing after all retries is a ConnectionError.
    """
    if path.exists():
        digest = sha256(path)
        if digest == archive.sha256:
            return
        raise ValueError(
            f"{path} is not the published archive: expected sha256 {archive.sha256}, got {digest} "
            f"({path.stat().st_size:,} of {archive.bytes:,} bytes). "
            "Remove or replace the file, then run again"
        )
    advice = (
        "Run again later, or download it by hand (a browser will do) and place it as "
        f"{path} ({archive.bytes:,} bytes, sha256 {archive.sha256})"
    )
    retrieve(path, archive.url, archive.sha256, advice, progress=True)


def retrieve(path, url, sha256, advice, *, progress=False):
    """Download a file unless it is there; `advice` ends the message of an error.

    Another checksum is a ValueError, a server that does not give the file a ConnectionError.
    """
    checksums = {path.name: sha256}
    urls = {path.name: url}
    keeper = pooch.create(path.parent, "", registry=checksums, urls=urls, retry_if_failed=RETRIES)
    stream = pooch.HTTPDownloader(progress, CHUNK, headers=HEADERS, timeout=TIMEOUT)
    try:
        keeper.fetch(path.name, downloader=stream)
    except (OSError, ValueError) as error:  # of requests, and of another checksum
        kind = ConnectionError if isinstance(error, OSError) else ValueError
        # requests has a page of words for a server that does not answer
        unanswered = hasattr(error, "response") and error.response is None
        why = "the connection to its server failed or broke off" if unanswered else error
        raise kind(f"{url} could not be had: {why}. {advice}") from error


def extract(archive, folder):
    """Unpack the `ROOT` folder of a zip archive into `folder`, whole or not at all, once.

    A damaged archive, or a member that would land outside ``folder/ROOT``, is a ValueError.
    """
    target = folder / ROOT
    if target.exists():
        return
    try:
        with zipfile.ZipFile(archive) as source, atomic(target) as temporary:
            temporary.mkdir()
            members = [member for member in source.infolist() if not member.is_dir()]
            for member in tqdm(members, f"extracting {archive.name}", unit="file"):
                root, *inside = Path(member.filename).parts
                if root != ROOT or ".." in inside:
                    name = member.filename
                    raise ValueError(f"{archive} holds {name!r}, not inside {ROOT}/: refused")
                member.filename = "/".join(inside)
                source.extract(member, temporary)
    except (zipfile.BadZipFile, EOFError, RuntimeError) as error:
        raise ValueError(f"{archive} is damaged or no plain zip archive: {error}") from error
