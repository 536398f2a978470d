"""What the networks see in images: computed once an image and kept on the disk."""

from pathlib import Path

import joblib
import numpy as np
from safetensors.numpy import load_file, save_file
from tqdm import tqdm

from semlib import weights
from semlib.paths import atomic
from semlib.semclip import patchcore
from semlib.semclip.backbone import Features

BATCH = 32
HERE = Path(__file__).parent


def once(folder, images, encode, *, key, title):
    """What `encode` gives for images (N, H, W), each encoded once and kept in a file of its own.

    `encode` takes some of the images and returns a dict of arrays whose first axis is theirs; so
    does this function for all of them. `key`: all that the arrays depend on beside the image.
    """
    files = [folder / f"{joblib.hash((key, np.asarray(one)))}.safetensors" for one in images]
    missing = [i for i, file in enumerate(files) if not file.is_file()]
    with tqdm(total=len(files), initial=len(files) - len(missing), desc=title, unit="image") as bar:
        for start in range(0, len(missing), BATCH):
            batch = missing[start : start + BATCH]
            arrays = encode(images[batch])
            for i, number in enumerate(batch):
                one = {name: np.array(values[i], order="C") for name, values in arrays.items()}
                with atomic(files[number]) as temporary:
                    save_file(one, temporary)
            bar.update(len(batch))
    kept = [load_file(file) for file in files]
    return {name: np.stack([one[name] for one in kept]) for name in kept[0]}


def features(backbone, images, folder):
    """`Features` of all images."""
    parameters = [one.detach().cpu().numpy() for one in backbone.model.visual.parameters()]
    key = joblib.hash((backbone.settings, (HERE / "backbone.py").read_bytes(), parameters))
    title = f"encode, {backbone.label}"

    def encode(some):
        return vars(backbone.encode_images(some))

    return Features(**once(folder, images, encode, key=key, title=title))


def vgg_features(images, folder, *, size):
    """`patchcore.VggFeatures` of all images, or None where VGG16's weights cannot be had."""
    try:
        weights.load("vgg16")
    except weights.WeightsError as error:
        print(error)
        return None
    key = joblib.hash(("vgg16", size, (HERE / "patchcore.py").read_bytes()))

    def encode(some):
        return patchcore.vgg_features(some, size=size, progress=False)._asdict()

    return patchcore.VggFeatures(**once(folder, images, encode, key=key, title="encode, VGG16"))
