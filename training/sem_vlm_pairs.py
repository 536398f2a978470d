"""The simulated worlds of SEM-VLM as image-caption pairs on the disk."""

import json

import numpy as np
from torch.utils.data import ConcatDataset

from semlib import paths
from semlib.images import simulator
from semlib.images.simulator.presets import SEMCLIP
from semlib.semclip.prompts import Prompts
from training.sem_vlm_preset import SEM_VLM
from training.sem_vlm_worlds import WIDE

SIZE = 240
PRESETS = {"narrow": SEM_VLM, "wide": WIDE, "semclip": SEMCLIP}


class Pairs:
    """Simulated images with masks, labels and captions, from files of `simulator.write_arrays`."""

    def __init__(self, *folders, sentences=None):
        images, masks = (
            [np.load(folder / f"{name}.npy", mmap_mode="r") for folder in folders]
            for name in ("images", "masks")
        )
        one = len(folders) == 1  # an array, which takes many numbers at a time
        self.images = images[0] if one else ConcatDataset(images)
        self.masks = masks[0] if one else ConcatDataset(masks)
        self.labels = np.concatenate([np.load(folder / "labels.npy") for folder in folders])
        texts = [(folder / "captions.json").read_text(encoding="utf-8") for folder in folders]
        self.captions = [caption for text in texts for caption in json.loads(text)]
        self.sentences = sentences  # of each label, where the captions are not to name the classes


def pairs_of(world, part, count, seed):
    """`Pairs` of a world, or in equal parts of several, simulated once, kept in data/sem-vlm."""
    worlds = world.split("+")
    count //= len(worlds)
    places = []
    for name in worlds:
        places.append(paths.data_root() / "sem-vlm" / f"{name}-{part}-{count}-{seed}")
        simulator.write_arrays(places[-1], count, seed=seed, preset=PRESETS[name], size=SIZE)
    prompts = Prompts.load()
    sentences = {label: prompts.sentences(name) for label, name in enumerate(prompts.classes)}
    # the captions of "semclip" are all alike: it is examined with the prompts of SEM-CLIP
    return Pairs(*places, sentences=sentences if world == "semclip" else None)
