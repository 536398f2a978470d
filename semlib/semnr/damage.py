"""Simulated fields and graded, seeded damage: by a microscope, and by a bad restorer.

Each kind of damage takes an image (H, W) in [0, 1], a severity from 0 (nothing) to 1 (severe), a
random generator and the defect's mask. One seed gives one pattern at every severity.
"""

import numpy as np
from scipy import ndimage
from scipy.signal import fftconvolve, lfilter

from semlib.images import simulator
from semlib.images.simulator import microscope
from semlib.semnr.metrics import check_image, check_mask

RING = 6  # pixels around a defect that are compared and blended
REACH = 64  # pixels: how far `without_defect` looks for a piece of image to copy


def scenes(n, *, seed, size):
    """Simulated patterns, each with a small defect (kinds 1 to 5 in turn): a `SimulatedBatch`."""
    return simulator.sample(n, seed=seed, preset="semnr", size=size, labels=1 + np.arange(n) % 5)


def acquire(clean, *, seed, dose=40.0, jitter=0.2, correlation=0.4):
    """A noisy scan of a clean image (H, W), see `microscope.acquire`; float32 in [0, 1]."""
    rng = np.random.default_rng(seed)
    noisy = microscope.acquire(clean * 255, rng, dose=dose, jitter=jitter, correlation=correlation)
    return np.clip(noisy / 255, 0, 1).astype(np.float32)


def apply(name, image, severity, *, seed, mask=None):
    """Damage an image (H, W) in [0, 1]; float32 (H, W) in [0, 1].

    `name` is one of `DEGRADATIONS` (the microscope) or `STRESSES` (a bad restorer), `severity` goes
    from 0 to 1, and "defect erased" needs the defect's `mask`.
    """
    if not 0 <= severity <= 1:
        raise ValueError(f"severity={severity}: severities go from 0 to 1")
    damaged = check_image(image)
    if severity:
        function = (DEGRADATIONS | STRESSES)[name]
        damaged = function(damaged, severity, np.random.default_rng(seed), mask)
    return np.clip(damaged, 0, 1).astype(np.float32)


def without_defect(image, mask):
    """The same field, float32 (H, W), with each masked piece replaced by the best piece nearby.

    The best piece has the least mean squared difference in a ring around the defect; on a periodic
    pattern it lies one period away. Inside the ring the two blend. Our choice.
    """
    mask = check_mask(mask, image.shape)
    pieces, count = ndimage.label(ndimage.binary_dilation(mask, iterations=2))
    restored = image.copy()
    for number in range(1, count + 1):
        _copy_over(restored, image, pieces == number, pieces > 0)
    return restored


def _copy_over(restored, image, piece, blocked):
    """Fill a piece of `restored` with pixels of `image` from the shift that fits its ring best."""
    distance = ndimage.distance_transform_edt(~piece)
    window = ndimage.find_objects((distance <= RING).astype(int))[0]
    around = ((distance > 0) & (distance <= RING) & ~blocked)[window].astype(np.float32)
    inside = piece[window].astype(np.float32)
    top, left = (max(0, side.start - REACH) for side in window)
    area = np.s_[top : window[0].stop + REACH, left : window[1].stop + REACH]

    def correlate(values, kernel):
        return fftconvolve(values, kernel[::-1, ::-1], mode="valid")

    # |a - b|^2 = a^2 - 2 a b + b^2 for all shifts at once; b^2 is the same for each and left out
    cost = correlate(image[area] ** 2, around) - 2 * correlate(image[area], image[window] * around)
    taken = correlate(blocked[area].astype(np.float32), np.maximum(inside, around)) > 0.5
    cost[taken] = np.inf
    if not np.isfinite(cost).any():
        raise ValueError(f"no piece without a defect within {REACH} px: the mask covers too much")
    down, right = np.unravel_index(np.argmin(cost), cost.shape)
    source = image[top + down :, left + right :][: inside.shape[0], : inside.shape[1]]
    weight = np.clip(1 - distance[window] / RING, 0, 1)
    restored[window] += weight * (source - restored[window])


