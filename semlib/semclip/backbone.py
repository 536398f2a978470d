"""A ViT CLIP with two paths: the original one, unchanged, and a V-V path beside its last blocks."""

from contextlib import contextmanager

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from tqdm import tqdm

from semlib.semclip import checkpoint
from semlib.semclip.features import Features


class Backbone(nn.Module):
    """A vision-language model whose image encoder also runs a V-V path (SEM-CLIP, arXiv 2502.14884).

    The new path starts as the original stream x before the first dual block and in each dual block gains
    Proj(softmax(s v v^T) v), see `vv_attention`, without the feed-forward part; v always comes from the original
    stream, which stays what it was. So does the class token: the new path holds patch tokens only.

    Parameters
    ----------
    name, pretrained
        See `semlib.semclip.checkpoint.read`.
    vv_blocks : int
        Number of dual blocks, the last ones (the paper does not say how many; 6 and all are usual).
    levels : int or tuple of int
        Blocks whose output is tapped: so many, equally spaced over the dual blocks, the last one among them, or their
        numbers (the first block is 1). Our choice: at a tapped block both streams as they are, through the model's last
        layer norm.
    device : str

    Attributes
    ----------
    image_size, patch_size, width, embed_dim : int
        Side of the input and of a patch in pixels; width d of the tokens; length e of the embeddings.
    grid : (int, int)
        Rows and columns of patches.
    levels : tuple of int
    label : str
        What to call the model in a table.
    settings : dict
        Arguments with which it was built.

    Raises
    ------
    ValueError
        If `vv_blocks` or `levels` do not fit the depth; see also `semlib.semclip.checkpoint.read`.
    """

    def __init__(
        self, name=checkpoint.OURS, pretrained=None, *, vv_blocks=6, levels=4, device="cpu"
    ):
        super().__init__()
        self._adopt(checkpoint.read(name, pretrained), vv_blocks, levels, device)
        self.settings = {"name": name, "pretrained": pretrained and str(pretrained)} | self.settings

    @classmethod
    def wrap(cls, model, tokenize, *, vv_blocks=6, levels=4, device="cpu", **source):
        """Backbone of an open_clip model at hand, put into evaluation mode; `source`: mean, std, label of `Source`."""
        self = cls.__new__(cls)
        nn.Module.__init__(self)
        self._adopt(checkpoint.Source(model.eval(), tokenize, **source), vv_blocks, levels, device)
        return self

    def _adopt(self, source, vv_blocks, levels, device):
        self.model, self.tokenize, mean, std, self.label = source
        visual = self.model.visual
        if not all(isinstance(block.attn, nn.MultiheadAttention) for block in self.blocks):
            raise ValueError(
                f"{self.label}: the blocks have an attention of their own kind; V-V is not defined for it"
            )
        depth = len(self.blocks)
        if not 1 <= vv_blocks <= depth:
            raise ValueError(
                f"vv_blocks={vv_blocks}: the image encoder has {depth} blocks, use 1 to {depth}"
            )
        self.levels = _levels(levels, vv_blocks, depth)
        self.dual = range(depth - vv_blocks + 1, depth + 1)
        self.settings = {"vv_blocks": vv_blocks, "levels": levels}
        self.grid, self.image_size, self.patch_size = (
            visual.grid_size,
            visual.image_size[0],
            visual.patch_size[0],
        )
        self.width, self.embed_dim = visual.proj.shape
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1), persistent=False)
        self.to(device)

    @property
    def blocks(self):
        """Blocks of the image encoder, shallow to deep."""
        return self.model.visual.transformer.resblocks

    @property
    def projection(self):
        """Map of tokens into the embedding, tensor (d, e) without gradient."""
        return self.model.visual.proj.detach()

    @torch.inference_mode()
    def encode_images(self, images, batch_size=32, progress=False):
        """Features of grey images.

        Parameters
        ----------
        images : uint8 array (N, H, W)
            Resized to the model's square (bicubic, antialiased) where they have another size.
        batch_size : int
        progress : bool

        Returns
        -------
        Features

        Raises
        ------
        ValueError
            If the images are not uint8 (N, H, W), or there is none.
        """
        if not len(images):
            raise ValueError("there is no image to encode")
        batches, starts = [], range(0, len(images), batch_size)
        for start in tqdm(starts, desc=f"encode, {self.label}", unit="batch", disable=not progress):
            image, tokens = self._two_paths(self._to_input(images[start : start + batch_size]))
            batches.append((image.cpu().numpy(), tokens.half().cpu().numpy()))
        return Features(*(np.concatenate(part) for part in zip(*batches, strict=True)))

    @torch.inference_mode()
    def encode_texts(self, texts):
        """L2-normalised embeddings, float32 (T, e), of a list of sentences."""
        tokens = self.tokenize(list(texts)).to(self.mean.device)
        return self.model.encode_text(tokens, normalize=True).cpu().numpy()

    @torch.inference_mode()
    def attention(self, images, block, query="class"):
        """Where a token looks in both paths, to be shown side by side.

        Parameters
        ----------
        images : uint8 array (N, H, W)
        block : int
            Number of the block, 1 the first.
        query : "class", "mean" or int
            Attention of the class token, the mean over all patches, or that of one patch.

        Returns
        -------
        original, vv : float32 (N, P)
            softmax(s q k^T) and softmax(s v v^T), mean over the heads.

        Raises
        ------
        ValueError
            If there is no such block or query.
        """
        if not 1 <= block <= len(self.blocks):
            raise ValueError(f"block={block}: use 1 to {len(self.blocks)}")
        with self._watch([block]) as seen:
            self.model.encode_image(self._to_input(images))
        q, k, v = (_heads(self.blocks[block - 1], seen[block][0], part) for part in range(3))
        return tuple(_look(a, b, query).cpu().numpy() for a, b in ((q, k), (v, v)))

    def _to_input(self, images):
        """uint8 (N, H, W) to normalised float32 (N, 3, image_size, image_size)."""
        images = np.asarray(images)
        if images.ndim != 3 or images.dtype != np.uint8:
            raise ValueError(f"images must be uint8 (N, H, W), not {images.dtype} {images.shape}")
        x = torch.from_numpy(images.astype(np.float32) / 255).to(self.mean.device)[:, None]
        if x.shape[2:] != self.model.visual.image_size:
            x = F.interpolate(
                x, self.model.visual.image_size, mode="bicubic", antialias=True
            ).clamp(0, 1)
        return (x.expand(-1, 3, -1, -1) - self.mean) / self.std

    def _two_paths(self, x):
        """Image embedding (N, e), tokens (N, 2, L, P, d) of normalised images (N, 3, H, W)."""
        with self._watch(self.dual) as seen:
            image = self.model.encode_image(x, normalize=True)
        vv, tapped = seen[self.dual[0]][0][:, 1:], []  # patch tokens; the class token comes first
        for number in self.dual:
            before, after = seen[number]
            vv = vv + vv_attention(self.blocks[number - 1], before)[:, 1:]
            if number in self.levels:
                tapped.append(torch.stack([after[:, 1:], vv], 1))
        return image, self.model.visual.ln_post(torch.stack(tapped, 2))

    @contextmanager
    def _watch(self, numbers):
        """Dict that fills with (input, output) of blocks while the model runs; nothing is left in the model after."""
        seen = {}

        def note(number):
            return lambda _, inputs, output: seen.update({number: (inputs[0], output)})

        hooks = [self.blocks[number - 1].register_forward_hook(note(number)) for number in numbers]
        try:
            yield seen
        finally:
            for hook in hooks:
                hook.remove()


