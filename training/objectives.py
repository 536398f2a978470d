"""What each kind of denoiser is trained for: (network, batch, weights) to a loss.

A batch is a dict of float32 tensors (N, 1, H, W) in [0, 1]: "noisy" and "again", two scans of one
place; "clean"; "golden", clean without the defect; and "mask" of the defect, 0 or 1.
"""

import torch
from torch.nn import functional as F

from semlib.semnr.visibility import FALSE_ALARMS, GUARD

# what each term of SEMNR counts for beside the squared error; see `TERMS`
WEIGHTS = {"edges": 0.2, "structure": 0.5, "texture": 0.1, "contrast": 0.1}
WEIGHTS |= {"evidence": 0.2, "detector": 0.5, "flat": 0.2}
FLOOR = 1e-4  # squared error, 40 dB
EASIEST = 0.5  # least and largest weight of a defect
HARDEST = 2.0
TILE = 7  # pixels a side of the windows of structure and texture


def mse(network, batch, _weights):
    """Squared error to the clean image as PSNR counts it: the article's high score."""
    return _log_error(network(batch["noisy"]).float() - batch["clean"])


def semnr(network, batch, weights):
    """The same and `TERMS`, which protect what the article refuses to lose."""
    restored = network(batch["noisy"]).float()
    loss = _log_error(restored - batch["clean"])
    for name, weight in weights.items():
        if weight:
            loss = loss + weight * TERMS[name](restored, batch)
    return loss


def n2n(network, batch, _weights):
    """Squared error to a second scan with noise of its own (Noise2Noise, arXiv 1803.04189).

    The logarithm would count the target's noise, so images are weighted by what two scans differ.
    """
    noise = (batch["noisy"] - batch["again"]).square().mean((1, 2, 3), keepdim=True)
    error = network(batch["noisy"]).float() - batch["again"]
    return (error.square() / (noise + FLOOR)).mean()


def blind(network, batch, _weights):
    """One scan alone: of two neighbouring rows one is restored to be like the other.

    Neighbor2Neighbor (arXiv 2101.02824) with pairs of rows for its blocks of 2 x 2 pixels: the
    noise of a scan is correlated along the rows and hardly from row to row. Half of what the rows
    differ by in the restored image is taken back from the target, as its second term does. Images
    are weighted as for `n2n`.
    """
    noisy = batch["noisy"]
    with torch.no_grad():
        whole = network(noisy).float()
    own = int(torch.randint(2, ()))  # even or odd rows are restored
    differ = whole[..., own::2, :] - whole[..., 1 - own :: 2, :]
    restored = network(noisy[..., own::2, :]).float()
    other = noisy[..., 1 - own :: 2, :]
    noise = (noisy[..., own::2, :] - other).square().mean((1, 2, 3), keepdim=True)
    return ((restored - other - 0.5 * differ).square() / (noise + FLOOR)).mean()


def _log_error(error):
    """Mean logarithm of each image's squared error; else the lowest doses would be all that counts.

    The floor, 40 dB, keeps images that are nearly perfect from taking their place. The squared
    error itself pulls back an output that runs away, where the logarithm is flat.
    """
    squares = error.square().mean((1, 2, 3))
    return ((squares + FLOOR).log() + squares).mean()


STEPS = {"mse": mse, "semnr": semnr, "n2n": n2n, "blind": blind}


def edges(restored, batch):
    """Squared difference of the gradients, as a logarithm."""
    pairs = zip(_slopes(restored), _slopes(batch["clean"]), strict=True)
    squares = sum((a - b).square().mean((1, 2, 3)) for a, b in pairs)
    return (squares + FLOOR).log().mean()


def structure(restored, batch):
    """1 - SSIM in windows of 7 x 7 pixels."""
    clean = batch["clean"]
    a, b = (F.avg_pool2d(x, TILE, 2) for x in (restored, clean))
    covariance = F.avg_pool2d(restored * clean, TILE, 2) - a * b
    variances = _variance(restored) + _variance(clean)
    luminance = (2 * a * b + 0.01**2) / (a * a + b * b + 0.01**2)
    return 1 - (luminance * (2 * covariance + 0.03**2) / (variances + 0.03**2)).mean()


