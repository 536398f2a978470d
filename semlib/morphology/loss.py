"""The cross-scale consistency loss, VICReg in its place, and how to see whether they collapsed."""

import numpy as np
import torch
from scipy.spatial.distance import pdist
from sklearn import preprocessing
from torch.nn import functional

PAIRS = {  # (scale of the projection, scale of the target); the paper does not name its pairs
    "all": [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)],
    "adjacent": [(0, 1), (1, 0), (1, 2), (2, 1)],
    "to-finest": [(1, 0), (2, 0)],
}


def cross_scale_loss(projections, embeddings, pairs="all"):
    r"""Negative cosine similarity between scales, with a stop-gradient on the target.

    .. math:: L = -\frac{1}{|P|} \sum_{(a, b) \in P}
        \cos\big(p^{(a)}, \mathrm{stopgrad}(z^{(b)})\big)

    Sci Rep 2026, section 4 "Cross-Scale Consistency Objective". Takes the output p of the head and
    z of the encoder, each a list of (N, D), finest scale first. P is a key of `PAIRS`; the paper
    does not say which it selects: all six are our choice. In [-1, 1]; -1 when all scales agree.
    """
    counts = len(projections), len(embeddings)
    if counts != (3, 3):
        raise ValueError(f"need three scales in both lists, got {counts[0]} and {counts[1]}")
    if pairs not in PAIRS:
        raise ValueError(f"pairs is one of {', '.join(PAIRS)}; got {pairs!r}")
    terms = []
    for a, b in PAIRS[pairs]:
        prediction = projections[a]  # N x D, learns
        target = embeddings[b].detach()  # N x D, stop-gradient: held fixed
        terms.append(-functional.cosine_similarity(prediction, target, dim=1).mean())
    return torch.stack(terms).mean()


def vicreg(first, second, *, invariance=25.0, variance=25.0, covariance=1.0):
    r"""VICReg: two views (N, D) agree, each dimension varies, and no two dimensions say the same.

    .. math:: \lambda \, \mathrm{mse}(a, b) + \sum_{z \in \{a, b\}} \Big[ \tfrac{\mu}{2D} \sum_j
        \max(0, 1 - \sigma_j(z)) + \tfrac{\nu}{D} \sum_{i \ne j} \mathrm{cov}_{ij}(z)^2 \Big]

    arXiv 2105.04906, equations 1 to 6, the authors' weights; they, too, halve the variance term.
    """
    total = invariance * functional.mse_loss(first, second)
    for z in (first, second):
        spread = (z.var(dim=0) + 1e-4).sqrt()  # D; the constant keeps the slope at 0 finite
        total = total + variance / 2 * functional.relu(1 - spread).mean()
        squared = z.T.cov().square()  # D x D
        redundancy = squared.sum() - squared.diagonal().sum()
        total = total + covariance / z.shape[1] * redundancy
    return total


def normalised_std(embeddings):
    """Mean per-dimension standard deviation of the L2-normalised embeddings (N, D).

    0: one direction (collapse); about 1/sqrt(D): spread evenly (SimSiam, arXiv 2011.10566, 4.1).
    """
    directions = functional.normalize(torch.as_tensor(embeddings, dtype=torch.float64))
    return directions.std(dim=0, correction=0).mean().item()


def rankme(embeddings):
    r"""Effective rank :math:`\exp(-\sum_k p_k \log p_k)`, :math:`p_k = \sigma_k / \sum_j \sigma_j`.

    arXiv 2210.02885, equation 2, over the singular values of the embeddings (N, D): between 1 (a
    line, or a constant) and min(N, D). Unlike there the mean is taken off first (our choice), as
    k-means and silhouette do not see it.
    """
    matrix = torch.as_tensor(embeddings, dtype=torch.float64)
    values = torch.linalg.svdvals(matrix - matrix.mean(dim=0))
    if values.sum() == 0:
        return 1.0
    return torch.special.entr(values / values.sum()).sum().exp().item()


def uniformity(embeddings):
    """Logarithm of the mean Gaussian potential of all pairs on the unit sphere.

    arXiv 2005.10242, equation 4 with t = 2: 0 for one direction, near -4 for an even spread in many
    dimensions, -8 for opposite pairs.
    """
    directions = preprocessing.normalize(np.asarray(embeddings, dtype=np.float64))
    return float(np.log(np.exp(-2 * pdist(directions, "sqeuclidean")).mean()))


def diagnosis(embeddings):
    """Did embeddings (N, D) collapse? Spread, rank, and variance along one direction."""
    variances = np.linalg.svd(embeddings - embeddings.mean(axis=0), compute_uv=False) ** 2
    return {
        "embedding std": normalised_std(embeddings),
        "RankMe": rankme(embeddings),
        "first component %": 100 * variances[0] / variances.sum(),
    }
