"""A ViT CLIP with two paths: the original one, unchanged, and a V-V path beside its last blocks."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from tqdm import trange

from semlib.semclip import clip


@dataclass(frozen=True)
class Features:
    """What a backbone sees in N images."""

    image: np.ndarray  # float32 (N, e): the model's own embedding, L2-normalised
    tokens: np.ndarray  # float16 (N, 2, L, P, d): original and V-V path, levels, patches row by row

    def __len__(self):
        return len(self.image)

    def __getitem__(self, index):
        return Features(self.image[index], self.tokens[index])


class Backbone(nn.Module):
    """A vision-language model whose image encoder also runs a V-V path (arXiv 2502.14884).

    Parameters
    ----------
    name, pretrained
        See `clip.read`; `name` may also be a `clip.Source`, a model at hand.
    vv_blocks : int
        Dual blocks, the last ones (the paper does not say how many; 6 and all are usual).
    levels : int
        Dual blocks whose output is used: equally spaced, the last one among them.
    """

    def __init__(self, name=clip.OURS, pretrained=None, *, vv_blocks=6, levels=4):
        super().__init__()
        self.settings = {"vv_blocks": vv_blocks, "levels": levels}
        if isinstance(name, clip.Source):
            source = name
        else:
            source = clip.read(name, pretrained)
            self.settings |= {"name": name, "pretrained": pretrained and str(pretrained)}
        self.model, self.tokenize, mean, std, self.label, self.turned = source
        visual = self.model.visual
        depth = len(self.blocks)
        if not all(isinstance(block.attn, nn.MultiheadAttention) for block in self.blocks):
            raise ValueError(f"{self.label}: V-V is not defined for attention of their own kind")
        if not 1 <= levels <= vv_blocks <= depth:
            asked = f"vv_blocks={vv_blocks}, levels={levels}"
            raise ValueError(f"{asked}: use 1 <= levels <= vv_blocks <= {depth}, of its blocks")
        self.first_dual = depth - vv_blocks + 1  # the first block is number 1
        steps = (-(-vv_blocks * k // levels) for k in range(1, levels + 1))  # rounded up
        self.levels = tuple(depth - vv_blocks + step for step in steps)
        self.grid = visual.grid_size  # rows and columns of patches
        self.image_size = visual.image_size[0]
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1), persistent=False)

    @property
    def blocks(self):
        """Blocks of the image encoder, shallow to deep."""
        return self.model.visual.transformer.resblocks

    @property
    def projection(self):
        """Map of tokens into the embedding, tensor (d, e) without gradient."""
        return self.model.visual.proj.detach().cpu()

    def two_paths(self, x):
        """Image embedding (N, e) and tokens of both paths (N, 2, L, P, d) of x (N, 3, H, W).

        Our choice: both paths are taken as they are, through the model's last layer norm.
        """
        visual = self.model.visual
        stream = visual._embeds(x)  # N 1+P d: the original path, class token first
        tapped = []
        for number, block in enumerate(self.blocks, 1):
            if number == self.first_dual:
                vv = stream[:, 1:]  # N P d: the new path starts as the original one, patches only
            if number >= self.first_dual:
                vv = vv + vv_attention(block, stream)[:, 1:]  # no feed-forward part
            stream = block(stream)
            if number in self.levels:
                tapped.append(torch.stack([stream[:, 1:], vv], 1))  # N 2 P d
        pooled, _ = visual._pool(stream)
        image = F.normalize(pooled @ visual.proj, dim=-1)  # N e: what the model itself gives
        return image, visual.ln_post(torch.stack(tapped, 2))  # N 2 L P d

    @torch.inference_mode()
    def encode_images(self, images, batch_size=32):
        """`Features` of uint8 images (N, H, W), which are resized to the model's square.

        Where the source says `turned`, the mean of what is seen upright and upside down: our
        choice, as two looks err less than one.
        """
        embeddings = []
        tokens = []
        for start in trange(0, len(images), batch_size, desc="encode", unit="batch", delay=5):
            x = self.to_input(images[start : start + batch_size])
            image, both = self.two_paths(x)
            if self.turned:
                again, backwards = self.two_paths(x.flip(2, 3))
                image = F.normalize(image + again, dim=-1)
                both = (both + backwards.flip(3)) / 2  # turned, the last patch is the first
            embeddings.append(image.cpu().numpy())
            tokens.append(both.half().cpu().numpy())
        return Features(np.concatenate(embeddings), np.concatenate(tokens))

    @torch.inference_mode()
    def encode_texts(self, texts):
        """L2-normalised embeddings, float32 (T, e), of a list of sentences."""
        tokens = self.tokenize(list(texts)).to(self.mean.device)
        return self.model.encode_text(tokens, normalize=True).cpu().numpy()

    @torch.inference_mode()
    def attention(self, images, patch):
        """How much one patch looks at each other in the last block: two arrays (N, P).

        softmax(s q k^T) of the original path and softmax(s v v^T), means over the heads, without
        the weight of the class token.
        """
        stream = self.model.visual._embeds(self.to_input(images))  # N 1+P d
        for block in self.blocks[:-1]:
            stream = block(stream)

        def look(queries, keys):
            weights = (queries @ keys.mT * keys.shape[-1] ** -0.5).softmax(-1).mean(1)  # N 1+P 1+P
            return weights[:, 1 + patch, 1:].cpu().numpy()

        q, k, v = (heads(self.blocks[-1], stream, part) for part in range(3))
        return look(q, k), look(v, v)

    def to_input(self, images):
        """uint8 (N, H, W) to normalised float32 (N, 3, image_size, image_size)."""
        images = np.asarray(images)
        if images.ndim != 3 or images.dtype != np.uint8:
            raise ValueError(f"images must be uint8 (N, H, W), not {images.dtype} {images.shape}")
        x = torch.from_numpy(images.astype(np.float32) / 255).to(self.mean.device)[:, None]
        side = self.model.visual.image_size
        if x.shape[2:] != side:
            x = F.interpolate(x, side, mode="bicubic", antialias=True)
            x = x.clamp(0, 1)  # bicubic weights overshoot at an edge
        return (x.expand(-1, 3, -1, -1) - self.mean) / self.std


def vv_attention(block, x):
    """What a dual block adds to the V-V path: Proj(softmax(s v v^T) v) in each head.

    Queries and keys are replaced by the values v of the original stream x (N, T, d), so that a
    token attends to tokens like itself (CLIP Surgery, arXiv 2304.05653). s = (d / heads)^-1/2;
    the projections are those of the block, open_clip's ResidualAttentionBlock.
    """
    v = heads(block, x, 2)  # N h T d/h
    mixed = F.scaled_dot_product_attention(v, v, v)  # softmax(v v^T / sqrt(d/h)) v
    joined = mixed.transpose(1, 2).reshape(x.shape)  # N T d
    return block.ls_1(block.attn.out_proj(joined))  # ls_1: layer scale, mostly the identity


def heads(block, x, part):
    """Queries (part 0), keys (1) or values (2) of a block's heads, (N, heads, T, d / heads)."""
    weight = block.attn.in_proj_weight.chunk(3)[part]
    bias = block.attn.in_proj_bias.chunk(3)[part]
    projected = F.linear(block.ln_1(x), weight, bias)  # N T d
    return projected.unflatten(-1, (block.attn.num_heads, -1)).transpose(1, 2)
