"""The cross-scale consistency loss, two that decorrelate instead, and how to see whether it collapsed."""

import itertools

import torch
from torch.nn import functional

PAIRS = {  # (scale of the projection, scale of the target); the paper does not name its "selected" pairs
    "all": [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)],
    "adjacent": [(0, 1), (1, 0), (1, 2), (2, 1)],
    "to-finest": [(1, 0), (2, 0)],
}


def cross_scale_loss(projections, embeddings, pairs="all"):
    r"""Negative cosine similarity between scales, with a stop-gradient on the target.

    .. math:: L = -\frac{1}{|P|} \sum_{(a, b) \in P} \cos\big(p^{(a)}, \mathrm{stopgrad}(z^{(b)})\big)

    Sci Rep 2026, section 4 "Cross-Scale Consistency Objective". The paper does not say which
    pairs P it selects; all six are our choice.

    Parameters
    ----------
    projections, embeddings : list of tensor (N, D)
        Projection-head output p and encoder output z, finest scale first.
    pairs : {"all", "adjacent", "to-finest"}
        A key of `PAIRS`.

    Returns
    -------
    tensor ()
        Loss in [-1, 1]; -1 when all scales agree.

    Raises
    ------
    ValueError
        If there are not three scales in both lists, or `pairs` is unknown.
    """
    if not len(projections) == len(embeddings) == 3:
        raise ValueError(
            f"need three scales in both lists, got {len(projections)} and {len(embeddings)}"
        )
    if pairs not in PAIRS:
        raise ValueError(f"pairs is one of {', '.join(PAIRS)}; got {pairs!r}")
    cosine = functional.cosine_similarity
    return -torch.stack(
        [cosine(projections[a], embeddings[b].detach()).mean() for a, b in PAIRS[pairs]]
    ).mean()


def between_scales(distance, projections):
    """Mean of ``distance(a, b)`` over the three unordered pairs of scales; `projections` as in `cross_scale_loss`."""
    return torch.stack([distance(a, b) for a, b in itertools.combinations(projections, 2)]).mean()


def vicreg(first, second, *, invariance=25.0, variance=25.0, covariance=1.0):
    r"""VICReg: two views agree, each dimension varies over the batch, and no two dimensions say the same.

    .. math:: \lambda \, \mathrm{mse}(a, b) + \sum_{z \in \{a, b\}} \Big[ \tfrac{\mu}{2D} \sum_j
        \max(0, 1 - \sigma_j(z)) + \tfrac{\nu}{D} \sum_{i \ne j} \mathrm{cov}_{ij}(z)^2 \Big]

    arXiv 2105.04906, equations 1 to 6 with the authors' weights; the variance term is halved as in their program.

    Parameters
    ----------
    first, second : tensor (N, D)
        Projections of the same images.
    """
    total = invariance * functional.mse_loss(first, second)
    for z in (first, second):
        spread = (z.var(dim=0) + 1e-4).sqrt()
        total = total + variance / 2 * functional.relu(1 - spread).mean()
        total = total + covariance / z.shape[1] * _off_diagonal(z.T.cov())
    return total


def barlow(first, second, *, redundancy=5e-3):
    r"""Barlow Twins: :math:`\sum_i (1 - C_{ii})^2 + \lambda \sum_{i \ne j} C_{ij}^2`, C the views' cross-correlation.

    arXiv 2103.03230, equation 1 with the authors' weight. first, second : tensor (N, D).
    """
    a, b = ((z - z.mean(dim=0)) / (z.std(dim=0, correction=0) + 1e-5) for z in (first, second))
    correlation = a.T @ b / len(a)
    return (1 - correlation.diagonal()).square().sum() + redundancy * _off_diagonal(correlation)


def _off_diagonal(matrix):
    return matrix.square().sum() - matrix.diagonal().square().sum()


def normalised_std(embeddings):
    """Mean per-dimension standard deviation of the L2-normalised embeddings (N, D).

    0 when every image has the same direction (collapse), about 1/sqrt(D) when directions are
    spread evenly (SimSiam, arXiv 2011.10566, section 4.1).
    """
    directions = functional.normalize(torch.as_tensor(embeddings, dtype=torch.float64))
    return directions.std(dim=0, correction=0).mean().item()


def rankme(embeddings, *, center=True):
    r"""Effective rank :math:`\exp(-\sum_k p_k \log p_k)`, :math:`p_k = \sigma_k / \sum_j \sigma_j`.

    arXiv 2210.02885, equation 2, over the singular values of the embeddings.

    Parameters
    ----------
    embeddings : array or tensor (N, D)
    center : bool
        Subtract the mean first. k-means and silhouette do not see the mean, so neither should the
        number that explains them; ``center=False`` is the definition in the RankMe paper.

    Returns
    -------
    float
        Between 1 (everything on a line, or a constant) and min(N, D).
    """
    matrix = torch.as_tensor(embeddings, dtype=torch.float64)
    if center:
        matrix = matrix - matrix.mean(dim=0)
    values = torch.linalg.svdvals(matrix)
    if values.sum() == 0:
        return 1.0
    return torch.special.entr(values / values.sum()).sum().exp().item()
