"""Files of one's own as instruments and people write them, for tests of whatever reads them."""

import io

import numpy as np
import tifffile
from PIL import Image, ImageDraw, ImageFont

LINES = ("HV 10.00 kV | mag 50 000 x | WD 4.1 mm | det TLD", "1 um   2026-01-01 10:21  lot 7")
BARS = {  # ground, ink, lines of text, frame, logo
    "white on black": (0, 255, 2, False, False),
    "black on white": (255, 0, 2, False, False),
    "white on grey": (128, 255, 2, False, False),
    "framed": (0, 255, 2, True, False),
    "framed black on white": (255, 0, 2, True, False),
    "one line": (0, 255, 1, False, False),
    "logo on black": (0, 255, 1, False, True),
    "logo on white": (255, 0, 2, False, True),
    "black on grey": (192, 0, 1, False, False),
}

HEADERS = {  # texts like real ones; height without the bar, in pixels; a pixel is 2 nm wide
    "Thermo Fisher": """[User]
Date=03/12/2019

[Beam]
Beam=EBeam

[EBeam]
HV=5000

[Scan]
PixelWidth=2.0e-009
PixelHeight=2.0e-009
Dwelltime=3.0e-007

[Image]
ResolutionX={width}
ResolutionY={height}

[Detectors]
Name=TLD
""",
    "Zeiss": """0
AP_IMAGE_PIXEL_SIZE
Image Pixel Size = 2.5 nm
AP_ACTUALKV
EHT = 3.00 kV
AP_MAG
Mag = 50.00 K X
DP_DETECTOR_CHANNEL
Signal A = InLens
""",
    "TESCAN": """[MAIN]
Device=MIRA3
ImageStripSize={bar}
Magnification=50000.0
PixelSizeX=2.0e-9

[SEM]
Detector=SE
DwellTime=3.0e-07
HV=5000.0
""",
    "Hitachi": """[SemImageFile]
ImageName=chip.png
DataSize={width}x{height}
PixelSize=2.0
SignalName=SE(U)
AcceleratingVoltage=5000 Volt
Magnification=50000
""",
    "JEOL": """$CM_FORMAT JEOL/SEM
$CM_MAG 50000
$CM_ACCEL_VOLT 5.00
$CM_SIGNAL SEI
$CM_FULL_SIZE {width} {height}
$$SM_MICRON_BAR 50
$$SM_MICRON_MARKER 100nm
""",
}
TAGS = {"Thermo Fisher": 34682, "Zeiss": 34118}  # of TIFF, that hold these texts
SIDECARS = {"TESCAN": ".hdr", "Hitachi": ".txt", "JEOL": ".txt"}  # of the others


def scan(seed=0, shape=(480, 480), mean=98):
    """A film with a defect as a slow scan shows it: little noise."""
    rng = np.random.default_rng(seed)
    picture = rng.normal(mean, 2.3, shape)
    picture[200:240, 220:260] += 40
    return picture.clip(0, 255).round().astype(np.uint8)


