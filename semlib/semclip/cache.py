"""Features kept on the disk, one file an image, so that episodes and reruns cost little."""

import hashlib
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file
from tqdm import tqdm

from semlib.paths import atomic


def digest(*parts):
    """Short hash of arrays, of the bytes of files and folders (Path), and of anything else as text."""
    total = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            total.update(f"{part.dtype} {part.shape}".encode())
            total.update(np.ascontiguousarray(part))
        elif isinstance(part, Path):
            for file in sorted(part.iterdir()) if part.is_dir() else [part]:
                if file.is_file():
                    total.update(file.name.encode() + file.read_bytes())
        else:
            total.update(str(part).encode())
    return total.hexdigest()[:20]


def cached(folder, images, encode, *, key, batch_size=32, title="encode"):
    """Encode each image once.

    Parameters
    ----------
    folder : Path
        Holds one safetensors file an image, named by the image's bytes and the `key`.
    images : uint8 array (N, H, W)
    encode : function
        Takes images (n, H, W), returns a dict of arrays whose first axis is n.
    key : str
        Stands for all that the features depend on beside the image.
    batch_size : int
    title : str
        Of the progress bar.

    Returns
    -------
    dict of array
        What `encode` gives, for all images in their order.
    """
    files = [folder / f"{digest(key, image)}.safetensors" for image in images]
    missing = [i for i, file in enumerate(files) if not file.is_file()]
    with tqdm(total=len(files), initial=len(files) - len(missing), desc=title, unit="image") as bar:
        for start in range(0, len(missing), batch_size):
            rows = missing[start : start + batch_size]
            found = encode(images[rows])
            for i, row in enumerate(rows):
                with atomic(files[row]) as temporary:
                    save_file(
                        {name: np.array(values[i], order="C") for name, values in found.items()},
                        temporary,
                    )
            bar.update(len(rows))
    kept = [load_file(file) for file in files]
    return {name: np.stack([one[name] for one in kept]) for name in kept[0]}
