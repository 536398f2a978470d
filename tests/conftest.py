"""Fixtures for all tests: private folders, a small archive, a local server, weights."""

import contextlib
import http.server
import io
import signal
import threading
import zipfile

import numpy as np
import pytest
from PIL import Image

from semlib import paths, weights


def pytest_collection_modifyitems(items):
    """The two files that run all notebooks come last, one for each worker of `make test`.

    The one of few tests ends the list: a worker with one test left would take the next file, too.
    """
    last = ["test_notebooks.py", "test_carinthia.py"]
    items.sort(key=lambda item: last.index(item.path.name) if item.path.name in last else -1)


@pytest.fixture(autouse=True)
def private_folders(tmp_path, monkeypatch):
    """Keep every test away from the real data/ and figures/."""
    monkeypatch.setenv("SEMLIB_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("SEMLIB_FIGURES", str(tmp_path / "figures"))
    return tmp_path


def encode(image, kind="JPEG"):
    """Bytes of an image file."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, kind)
    return file.getvalue()


@pytest.fixture
def make_archive():
    """Write a zip of the exact layout of Carinthia, and of Carinthia-S with ``masks=True``."""

    def write(path, labels=range(1, 7), *, masks=False, size=32, main=True, seed=0, extra=()):
        rng = np.random.default_rng(seed)
        ids = [rng.bytes(16).hex() for _ in labels]
        images = [rng.integers(60, 140, (size, size), dtype=np.uint8) for _ in labels]
        pairs = list(zip(ids, labels, strict=True))
        path.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(path, "w") as archive:
            if main:
                rows = [f"data/images/{i}.jpg;{i}.jpg;{k}\r\n" for i, k in pairs]
                archive.writestr(
                    "data/carinthia.csv", "image_path;file_name;label\r\n" + "".join(rows)
                )
            if masks:
                rows = [f"data/images/{i}.jpg;data/masks/{i}.png;{i};{k}\r\n" for i, k in pairs]
                archive.writestr(
                    "data/carinthia-s.csv",
                    "image_path;mask_path;filename;label\r\n" + "".join(rows),
                )
                for i, image in zip(ids, images, strict=True):
                    archive.writestr(
                        f"data/masks/{i}.png", encode(np.uint8(image > 100) * 255, "PNG")
                    )
            for i, image in zip(ids, images, strict=True):
                archive.writestr(f"data/images/{i}.jpg", encode(image))
            for name, content in extra:
                archive.writestr(name, content)
        return ids

    return write


class Server(http.server.ThreadingHTTPServer):
    """Serves `body` under any address and misbehaves on demand, one entry per request.

    bodies : other files by path
    statuses : HTTP statuses to answer instead of the file
    cuts : number of bytes after which the connection is closed
    stalls : seconds to wait before the answer
    """

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.body, self.bodies, self.ranges = b"", {}, True
        self.statuses, self.cuts, self.stalls, self.seen = [], [], [], []
        self.root = f"http://127.0.0.1:{self.server_port}"
        self.url = f"{self.root}/data.zip?download=1"

    def handle_error(self, request, client_address):
        """A client that hangs up is part of the tests."""


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        server.seen.append(dict(self.headers))
        body = server.bodies.get(self.path, server.body)
        if server.stalls:
            threading.Event().wait(server.stalls.pop(0))
        if server.statuses:
            self.send_error(server.statuses.pop(0))
            return
        asked = self.headers.get("Range") if server.ranges else None
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
        self.send_response(206 if asked else 200)
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        stop = server.cuts.pop(0) if server.cuts else len(body)
        self.wfile.write(body[start:][:stop])

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    """A local HTTP server, stopped after the test."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


class TooLong(BaseException):
    """No `Exception`, so that code that turns errors of a library into its own lets it pass."""


@pytest.fixture
def within():
    """``with within(seconds, what)``: an error where the block works longer, on one core."""

    @contextlib.contextmanager
    def limit(seconds, what):
        def stop(*_):
            raise TooLong(f"{what} took more than {seconds} s of work")

        before = signal.signal(signal.SIGPROF, stop)
        signal.setitimer(signal.ITIMER_PROF, seconds)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.signal(signal.SIGPROF, before)

    return limit


@pytest.fixture(scope="session")
def pretrained():
    """Weights in the working copy's data folder; skips where they cannot be had."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEMLIB_DATA", str(paths.ROOT / "data"))
        try:
            return {name: weights.load(name) for name in weights.REGISTRY}
        except weights.WeightsError as error:
            pytest.skip(str(error))


@pytest.fixture
def with_weights(pretrained, monkeypatch):
    """Let `weights.load` find them whatever the data folder of the test."""
    monkeypatch.setattr(weights, "load", pretrained.__getitem__)


@pytest.fixture
def styled_figures():
    """The suite's style of figures for one test; they are closed after it."""
    import matplotlib.pyplot as plt

    from semlib import saving

    with plt.rc_context():
        saving.style()
        yield
    plt.close("all")


def real_sem(*parts):
    """A folder of ``../shared/real-sem`` beside the clone, or the reason why a test is skipped."""
    from semlib import paths

    folder = paths.ROOT.parent.joinpath("shared", "real-sem", *parts)
    if not folder.is_dir():
        pytest.skip(f"real images are not here: {'/'.join(folder.parts[-3:])}")
    return folder