def bar(style, height, width=480):
    """A data bar, uint8 (height, width)."""
    ground, ink, lines, frame, logo = BARS[style]
    image = Image.new("L", (width, height), ground)
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(size=max(8, height * 2 // (3 * lines)))
    left = height + 6 if logo else 5
    for number, text in enumerate(LINES[:lines]):
        draw.text((left, 1 + number * height // lines), text, ink, font)
    draw.line((width * 0.6, height * 0.8, width * 0.85, height * 0.8), ink, 3)
    if logo:
        draw.ellipse((3, 2, height - 3, height - 4), fill=(ground + ink) // 2, outline=ink)
        draw.rectangle((height // 3, height // 3, height // 2, height // 2), fill=ink)
    if frame:
        draw.rectangle((0, 0, width - 1, height - 1), outline=ink)
    return np.asarray(image)


def with_bar(picture, style, height, *, above=False, quality=None):
    """A picture with its data bar, uint8, after JPEG where `quality` is given."""
    parts = [picture, bar(style, height, picture.shape[1])]
    whole = np.concatenate(parts[::-1] if above else parts)
    if quality is None:
        return whole
    file = io.BytesIO()
    Image.fromarray(whole).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def tag(number, text):
    """A text of a maker as a tag for `tifffile.imwrite`."""
    content = text.replace("\n", "\r\n").encode("latin-1") + b"\0"
    return number, "s", len(content), content, True


def counts(picture):
    """A picture as a detector of 12 bits in a file of 16 counts it."""
    return (500 + 12 * picture.astype(np.uint16)).astype(np.uint16)


def write_picture(folder, name, picture, kind):
    """Write uint8 (H, W) as one of `PICTURES`; the file and the rows of its data bar."""
    style, height, ending = PICTURES[kind]
    height, width = len(picture) * height // 100, picture.shape[1]
    whole = with_bar(picture, style, height) if height else picture
    stem = folder / name
    text = HEADERS.get(kind, "").format(width=width, height=len(picture), bar=height)
    grey = np.tile(np.arange(256, dtype=np.uint16) * 257, (3, 1))
    palette = {"photometric": "palette", "colormap": grey}
    file = stem.with_suffix(ending)
    if kind == "Thermo Fisher":
        tifffile.imwrite(file, counts(whole), extratags=[tag(TAGS[kind], text)])
    elif kind == "Zeiss":
        tifffile.imwrite(file, whole, extratags=[tag(TAGS[kind], text)], **palette)
    elif kind == "TESCAN":
        tifffile.imwrite(file, whole.astype(np.uint16) * 257)
    elif kind == "JEOL":
        tifffile.imwrite(file, whole, **palette)
    elif kind == "hot pixel":
        whole = counts(whole)
        whole[3, 5] = 65535
        tifffile.imwrite(file, whole, compression="lzw", tile=(64, 64))
    elif kind == "white is 0":
        tifffile.imwrite(file, 65535 - counts(whole), photometric="miniswhite", bigtiff=True)
    elif kind == "float":
        tifffile.imwrite(file, whole.astype(np.float32) / 255)
    elif kind == "thumbnail first":
        tifffile.imwrite(file, whole[::4, ::4], subfiletype=1)
        tifffile.imwrite(file, whole, append=True)
    else:
        Image.fromarray(whole).save(file, **({"quality": 95} if ending == ".jpg" else {}))
    if kind in SIDECARS:
        file.with_suffix(SIDECARS[kind]).write_text(text)
    return file, height


PICTURES = {  # style of the bar, its height in percent of the picture's, ending
    "Thermo Fisher": ("white on black", 8, ".tif"),
    "Zeiss": ("framed black on white", 10, ".tif"),
    "TESCAN": ("white on grey", 12, ".tif"),
    "Hitachi": ("one line", 6, ".bmp"),
    "JEOL": ("white on black", 9, ".tif"),
    "hot pixel": ("white on black", 0, ".tif"),
    "white is 0": ("black on white", 10, ".tif"),
    "float": ("white on black", 0, ".tiff"),
    "thumbnail first": ("logo on black", 10, ".tif"),
    "plain": ("white on black", 0, ".png"),
    "JPEG": ("framed", 9, ".jpg"),
}


def mask_image(marked, style):
    """A mask, bool (H, W), as labelling tools write it: an array or Pillow image, and ending."""
    byte = marked.astype(np.uint8)
    if style == "boolean":
        return marked, ".tif"
    if style == "16 bits of 1":
        return byte.astype(np.uint16), ".tif"
    if style == "red on transparent":
        return np.dstack([byte * 255, byte * 0, byte * 0, byte * 255]), ".png"
    if style == "red on white":
        return np.dstack([byte * 0 + 255, 255 - byte * 255, 255 - byte * 255]), ".png"
    if style == "palette":
        image = Image.fromarray(byte).convert("P")
        image.putpalette([0, 0, 0, 128, 0, 0] + [0] * 750)
        return image, ".png"
    if style == "labels":
        return byte * (1 + np.arange(len(byte), dtype=np.uint8) // 16 % 3)[:, None], ".png"
    if style == "inverted":
        return 255 - byte * 255, ".png"
    return byte * (1 if style == "0 and 1" else 255), ".png"


MASKS = (
    "0 and 255", "0 and 1", "boolean", "16 bits of 1", "red on transparent", "red on white",
    "palette", "labels", "inverted",
)  # fmt: skip


def write_mask(stem, marked, style):
    """Write a mask in one of `MASKS`; its file."""
    content, ending = mask_image(marked, style)
    file = stem.with_name(stem.name + ending)
    file.parent.mkdir(parents=True, exist_ok=True)
    if ending == ".tif":
        tifffile.imwrite(file, content)
    else:
        (content if isinstance(content, Image.Image) else Image.fromarray(content)).save(file)
    return file


def write_lot(folder, pictures, masks, labels, layout="images and masks"):
    """Write a lot that mixes `PICTURES` and `MASKS`; rows of the bar of each image, by its name.

    `layout`: "images and masks" with Labels.CSV (UTF-16, tabs, more columns), "beside" (NAME_mask
    and a list with semicolons) or "class folders" (masks beside their images).
    """
    bars = {}
    lines = []
    kinds = list(PICTURES)
    for number, (picture, marked, label) in enumerate(zip(pictures, masks, labels, strict=True)):
        kind = kinds[number % len(kinds)]
        place = folder / {"images and masks": "images", "class folders": str(label)}.get(layout, "")
        place.mkdir(parents=True, exist_ok=True)
        name = f"{number:03}"
        file, bar_rows = write_picture(place, name, picture, kind)
        bars[name] = bar_rows
        lines.append((file.name, "5 kV", str(label)))
        marked = np.pad(marked, ((0, bar_rows * (number % 2)), (0, 0)))  # with the bar or without
        beside = folder / "Masks" / name if layout == "images and masks" else place / f"{name}_mask"
        write_mask(beside, marked, MASKS[number % len(MASKS)] if marked.any() else MASKS[0])
    if layout == "images and masks":
        text = "\n".join("\t".join(line) for line in [("Image", "kV", "Class"), *lines])
        (folder / "Labels.CSV").write_text(text, encoding="utf-16")
    elif layout == "beside":
        text = "\n".join(f"{label};{name}" for name, _, label in lines)
        (folder / "labels.csv").write_text("label;file\n" + text)
    return bars