def texture(restored, batch):
    """Squared difference of the local standard deviations, as a logarithm."""
    # a root has no gradient at 0
    a, b = (_variance(x).clamp(min=1e-6).sqrt() for x in (restored, batch["clean"]))
    return _log_error(a - b)


def contrast(restored, batch):
    """Squared difference of the local means, as a logarithm."""
    return _log_error(F.avg_pool2d(restored, 9, 4) - F.avg_pool2d(batch["clean"], 9, 4))


def evidence(restored, batch):
    """Logarithm of the squared error on the defect.

    It counts more the harder the defect is to see: by the noise over the defect's contrast, both
    smoothed as a detector does.
    """
    marked = batch["mask"].sum((1, 2, 3)) > 0
    if not marked.any():
        return restored.sum() * 0
    # only images with a defect from here on: 0 / 0 in the others would spoil the gradient
    noisy, clean, golden, mask = (batch[x][marked] for x in ("noisy", "clean", "golden", "mask"))
    pixels = mask.sum((1, 2, 3))
    contrast = (_smooth(clean - golden).abs() * mask).sum((1, 2, 3)) / pixels
    noise = _smooth(noisy - clean).std((1, 2, 3))
    hard = (noise / contrast.clamp(min=1e-3)).clamp(EASIEST, HARDEST)
    squares = (mask * (restored[marked] - clean).square()).sum((1, 2, 3)) / pixels
    return (hard * (squares + FLOOR).log()).mean()


def detector(restored, batch):
    """What `visibility.recall` finds on the truth has to exceed the alarm level on the output.

    The level is a constant for the gradient: an image gains nothing by being wrong elsewhere.
    """
    score = _smooth(restored - batch["golden"])
    truth = _smooth(batch["clean"] - batch["golden"])
    level = _alarm_level(score.detach(), batch["mask"])
    there = batch["mask"] * (truth.abs() > level)
    # positive where the difference has the truth's sign
    missing = F.relu(1.2 - score * truth.sign() / level)
    pixels = there.sum((1, 2, 3))
    return ((there * missing).sum((1, 2, 3)) / pixels.clamp(min=1)).mean()


def flat(restored, batch):
    """Invented structure away from defects, large values above all: logarithm of 4th powers."""
    outside = 1 - _grown(batch["mask"])
    error = _smooth(restored - batch["clean"]) * outside
    return 0.5 * (error.pow(4).mean((1, 2, 3)) + FLOOR**2).log().mean()


TERMS = {"edges": edges, "structure": structure, "texture": texture, "contrast": contrast}
TERMS |= {"evidence": evidence, "detector": detector, "flat": flat}


def _alarm_level(score, mask):
    """Quantile of each image's score outside its defect, (N, 1, 1, 1)."""
    outside = _grown(mask) < 0.5
    levels = [
        torch.quantile(one[where].abs(), 1 - FALSE_ALARMS) if where.any() else one.abs().max()
        for one, where in zip(score, outside, strict=True)
    ]
    return torch.stack(levels)[:, None, None, None].clamp(min=1e-3)


def _grown(mask):
    return F.max_pool2d(mask, 2 * GUARD + 1, 1, GUARD)


def _smooth(x):
    """Gaussian blur, 1 px."""
    window = torch.exp(-(torch.arange(-3.0, 4, device=x.device) ** 2) / 2)
    window = window / window.sum()
    x = F.conv2d(x, window[None, None, None], padding=(0, 3))
    return F.conv2d(x, window[None, None, :, None], padding=(3, 0))


def _slopes(x):
    return x[..., 1:] - x[..., :-1], x[..., 1:, :] - x[..., :-1, :]


def _variance(x):
    mean = F.avg_pool2d(x, TILE, 2)
    return F.avg_pool2d(x * x, TILE, 2) - mean * mean
