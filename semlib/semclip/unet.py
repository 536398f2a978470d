"""A U-Net from scratch on the masks of the support: what the masks alone are worth."""

import threading

import numpy as np
import torch
from torch.nn import functional as F

from semlib.semclip.episodes import Method, Result
from semlib.semclip.maps import enlarge, reduce_masks
from semlib.semclip.tune import dice_loss
from semlib.unet import UNet

STEPS = 100
SIDE = 120  # pixels
CROP = 64
FOLD = 2  # the network sees 2 x 2 pixels as channels of one, which makes it four times as fast
BATCH = 12  # crops a step
CHUNK = 32  # images that are segmented at a time
_SEEDING = threading.Lock()  # PyTorch draws weights from one generator for all threads


def unet(*, steps=STEPS, side=SIDE, crop=CROP):
    """`train` and `segment` as a method: a plain competitor."""

    def run(pool, episode):
        shots = episode.support
        network = train(pool.images[shots], pool.masks[shots], steps=steps, side=side, crop=crop)
        return Result(None, *segment(network, pool.images[episode.test], side))

    return Method("U-Net", "masks", run)


def train(images, masks, *, steps=STEPS, side=SIDE, crop=CROP):
    """A small U-Net trained on crops of uint8 images (n, H, W) and their bool masks (n, H, W).

    Half of the crops lie around a defect; they are flipped at random. Images are reduced to `side`
    pixels, a multiple of 8 as `crop`; loss: binary cross-entropy plus dice; Adam with cosine decay.
    All of it is our choice.
    """
    covered = reduce_masks(masks, (side, side))  # n side side
    images = _reduced(images, side)
    with _SEEDING, torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = UNet(inside=FOLD**2, outside=FOLD**2)
    network = network.to(memory_format=torch.channels_last)  # faster on a CPU
    optimiser = torch.optim.Adam(network.parameters(), lr=6e-3, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, max(steps, 1))
    rng = np.random.default_rng(0)
    for _ in range(steps):
        x, y = crops(images, covered, rng, BATCH, crop)
        logits = _logits(network, x)
        loss = F.binary_cross_entropy_with_logits(logits, y) + dice_loss(logits.sigmoid(), y)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        schedule.step()
    return network


@torch.inference_mode()
def segment(network, images, side=SIDE):
    """Probabilities of a defect (n, H, W), and one an image (n,): the largest mean of 3 x 3.

    Takes what `train` gives and uint8 images (n, H, W); `side` is that of the training.
    """
    parts = (images[start : start + CHUNK] for start in range(0, len(images), CHUNK))
    maps = torch.cat([_logits(network, _reduced(part, side)).sigmoid() for part in parts])
    whole = F.avg_pool2d(maps[:, None], 3, 1).amax((1, 2, 3))
    return enlarge(maps, images.shape[1:]).numpy(), whole.numpy()


def _reduced(images, side):
    """uint8 (n, H, W) to float32 (n, side, side), each image with mean 0 and deviation 1."""
    x = F.adaptive_avg_pool2d(torch.from_numpy(images.astype(np.float32))[:, None], side)[:, 0]
    std, mean = torch.std_mean(x, (1, 2), keepdim=True)
    return (x - mean) / std.clamp(min=1e-6)


def crops(images, covered, rng, count, crop):
    """Crops (count, crop, crop) of images and masks; every other one holds a pixel of a defect."""
    pairs = []
    for number, i in enumerate(rng.integers(len(images), size=count)):
        room = images.shape[1] - crop
        top, left = rng.integers(room + 1, size=2)
        defect = covered[i].nonzero().numpy()
        if number % 2 and len(defect):
            pixel = defect[rng.integers(len(defect))]
            top, left = np.clip(pixel - rng.integers(crop, size=2), 0, room)
        turned = [axis for axis in (0, 1) if rng.random() < 0.5]
        cut = np.s_[i, top : top + crop, left : left + crop]
        pairs.append((images[cut].flip(turned), covered[cut].flip(turned)))
    return tuple(torch.stack(part) for part in zip(*pairs, strict=True))


def _logits(network, x):
    """(n, h, w) to (n, h, w) through the network on folded pixels."""
    folded = F.pixel_unshuffle(x[:, None], FOLD).contiguous(memory_format=torch.channels_last)
    return F.pixel_shuffle(network(folded), FOLD)[:, 0]
