"""Graded, seeded damage to a noise-free image: what a microscope does, and what a bad restorer does.

Every function takes an image (H, W) in [0, 1], a severity from 0 (nothing) to 1 (severe) and a random generator. One
seed gives one pattern at every severity, so severities can be compared.
"""

import numpy as np
from scipy import ndimage
from scipy.signal import fftconvolve, lfilter

from semlib.images.simulator import microscope
from semlib.semnr import inputs

REACH = 64  # pixels: how far `without_defect` looks for a piece of image to copy


def apply(name, image, severity, *, seed, mask=None):
    """Damage an image.

    Parameters
    ----------
    name : str
        One of `DEGRADATIONS` (the microscope) or `STRESSES` (a bad restorer).
    image : float array (H, W), in [0, 1]
    severity : float
        0 to 1.
    seed : int or sequence of int
    mask : bool array (H, W), optional
        The defect; "defect erased" needs it.

    Returns
    -------
    float32 array (H, W), in [0, 1]

    Raises
    ------
    ValueError
        If the name is unknown, the severity is outside [0, 1], or the mask is needed and missing.
    """
    known = DEGRADATIONS | STRESSES
    if name not in known:
        raise ValueError(f"unknown degradation {name!r}: use one of {', '.join(known)}")
    if not 0 <= severity <= 1:
        raise ValueError(f"severity={severity}: severities go from 0 to 1")
    if name == "defect erased" and mask is None:
        raise ValueError("'defect erased' needs the mask of the defect")
    (image,) = inputs.images(image, names=("image",))
    rng = np.random.default_rng(seed)
    changed = known[name](image, severity, rng, mask) if severity else image
    return np.clip(changed, 0, 1).astype(np.float32)


def acquire(clean, *, seed, dose=40.0, jitter=0.2, correlation=0.4):
    """A noisy scan of a clean image (H, W) in [0, 1], see `semlib.images.simulator.microscope.acquire`; float32 in [0, 1]."""
    noisy = microscope.acquire(
        clean * 255, np.random.default_rng(seed), dose=dose, jitter=jitter, correlation=correlation
    )
    return np.clip(noisy / 255, 0, 1).astype(np.float32)


def without_defect(image, mask, *, ring=6):
    """The same field without the defect: each masked piece is replaced by the best-fitting piece nearby.

    The fit is the mean squared difference in a ring around the piece; on a periodic pattern the best piece lies one
    period away. Inside the ring the two blend.

    Parameters
    ----------
    image : float array (H, W), in [0, 1]
    mask : bool array (H, W)
    ring : int
        Pixels.

    Returns
    -------
    float32 array (H, W)
    """
    (image,) = inputs.images(image, names=("image",))
    mask = inputs.mask(mask, image.shape)
    pieces, count = ndimage.label(ndimage.binary_dilation(mask, iterations=2))
    blocked, result = pieces > 0, image.copy()
    for number in range(1, count + 1):
        _copy_over(result, image, pieces == number, blocked, ring)
    return result


def _copy_over(result, image, piece, blocked, ring):
    """Fill one `piece` of `result` with pixels of `image` from the shift that fits the surroundings best."""
    distance = ndimage.distance_transform_edt(~piece)
    window = ndimage.find_objects((distance <= ring).astype(int))[0]
    around = ((distance > 0) & (distance <= ring) & ~blocked)[window].astype(np.float32)
    target = image[window] * around
    y0, x0 = window[0].start, window[1].start
    top, left = max(0, y0 - REACH), max(0, x0 - REACH)
    area = np.s_[top : window[0].stop + REACH, left : window[1].stop + REACH]

    def correlate(values, kernel):
        return fftconvolve(values, kernel[::-1, ::-1], mode="valid")

    cost = correlate(image[area] ** 2, around) - 2 * correlate(image[area], target)
    inside = piece[window].astype(np.float32)
    cost[correlate(blocked[area].astype(np.float32), np.maximum(inside, around)) > 0.5] = np.inf
    if not np.isfinite(cost).any():
        raise ValueError(f"no piece without a defect within {REACH} px: the mask covers too much")
    dy, dx = np.unravel_index(np.argmin(cost), cost.shape)
    source = image[top + dy :, left + dx :][: inside.shape[0], : inside.shape[1]]
    weight = np.clip(1 - distance[window] / ring, 0, 1)
    result[window] += weight * (source - result[window])