def vv_attention(block, x):
    """What a dual block adds to the V-V path: Proj(softmax(s v v^T) v) in each head.

    Queries and keys are replaced by the values v of the first layer norm of the original stream, so that a token
    attends to tokens like itself (after CLIP Surgery, arXiv 2304.05653); s = (width of a head)^-1/2, the weights of the
    projections and the layer scale are the block's own.

    Parameters
    ----------
    block : open_clip's ResidualAttentionBlock
    x : tensor (N, T, d)
        The original stream before the block.

    Returns
    -------
    tensor (N, T, d)
    """
    v = _heads(block, x, 2)
    v = F.scaled_dot_product_attention(v, v, v)  # N heads T d/heads
    return block.ls_1(block.attn.out_proj(v.transpose(1, 2).reshape(x.shape)))


def _heads(block, x, part):
    """Queries (part 0), keys (1) or values (2) of a block, (N, heads, T, d / heads)."""
    weight, bias = (
        joint.chunk(3)[part] for joint in (block.attn.in_proj_weight, block.attn.in_proj_bias)
    )
    return (
        F.linear(block.ln_1(x), weight, bias)
        .unflatten(-1, (block.attn.num_heads, -1))
        .transpose(1, 2)
    )


def _look(a, b, query):
    """Attention (N, P) of the query's token to the patches, mean over heads; a, b (N, heads, T, d / heads)."""
    weights = (a @ b.mT * a.shape[-1] ** -0.5).softmax(-1).mean(1)[..., 1:]
    if query == "mean":
        return weights[:, 1:].mean(1)
    if isinstance(query, str) and query != "class":
        raise ValueError(f"query={query!r}: use 'class', 'mean' or the number of a patch")
    return weights[:, 0 if query == "class" else 1 + query]


def _levels(levels, vv_blocks, depth):
    """Numbers of the tapped blocks, ascending."""
    first = depth - vv_blocks + 1
    if isinstance(levels, int):
        if not 1 <= levels <= vv_blocks:
            raise ValueError(
                f"levels={levels}: there are {vv_blocks} dual blocks, use 1 to {vv_blocks}"
            )
        return tuple(depth - vv_blocks + -(-vv_blocks * k // levels) for k in range(1, levels + 1))
    if (
        not levels
        or sorted(set(levels)) != list(levels)
        or not first <= levels[0] <= levels[-1] <= depth
    ):
        raise ValueError(
            f"levels={levels}: use ascending numbers of dual blocks, {first} to {depth}"
        )
    return tuple(levels)
