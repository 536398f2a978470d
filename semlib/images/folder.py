"""A folder of one's own images as a data set, in the layouts that people have. It is only read.

- flat: images side by side, with or without ``labels.csv`` and ``masks/``
- class folders: one sub-folder a class, as torchvision's ImageFolder expects them
- ``images/`` and ``masks/``, as labelling tools export them
- masks beside their images, called ``NAME_mask``, ``NAME_m`` or ``NAME_seg``
"""

from dataclasses import dataclass, field
from pathlib import Path

from semlib.images.labels import is_label_file, read_labels
from semlib.images.read import SUFFIXES

IMAGE_FOLDERS = ("images", "image", "imgs", "img")
MASK_FOLDERS = ("masks", "mask", "ground_truth", "gt", "annotations", "segmentations")
MASK_ENDINGS = ("_mask", "-mask", "_m", "_seg")
SPREADSHEETS = (".xlsx", ".xls", ".ods")
SIDECARS = (".txt", ".hdr")  # what instruments write beside a picture


@dataclass
class Listing:
    """What a folder holds."""

    images: list = field(default_factory=list)  # dict: image_id, path, label, mask_path ("": none)
    passed_over: list = field(default_factory=list)  # (name, why) of files that are not used
    layout: str = "flat folder"

    def line(self):
        """One line: how many images and masks, and what was passed over."""
        masks = sum(bool(image["mask_path"]) for image in self.images)
        labels = sum(bool(image["label"]) for image in self.images)
        text = f"{len(self.images)} images, {labels} labels, {masks} masks ({self.layout})"
        if not self.passed_over:
            return text
        shown = "; ".join(f"{name}: {why}" for name, why in self.passed_over[:5])
        more = f"; and {len(self.passed_over) - 5} more" if len(self.passed_over) > 5 else ""
        return f"{text}, {len(self.passed_over)} files passed over ({shown}{more})"


def listing(folder):
    """List the images of a folder with their labels and masks, as a `Listing`.

    Raises
    ------
    ValueError
        If there is no image, two files share a name, a file lies outside the folder (a link), a
        name cannot be written as text, or the file of labels cannot be understood.
    FileNotFoundError
        Without the folder, or if the file of labels names an image that is not there.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is no folder: name one that holds images")
    result = Listing()
    pictures = _pictures(folder, result)
    masks = _split_masks(pictures, result)
    if not pictures:
        raise ValueError(f"{folder} holds no image ({', '.join(SUFFIXES)})")
    masks = _join(pictures, masks + _mask_folder(folder), result)
    labels = read_labels(folder, pictures, result.passed_over)
    for key, (file, folder_label) in pictures.items():
        result.images.append(
            {
                "image_id": key.replace("/", "-"),
                "path": file.relative_to(folder).as_posix(),
                "label": labels.get(key, folder_label),
                "mask_path": masks[key].relative_to(folder).as_posix() if key in masks else "",
            }
        )
    _refuse_twins(image["image_id"] for image in result.images)
    _note_others(folder, pictures, result)
    return result


def _pictures(folder, result):
    """Image files and the class that their folder names, by place without ending."""
    inner = next((sub for sub in _folders(folder) if sub.name.lower() in IMAGE_FOLDERS), None)
    if inner is not None and _files(inner, deep=True):
        result.layout = f"{inner.name}/ and masks"
        for file in _files(folder):
            result.passed_over.append((file.name, f"beside the folder {inner.name}/"))
        folder = inner
    special = IMAGE_FOLDERS + MASK_FOLDERS
    classes = [sub for sub in _folders(folder) if sub.name.lower() not in special and _files(sub)]
    flat = _files(folder)
    within = [file for sub in classes for file in _files(sub)]
    if len(flat) > len(within):
        for sub in classes:
            result.passed_over.append((f"{sub.name}/", "a folder beside more images than it holds"))
        within = []
    elif within:
        result.layout = "class folders"
    files = [(file, "") for file in flat] + [(file, file.parent.name) for file in within]
    pictures = {}
    for file, label in files:
        key = file.relative_to(folder).with_suffix("").as_posix()
        if key in pictures:
            raise ValueError(
                f"{folder}: {pictures[key][0].name} and {file.name} share a name: rename one"
            )
        pictures[key] = (file, label)
    return pictures


def _split_masks(pictures, result):
    """Take files such as x_mask.png off the pictures; the place of their picture, and the file."""
    masks = []
    for key in list(pictures):
        for ending in MASK_ENDINGS:
            base = key[: -len(ending)]
            if not key.lower().endswith(ending):
                continue
            if base in pictures:
                masks.append((base, pictures.pop(key)[0]))
            elif ending in ("_mask", "-mask"):
                file = pictures.pop(key)[0]
                result.passed_over.append((file.name, "a mask without its picture"))
            break
    return masks


def _mask_folder(folder):
    """Files of the folder of masks: their place without ending, and the file."""
    places = [sub for sub in _folders(folder) if sub.name.lower() in MASK_FOLDERS]
    files = [(file, place) for place in places for file in _files(place, deep=True)]
    return [(file.relative_to(place).with_suffix("").as_posix(), file) for file, place in files]


def _join(pictures, candidates, result):
    """Masks by place of the picture: of the same place or name, with a mask's ending or without."""
    names = {}
    for key in pictures:
        names.setdefault(key.rpartition("/")[2], []).append(key)
    masks = {}
    for place, file in candidates:
        stems = [place] + [place[: -len(e)] for e in MASK_ENDINGS if place.lower().endswith(e)]
        matches = [stem for stem in stems if stem in pictures]
        matches += [names[stem][0] for stem in stems if len(names.get(stem, [])) == 1]
        if not matches:
            result.passed_over.append((file.name, "a mask without its picture"))
        elif matches[0] in masks:
            raise ValueError(
                f"{pictures[matches[0]][0].name} has two masks, {masks[matches[0]]} and {file}: "
                "remove one"
            )
        else:
            masks[matches[0]] = file
    if candidates and not masks:
        example = candidates[0][1]
        raise ValueError(
            f"{example.parent}: no mask has the name of an image, {example.name} neither"
        )
    return masks


