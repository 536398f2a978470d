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
# of `Learnt`, in the order of the file
WRITTEN = ["method", "threshold", "shots", "shot_shape", "shot_nm", "compared", "backbone"]
WRITTEN += ["prompts", "reading"]


@dataclass
class Learnt:
    """A method that learnt from shots, and what goes with it."""

    method: str
    model: object  # fitted: predict, anomaly_scores, classes
    prompts: Prompts
    reading: dict  # how the shots were read, see `store.save`
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


def save(learnt, folder):
    """Write a `Learnt`: SEM-CLIP by `store.save`, the shots as PNG as they were learnt, the rest.

    A model that came without shots stays without.
    """
    folder = Path(folder)
    part = learnt.model.model if learnt.method == learners.PIXELS else learnt.model
    if isinstance(part, SemClip):
        store.save(part, folder, learnt.reading)
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
    about = {name: getattr(learnt, name) for name in WRITTEN}
    about |= {"shots": names, "prompts": asdict(learnt.prompts)}
    with paths.atomic(folder / ABOUT) as temporary:
        temporary.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


def load(folder, method=None):
    """Read a `Learnt`, learn again what is not kept; `method` overrules the one that was chosen.

    A folder of `store.save` alone is SEM-CLIP.
    """
    folder = Path(folder)
    sem_clip = store.load(folder) if (folder / store.ABOUT).is_file() else None
    if not (folder / ABOUT).is_file():
        if sem_clip is None:
            raise ValueError(f"{folder} holds no saved SemClip model: it has no {store.ABOUT}")
        if method not in (None, learners.SEM_CLIP):
            raise ValueError(f"{folder} keeps no shots, so {method} cannot learn: give --shots")
        return Learnt(learners.SEM_CLIP, sem_clip, sem_clip.prompts, store.reading(folder))
    try:
        about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        shots = _shots(folder / SHOTS, about["shots"])
        prompts = Prompts(**about["prompts"])
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(f"{folder} holds no model of detect: {error}") from error
    if method not in (None, about["method"]):
        thresholds = {row["method"]: row["threshold"] for row in about["compared"]}
        about["threshold"] = thresholds.get(method, learners.THRESHOLD)
        about["method"] = method
    learners.check(about["method"], shots, prompts)
    model = sem_clip
    if sem_clip is None or about["method"] != learners.SEM_CLIP:
        backbone = sem_clip.backbone if sem_clip else Backbone(**about["backbone"])
        model = learners.fit(about["method"], shots, backbone, prompts)
    about |= {"shots": shots, "prompts": prompts, "shot_shape": tuple(about["shot_shape"])}
    return Learnt(model=model, **about)


def version(folder):
    """Digest of all files of a kept model."""
    files = sorted(file for file in Path(folder).rglob("*") if file.suffix in (".json", ".png"))
    files += sorted(Path(folder).glob("*.safetensors"))
    digests = [file.name + paths.sha256(file) for file in files]
    return hashlib.sha256("".join(digests).encode()).hexdigest()


def _shots(folder, names):
    """The `Shots` that `save` wrote as PNG."""
    images = [np.array(Image.open(folder / f"{stem}.png")) for stem, _ in names]
    masks = [np.array(Image.open(folder / f"{stem}_mask.png")) > 0 for stem, _ in names]
    return Shots(np.stack(images), np.array([label for _, label in names]), np.stack(masks))
