"""Few-shot segmentation of the real images of `micrographs` by SEM-CLIP and its competitors."""

import numpy as np
import pandas as pd

from semlib import paths
from semlib.semclip import encoded, findings, micrographs, study, winclip
from semlib.semclip.april_gan import april_gan
from semlib.semclip.episodes import only_used
from semlib.semclip.patchcore import patchcore
from semlib.semclip.unet import unet

SOURCE = (
    "real SEM images (nanocomposites, doi 10.1049/nde2.12034; NASA MicroNet; a patterned wafer)"
)
SHOTS = (2, 4)
VGG_SIZE = 96  # pixels that VGG16 gets for PatchCore
SHOWN = ("SEM-CLIP", "U-Net", "PatchCore (VGG16)")


def evaluate(backbone, *, sets=None, seeds=range(3), folder=None, kept=None):
    """SEM-CLIP and its competitors on every data set that is there.

    `sets` are those of `micrographs.pools` by default; `folder` keeps features and scores,
    ``data/real-sem`` by default; the dict `kept` receives for each data set its last episode and
    what the methods made of it, for `examples`.

    Returns a DataFrame of dataset and the columns of `findings.summarise`, of which the interval
    covers shots and tests; note says why a number of shots was not possible. Empty without data.
    """
    folder = folder or paths.data_root() / "real-sem"
    parts = []
    for name, tiles in (micrographs.pools() if sets is None else sets).items():
        drawn = micrographs.episodes(name, tiles, shots=SHOTS, seeds=seeds)
        if drawn:
            pool, drawn = only_used(tiles.pool, drawn)
            competing = methods(name, pool, backbone, folder / "features")
            made = {}
            depends_on = (backbone.settings, backbone.projection.numpy(), VGG_SIZE)
            scores, _ = study.evaluate(
                pool, drawn, competing, folder=folder / "runs", depends_on=depends_on, kept=made
            )
            parts.append(findings.summarise(scores).assign(dataset=name, note=""))
            if kept is not None:
                kept[name] = pool, drawn[-1], competing, made
        for k in sorted(set(SHOTS) - {episode.k for episode in drawn}):
            note = f"not possible: {len(micrographs.POINTS)} points, one of them tested"
            absent = {"dataset": name, "method": "all", "supervision": "–", "k": k, "note": note}
            parts.append(pd.DataFrame([absent]))
    table = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["dataset"])
    return table[["dataset", *table.columns.drop("dataset")]]


def methods(name, pool, backbone, folder):
    """SEM-CLIP and its competitors, PatchCore only where VGG16 is there."""
    words = micrographs.prompts(name)
    features = encoded.features(backbone, pool.images, folder)
    given = features, words, backbone
    competing = study.sem_clips(features, backbone, words, {})
    competing += [winclip.winclip(*given), winclip.winclip_plus(*given), april_gan(*given), unet()]
    vgg = encoded.vgg_features(pool.images, folder, size=VGG_SIZE)
    return competing if vgg is None else [*competing, patchcore(vgg.tokens)]


def examples(kept):
    """One test tile of each data set with the maps of `SHOWN`, the arguments of `plots.overlays`.

    The tile is the first defective one of the last episode, whatever its maps look like. What
    `evaluate` read from an earlier call is made again.
    """
    tiles = []
    for name, (pool, episode, competing, made) in kept.items():
        place = np.flatnonzero(pool.labels[episode.test] != pool.normal)[0]
        results = study.results(pool, episode, competing, SHOWN, made)
        maps = {method: result.maps[place] for method, result in results.items()}
        index = episode.test[place]
        title = f"{name}\n{episode.k} shots"
        tiles.append((pool.images[index], pool.masks[index], maps, title))
    if not tiles:
        return {}
    images, masks, maps, names = zip(*tiles, strict=True)
    maps = {method: np.stack([one[method] for one in maps]) for method in maps[0]}
    return {"images": np.stack(images), "masks": np.stack(masks), "maps": maps, "names": names}
