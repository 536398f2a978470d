"""The only reader of pictures and masks: what a file means, and what was decided on the way."""

from dataclasses import dataclass, replace

import numpy as np

from semlib.images import databar, instrument, masks
from semlib.images.decode import states_range, stored

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")
GREY = 8  # levels of 255 between the channels of a colour file up to which it is grey (JPEG rounds)
QUANTILES = (0.001, 0.999)  # one number in a thousand may lie outside: hot pixels move nothing
WRONG = 0.01  # share of numbers above the stated range from which on the statement is not believed
MARGIN = 0.1  # of the width between the quantiles, left on either side for small bright defects


@dataclass(frozen=True)
class Picture:
    """One grey picture with the numbers of its file; bright is high."""

    pixels: np.ndarray  # (H, W) integers or floats as stored: upright, grey, without the data bar
    bits: int  # of each number in the file
    stated: tuple | None = None  # range of the numbers, where the file states it
    bar: tuple = (0, 0)  # rows that were cut off above and below
    facts: dict | None = None  # what the instrument states, see `instrument.facts`
    notes: tuple = ()  # what was chosen, converted or left out

    @property
    def shape(self):
        """Height and width without the data bar."""
        return self.pixels.shape

    @property
    def full_shape(self):
        """Height and width of the file, data bar included."""
        return self.pixels.shape[0] + sum(self.bar), self.pixels.shape[1]

    def span(self, *, by_quantiles=False):
        """Numbers that become black and white: as stated, or by quantiles.

        Detectors rarely fill 16 bits, and neither a hot pixel nor a scale bar that was drawn in
        white must set the range. In a lot of files of which one does not state its range all go by
        quantiles, see `all_state_range`.
        """
        if self.stated is not None and not by_quantiles:
            return self.stated
        scanned = _without_marks(self.pixels, self.bits)
        low, high = (float(end) for end in np.quantile(scanned, QUANTILES))
        margin = MARGIN * (high - low)
        return low - margin, high + margin

    def uint8(self, *, by_quantiles=False):
        """Grey levels 0 to 255 over `span`, uint8 (H, W)."""
        return _levels(self.pixels, self.span(by_quantiles=by_quantiles))


def image(path, *, bar="auto"):
    """Read a grey picture.

    Parameters
    ----------
    path : path
        PNG, JPEG, BMP or TIFF (tiled, compressed, big, palette, MinIsWhite, several pages) of
        8 to 32 bits or floats.
    bar : "auto", "none", (int, int) or text such as "0,60"
        Rows of the data bar to cut off above and below; "auto" takes them from the metadata of the
        instrument, else finds them by their look (`databar.rows`).

    Returns
    -------
    Picture

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is no readable picture, is coloured, or holds numbers that are not finite.
    """
    file = stored(path)
    pixels, notes = _grey(path, file)
    if pixels.dtype.kind == "f" and not np.isfinite(pixels).all():
        count = np.sum(~np.isfinite(pixels))
        raise ValueError(f"{path}: {count:,} numbers are not finite ({pixels.dtype}): replace them")
    stated = file.stated
    if stated and np.mean(pixels > stated[1]) > WRONG:
        notes.append(f"states numbers up to {stated[1]:g}, but they go up to {pixels.max()}")
        stated = None
    if file.inverted:
        pixels, stated = _white_high(pixels, file.bits, stated)
        notes.append("MinIsWhite: turned, so that bright is high")
    picture = Picture(pixels, file.bits, stated, notes=tuple(notes))
    return _without_bar(path, picture, bar)


def all_state_range(paths):
    """Whether all files of a lot state their range; if not, all of them must go by quantiles."""
    return all(map(states_range, paths))


def scaled(pixels, span):
    """Numbers as floats from 0 to 1 over a span, clipped."""
    low, high = span
    if high <= low:
        return np.zeros(pixels.shape)
    return ((pixels.astype(np.float64) - low) / (high - low)).clip(0, 1)


def mask(path, like=None, *, bright=None):
    """Read which pixels a mask file marks, bool (H, W), by the rules of `masks.decide`.

    With a `Picture` as `like` it must have the size of the file and loses the same data bar.
    """
    return masks.decide(path, like, bright=bright).marked


