"""What a mask file means: which of its values mark a defect, decided and said in words."""

from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from semlib.images.decode import stored

FEW = 32  # values up to which small whole numbers are labels
SOFT = 10  # levels of 255 beside black and white that count as these
EDGES = 0.2  # share of the pixels up to which grey ones are the edges of marks
AREAS = 0.3  # share of the grey ones inside areas of one value, from which on these are labels
CLEAR = 0.25  # share of the rarer value up to which a single mask is plain without its set
SIDES = {True: "brighter", False: "darker", None: ""}  # of the two values of a mask


@dataclass(frozen=True)
class Mask:
    """Which pixels of a picture are marked, and how that was decided."""

    marked: np.ndarray | None  # bool (H, W); None where it was not kept
    rule: str  # the decision in a few words
    doubt: str = ""  # what a person should look at; empty where the file is plain
    bright: bool | None = None  # of two values: whether the brighter one was taken
    share: float = 0.0  # of the picture that is marked


class _OneValue(ValueError):
    """A mask of one value that is not 0, which its set may explain."""


def decide(path, like=None, *, bright=None):
    """Read a mask file and say what its values mean.

    - One value: nothing is marked if it is 0, else the file is refused.
    - Two values or colours: the rarer one is marked, unless `bright` tells.
    - Grey edges between black and white, as Carinthia-S has them: split at 128, then as before.
    - Small whole numbers, or areas of one number each, are labels: all but 0 is marked.
    - Several colours are classes: all but black is marked, or all but the colour of more than half.
    - A picture that is transparent somewhere and of one colour elsewhere: what is opaque.

    Parameters
    ----------
    path : path
    like : array, Picture or (int, int), optional
        The picture, or its height and width, which the mask must have.
    bright : bool, optional
        Whether the brighter of two values is marked, where it is known.

    Raises
    ------
    ValueError, FileNotFoundError
        If its size is another, if its values can mean more than one thing, or without the file.
    """
    levels, kind = _levels(path, stored(path).pixels)
    levels = _fitted(path, levels, like)
    marked, rule, side = _marked(path, levels, kind, bright)
    share = float(marked.mean())
    doubt = f"{share:.0%} of the picture is marked" if share > 0.5 else ""
    return Mask(marked, rule, doubt, side, share)


def decide_set(files, likes, *, keep=True):
    """Decide the masks of a set together: a set marks the same side of two values.

    A mask whose rarer value is the other side than in most of the set goes with the set where that
    value is not rare at all (`CLEAR`), and so does one of a single value; the disagreement stands
    in its `doubt`. `likes` are as `like` of `decide`. Returns a list of `Mask`; without `keep` they
    lack `marked`, which of a large set would fill the memory.
    """

    def decided(number, bright=None):
        mask = decide(files[number], likes[number], bright=bright)
        return mask if keep else replace(mask, marked=None)

    masks = []
    for number in range(len(files)):
        try:
            masks.append(decided(number))
        except _OneValue:
            masks.append(None)
    sides = [mask.bright for mask in masks if mask and mask.bright is not None]
    common = 2 * sides.count(True) >= len(sides)
    ours = SIDES[not common]
    theirs = SIDES[common]
    for number, mask in enumerate(masks):
        if mask is None:
            masks[number] = decided(number, None if common else False)
        elif mask.bright is (not common):
            doubt = f"marks the {ours} value, most masks of the set the {theirs}"
            if mask.share > CLEAR:
                mask = decided(number, common)
                doubt = f"its {ours} value is rarer, but the set marks the {theirs}"
            masks[number] = replace(mask, doubt="; ".join(filter(None, [doubt, mask.doubt])))
    return masks


def _fitted(path, levels, like):
    """The mask without the rows of its picture's data bar; of another size it is an error."""
    if like is None:
        return levels
    shape = tuple(getattr(like, "shape", like))[:2]
    full = getattr(like, "full_shape", shape)
    top, bottom = getattr(like, "bar", (0, 0))
    if levels.shape == full:
        return levels[top : len(levels) - bottom]
    if levels.shape == shape:
        return levels
    without = f" ({shape[0]} rows without its data bar)" if full != shape else ""
    raise ValueError(
        f"{path} has {levels.shape[0]} x {levels.shape[1]} pixels, its picture "
        f"{full[0]} x {full[1]}{without}: a mask must fit its picture pixel by pixel"
    )


