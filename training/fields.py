"""The clean pictures the denoisers learn from: every preset of the simulator, and textures.

Each is a piece of a larger picture of random magnification, with the same piece without its defect
and the defect's mask, where it has one and both are known.
"""

import json

import numpy as np
from scipy import ndimage
from tqdm import tqdm

from semlib.images import simulator
from semlib.paths import atomic
from semlib.semnr.damage import without_defect
from training import flaws, textures
from training.sem_vlm_preset import SEM_VLM

NAMES = ("clean", "golden", "mask")
PIECE = 192  # pixels a side
SIZES = (192, 256, 384, 512)  # of the field of view in pixels: magnification
SHARES = {"semnr": 0.3, "semclip": 0.1, "carinthia": 0.1, "sem_vlm": 0.1, "textures": 0.4}
PRESETS = {"semnr": "semnr", "semclip": "semclip", "carinthia": "carinthia", "sem_vlm": SEM_VLM}
# label 0 of the patterned layers and 6 of the film have no defect
LABELS = {"semnr": range(1, 6), "semclip": range(7), "carinthia": range(2, 7), "sem_vlm": range(7)}


def bank(count, *, seed, folder=None):
    """Pieces as uint8 (count, 192, 192), with and without defects, and masks, bool; a dict.

    Kept in `folder`, where they are read from next time.
    """
    config = {"count": count, "seed": seed, "piece": PIECE, "sizes": SIZES, "shares": SHARES}
    stored = folder and folder / f"fields-{seed}-{count}.npz"
    if stored and stored.is_file():
        with np.load(stored) as kept:
            if str(kept["config"]) == json.dumps(config):
                return {name: kept[name] for name in NAMES}
    pieces = [piece(seed, number) for number in tqdm(range(count), "pieces")]
    parts = zip(*pieces, strict=True)
    fields = {name: np.stack(part) for name, part in zip(NAMES, parts, strict=True)}
    if stored:
        stored.parent.mkdir(parents=True, exist_ok=True)
        with atomic(stored) as temporary, open(temporary, "wb") as file:
            np.savez(file, config=json.dumps(config), **fields)
    return fields


def piece(seed, number):
    """Piece `number`: clean, golden (without the defect), mask; golden = clean without a mask."""
    rng = np.random.default_rng([seed, number])
    size = int(rng.choice(SIZES))
    source = str(rng.choice(list(SHARES), p=list(SHARES.values())))
    if source == "textures":
        clean, golden, mask = _texture(rng, size)
    else:
        clean, golden, mask = _simulated(rng, size, source)
    top, left = _window(rng, mask)
    cut = np.s_[top : top + PIECE, left : left + PIECE]
    return clean[cut], golden[cut], mask[cut]


def _texture(rng, size):
    if rng.random() < 0.3:
        clean = textures.image(rng, size)
        return clean, clean, np.zeros(clean.shape, bool)
    return textures.image(rng, size, None, str(rng.choice(list(flaws.DEFECTS))))


def _simulated(rng, size, source):
    label = int(rng.choice(LABELS[source]))
    seed = int(rng.integers(2**31))
    batch = simulator.sample(1, seed=seed, preset=PRESETS[source], size=size, labels=[label])
    clean = batch.clean[0]
    mask = batch.masks[0]
    try:
        golden = without_defect(clean.astype(np.float32), mask) if mask.any() else clean
    except ValueError:  # the defect is too large for a piece without it
        mask = np.zeros_like(mask)
        golden = clean
    return clean, np.clip(np.rint(golden), 0, 255).astype(np.uint8), mask


def _window(rng, mask):
    """Top and left of a piece, most often with a pixel of the defect in it."""
    room = len(mask) - PIECE
    if not mask.any() or rng.random() < 0.2:
        return rng.integers(0, room + 1, 2)
    rows, columns = np.nonzero(mask)
    chosen = rng.integers(len(rows))
    at = np.array([rows[chosen], columns[chosen]]) - rng.integers(16, PIECE - 16, 2)
    return np.clip(at, 0, room)


def blurred(image, sigma):
    """A picture out of focus, Gaussian, `sigma` in pixels."""
    return ndimage.gaussian_filter(image, sigma, mode="nearest")
