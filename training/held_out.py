"""Held-out images on which the denoisers are looked at while they train, and compared afterwards.

Patterns of the preset "semnr" under the scans of `damage.acquire`, as notebook 08 has them, and
textures with defects under scans of `noise`: both of other seeds than any training's. Where faint
defects matter, fields of the dose experiment take the place of the patterns.
"""

import numpy as np

from semlib.semnr import damage, denoise, metrics, visibility
from semlib.semnr import dose as experiment
from training import flaws, noise, textures

SEED = 90_000  # trainings use small ones
DOSES = (3, 10, 40, 200)  # electrons a pixel


class HeldOut:
    """Noisy images with their truth, made once."""

    def __init__(self, count=6, *, doses=DOSES, size=240, seed=SEED, graded=False):
        kind = fields(count, doses, seed) if graded else patterns(count, doses, size, seed)
        self.cases = [*kind, *textured(count, size, seed)]

    def scores(self, network):
        """Mean PSNR (dB) and recall on the patterns of each dose and on the textures: dict."""
        return self.judge(lambda image: denoise.restore(network, image))

    def judge(self, restore):
        rows = {}
        for name, noisy, clean, golden, mask in self.cases:
            restored = np.clip(restore(noisy), 0, 1)
            rows.setdefault(f"psnr_{name}", []).append(metrics.psnr(clean, restored))
            seen = visibility.recall(restored, mask, golden)
            rows.setdefault(f"recall_{name}", []).append(seen)
        return {name: float(np.mean(values)) for name, values in rows.items()}


def patterns(count, doses, size, seed):
    """(dose, noisy, clean, golden, mask) of simulated patterns, images float32 in [0, 1]."""
    scenes = damage.scenes(count, seed=seed, size=size)
    for number in range(count):
        clean = scenes.clean[number].astype(np.float32) / 255
        mask = scenes.masks[number]
        golden = damage.without_defect(clean, mask)
        for dose in doses:
            noisy = damage.acquire(clean, seed=[seed, number, dose], dose=dose)
            yield f"{dose}", noisy, clean, golden, mask


def fields(count, doses, seed):
    """The same of fields of the dose experiment: defects graded in contrast and size."""
    for field in experiment.fields(count, seed=seed):
        for dose in doses:
            noisy = experiment.scan(field, dose, seed)
            yield f"{dose}", noisy, field.truth, field.golden, field.mask


def textured(count, size, seed):
    """The same of textures with a defect, at any dose."""
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        defect = list(flaws.DEFECTS)[number % len(flaws.DEFECTS)]
        clean, golden, mask = textures.image(rng, size, None, defect)
        noisy = noise.scan(clean.astype(np.float32), rng, **noise.draw(rng)) / 255
        clean, golden = (x.astype(np.float32) / 255 for x in (clean, golden))
        yield "textures", noisy, clean, golden, mask
