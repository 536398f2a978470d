"""Getting an archive safely onto the disk: checksum, resume, retries, extraction."""

import os
import shutil
import stat
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pooch
import requests
from tqdm import tqdm

from semlib import __version__
from semlib.paths import atomic

RETRIES = 5
TIMEOUT = (15, 60)  # seconds to connect, seconds without a byte
CHUNK = 1 << 16  # bytes; at most so much is lost when a connection is cut
WORTH_A_RETRY = {408, 425, 429, 500, 502, 503, 504}
HEADERS = {"User-Agent": f"semlib/{__version__}", "Accept-Encoding": "identity"}


@dataclass(frozen=True)
class Archive:
    """Where a published archive lies and how to recognise it."""

    url: str
    sha256: str
    bytes: int


def download(archive, path):
    """Bring `archive` to `path`, unless it lies there already with the right checksum.

    Pooch checks the SHA-256, renames the file into place and retries. A cut transfer stays beside
    `path` as ``<name>.part`` and is resumed by the next attempt or the next call.

    Parameters
    ----------
    archive : Archive
    path : Path
        Where the file belongs; a file placed there by hand is taken if its checksum is right.

    Raises
    ------
    ValueError
        If the file that lies at `path` (it stays) or that was downloaded has another checksum.
    FileNotFoundError
        If the server refuses the file (a 4xx status) or offers one of another size.
    ConnectionError
        If the server cannot be reached or keeps failing after all retries.
    """
    path = Path(path)
    if path.exists():
        found = pooch.file_hash(path)
        if found == archive.sha256:
            return
        raise ValueError(
            f"{path} is not the published archive: expected sha256 {archive.sha256}, found {found} "
            f"({path.stat().st_size:,} of {archive.bytes:,} bytes). Remove or replace the file, then run again"
        )
    keeper = pooch.create(
        path.parent,
        "",
        registry={path.name: archive.sha256},
        urls={path.name: archive.url},
        retry_if_failed=RETRIES,
    )
    try:
        keeper.fetch(path.name, downloader=_Resume(archive, path))
    except (requests.exceptions.RequestException, ValueError) as error:
        kind = (
            ConnectionError
            if isinstance(error, requests.exceptions.RequestException)
            else ValueError
        )
        raise kind(
            f"download of {archive.url} failed: {error}. {_by_hand(archive, path)}"
        ) from error


def _by_hand(archive, path):
    return (
        f"Run again later to resume, or download {archive.url} by hand (a browser will do) and place it as {path} "
        f"({archive.bytes:,} bytes, sha256 {archive.sha256})"
    )


@dataclass(frozen=True)
class _Resume:
    """A pooch downloader that continues ``<path>.part`` where the last attempt was cut."""

    archive: Archive
    path: Path

    def __call__(self, url, output_file, _pooch):
        part = self.path.with_name(self.path.name + ".part")
        have = part.stat().st_size if part.exists() else 0
        if have < self.archive.bytes:
            self._stream(url, part, have)
        os.replace(part, output_file)

    def _stream(self, url, part, have):
        headers = HEADERS | ({"Range": f"bytes={have}-"} if have else {})
        with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
            have = have if response.status_code == 206 else 0
            self._check(response, have)
            total, name = self.archive.bytes, self.path.name
            bar = tqdm(
                total=total, initial=have, unit="B", unit_scale=True, desc=f"downloading {name}"
            )
            with open(part, "ab" if have else "wb") as file, bar:
                for block in response.iter_content(CHUNK):
                    file.write(block)
                    bar.update(len(block))
        if part.stat().st_size < total:
            raise requests.exceptions.ConnectionError(f"cut after {part.stat().st_size:,} bytes")

    def _check(self, response, have):
        status, hint = response.status_code, _by_hand(self.archive, self.path)
        if 400 <= status < 500 and status not in WORTH_A_RETRY:
            raise FileNotFoundError(f"{response.url} answered {status} {response.reason}. {hint}")
        response.raise_for_status()
        offered = have + int(response.headers.get("Content-Length", self.archive.bytes - have))
        if offered != self.archive.bytes:
            expected = f"{self.archive.bytes:,}"
            raise FileNotFoundError(
                f"{response.url} offers {offered:,} bytes, expected {expected}. {hint}"
            )


def extract(archive, folder, *, root="data", expansion=20):
    """Unpack the `root` folder of a zip archive into `folder`, whole or not at all.

    Does nothing if ``folder/root`` exists.

    Parameters
    ----------
    archive, folder : Path
    root : str
        The one top-level folder that the archive may hold.
    expansion : int
        Largest allowed ratio of unpacked to packed bytes (images hardly shrink in a zip).

    Raises
    ------
    ValueError
        If the archive is damaged, or a member is a link, would land outside ``folder/root`` or
        makes the whole absurdly large. Nothing is written then.
    """
    target = Path(folder) / root
    if target.exists():
        return
    try:
        with zipfile.ZipFile(archive) as source, atomic(target) as temporary:
            members = [(m, _inside(m, root, archive)) for m in source.infolist() if not m.is_dir()]
            unpacked, limit = (
                sum(m.file_size for m, _ in members),
                expansion * Path(archive).stat().st_size,
            )
            if unpacked > limit:
                raise ValueError(
                    f"{archive} would unpack to {unpacked:,} bytes, more than {limit:,}: refused"
                )
            temporary.mkdir()
            for member, inner in tqdm(
                members, unit="file", desc=f"extracting {Path(archive).name}"
            ):
                (temporary / inner).parent.mkdir(parents=True, exist_ok=True)
                with source.open(member) as packed, open(temporary / inner, "wb") as file:
                    shutil.copyfileobj(packed, file)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
        raise ValueError(f"{archive} is damaged or no plain zip archive: {error}") from error


def _inside(member, root, archive):
    """Path of a member below `root`; refuse links and whatever would land elsewhere."""
    path = PurePosixPath(member.filename)
    mode = stat.S_IFMT(member.external_attr >> 16)
    escapes = (
        ".." in path.parts
        or path.parts[:1] != (root,)
        or "\\" in member.filename
        or ":" in member.filename
    )
    if escapes or mode not in (0, stat.S_IFREG):
        raise ValueError(
            f"{archive} holds {member.filename!r}, not a plain file inside {root}/: refused"
        )
    return path.relative_to(root)
