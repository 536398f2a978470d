"""Preprocessing and the simulator."""

import numpy as np
from PIL import Image
from skimage.transform import downscale_local_mean

from benchmarks.inputs import images, size
from semlib.images import datasets, preprocess, pyramid, simulator


def test_preprocess(compare, tmp_path, monkeypatch):
    """Decode JPEG files, crop, resize and downsample twice; ours writes files."""
    side = size(512, 64)
    raw = tmp_path / "images"
    raw.mkdir()
    for number, image in enumerate(images(size(256, 3), size(480, 72))):
        Image.fromarray(image).save(raw / f"{number:05}.jpg", quality=80)
    monkeypatch.setenv("SEMLIB_DATA", str(tmp_path))
    count = len(datasets.manifest(raw))

    def reference():
        levels = [[], [], []]
        for file in sorted(raw.iterdir()):
            image = Image.fromarray(np.array(Image.open(file).convert("L"))[4:-4, 4:-4])
            fine = np.array(image.resize((side, side), Image.Resampling.BICUBIC))
            for level, step in zip(levels, (1, 2, 4), strict=True):
                mean = downscale_local_mean(fine.astype(float), (step, step))
                level.append(np.floor(mean + 0.5).astype(np.uint8))
        return levels

    def ours():
        files = [preprocess.preprocess_dataset(raw, size=side), *pyramid.build_pyramid(raw)]
        return [np.load(file, mmap_mode="r") for file in files]

    def pixels(levels):
        return np.concatenate([np.ravel(level) for level in levels])

    names = ("decode, preprocess, pyramid", "Pillow, scikit-image")
    compare(*names, reference, ours, count, 0, check=pixels)


def test_simulator(compare, tmp_path):
    """Images of the film preset, with masks."""
    count = size(60, 3)
    options = {"seed": 0, "preset": "carinthia", "size": size(480, 64)}

    def reference():
        return simulator.sample(count, **options).images

    def ours():
        folder = tmp_path / f"{len(list(tmp_path.iterdir()))}"
        return np.load(simulator.write_arrays(folder, count, **options) / "images.npy")

    compare("simulator", "one process", reference, ours, count, 0, rounds=1)
