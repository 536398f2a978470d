"""Contrastive losses that SEM-VLM is trained with: images with captions, and single patches with captions."""

import torch
import torch.nn.functional as F

ON_DEFECT = 0.1  # part of a patch that a defect must cover


def see(model, images, covered, shown, draw):
    """Class and patch embeddings of a random part of the patches; those on a defect are always among them.

    Parameters
    ----------
    images : tensor (n, 3, 240, 240)
    covered : tensor (n, 225)
        Part of each patch that is defect.
    shown : float
        Part of the patches that the model sees.
    draw : torch.Generator

    Returns
    -------
    image (n, e), patches (n, m, e), both L2-normalised; which (n, m), the numbers of the patches
    """
    visual = model.visual
    order = torch.rand(covered.shape, generator=draw) + (covered > ON_DEFECT)
    which = order.topk(round(shown * covered.shape[1]), dim=1).indices
    tokens = visual._embeds(images)
    rows = torch.cat([torch.zeros_like(which[:, :1]), which + 1], 1)
    tokens = tokens.gather(1, rows[..., None].expand(-1, -1, tokens.shape[-1]))
    tokens = F.normalize(visual.ln_post(visual.transformer(tokens)) @ visual.proj, dim=-1)
    return tokens[:, 0], tokens[:, 1:], which


def image_text_loss(image, text, same, scale):
    """Symmetric InfoNCE; captions that read the same are positives of each other (`same` (n, n) bool)."""
    logits, target = scale * image @ text.T, same / same.sum(1, keepdim=True)
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


def patch_text_loss(patches, covered, labels, text, scale, draw, each=4):
    """InfoNCE of `each` patches on the defect and as many beside it with the captions of their class.

    Positives are all captions in the batch of the same class (defect-free ones for a patch beside a defect).
    """
    kinds, chosen = [], []
    for wanted, kind in ((covered > ON_DEFECT, labels), (covered == 0, torch.zeros_like(labels))):
        order = torch.rand(covered.shape, generator=draw) + 2 * wanted
        best = order.topk(each, dim=1).indices
        valid = wanted.gather(1, best)
        chosen.append(patches.gather(1, best[..., None].expand(-1, -1, patches.shape[-1]))[valid])
        kinds.append(kind[:, None].expand(-1, each)[valid])
    same = (torch.cat(kinds)[:, None] == labels[None]).float()
    some = same.sum(1) > 0
    logits, target = (
        scale * torch.cat(chosen)[some] @ text.T,
        same[some] / same[some].sum(1, keepdim=True),
    )
    return F.cross_entropy(logits, target)
