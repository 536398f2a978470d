"""A tiny random ViT and an easy few-shot task: a bright or dark square on noise, or nothing."""

import numpy as np
import open_clip
import pytest
import torch

from semlib.semclip.backbone import Backbone
from semlib.semclip.clip import Source
from semlib.semclip.episodes import Pool
from semlib.semclip.prompts import Prompts

SIZE = 96
VISION = {"image_size": SIZE, "patch_size": 16, "width": 32, "layers": 4, "head_width": 8}
TEXT = {"vocab_size": 49408, "width": 16, "heads": 2, "layers": 1}


@pytest.fixture(scope="session")
def spots_backbone():
    torch.manual_seed(0)
    model = open_clip.CLIP(embed_dim=24, vision_cfg=dict(VISION), text_cfg=dict(TEXT)).eval()
    return Backbone(Source(model, open_clip.tokenize), vv_blocks=3, levels=2)


@pytest.fixture(scope="session")
def spots_prompts():
    states = {
        "defect-free": ["no defect", "clean surface"],
        "bright": ["bright square"],
        "dark": ["dark hole"],
    }
    return Prompts(states, [1, 2, 3], ["a SEM image of {state}", "{state}"])


@pytest.fixture(scope="session")
def spots():
    """Function (count, seed) -> images uint8 (N, 96, 96), names of the classes, masks bool."""

    def draw(count, seed=0):
        rng = np.random.default_rng(seed)
        images = rng.normal(110, 10, (count, SIZE, SIZE))
        names = [("defect-free", "bright", "dark")[i % 3] for i in range(count)]
        masks = np.zeros(images.shape, bool)
        for image, mask, name in zip(images, masks, names, strict=True):
            if name != "defect-free":
                y, x = rng.integers(0, SIZE - 30, 2)
                mask[y : y + 30, x : x + 30] = True
                image[mask] += 90 if name == "bright" else -90
        return images.clip(0, 255).astype(np.uint8), names, masks

    return draw


@pytest.fixture
def spots_pool(spots, spots_prompts):
    images, names, masks = spots(24)
    labels = np.array([spots_prompts.classes.index(name) for name in names])
    return Pool(images, labels, masks, spots_prompts.classes, spots_prompts.normal)
