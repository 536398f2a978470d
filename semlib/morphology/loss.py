"""The cross-scale consistency loss, and how to see whether it collapsed."""

from itertools import permutations

import torch
from torch.nn import functional


def cross_scale_loss(projections, embeddings, pairs=None):
    r"""Negative cosine similarity between scales, with a stop-gradient on the target.

    .. math:: L = -\frac{1}{|P|} \sum_{(a, b) \in P} \cos\big(p^{(a)}, \mathrm{stopgrad}(z^{(b)})\big)

    Sci Rep 2026, section 4 "Cross-Scale Consistency Objective". The paper does not say which
    pairs P it selects; all ordered pairs a != b are our choice.

    Parameters
    ----------
    projections, embeddings : list of tensor (N, D)
        Projection-head output p and encoder output z, one of each per scale.
    pairs : list of (int, int), optional
        (scale of the projection, scale of the target).

    Returns
    -------
    tensor ()
        Loss in [-1, 1]; -1 when all scales agree.

    Raises
    ------
    ValueError
        If the two lists differ in length or hold fewer than two scales.
    """
    scales = len(projections)
    if scales != len(embeddings) or scales < 2:
        raise ValueError(f"need two or more scales in both lists, got {scales} projections, {len(embeddings)} embeddings")
    pairs = pairs or list(permutations(range(scales), 2))
    similarities = [functional.cosine_similarity(projections[a], embeddings[b].detach()).mean() for a, b in pairs]
    return -torch.stack(similarities).mean()


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