def _dose(image, severity, rng, _mask):
    """Compound shot noise at 2,000 (severity 0) to 20 electrons a pixel (severity 1), geometric."""
    return microscope.acquire(image * 255, rng, dose=2000 * 0.01**severity) / 255


def _jitter(image, severity, rng, _mask):
    """Rows displaced at random, standard deviation 2 px."""
    shifts = 2 * severity * rng.standard_normal(len(image))
    columns = np.arange(image.shape[1])
    moved = [np.interp(columns + s, columns, row) for s, row in zip(shifts, image, strict=True)]
    return np.stack(moved)


def _drift(image, severity, rng, _mask):
    """The stage creeps: 6 px from top to bottom in a random, slowly turning direction."""
    time = np.linspace(0, 1, len(image))[:, None]
    angle = rng.uniform(0, 2 * np.pi) + rng.normal(0, 0.7) * time
    y, x = np.indices(image.shape)
    reach = 6 * severity * time
    places = (y + reach * np.sin(angle), x + reach * np.cos(angle))
    return ndimage.map_coordinates(image, places, order=1, mode="nearest")


def _charging(image, severity, rng, _mask):
    """Dark trails behind bright features along the scan (decay 40 px); offsets of whole rows."""
    charge = lfilter([0.025], [1, -0.975], np.maximum(image - image.mean(), 0), axis=1)
    offsets = ndimage.gaussian_filter1d(rng.standard_normal(len(image)), 1.0)
    offsets *= rng.random(len(image)) < 0.3
    return image - severity * (1.5 * charge + 0.15 * offsets[:, None])


def _correlated(image, severity, rng, _mask):
    """Gaussian noise, standard deviation 0.15, with lag-1 correlation 0.8 along the rows."""
    noise = lfilter([np.sqrt(1 - 0.8**2)], [1, -0.8], rng.standard_normal(image.shape), axis=1)
    return image + 0.15 * severity * noise


def _compress(image, severity, _rng, _mask):
    """Grey values drawn towards their mean; a fifth of the contrast is left at severity 1."""
    return image.mean() + (1 - 0.8 * severity) * (image - image.mean())


def _sharpen(image, severity, _rng, _mask):
    """Unsharp mask, radius 1.5 px, amount 4."""
    return image + 4 * severity * (image - ndimage.gaussian_filter(image, 1.5))


def _texture(image, severity, rng, _mask):
    """Invented grain of 2 to 5 px, standard deviation 0.08."""
    white = rng.standard_normal(image.shape)
    grain = ndimage.gaussian_filter(white, 1.2) - ndimage.gaussian_filter(white, 2.4)
    return image + 0.08 * severity * grain / grain.std()


def _artefacts(image, severity, rng, _mask):
    """Invented spots and short strokes: one per 2,000 pixels, 0.3 bright or dark."""
    points = np.zeros(image.shape)
    for _ in range(max(1, image.size // 2000)):
        y, x = (rng.integers(side) for side in image.shape)
        length = rng.integers(1, 10)
        points[y, x : x + length] = rng.choice([-1, 1])
    marks = ndimage.gaussian_filter(points, 1.2)
    return image + 0.3 * severity * marks / np.abs(marks).max()


DEGRADATIONS = {
    "dose": _dose,
    # white noise, standard deviation 0.2 at severity 1
    "gaussian": lambda x, severity, rng, _mask: x + 0.2 * severity * rng.standard_normal(x.shape),
    "jitter": _jitter,
    "drift": _drift,
    "charging": _charging,
    "correlated noise": _correlated,
    "contrast compression": _compress,
}
STRESSES = {
    "blur": lambda image, severity, *_: ndimage.gaussian_filter(image, 4 * severity),  # pixels
    "over-sharpening": _sharpen,
    "hallucinated texture": _texture,
    "added artefacts": _artefacts,
    # painted over with its surroundings, wholly at severity 1
    "defect erased": lambda x, severity, _rng, mask: x + severity * (without_defect(x, mask) - x),
    "contrast loss": _compress,
}
