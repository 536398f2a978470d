"""The eight symmetries of a square, for images, masks and the words that name a side."""

import re

import numpy as np

SIDES = {  # (down, across): the words of `simulator.words.position`
    (-1, -1): "upper left",
    (-1, 0): "top",
    (-1, 1): "upper right",
    (0, -1): "left",
    (0, 0): "centre",
    (0, 1): "right",
    (1, -1): "lower left",
    (1, 0): "bottom",
    (1, 1): "lower right",
}
PLACES = {words: place for place, words in SIDES.items()}
# the longer names first, so that "upper left" is not taken for "left"
NAMED = re.compile(rf"\b({'|'.join(sorted(PLACES, key=len, reverse=True))})\b")
ACROSS = {"vertical": "horizontal", "horizontal": "vertical"}


def turned(images, way):
    """Images (..., s, s) seen in one of eight ways, 0 to 7; 0 leaves them, 1 swaps left and right.

    Bit 0 of `way` mirrors left and right, bit 1 top and bottom, bit 2 exchanges rows and columns
    before that.
    """
    if way & 4:
        images = np.swapaxes(images, -1, -2)
    if way & 2:
        images = images[..., ::-1, :]
    return images[..., ::-1] if way & 1 else images


def retold(caption, way):
    """What the caption of an image says of the image seen in that way."""

    def elsewhere(match):
        down, across = PLACES[match[0]]
        if way & 4:
            down, across = across, down
        return SIDES[-down if way & 2 else down, -across if way & 1 else across]

    caption = NAMED.sub(elsewhere, caption)
    if way & 4:
        caption = re.sub(r"\b(vertical|horizontal)\b", lambda match: ACROSS[match[0]], caption)
    return caption
