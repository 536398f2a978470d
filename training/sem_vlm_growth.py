"""A larger SEM-VLM that starts from the weights of a smaller one and sees the same (Net2Net)."""

import re

import torch

SHARED = 2  # blocks before the new ones: the last six, which have the V-V path, stay the last
BLOCK = re.compile(r"visual\.transformer\.resblocks\.(\d+)\.(.+)")
LAST = ("attn.out_proj.", "mlp.c_proj.")  # what a block adds comes out of these


def grown(small, large, draw):
    """The tensors of a larger model that embeds all images and sentences as the smaller one does.

    Parameters
    ----------
    small, large : dict
        State of the trained model, and of one with more blocks, a wider stem or both, whose random
        weights the new blocks keep.
    draw : torch.Generator
        Of the shares of a doubled channel.

    Returns
    -------
    dict
        A new block adds nothing yet: its last layers are zero. Where the stem is twice as wide,
        each channel stands there twice, and what it gives is divided between the two at random, so
        that they learn different things (arXiv 1511.05641, Sec. 2.2).
    """
    added = _depth(large) - _depth(small)
    state = {}
    for name, tensor in small.items():
        match = BLOCK.fullmatch(name)
        if match and int(match[1]) >= SHARED:
            name = f"visual.transformer.resblocks.{int(match[1]) + added}.{match[2]}"
        state[name] = _widened(tensor, large[name].shape, draw)
    for match in filter(None, map(BLOCK.fullmatch, large)):
        if SHARED <= int(match[1]) < SHARED + added:
            ends = match[2].startswith(LAST)
            state[match[0]] = torch.zeros_like(large[match[0]]) if ends else large[match[0]]
    return state


def _depth(state):
    return len({match[1] for match in map(BLOCK.fullmatch, state) if match})


def _widened(tensor, shape, draw):
    """A tensor of the stem with each channel twice, side by side: group norm groups the same."""
    tensor = tensor.float()
    if tensor.shape == shape:
        return tensor
    if tensor.shape[0] != shape[0]:
        tensor = tensor.repeat_interleave(2, 0)
    if tensor.ndim > 1 and tensor.shape[1] != shape[1]:
        share = torch.rand(tensor.shape[:2], generator=draw)[..., None, None]
        pair = torch.stack([tensor * share, tensor * (1 - share)], 2)  # o i 2 h w
        tensor = pair.flatten(1, 2)
    return tensor
