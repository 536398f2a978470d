"""Pixel size, beam, detector and data bar as five makers write them; texts like real ones."""

import numpy as np
import pytest
import tifffile
from PIL import Image

from semlib.images import instrument
from tests.images import own_files

PICTURE = np.arange(96 * 128, dtype=np.uint32).reshape(96, 128).astype(np.uint8)
THERMO_FISHER, ZEISS, TESCAN, HITACHI, JEOL = (
    own_files.HEADERS[maker].format(width=128, height=86, bar=10)
    for maker in ("Thermo Fisher", "Zeiss", "TESCAN", "Hitachi", "JEOL")
)


def in_tag(path, number, text):
    tifffile.imwrite(path, PICTURE, extratags=[own_files.tag(number, text)])


def beside(path, name, content):
    Image.fromarray(PICTURE).save(path)
    (path.parent / name).write_bytes(content)


def test_thermo_fisher_in_a_tag(tmp_path):
    in_tag(tmp_path / "a.tif", 34682, THERMO_FISHER)
    assert instrument.facts(tmp_path / "a.tif") == {
        "maker": "Thermo Fisher", "pixel_nm": pytest.approx(2), "kv": pytest.approx(5),
        "detector": "TLD", "dwell_ns": pytest.approx(300), "rows": 86,
    }  # fmt: skip


def test_zeiss_in_a_tag(tmp_path):
    in_tag(tmp_path / "a.tif", 34118, ZEISS)
    assert instrument.facts(tmp_path / "a.tif") == {
        "maker": "Zeiss", "pixel_nm": pytest.approx(2.5), "kv": pytest.approx(3),
        "magnification": pytest.approx(50_000), "detector": "InLens",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["a.hdr", "a-tif.hdr", ""])
def test_tescan_beside_the_picture_or_in_a_tag(tmp_path, name):
    if name:
        tifffile.imwrite(tmp_path / "a.tif", PICTURE)
        (tmp_path / name).write_text(TESCAN)
    else:
        in_tag(tmp_path / "a.tif", 50431, TESCAN)
    assert instrument.facts(tmp_path / "a.tif") == {
        "maker": "TESCAN", "pixel_nm": pytest.approx(2), "kv": pytest.approx(5),
        "magnification": 50_000, "detector": "SE", "dwell_ns": pytest.approx(300), "bar": 10,
    }  # fmt: skip


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "latin-1"])
def test_hitachi_beside_the_picture(tmp_path, encoding):
    beside(tmp_path / "a.png", "a.txt", HITACHI.encode(encoding))
    assert instrument.facts(tmp_path / "a.png") == {
        "maker": "Hitachi", "pixel_nm": 2, "kv": 5, "magnification": 50_000,
        "detector": "SE(U)", "rows": 86,
    }  # fmt: skip


def test_jeol_beside_the_picture(tmp_path):
    beside(tmp_path / "a.bmp", "a.txt", JEOL.encode())
    assert instrument.facts(tmp_path / "a.bmp") == {
        "maker": "JEOL", "pixel_nm": 2, "kv": 5, "magnification": 50_000,
        "detector": "SEI", "rows": 86,
    }  # fmt: skip


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"[SemImageFile]", b"$CM_FULL_SIZE x y"])
def test_a_damaged_header_hides_no_picture(tmp_path, content):
    beside(tmp_path / "a.png", "a.txt", content)
    assert "rows" not in instrument.facts(tmp_path / "a.png")


def test_nothing_stated_is_an_empty_answer(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", PICTURE)
    assert instrument.facts(tmp_path / "a.tif") == {}