def _note_others(folder, pictures, result):
    """Say what lies beside the pictures and is not used."""
    stems = {file.stem for file, _ in pictures.values()}
    places = {folder} | {file.parent for file, _ in pictures.values()}
    for file in sorted(file for place in places for file in place.iterdir()):
        suffix = file.suffix.lower()
        if file.name.startswith(".") or not file.is_file() or suffix in SUFFIXES:
            continue
        is_sidecar = suffix in SIDECARS and any(file.stem.startswith(stem) for stem in stems)
        if suffix in SPREADSHEETS:
            result.passed_over.append((file.name, "a spreadsheet: save it as labels.csv"))
        elif not is_sidecar and not is_label_file(file):
            result.passed_over.append((file.name, "no image"))
    for sub in _folders(folder):
        deeper = _files(sub, deep=True) if sub.name.lower() not in MASK_FOLDERS else []
        if deeper and not places & {file.parent for file in deeper} and not _files(sub):
            result.passed_over.append((f"{sub.name}/", f"{len(deeper)} images in deeper folders"))


def _folders(folder):
    return [
        sub for sub in sorted(folder.iterdir()) if sub.is_dir() and not sub.name.startswith(".")
    ]


def _files(folder, deep=False):
    """Image files of a folder, checked for names and links."""
    inside = folder.resolve()
    files = []
    for file in sorted(folder.rglob("*") if deep else folder.iterdir()):
        if file.name.startswith(".") or file.suffix.lower() not in SUFFIXES or file.is_dir():
            continue
        try:
            file.name.encode("utf-8")
        except UnicodeEncodeError:
            raise ValueError(
                f"{folder}: the name of {file.name!r} is not UTF-8: rename the file"
            ) from None
        if not file.resolve().is_relative_to(inside):
            raise ValueError(
                f"{file} is a link to {file.resolve()}, outside the folder: copy it here"
            )
        files.append(file)
    return files


def _refuse_twins(ids):
    seen = set()
    for name in ids:
        if name in seen:
            raise ValueError(f"two images would be called {name!r}: rename one")
        seen.add(name)