def _levels(path, pixels):
    """One number a pixel and what it is: a value, an opacity or the number of a colour."""
    if pixels.dtype.kind == "f" and not np.isfinite(pixels).all():
        raise ValueError(f"{path}: a mask must not hold numbers that are not finite")
    if pixels.ndim == 2:
        return pixels, "values"
    if pixels.shape[-1] in (2, 4):
        alpha = pixels[..., -1]
        pixels = pixels[..., :-1]
        opaque = pixels[alpha > 0]
        if alpha.min() < alpha.max() and (opaque == opaque[0]).all():
            return alpha, "opacities"
        pixels = np.where(alpha[..., None] > 0, pixels, 0)
    if (pixels == pixels[..., :1]).all():
        return pixels[..., 0], "values"
    return _numbered_colours(path, pixels), "colours"


def _numbered_colours(path, pixels):
    """Colours as numbers, by brightness where there are two, else with 0 for the background."""
    if pixels.dtype.kind != "u" or pixels.dtype.itemsize > 2:
        raise ValueError(f"{path}: coloured masks have 8 or 16 bits, not {pixels.dtype}")
    codes = pixels.astype(np.int64) @ [1 << 32, 1 << 16, 1]  # one number is faster told than three
    colours, first, places, counts = np.unique(codes, True, True, True)
    if len(colours) > FEW:
        raise ValueError(
            f"{path} has {len(colours):,} colours: a mask has one for each class, without shades "
            "(save it as PNG, not as JPEG)"
        )
    brightness = pixels.reshape(-1, 3)[first].sum(axis=1, dtype=np.int64)
    order = np.argsort(brightness, kind="stable")
    if len(colours) > 2 and brightness[order[0]] > 0:
        common = int(counts.argmax())
        if counts[common] <= counts.sum() / 2:
            raise ValueError(
                f"{path}: {len(colours)} colours, none black and none on more than half of the "
                "pixels: make the background black"
            )
        order = np.concatenate([[common], order[order != common]])
    return np.argsort(order)[places].reshape(codes.shape)


def _marked(path, levels, kind, bright):
    """Marked pixels, the rule in words and, of two values, whether the brighter one was taken."""
    values, counts = np.unique(levels, return_counts=True)
    shown = ", ".join(f"{value:g}" for value in values[:5]) + (", ..." if len(values) > 5 else "")
    if len(values) == 1 and values[0] == 0:
        return np.zeros(levels.shape, bool), f"all {kind} are 0: nothing is marked", None
    if len(values) != 2 and bright and levels.dtype == np.uint8:
        return levels >= 128, "at least 128, as told", True
    if len(values) == 1 and bright is False:  # as empty masks of an inverted set are
        return np.zeros(levels.shape, bool), f"all {kind} are {shown}: nothing is darker", False
    if len(values) == 1:
        raise _OneValue(
            f"{path}: every pixel is {shown}, so all or nothing may be marked: use 0 for nothing"
        )
    if len(values) == 2:
        return _of_two(levels == values[1], f"two {kind}", counts[1] > counts[0], bright)
    if kind == "colours" or _are_labels(levels, values):
        if values[0] != 0:
            raise ValueError(f"{path}: labels {shown} without 0, which stands for nothing")
        return levels > 0, f"{len(values)} {kind}: all but the background", None
    white = 1 if levels.dtype.kind == "f" else np.iinfo(levels.dtype).max
    grey = 255 / white * levels.astype(np.float64)
    middle = np.mean((grey > SOFT) & (grey < 255 - SOFT))
    if 0 <= grey.min() <= SOFT and 255 - SOFT <= grey.max() <= 255 and middle < EDGES:
        high = grey >= 128
        return _of_two(high, "grey edges, split at 128", high.mean() > 0.5, bright)
    raise ValueError(
        f"{path} has {len(values):,} {kind} ({shown}), as a picture has: a mask has two values, "
        "small whole numbers for labels, or one colour for each class"
    )


def _are_labels(levels, values):
    """Whether values number things: small whole numbers, or areas of one value each.

    A soft edge between black and white has its greys side by side, hardly one of them twice.
    """
    if not np.array_equal(values, np.rint(values)):
        return False
    if len(values) <= FEW and values[-1] <= FEW:
        return True
    between = (levels > values[0]) & (levels < values[-1])
    flat = ndimage.maximum_filter(levels, 3) == ndimage.minimum_filter(levels, 3)
    return flat[between].mean() > AREAS


def _of_two(high, what, high_is_common, bright):
    """Mark the rarer of two values, or the one that was told."""
    side = not high_is_common if bright is None else bright
    why = "which is rarer" if bright is None else "as told"
    return (high if side else ~high), f"{what}: the {SIDES[side]}, {why}", bool(side)
