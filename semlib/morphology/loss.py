"""The cross-scale consistency loss, and how to see whether it collapsed."""

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
        raise ValueError(f"need three scales in both lists, got {len(projections)} and {len(embeddings)}")
    if pairs not in PAIRS:
        raise ValueError(f"pairs is one of {', '.join(PAIRS)}; got {pairs!r}")
    cosine = functional.cosine_similarity
    return -torch.stack([cosine(projections[a], embeddings[b].detach()).mean() for a, b in PAIRS[pairs]]).mean()


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