def _dose(image, severity, rng, _):
    """Compound shot noise at 2,000 (severity 0) down to 20 electrons a pixel (severity 1), geometric."""
    return microscope.acquire(image * 255, rng, dose=2000 * 0.01**severity) / 255


def _gaussian(image, severity, rng, _):
    """White Gaussian noise, standard deviation 0.2 at severity 1."""
    return image + 0.2 * severity * rng.standard_normal(image.shape)


def _jitter(image, severity, rng, _):
    """Rows displaced at random, standard deviation 2 px."""
    return _rows_displaced(image, 2 * severity * rng.standard_normal(len(image)))


def _drift(image, severity, rng, _):
    """The stage creeps while the frame is scanned: 6 px from top to bottom in a random, slowly turning direction."""
    t = np.linspace(0, 1, len(image))
    angle = rng.uniform(0, 2 * np.pi) + rng.normal(0, 0.7) * t
    dx, dy = 6 * severity * t * np.cos(angle), 6 * severity * t * np.sin(angle)
    y, x = np.mgrid[: image.shape[0], : image.shape[1]].astype(float)
    return ndimage.map_coordinates(
        image, (y + dy[:, None], x + dx[:, None]), order=1, mode="nearest"
    )


def _charging(image, severity, rng, _):
    """Streaks along the scan: dark trails behind bright features (decay 40 px) and offsets of whole rows."""
    charge = lfilter([0.025], [1, -0.975], np.maximum(image - image.mean(), 0), axis=1)
    rows = ndimage.gaussian_filter1d(rng.standard_normal(len(image)), 1.0) * (
        rng.random(len(image)) < 0.3
    )
    return image - severity * (1.5 * charge + 0.15 * rows[:, None])


def _correlated(image, severity, rng, _):
    """Gaussian noise, standard deviation 0.15, with lag-1 correlation 0.8 along the rows."""
    noise = lfilter([np.sqrt(1 - 0.8**2)], [1, -0.8], rng.standard_normal(image.shape), axis=1)
    return image + 0.15 * severity * noise


def _compress(image, severity, _rng, _mask):
    """Grey values drawn towards their mean; a fifth of the contrast is left at severity 1."""
    return image.mean() + (1 - 0.8 * severity) * (image - image.mean())


def _blur(image, severity, _rng, _mask):
    """Gaussian blur, 4 px."""
    return ndimage.gaussian_filter(image, 4 * severity)


def _sharpen(image, severity, _rng, _mask):
    """Unsharp mask, radius 1.5 px, amount 4."""
    return image + 4 * severity * (image - ndimage.gaussian_filter(image, 1.5))


def _texture(image, severity, rng, _):
    """Invented grain of 2 to 5 px, standard deviation 0.08."""
    white = rng.standard_normal(image.shape)
    grain = ndimage.gaussian_filter(white, 1.2) - ndimage.gaussian_filter(white, 2.4)
    return image + 0.08 * severity * grain / grain.std()


def _artefacts(image, severity, rng, _):
    """Invented spots and short strokes: one per 2,000 pixels, 0.3 bright or dark."""
    points = np.zeros(image.shape)
    for _number in range(max(1, image.size // 2000)):
        y, x, length = (
            rng.integers(0, image.shape[0]),
            rng.integers(0, image.shape[1]),
            rng.integers(1, 10),
        )
        points[y, x : x + length] = rng.choice([-1, 1])
    marks = ndimage.gaussian_filter(points, 1.2)
    return image + 0.3 * severity * marks / np.abs(marks).max()


def _erased(image, severity, _rng, mask):
    """The defect painted over with its surroundings, wholly at severity 1."""
    return image + severity * (without_defect(image, mask) - image)


def _rows_displaced(image, shifts):
    columns = np.arange(image.shape[1])
    return np.stack(
        [np.interp(columns + shift, columns, row) for row, shift in zip(image, shifts, strict=True)]
    )


DEGRADATIONS = {
    "dose": _dose, "gaussian": _gaussian, "jitter": _jitter, "drift": _drift, "charging": _charging,
    "correlated noise": _correlated, "contrast compression": _compress,
}  # fmt: skip
STRESSES = {
    "blur": _blur, "over-sharpening": _sharpen, "hallucinated texture": _texture, "added artefacts": _artefacts,
    "defect erased": _erased, "contrast loss": _compress,
}  # fmt: skip
