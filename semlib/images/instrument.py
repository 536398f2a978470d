"""What an instrument wrote beside its picture: pixel size, beam, detector, rows of the data bar.

Thermo Fisher (FEI) and Zeiss keep it in tags of the TIFF file, TESCAN in a tag or in ``NAME.hdr``
or ``NAME-tif.hdr``, Hitachi and JEOL in ``NAME.txt`` beside the picture.
"""

import contextlib
import re
from pathlib import Path

import tifffile

COLUMNS = ("maker", "pixel_nm", "kv", "magnification", "detector", "dwell_ns")
TESCAN_TAG = 50431
UNITS = {"pm": 1e-3, "nm": 1, "um": 1e3, "µm": 1e3, "μm": 1e3, "mm": 1e6, "V": 1e-3, "K": 1e3}

# Where each maker keeps a fact, and the factor to its unit; None: the unit stands behind the number
ENTRIES = {
    "Thermo Fisher": {
        "pixel_nm": ("Scan.PixelWidth", 1e9),
        "kv": ("HV", 1e-3),
        "detector": ("Detectors.Name", None),
        "dwell_ns": ("Scan.Dwelltime", 1e9),
        "rows": ("Image.ResolutionY", 1),
    },
    "Zeiss": {
        "pixel_nm": ("ap_image_pixel_size", None),
        "kv": ("ap_actualkv", None),
        "magnification": ("ap_mag", None),
        "detector": ("dp_detector_channel", None),
    },
    "TESCAN": {
        "pixel_nm": ("MAIN.PixelSizeX", 1e9),
        "kv": ("SEM.HV", 1e-3),
        "magnification": ("MAIN.Magnification", 1),
        "detector": ("SEM.Detector", None),
        "dwell_ns": ("SEM.DwellTime", 1e9),
        "bar": ("MAIN.ImageStripSize", 1),
    },
    "Hitachi": {
        "pixel_nm": ("SemImageFile.PixelSize", 1),
        "kv": ("SemImageFile.AcceleratingVoltage", 1e-3),
        "magnification": ("SemImageFile.Magnification", 1),
        "detector": ("SemImageFile.SignalName", None),
        "rows": ("SemImageFile.DataSize", 1),
    },
    "JEOL": {
        "pixel_nm": ("pixel", 1),
        "kv": ("CM_ACCEL_VOLT", 1),
        "magnification": ("CM_MAG", 1),
        "detector": ("CM_SIGNAL", None),
        "rows": ("CM_FULL_SIZE", 1),
    },
}


def facts(path):
    """Facts about one picture file, from its tags and the text files of its name: a dict.

    Of `COLUMNS` those that are stated (pixel size in nm, beam in kV, dwell time in ns), and
    ``rows``, the height of the picture without its data bar, or ``bar``, the rows of the bar.
    """
    stated = {}
    # A damaged header must not hide a readable picture; what it said is then missing.
    with contextlib.suppress(Exception):
        maker, header = _header(Path(path))
        for fact, (entry, factor) in ENTRIES.get(maker, {}).items():
            text = str(header.get(entry, header.get(entry.rpartition(".")[2], ""))).strip()
            value = text if fact == "detector" else _number(text, factor)
            if fact in ("rows", "bar") and value:
                value = int(re.findall(r"\d+", text)[-1])  # of width and height the second one
            if value:
                stated |= {"maker": maker, fact: value}
    return stated


def _header(path):
    """Maker and header of a picture, as "section.name" or "name" and text."""
    if path.suffix.lower() in (".tif", ".tiff"):
        with tifffile.TiffFile(path) as tiff:
            if sections := tiff.fei_metadata:
                header = {f"{s}.{name}": v for s in sections for name, v in sections[s].items()}
                beam = header.get("Beam.Beam", "EBeam")
                return "Thermo Fisher", header | {"HV": header.get(f"{beam}.HV", "")}
            if entries := tiff.sem_metadata:
                texts = {name: " ".join(map(str, parts[1:])) for name, parts in entries.items()}
                kv = {"ap_actualkv": texts.get("ap_actualkv", texts.get("ap_manualkv", ""))}
                pixel = texts.get("ap_image_pixel_size", texts.get("ap_pixel_size", ""))
                return "Zeiss", texts | kv | {"ap_image_pixel_size": pixel}
            if tag := tiff.pages[0].tags.get(TESCAN_TAG):
                return "TESCAN", _entries(tag.value)
    for name in (f"{path.stem}.hdr", f"{path.stem}-{path.suffix[1:]}.hdr"):
        if path.with_name(name).is_file():
            return "TESCAN", _entries(path.with_name(name).read_bytes())
    file = path.with_suffix(".txt")
    header = _entries(file.read_bytes()) if file.is_file() else {}
    if any(name.startswith("SemImageFile.") for name in header):
        return "Hitachi", header
    if any(name.startswith("CM_") for name in header):
        header.setdefault("CM_SIGNAL", header.get("CM_DETECTOR_NAME", ""))
        length = _number(header.get("SM_MICRON_MARKER", ""), None)
        pixels = _number(header.get("SM_MICRON_BAR", ""), 1)
        return "JEOL", header | ({"pixel": length / pixels} if length and pixels else {})
    return "", {}


def _entries(content):
    """Entries of a text such as ``[section] name=value`` or ``$name value``, of any encoding."""
    if isinstance(content, bytes):
        encodings = ("utf-16",) if content[:2] in (b"\xff\xfe", b"\xfe\xff") else ("utf-8-sig",)
        for encoding in (*encodings, "latin-1"):
            with contextlib.suppress(UnicodeDecodeError):
                content = content.decode(encoding)
                break
    header = {}
    section = ""
    for line in content.splitlines():
        if title := re.search(r"\[(\w+)\]\s*$", line):
            section = f"{title[1]}."
        elif entry := re.match(r"[\s\0$]*(\w+)\s*[=\s]\s*(.*)", line):
            header.setdefault(section + entry[1], entry[2])
    return header


def _number(text, factor):
    """First number of a text, with the factor or the unit behind it; None without a number."""
    match = re.search(r"([-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)\s*([^\W\d]*)", str(text))
    if not match:
        return None
    return float(match[1]) * (UNITS.get(match[2], 1) if factor is None else factor)
