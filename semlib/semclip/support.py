"""What a competitor takes of an episode's support, checked."""


def normal_shots(pool, episode):
    """Indices of the defect-free images of the support.

    Raises
    ------
    ValueError
        If there is none.
    """
    shots = episode.support[pool.labels[episode.support] == pool.normal]
    if not len(shots):
        raise ValueError(
            f"the support has no image of the defect-free class {pool.classes[pool.normal]!r}: add shots"
        )
    return shots


def shot_masks(pool, episode):
    """Masks of the support, bool array (n, H, W).

    Raises
    ------
    ValueError
        If none of them marks a defect.
    """
    masks = pool.masks[episode.support]
    if not masks.any():
        raise ValueError(
            f"no mask of the support's {len(masks)} images marks a defect: this method learns from masks"
        )
    return masks
