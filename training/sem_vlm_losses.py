"""What SEM-VLM is trained on: image-text and patch-text contrast; and how it is examined."""

from contextlib import contextmanager

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.metrics import roc_auc_score
from torch.nn.attention import SDPBackend, sdpa_kernel

from semlib.semclip import clip

MEAN = 0.40
STD = 0.17  # of the training images on [0, 1]
PATCH = 16  # pixels a side
ON_DEFECT = 0.1  # part of a patch that a defect must cover
EACH = 4  # patches of an image on the defect, and as many beside it, in the patch loss


def cover(masks):
    """Part of each patch that is defect, float32 (n, 225), of bool masks (n, 240, 240)."""
    return F.avg_pool2d(torch.from_numpy(np.array(masks, np.float32))[:, None], PATCH).flatten(1)


@contextmanager
def precision(short, device):
    """Products of matrices in bfloat16 where `short`, on a torch.device.

    On a processor with bfloat16 instructions a step takes half the time; torch's fused attention
    is not used then: its backward pass in bfloat16 costs four times that in float32.
    """
    backends = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]
    if short and device.type == "cpu":
        backends = [SDPBackend.MATH]
    with sdpa_kernel(backends), torch.autocast(device.type, torch.bfloat16, enabled=short):
        yield


def embed(model, tokens, images, covered, shown, draw, *, short):
    """`embed_texts` of tokens and `see` of images in the given `precision`, float32."""
    with precision(short, images.device):
        text = embed_texts(model, tokens)
        image, patches, which = see(model, images, covered, shown, draw)
    return text.float(), image.float(), patches.float(), which


def embed_texts(model, tokens):
    """Unit embeddings of sentences (n, e), which open_clip's text tower gives too.

    Attention looks back only, so that what follows the longest sentence is cut off.
    """
    used = int(tokens.argmax(1).max()) + 1  # the end token has the highest number
    tokens = tokens[:, :used]
    x = model.token_embedding(tokens) + model.positional_embedding[:used]  # n t d
    x = model.ln_final(model.transformer(x, attn_mask=model.attn_mask[:used, :used]))
    x = x[torch.arange(len(x)), tokens.argmax(1)] @ model.text_projection
    return F.normalize(x, dim=-1)


def to_input(images):
    """uint8 (n, 240, 240) to normalised float32 (n, 3, 240, 240)."""
    x = (torch.from_numpy(np.array(images, np.float32)) / 255 - MEAN) / STD
    return x[:, None].expand(-1, 3, -1, -1)


def see(model, images, covered, shown, draw):
    """Unit embeddings of images (n, e) and of some of their patches (n, m, e), and which (n, m).

    The patches are drawn at random, on the CPU; those on a defect, by `covered` (n, 225), always
    show.
    """
    visual = model.visual
    order = torch.rand(covered.shape, generator=draw).to(covered.device) + (covered > ON_DEFECT)
    which = order.topk(round(shown * covered.shape[1]), dim=1).indices  # n m
    tokens = visual._embeds(images)  # n 1+225 d
    kept = torch.cat([torch.zeros_like(which[:, :1]), which + 1], 1)  # the class token comes first
    tokens = tokens.gather(1, kept[..., None].expand(-1, -1, tokens.shape[-1]))  # n 1+m d
    tokens = F.normalize(visual.ln_post(visual.transformer(tokens)) @ visual.proj, dim=-1)
    return tokens[:, 0], tokens[:, 1:], which


def image_text_loss(image, text, same, scale):
    """Symmetric InfoNCE; captions that read the same (`same`, n x n) are positives."""
    logits = scale * image @ text.T
    target = same / same.sum(1, keepdim=True)
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


def patch_text_loss(patches, covered, labels, text, scale, draw, each=EACH):
    """InfoNCE of patches on and beside the defect with all captions of their class in the batch."""
    kinds = []
    chosen = []
    for wanted, kind in ((covered > ON_DEFECT, labels), (covered == 0, torch.zeros_like(labels))):
        order = torch.rand(covered.shape, generator=draw).to(covered.device) + 2 * wanted
        best = order.topk(each, dim=1).indices
        valid = wanted.gather(1, best)
        chosen.append(patches.gather(1, best[..., None].expand(-1, -1, patches.shape[-1]))[valid])
        kinds.append(kind[:, None].expand(-1, each)[valid])
    same = (torch.cat(kinds)[:, None] == labels[None]).float()
    some = same.sum(1) > 0  # patches whose class has a caption in the batch
    logits = scale * torch.cat(chosen)[some] @ text.T
    return F.cross_entropy(logits, same[some] / same[some].sum(1, keepdim=True))


@torch.inference_mode()
def examine(model, pairs, words, *, short=False):
    """On held-out pairs: zero-shot accuracy, and AUROC of patches on a defect (same captions).

    The text embedding of a class is the mean over its sentences, or its captions among `pairs`.
    """
    model.eval()
    device = model.logit_scale.device
    classes = np.unique(pairs.labels)
    means = []
    for label in classes:
        own = [pairs.captions[i] for i in np.flatnonzero(pairs.labels == label)]
        sentences = pairs.sentences[label] if pairs.sentences else own
        with precision(short, device):
            tokens = clip.tokenize(sentences, words).to(device)
            means.append(embed_texts(model, tokens).float().mean(0))
    text = F.normalize(torch.stack(means), dim=-1)
    right = 0
    scores = []
    truth = []
    for start in range(0, len(pairs.labels), 50):
        chosen = np.arange(start, min(start + 50, len(pairs.labels)))
        images = to_input(pairs.images[chosen]).to(device)
        covered = cover(pairs.masks[chosen]).to(device)
        with precision(short, device):
            image, patches, which = see(model, images, covered, 1.0, torch.Generator())
        named = classes[(image.float() @ text.T).argmax(1).cpu().numpy()]
        right += int((named == pairs.labels[chosen]).sum())
        similarity = patches.float() @ text.T
        scores.append((similarity[..., 1:].amax(-1) - similarity[..., 0]).ravel().cpu())
        truth.append(covered.gather(1, which).ravel().cpu() > ON_DEFECT)
    auroc = roc_auc_score(torch.cat(truth), torch.cat(scores))
    return {"accuracy": right / len(pairs.labels), "patch_auroc": float(auroc)}
