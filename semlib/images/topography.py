"""Thin films with defects, as height and material: what lies under the beam in the "carinthia" preset."""

from dataclasses import dataclass

import numpy as np

from semlib.images.defects import DEFECTS
from semlib.images.surface import FIELD, dimples, grid, pick, self_affine, smoothstep, white

NO_DEFECT = 6


@dataclass
class Scene:
    """What the beam meets.

    `height` (nominal pixels) and `material` (electron yield relative to the film), float32 (n, n) on the
    padded grid; `mask`, bool (size, size), the exact footprint of the defect; `caption`, a sentence.
    """

    height: np.ndarray
    material: np.ndarray
    mask: np.ndarray
    caption: str


def scene(rng, label, size):
    """A film with one defect of family `label`.

    Parameters
    ----------
    rng : numpy.random.Generator
    label : int
        1 to 6, see `defects.FAMILIES`.
    size : int
        Samples per side of the image.

    Returns
    -------
    Scene
        The mask is the footprint of the defect, by construction; shadows and halos are not part of it.
    """
    g = grid(size)
    height, about_film = _film(g, rng, white(g, rng))
    material = np.ones_like(height)
    if rng.random() < 0.22:
        box = _scan_box(g, rng)
        height += rng.uniform(0.4, 1.6) * box
        material += rng.uniform(0.0, 0.025) * box
        about_film += ", inside a faint square left by an earlier scan"
    mask, about = np.zeros((size, size), bool), "no visible defect"
    if label != NO_DEFECT:
        defect = DEFECTS[label](g, rng, white(g, rng))
        height = np.where(defect.footprint, 0.3 * height, height) + defect.relief
        material -= (defect.darkness * defect.footprint).astype(np.float32)
        mask = defect.footprint[g.inside].copy()
        about = f"{defect.about}, {_extent(mask, size)}"
    return Scene(
        height,
        material,
        mask,
        f"Synthetic SEM image of an unpatterned film: {about}; {about_film}.",
    )


def _extent(mask, size):
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    w, h = (round((i[-1] - i[0] + 1) * FIELD / size) for i in (columns, rows))
    return f"{w} x {h} px"


def _film(g, rng, noise):
    """Fine grain, and on some films dimples: height and a few words about it."""
    grain = rng.uniform(0.01, 0.075)
    film = grain * self_affine(g, noise, pick(rng, (3.0, 5.0, 8.0)))
    if rng.random() < 0.35:
        film += dimples(
            g, rng, int(rng.uniform(20, 260)), rng.uniform(1.6, 2.6), rng.uniform(0.25, 0.7)
        )
        return film, "a film with dimples"
    return film, "a grainy film" if grain > 0.05 else "a smooth film"


def _scan_box(g, rng):
    """A soft-edged square near the centre, 0 to 1: carbon deposited by an earlier scan."""
    half = pick(rng, (26.0, 40.0, 70.0, 110.0)) * rng.uniform(0.9, 1.1)
    soft = rng.uniform(5, 16)
    x0, y0 = rng.normal(0, 8), rng.normal(0, 8)
    return smoothstep((half - abs(g.x - x0)) / soft + 0.5) * smoothstep(
        (half - abs(g.y - y0)) / soft + 0.5
    )
