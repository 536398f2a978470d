"""Every folder and file name of the project, once."""

import contextlib
import hashlib
import os
import re
import shutil
import tempfile
from pathlib import Path

_HERE = Path(__file__).resolve().parent.parent
ROOT = _HERE if (_HERE / "notebooks").is_dir() else Path.cwd()
NOTEBOOKS = ROOT / "notebooks"
PROFILES = NOTEBOOKS / "profiles"
BUILT_IN = ("synthetic", "carinthia", "carinthia-s")


def data_root():
    """Folder of all data sets; the environment variable SEMLIB_DATA moves it."""
    return Path(os.environ.get("SEMLIB_DATA", ROOT / "data"))


def figures_root():
    """Folder of all figures and tables; the environment variable SEMLIB_FIGURES moves it."""
    return Path(os.environ.get("SEMLIB_FIGURES", ROOT / "figures"))


def micrographs():
    """Folder of the real micrographs; the environment variable SEMLIB_MICROGRAPHS moves it."""
    return Path(os.environ.get("SEMLIB_MICROGRAPHS", data_root() / "micrographs"))


class Paths:
    """The files of one data set: what a run needs (`data`) and what it shows (`figures`)."""

    def __init__(self, name, raw):
        self.name = name
        self.raw = raw
        self.dataset = name if name in BUILT_IN else str(raw)  # what `of` was asked for
        self.archive = raw / "data.zip"
        self.data = data_root() / name
        self.manifest = self.data / "manifest.csv"
        self.skipped = self.data / "skipped.csv"  # images that a run left out
        self.level0_json = self.data / "level0.json"
        self.variants = self.data / "variants"
        self.figures = figures_root() / name
        self.notebooks = self.figures / "notebooks"
        self.run_json = self.figures / "run.json"

    def level(self, k):
        return self.data / f"level{k}.npy"

    def ssl(self, seed, method="paper"):
        return self.data / ("ssl" if method == "paper" else f"ssl-{method}") / f"seed-{seed}"

    def features(self, method):
        return self.data / "features" / f"{method}.npy"


def of(dataset):
    """Paths of a data set: "synthetic", "carinthia", "carinthia-s" or a folder with own images.

    A folder is only read; its results go to ``data/<folder name>-<hash of its path>``. ValueError
    if `dataset` is neither a known name nor an existing folder.
    """
    if str(dataset) in BUILT_IN:
        return Paths(str(dataset), data_root() / str(dataset) / "raw")
    folder = Path(dataset).expanduser().resolve()
    if not folder.is_dir():
        names = ", ".join(BUILT_IN)
        raise ValueError(
            f"unknown dataset {str(dataset)!r}: use one of {names}, or a folder of images"
        )
    slug = re.sub(r"[^a-z0-9]+", "-", folder.name.lower()).strip("-") or "folder"
    check_name(folder)
    mark = hashlib.sha256(str(folder).encode()).hexdigest()[:6]  # tells folders of one name apart
    return Paths(f"{slug}-{mark}", folder)


def check_name(path):
    """ValueError for a name of other bytes than UTF-8, which no table, page or figure can hold."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise ValueError(f"the name of {str(path)!r} is not UTF-8: rename it") from None


def sha256(path):
    """SHA-256 of a file's content, as 64 hexadecimal digits; the file is read in pieces."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_writable(folder, hint):
    """Make a folder and try to write into it, before work is spent; else a PermissionError."""
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise PermissionError(f"cannot write to {folder} ({error.strerror}): {hint}") from error


@contextlib.contextmanager
def atomic(path):
    """Yield a temporary path beside `path`; rename it on success, remove it on failure.

    A killed run leaves the old file, the new file, or a `.tmp` file that the next run removes.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.tmp{path.suffix}")
    _remove(temporary)
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        if error.filename is None and error.errno:  # a full disk names no file
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise
    finally:
        _remove(temporary)


def write_text(path, text):
    """Write a text file, whole or not at all."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")


def _remove(path):
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
