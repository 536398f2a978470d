"""What an instrument wrote beside its picture: pixel size, beam, detector, rows of the data bar.

Thermo Fisher (FEI) and Zeiss keep it in tags of the TIFF file, TESCAN in a tag or in ``NAME.hdr``
or ``NAME-tif.hdr``, Hitachi and JEOL in ``NAME.txt`` beside the picture.
"""

import configparser
import contextlib
import re
from pathlib import Path

import tifffile

COLUMNS = ("maker", "pixel_nm", "kv", "magnification", "detector", "dwell_ns")
TESCAN_TAG = 50431
ZEISS_UNITS = {"pm": 1e-3, "nm": 1, "µm": 1e3, "mm": 1e6, "V": 1e-3, "kV": 1, "K": 1e3}  # to nm, kV
NANOMETRES = {"m": 1e9, "mm": 1e6, "um": 1e3, "µm": 1e3, "μm": 1e3, "nm": 1.0, "pm": 1e-3, "a": 0.1}


def facts(path):
    """Facts about one picture file, from its tags and the text files of its name: a dict.

    Of `COLUMNS` those that are stated (pixel size in nm, beam in kV, dwell time in ns), and
    ``rows``, the height of the picture without its data bar, or ``bar``, the rows of the bar.
    """
    path = Path(path)
    for source in (_from_tags, _from_tescan, _from_hitachi, _from_jeol):
        # A damaged header must not hide a readable picture; what it said is then missing.
        with contextlib.suppress(Exception):
            if stated := source(path):
                return {name: value for name, value in stated.items() if value is not None}
    return {}


def _from_tags(path):
    if path.suffix.lower() not in (".tif", ".tiff"):
        return None
    with tifffile.TiffFile(path) as tiff:
        if tiff.fei_metadata:
            return _thermo_fisher(tiff.fei_metadata)
        if tiff.sem_metadata:
            return _zeiss(tiff.sem_metadata)
        tag = tiff.pages[0].tags.get(TESCAN_TAG)
        return _tescan(_text(tag.value)) if tag else None


def _thermo_fisher(sections):
    scan = sections.get("Scan", {})
    image = sections.get("Image", {})
    beam = sections.get("Beam", {}).get("Beam", "EBeam")
    volts = sections.get(beam, {}).get("HV")
    return {
        "maker": "Thermo Fisher",
        "pixel_nm": _scaled(scan.get("PixelWidth"), 1e9),
        "kv": _scaled(volts, 1e-3),
        "detector": sections.get("Detectors", {}).get("Name"),
        "dwell_ns": _scaled(scan.get("Dwelltime"), 1e9),
        "rows": _whole(image.get("ResolutionY")),
    }


def _zeiss(tags):
    def value(name):
        """Number of an entry such as "2.5 nm", "3.00 kV" or "50.00 K X", in nm, kV or times."""
        if name not in tags:
            return None
        text = " ".join(str(part) for part in tags[name][1:])
        unit = text.partition(" ")[2].split()
        return _number(text) * ZEISS_UNITS.get(unit[0] if unit else "", 1.0)

    pixel = value("ap_image_pixel_size")
    return {
        "maker": "Zeiss",
        "pixel_nm": value("ap_pixel_size") if pixel is None else pixel,
        "kv": value("ap_actualkv") or value("ap_manualkv"),
        "magnification": value("ap_mag"),
        "detector": tags.get("dp_detector_channel", (None, None))[1],
    }


def _from_tescan(path):
    names = (f"{path.stem}.hdr", f"{path.stem}-{path.suffix[1:]}.hdr")
    texts = (
        _text((path.parent / name).read_bytes()) for name in names if (path.parent / name).is_file()
    )
    return next((_tescan(text) for text in texts), None)


def _tescan(text):
    sections = _ini(text[text.index("[MAIN]") :] if "[MAIN]" in text else f"[MAIN]\n{text}")
    main = sections["MAIN"]
    beam = sections["SEM"] if sections.has_section("SEM") else main
    return {
        "maker": "TESCAN",
        "pixel_nm": _scaled(main.get("PixelSizeX"), 1e9),
        "kv": _scaled(beam.get("HV"), 1e-3),
        "magnification": _scaled(main.get("Magnification"), 1),
        "detector": beam.get("Detector"),
        "dwell_ns": _scaled(beam.get("DwellTime"), 1e9),
        "bar": _whole(main.get("ImageStripSize")),
    }


def _from_hitachi(path):
    text = _sidecar(path)
    if text is None or "[SemImageFile]" not in text:
        return None
    stated = _ini(text[text.index("[SemImageFile]") :])["SemImageFile"]
    size = re.fullmatch(r"\s*(\d+)\s*x\s*(\d+)\s*", stated.get("DataSize", ""))
    return {
        "maker": "Hitachi",
        "pixel_nm": _number(stated.get("PixelSize")),
        "kv": _scaled(_number(stated.get("AcceleratingVoltage")), 1e-3),
        "magnification": _number(stated.get("Magnification")),
        "detector": stated.get("SignalName"),
        "rows": int(size[2]) if size else None,
    }


def _from_jeol(path):
    text = _sidecar(path)
    if text is None or "$CM_" not in text:
        return None
    lines = (line.strip().lstrip("$").partition(" ") for line in text.splitlines() if line.strip())
    stated = {name: value.strip() for name, _, value in lines}
    size = stated.get("CM_FULL_SIZE", "").split()
    bar = re.fullmatch(r"([\d.]+)\s*(\D+)", stated.get("SM_MICRON_MARKER", ""))
    pixels = _number(stated.get("SM_MICRON_BAR"))
    length = float(bar[1]) * NANOMETRES[bar[2].strip().lower()] if bar else None
    return {
        "maker": "JEOL",
        "pixel_nm": length / pixels if length and pixels else None,
        "kv": _number(stated.get("CM_ACCEL_VOLT")),
        "magnification": _number(stated.get("CM_MAG")),
        "detector": stated.get("CM_SIGNAL") or stated.get("CM_DETECTOR_NAME"),
        "rows": int(size[1]) if len(size) == 2 else None,
    }


def _sidecar(path):
    file = path.with_suffix(".txt")
    return _text(file.read_bytes()) if file.is_file() else None


def _text(content):
    """Text of whatever encoding Windows programs write."""
    if isinstance(content, str):
        return content
    for mark, encoding in ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"), (b"", "utf-8-sig")):
        if content.startswith(mark):
            with contextlib.suppress(UnicodeDecodeError):
                return content.decode(encoding)
    return content.decode("latin-1")


def _ini(text):
    parser = configparser.ConfigParser(strict=False, interpolation=None, allow_no_value=True)
    parser.read_string("\n".join(line.strip("\x00") for line in text.splitlines()))
    return parser


def _number(value):
    """First number of a text such as "5000 Volt"."""
    match = re.search(r"[-+]?\d+(\.\d+)?([eE][-+]?\d+)?", str(value or ""))
    return float(match[0]) if match else None


def _scaled(value, scale):
    return None if value in (None, "") else float(value) * scale


def _whole(value):
    return None if value in (None, "") else int(float(value))
