"""What `detect` learnt, kept without pickle: SEM-CLIP as tensors, the shots as PNG, the rest JSON.

Trees and memory banks are learnt again from the shots when a model is read, which takes seconds and
gives the same ones: all draws have a seed.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from semlib import paths
from semlib.semclip import learners, store
from semlib.semclip.backbone import Backbone
from semlib.semclip.learners import Shots
from semlib.semclip.model import SemClip
from semlib.semclip.prompts import Prompts

ABOUT = "detect.json"
SHOTS = "shots"


@dataclass
class Learnt:
    """A method that learnt from shots, and what goes with it."""

    method: str
    model: object  # fitted: predict, anomaly_scores, classes
    shots: Shots | None = None
    threshold: float = learners.THRESHOLD
    shot_shape: tuple = ()  # median height and width of the shots' files; () for unknown
    shot_nm: float | None = None  # median pixel size, where all state it
    compared: list = field(default_factory=list)  # rows of `learners.compare`
    backbone: dict = field(default_factory=dict)  # settings of the `Backbone`

    @property
    def side(self):
        """Pixels a side of the square that the model knows."""
        if self.shots is not None:
            return self.shots.images.shape[1]
        return self.model.backbone.image_size


def fit(method, shots, backbone, prompts, sem_clip=None):
    """Train a method of `learners.NAMES` on `Shots`; a fitted `sem_clip` is not trained again."""
    if method == learners.SEM_CLIP and sem_clip is not None:
        return sem_clip
    make = learners.makers(backbone, prompts, masked=bool(shots.masks.any()))
    return make[method]().fit(*shots)


def save(learnt, prompts, reading, folder):
    """Write a `Learnt`: SEM-CLIP by `store.save`, the shots as PNG as they were learnt, the rest.

    A model that came without shots stays without.
    """
    folder = Path(folder)
    part = learnt.model.model if learnt.method == learners.PIXELS else learnt.model
    if isinstance(part, SemClip):
        store.save(part, folder, reading)
    if learnt.shots is None:
        return
    names = []
    for i, (image, label, mask) in enumerate(zip(*learnt.shots, strict=True)):
        names.append([f"{i:03}", str(label)])
        for stem, pixels in ((f"{i:03}", image), (f"{i:03}_mask", np.uint8(255 * mask))):
            with paths.atomic(folder / SHOTS / f"{stem}.png") as temporary:
                Image.fromarray(pixels).save(temporary)
    for file in (folder / SHOTS).glob("*.png"):  # of an earlier run with more shots
        if int(file.stem.split("_")[0]) >= len(names):
            file.unlink()
    about = {"method": learnt.method, "threshold": learnt.threshold, "shots": names}
    about |= {"shot_shape": learnt.shot_shape, "shot_nm": learnt.shot_nm}
    about |= {"compared": learnt.compared, "backbone": learnt.backbone}
    about |= {"prompts": asdict(prompts), "reading": reading}
    with paths.atomic(folder / ABOUT) as temporary:
        temporary.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


def load(folder, method=None):
    """Read a `Learnt`, learn again what is not kept; `method` overrules the one that was chosen.

    Returns it, the prompts and the reading. A folder of `store.save` alone is SEM-CLIP.
    """
    folder = Path(folder)
    sem_clip = store.load(folder) if (folder / store.ABOUT).is_file() else None
    if not (folder / ABOUT).is_file():
        if sem_clip is None:
            raise ValueError(f"{folder} holds no saved SemClip model: it has no {store.ABOUT}")
        if method not in (None, learners.SEM_CLIP):
            raise ValueError(f"{folder} keeps no shots, so {method} cannot learn: give --shots")
        return Learnt(learners.SEM_CLIP, sem_clip), sem_clip.prompts, store.reading(folder)
    try:
        about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        shots = _shots(folder / SHOTS, about["shots"])
        prompts = Prompts(**about["prompts"])
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(f"{folder} holds no model of detect: {error}") from error
    chosen = method or about["method"]
    threshold = about["threshold"]
    if chosen != about["method"]:
        rows = [row for row in about["compared"] if row["method"] == chosen]
        threshold = rows[0]["threshold"] if rows else learners.THRESHOLD
    check(chosen, shots, prompts)
    backbone = sem_clip.backbone if sem_clip else Backbone(**about["backbone"])
    model = fit(chosen, shots, backbone, prompts, sem_clip)
    more = tuple(about["shot_shape"]), about["shot_nm"], about["compared"], about["backbone"]
    return Learnt(chosen, model, shots, threshold, *more), prompts, about["reading"]


def check(method, shots, prompts):
    """Refuse a method that cannot learn from these shots."""
    possible = learners.possible(shots, prompts)
    if method not in possible:
        raise ValueError(f"{method} cannot learn from these shots: use {', '.join(possible)}")


def version(folder):
    """Digest of all files of a kept model."""
    files = sorted(file for file in Path(folder).rglob("*") if file.suffix in (".json", ".png"))
    files += sorted(Path(folder).glob("*.safetensors"))
    digests = [file.name + paths.sha256(file) for file in files]
    return hashlib.sha256("".join(digests).encode()).hexdigest()


def _shots(folder, names):
    images = []
    masks = []
    for stem, _ in names:
        images.append(np.array(Image.open(folder / f"{stem}.png")))
        masks.append(np.array(Image.open(folder / f"{stem}_mask.png")) > 0)
    return Shots(np.stack(images), np.array([label for _, label in names]), np.stack(masks))
