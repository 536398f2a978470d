"""What each kind of denoiser is trained for: (network, batch, weights) to a loss.

A batch is a dict of float32 tensors (N, 1, H, W) in [0, 1]: "noisy" and "again", two scans of one
place; "clean"; "golden", clean without the defect; and "mask" of the defect, 0 or 1.
"""

import torch
from torch.nn import functional as F

from semlib.semnr.visibility import FALSE_ALARMS, GUARD

# what each term of SEMNR counts for beside the squared error, in the order of `TERMS`
WEIGHTS = {"edges": 0.05, "structure": 0.002, "texture": 0.1, "contrast": 0.05}
WEIGHTS |= {"evidence": 0.05, "detector": 0.002, "flat": 0.01}
HARDEST = 4.0  # largest weight of a defect's pixels
TILE = 7  # pixels a side of the windows of structure and texture


def mse(network, batch, _weights):
    """Mean squared error to the clean image: the article's high score."""
    return F.mse_loss(network(batch["noisy"]).float(), batch["clean"])


def semnr(network, batch, weights):
    """Squared error and `TERMS`, which protect what the article refuses to lose."""
    restored = network(batch["noisy"]).float()
    loss = F.mse_loss(restored, batch["clean"])
    for name, weight in weights.items():
        if weight:
            loss = loss + weight * TERMS[name](restored, batch)
    return loss


def n2n(network, batch, _weights):
    """Squared error to a second scan with noise of its own (Noise2Noise, arXiv 1803.04189)."""
    return F.mse_loss(network(batch["noisy"]).float(), batch["again"])


def blind(network, batch, _weights):
    """One scan alone: of two neighbouring rows one is restored to be like the other.

    Neighbor2Neighbor (arXiv 2101.02824) with pairs of rows for its blocks of 2 x 2 pixels: the
    noise of a scan is correlated along the rows and hardly from row to row. Half of what the rows
    differ by in the restored image is taken back from the target, as its second term does.
    """
    noisy = batch["noisy"]
    with torch.no_grad():
        whole = network(noisy).float()
    own = int(torch.randint(2, ()))  # even or odd rows are restored
    differ = whole[..., own::2, :] - whole[..., 1 - own :: 2, :]
    restored = network(noisy[..., own::2, :]).float()
    return F.mse_loss(restored, noisy[..., 1 - own :: 2, :] + 0.5 * differ)


STEPS = {"mse": mse, "semnr": semnr, "n2n": n2n, "blind": blind}


def edges(restored, batch):
    """Difference of the gradients."""
    pairs = zip(_slopes(restored), _slopes(batch["clean"]), strict=True)
    return sum((a - b).abs().mean() for a, b in pairs)


def structure(restored, batch):
    """1 - SSIM in windows of 7 x 7 pixels."""
    clean = batch["clean"]
    a, b = (F.avg_pool2d(x, TILE, 2) for x in (restored, clean))
    covariance = F.avg_pool2d(restored * clean, TILE, 2) - a * b
    variances = _variance(restored) + _variance(clean)
    luminance = (2 * a * b + 0.01**2) / (a * a + b * b + 0.01**2)
    return 1 - (luminance * (2 * covariance + 0.03**2) / (variances + 0.03**2)).mean()


def texture(restored, batch):
    """Difference of the local standard deviations."""
    # a root has no gradient at 0
    a, b = (_variance(x).clamp(min=1e-6).sqrt() for x in (restored, batch["clean"]))
    return (a - b).abs().mean()


def contrast(restored, batch):
    """Difference of the local means."""
    return (F.avg_pool2d(restored, 9, 4) - F.avg_pool2d(batch["clean"], 9, 4)).abs().mean()


def evidence(restored, batch):
    """Squared error on the defect, weighted by how hard it is to see: noise over its contrast."""
    mask = batch["mask"]
    pixels = mask.sum((2, 3), keepdim=True).clamp(min=1)
    visible = (_smooth(batch["clean"] - batch["golden"]).abs() * mask).sum((2, 3), keepdim=True)
    noise = _smooth(batch["noisy"] - batch["clean"]).std((2, 3), keepdim=True)
    hard = (noise * pixels / visible.clamp(min=1e-3)).clamp(0.5, HARDEST)
    return (hard * mask * (restored - batch["clean"]).square()).sum() / mask.sum().clamp(min=1)


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
    return (there * missing).sum() / there.sum().clamp(min=1)


def flat(restored, batch):
    """Invented structure away from defects, its largest values above all: a mean of 4th powers."""
    outside = 1 - _grown(batch["mask"])
    error = _smooth(restored - batch["clean"]) * outside
    # the root has no gradient at 0
    return (error.pow(4).mean((1, 2, 3)) + 1e-10).pow(0.25).mean()


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
    window = torch.exp(-(torch.arange(-3.0, 4) ** 2) / 2)
    window = window / window.sum()
    x = F.conv2d(x, window[None, None, None], padding=(0, 3))
    return F.conv2d(x, window[None, None, :, None], padding=(3, 0))


def _slopes(x):
    return x[..., 1:] - x[..., :-1], x[..., 1:, :] - x[..., :-1, :]


def _variance(x):
    mean = F.avg_pool2d(x, TILE, 2)
    return F.avg_pool2d(x * x, TILE, 2) - mean * mean
