"""Invented texture: grain of a restored image that neither its truth nor its noise explains.

What an honest restorer gets wrong in a flat area it gets wrong because of the noise: its error is
the noise, weaker and smoother. What it invents has nothing to do with the noise of its input. So
the error's fine grain is split into a share of the input's grain and the rest. A blur is such a
rest, too, but what has no more grain than the truth has invented none.
"""

import numpy as np
from scipy import ndimage
from skimage.filters import difference_of_gaussians

from semlib.semnr.gains import flat_areas

FINE = 1.2  # pixels of the two blurs whose difference is the grain, about 3 to 8 pixels a period
COARSE = 2.4
LIMIT = 0.49  # alarm above; what `python -m training.grain_limit` says


def unexplained(reference, noisy, restored):
    """Standard deviation of the grain in flat areas that the noise does not explain.

    `reference` is a `trust.Reference`; `noisy` and `restored` are float (H, W) in [0, 1]. In units
    of the standard deviation of the noisy image's own grain there: 0 is ideal, a restorer that
    returns its input gives 0 as well, and so does one that leaves no more grain than the truth has.
    Without noise in the input, in grey values.
    """
    flat = flat_areas(reference)
    if _strength(restored, flat) <= _strength(reference.image, flat):
        return 0.0
    # errors on edges and on the defect are other questions: they must not reach into flat areas
    errors = [(image - reference.image) * flat for image in (restored, noisy)]
    bands = [difference_of_gaussians(error, FINE, COARSE, mode="reflect") for error in errors]
    left, given = (band[flat] for band in bands)
    share = np.vdot(left, given) / max(np.vdot(given, given), 1e-12)
    size = float(given.std())
    return float((left - share * given).std()) / (size if size > 1e-4 else 1.0)


def _strength(image, flat):
    """Standard deviation of the grain, of flat areas alone: edges beside them do not count."""
    blurred = []
    for width in (FINE, COARSE):
        weight = ndimage.gaussian_filter(flat.astype(float), width)
        blurred.append(ndimage.gaussian_filter(image * flat, width)[flat] / weight[flat])
    return float((blurred[0] - blurred[1]).std())
