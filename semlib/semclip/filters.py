"""Multi-scale filters of each pixel, three looks at them, and pixels drawn from the shots."""

from functools import cache, partial

import numpy as np
import torch
from scipy.ndimage import gaussian_filter1d
from torch.nn import functional as F

from semlib.workers import threads

SIGMAS = (0.5, 1, 2, 4, 8, 16)  # pixels, standard deviations of the Gaussians
CHUNK = 4  # images at a time; few stay in the processor's cache
KINDS = 4  # filters of one Gaussian: grey value, edge, both curvatures
TINY = 1e-6  # a smaller spread counts as this: a flat image has none
LARGEST = 6e4  # of a look, as float16 ends there


def filters(images, *, step=1):
    """Filters of uint8 images (N, H, W) at every `step`-th pixel, float16 (N, h, w, 24).

    Grey value, slope and both principal curvatures after Gaussians of 0.5, 1, 2, 4, 8 and 16
    pixels, the finest first: those of `skimage.feature.multiscale_basic_features`, several times as
    fast. With a `step` cells of step x step pixels are averaged, which a study does to save time;
    H and W are multiples of it.
    """
    parts = [images[start : start + CHUNK] for start in range(0, len(images), CHUNK)]
    workers = torch.get_num_threads()
    return np.concatenate([*threads(partial(_filtered, step=step), parts, workers)])


def _filtered(images, step):
    x = torch.from_numpy(images.astype(np.float32) / 255)
    values = []
    for sigma in SIGMAS:
        # a Gaussian is separable: one product for the rows, one for the columns
        smooth = _gaussian(x.shape[1], sigma) @ x @ _gaussian(x.shape[2], sigma).T
        down, across = torch.gradient(smooth, dim=(1, 2))
        down, mixed = torch.gradient(down, dim=(1, 2))  # second derivatives, the Hessian's elements
        (across,) = torch.gradient(across, dim=2)
        mean = (down + across) / 2
        apart = torch.hypot((down - across) / 2, mixed)
        values += [smooth, _slope(smooth), mean + apart, mean - apart]
    values = F.avg_pool2d(torch.stack(values, 1), step)
    return values.permute(0, 2, 3, 1).half().numpy()


@cache
def _gaussian(side, sigma):
    """Matrix (side, side) that smooths; beyond the image its border goes on."""
    return torch.from_numpy(gaussian_filter1d(np.eye(side), sigma, 0, mode="nearest")).float()


def _slope(x):
    """Root mean square of Sobel's two differences of images (n, H, W), its border repeated."""
    x = F.pad(x, (1, 1, 1, 1), "replicate")
    down = x[:, 2:] - x[:, :-2]
    across = x[:, :, 2:] - x[:, :, :-2]
    down = (down[:, :, 2:] + 2 * down[:, :, 1:-1] + down[:, :, :-2]) / 4
    across = (across[:, 2:] + 2 * across[:, 1:-1] + across[:, :-2]) / 4
    return torch.hypot(down, across) / 2**0.5


def looks(values):
    """Filters (n, h, w, F) as they are, `standardised` and `relative`: float16 (n, h, w, 3 F)."""

    def looked(i):
        image = values[[i]]
        three = np.concatenate([image, standardised(image), relative(image)], -1, dtype=np.float32)
        return three.clip(-LARGEST, LARGEST).astype(np.float16)

    return np.concatenate([*threads(looked, range(len(values)), torch.get_num_threads())])


def standardised(values):
    """Filters (n, h, w, F) of the same images, had each a mean of 0 and a deviation of 1.

    All filters are linear in the image or scale with it, so none is computed again.
    """
    finest = values[..., 0]
    shifted = values.astype(np.float32)
    shifted[..., ::KINDS] -= finest.mean((1, 2), dtype=np.float32)[:, None, None, None]
    return shifted / (finest.std((1, 2), dtype=np.float32)[:, None, None, None] + TINY)


def relative(values):
    """Filters (n, h, w, F) as distances from the image's own median, in median deviations.

    What is rare in its own image stands out, whatever the image's contrast.
    """
    flat = values.reshape(len(values), -1, values.shape[-1]).astype(np.float32)
    flat = flat - np.median(flat, 1, keepdims=True)
    spread = np.median(np.abs(flat), 1, keepdims=True)
    return (flat / (spread + TINY)).reshape(values.shape)


def classes_of_pixels(masks, labels, normal, shape):
    """Class of each cell of a grid, int (n, h, w), from masks (n, H, W) and labels (n,).

    A cell is of its image's class where half of it or more is marked, elsewhere it is `normal`;
    of an image whose marks are smaller it is so where the most is marked.
    """
    covered = F.adaptive_avg_pool2d(torch.as_tensor(masks)[:, None].float(), shape)[:, 0].numpy()
    least = np.minimum(0.5, covered.max((1, 2), keepdims=True))
    marked = (covered >= least) & (covered > 0)
    return np.where(marked, np.asarray(labels)[:, None, None], normal)


def draw(pixels, rng, *, each=400, most=12_000):
    """Numbers of pixels to learn from, as many of each class of each image: int (m,).

    Takes the classes (n, h, w) of all pixels. `each` is the most of a class of an image, `most`
    the most of all, about.
    """
    flat = pixels.reshape(len(pixels), -1)
    each = max(1, min(each, most // (2 * len(flat))))
    drawn = []
    for i, image in enumerate(flat):
        for kind in np.unique(image):
            places = np.flatnonzero(image == kind)
            some = rng.choice(places, min(each, len(places)), replace=False)
            drawn.append(i * flat.shape[1] + some)
    return np.concatenate(drawn)