def _grey(path, file):
    """One channel of a picture whose channels are equal, and the notes on it."""
    pixels = file.pixels
    notes = list(file.notes)
    if pixels.ndim == 2:
        return pixels, notes
    if pixels.shape[-1] in (2, 4):
        if np.ptp(pixels[..., -1].astype(np.float64)) > 0:
            notes.append("transparency was ignored")
        pixels = pixels[..., :-1]
    apart = np.ptp(pixels.astype(np.float64), axis=-1)
    largest = np.iinfo(pixels.dtype).max if pixels.dtype.kind in "ui" else 1.0
    coloured = float((apart > GREY / 255 * largest).mean())
    if coloured > 0:
        raise ValueError(
            f"{path}: {coloured:.1%} of the pixels are coloured, so this is no grey SEM picture: "
            "save it in grey, without coloured marks or false colours"
        )
    return pixels[..., pixels.shape[-1] // 2], notes  # green, to which JPEG gives most bits


def _white_high(pixels, bits, stated):
    """Turn a picture whose least number is white, and the range it states."""
    if pixels.dtype.kind == "f":
        return -pixels, None
    white = 2**bits - 1 if pixels.dtype.kind == "u" else -1  # -1 - x turns every signed integer
    return white - pixels, stated and (white - stated[1], white - stated[0])


def _without_marks(pixels, bits):
    """Numbers without drawn marks: those at an end of the data type, far from all others."""
    if pixels.dtype.kind != "u":
        return pixels.astype(np.float64)  # quantiles of 16-bit floats overflow
    last = 2**bits - 1
    inside = pixels[(pixels > 0) & (pixels < last)]
    if not inside.size:
        return pixels
    low, high = np.quantile(inside, QUANTILES)
    width = high - low
    drawn = ((pixels == 0) & (low > width)) | ((pixels == last) & (last - high > width))
    return pixels[~drawn]


def _levels(pixels, span):
    if pixels.dtype == np.uint8 and span == (0, 255):
        return pixels
    return np.rint(255 * scaled(pixels, span)).astype(np.uint8)


def _without_bar(path, picture, bar):
    """Cut the data bar off, and keep what the instrument wrote."""
    bar = databar.option(bar)
    if bar == "none":
        return picture
    facts = instrument.facts(path)
    if bar == "auto":
        third = len(picture.pixels) // 3  # a bar of its own white must not squeeze the picture
        scan = replace(picture, pixels=picture.pixels[third : len(picture.pixels) - third])
        top, bottom, why = databar.rows(_levels(picture.pixels, scan.span()), facts)
    else:
        top, bottom = bar
        why = f"{top} rows above and {bottom} below were cut off as told"
    if top + bottom >= len(picture.pixels):
        raise ValueError(f"{path}: a bar of {top} + {bottom} rows leaves nothing")
    pixels = picture.pixels[top : len(picture.pixels) - bottom]
    notes = picture.notes + ((why,) if top or bottom else ())
    return replace(picture, pixels=pixels, bar=(top, bottom), facts=facts, notes=notes)


def listed(raw, row):
    """Grey levels, uint8 (H, W), and `Picture` of a row of a manifest, read as it says.

    `raw` is the folder from which paths count. A row of an own folder has range, bar_top and
    bar_bottom; published sets have no bar.
    """
    bar = (int(row.bar_top), int(row.bar_bottom)) if getattr(row, "bar_top", "") else "none"
    picture = image(raw / row.path, bar=bar)
    return picture.uint8(by_quantiles=getattr(row, "range", "") == "quantiles"), picture


def listed_mask(raw, row, picture):
    """The mask of a row of a manifest, or None; the masks of published sets are bright."""
    if not row.mask_path:
        return None
    side = getattr(row, "mask_side", "brighter")
    return mask(raw / row.mask_path, picture, bright={"brighter": True, "darker": False}.get(side))


def pictures(table, raw):
    """Rows of a manifest with the columns image (uint8) and mask (None without one).

    Files that cannot be read are named and left out.
    """
    readable = []
    images = []
    marked = []
    for row in table.itertuples():
        try:
            levels, picture = listed(raw, row)
            marked.append(listed_mask(raw, row, picture))
        except (ValueError, OSError) as error:
            print("left out here, an error in notebook 02 unless skip_bad is set:", error)
        else:
            images.append(levels)
            readable.append(row.Index)
    return table.loc[readable].assign(image=images, mask=marked)
