"""A folder of one's own images as a data set, in the layouts that people have. It is only read.

- flat: images side by side, with or without ``labels.csv`` and ``masks/``
- class folders: one sub-folder a class, as torchvision's ImageFolder expects them
- ``images/`` and ``masks/``, as labelling tools export them
- masks beside their images, called ``NAME_mask``, ``NAME_m`` or ``NAME_seg``
"""

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from semlib import paths
from semlib.images.labels import is_label_file, read_labels
from semlib.images.read import SUFFIXES

IMAGE_FOLDERS = ("images", "image", "imgs", "img")
MASK_FOLDERS = ("masks", "mask", "ground_truth", "gt", "annotations", "segmentations")
MASK_ENDINGS = ("_mask", "-mask", "_m", "_seg")  # the first two mark a mask without its image, too
SPREADSHEETS = (".xlsx", ".xls", ".ods")
SIDECARS = (".txt", ".hdr")  # what instruments write beside a picture
SHOWN = 3  # names of files that one line gives for a reason


@dataclass
class Listing:
    """What a folder holds."""

    images: list = field(default_factory=list)  # dict: image_id, path, label, mask_path ("": none)
    passed_over: list = field(default_factory=list)  # (path, why) of files that are not used
    remarks: list = field(default_factory=list)  # sentences on files that are used in part
    layout: str = "flat folder"

    def line(self):
        """One line: how many images and masks, and what was passed over."""
        masks = sum(bool(image["mask_path"]) for image in self.images)
        labels = sum(bool(image["label"]) for image in self.images)
        text = f"{len(self.images)} images, {labels} labels, {masks} masks ({self.layout})"
        if self.passed_over:
            files = {}
            for file, why in self.passed_over:
                files.setdefault(why, []).append(file.as_posix())
            shown = [f"{_some(names)}: {why}" for why, names in files.items()]
            text += f", {len(self.passed_over)} files passed over ({'; '.join(shown)})"
        return "; ".join([text, *self.remarks])


def listing(folder):
    """List the images of a folder with their labels and masks, as a `Listing`.

    Raises
    ------
    ValueError
        If there is no image, two files share a name, a file lies outside the folder (a link), a
        name cannot be written as text, or the file of labels cannot be understood.
    FileNotFoundError
        If there is no such folder, or the file of labels names an image that is not there.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is no folder: name one that holds images")
    files = _files(folder)
    images = [file for file in files if file.suffix.lower() in SUFFIXES]
    base = _base(images)
    places = [base, Path()]
    masks = {file: place for file in images if (place := _mask_place(file, places))}
    result = Listing()
    pictures = _pictures(folder, base, [file for file in images if file not in masks], result)
    masks |= _masks_beside(pictures, result)
    if not pictures:
        deeper = sorted({file.parent.as_posix() for file in images if file not in masks})
        hint = f"; there are images in {_some(deeper)}: name such a folder" if deeper else ""
        raise ValueError(f"{folder} holds no image ({', '.join(SUFFIXES)}){hint}")
    joined = _join(folder, pictures, masks, result)
    lists = [file for file in files if file.parent in places and is_label_file(file)]
    labels = read_labels([folder / file for file in lists], pictures, result.remarks)
    for key, (file, folder_label) in pictures.items():
        result.images.append(
            {
                "image_id": key.replace("/", "-"),
                "path": file.as_posix(),
                "label": labels.get(key, folder_label),
                "mask_path": joined[key].as_posix() if key in joined else "",
            }
        )
    (name, count), *_ = Counter(image["image_id"] for image in result.images).most_common(1)
    if count > 1:
        raise ValueError(f"two images would be called {name!r}: rename one")
    used = {file for file, _ in pictures.values()}
    named = {file for file, _ in result.passed_over}
    _note_others(set(files) - used - named - set(masks) - set(lists), used, base, result)
    return result


def _files(folder):
    """All visible files by their path from the folder, sorted; checked for names and links."""
    files = []
    for place, folders, names in os.walk(folder, onerror=_refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        names = [name for name in names if not name.startswith(".")]
        for file in (Path(place, name) for name in folders + names):
            paths.check_name(file)
            if file.is_symlink() and not file.resolve().is_relative_to(folder.resolve()):
                raise ValueError(
                    f"{file} is a link to {file.resolve()}, outside the folder: copy it here"
                )
        files.extend(Path(place, name).relative_to(folder) for name in names)
    return sorted(files)


def _refuse(error):
    raise error


def _base(images):
    """The folder of the images: ``images/`` where there is one, else the folder itself."""
    tops = [file.parts[0] for file in images if len(file.parts) > 1]
    return next((Path(top) for top in tops if top.lower() in IMAGE_FOLDERS), Path())


def _mask_place(file, places):
    """Place of a file in a folder of masks, without ending; empty elsewhere."""
    for place in places:
        if file.is_relative_to(place):
            top, *inner = file.relative_to(place).with_suffix("").parts
            if inner and top.lower() in MASK_FOLDERS:
                return "/".join(inner)
    return ""


def _pictures(folder, base, images, result):
    """Image files and the class that their folder names, by place without ending."""
    flat = [file for file in images if file.parent == base]
    within = [file for file in images if file.parent != base == file.parent.parent]
    if base.name:
        result.layout = f"{base}/ and masks"
    if len(flat) > len(within):
        within = []
    elif within:
        result.layout = "class folders"
    pictures = {}
    for file in flat + within:
        key = file.relative_to(base).with_suffix("").as_posix()
        if key in pictures:
            raise ValueError(
                f"{folder}: {pictures[key][0].name} and {file.name} share a name: rename one"
            )
        pictures[key] = (file, file.parent.name if file in within else "")
    return pictures


def _masks_beside(pictures, result):
    """Take files such as x_mask.png off the pictures; the place of their picture by file."""
    masks = {}
    for key in list(pictures):
        ending = next((end for end in MASK_ENDINGS if key.lower().endswith(end)), None)
        base = key[: -len(ending)] if ending else ""
        if base in pictures:
            masks[pictures.pop(key)[0]] = base
        elif ending in MASK_ENDINGS[:2]:
            result.passed_over.append((pictures.pop(key)[0], "a mask without its picture"))
    return masks


def _join(folder, pictures, masks, result):
    """Masks by place of the picture: of the same place or name, with a mask's ending or without."""
    by_name = {}
    for key in pictures:
        by_name.setdefault(key.rpartition("/")[2], []).append(key)
    joined = {}
    for file, place in masks.items():
        stems = [place] + [place[: -len(e)] for e in MASK_ENDINGS if place.lower().endswith(e)]
        matches = [stem for stem in stems if stem in pictures]
        matches += [by_name[stem][0] for stem in stems if len(by_name.get(stem, [])) == 1]
        if not matches:
            result.passed_over.append((file, "a mask without its picture"))
        elif matches[0] in joined:
            raise ValueError(
                f"{folder}: {pictures[matches[0]][0]} has two masks, {joined[matches[0]]} and "
                f"{file}: remove one"
            )
        else:
            joined[matches[0]] = file
    if masks and not joined:
        raise ValueError(
            f"{folder}: no mask has the name of one image, {next(iter(masks))} neither"
        )
    return joined


def _note_others(others, used, base, result):
    """Say which files lie in the folder and are not used."""
    places = {file.parent for file in used}
    beside = [(file.parent, file.stem) for file in used]
    for file in sorted(others):
        suffix = file.suffix.lower()
        if suffix in SIDECARS and any(
            file.parent == place and file.name.startswith(stem) for place, stem in beside
        ):
            continue
        if suffix in SPREADSHEETS:
            why = "a spreadsheet, save it as labels.csv"
        elif suffix not in SUFFIXES:
            why = "no image that is read"
        elif file.parent == Path() != base:
            why = f"beside the folder {base}/"
        elif file.parent.parent == base and base in places:
            why = "in a folder beside more images than it holds"
        else:
            why = "in a folder that is not read"
        result.passed_over.append((file, why))


def _some(names):
    return ", ".join(names[:SHOWN]) + f" and {len(names) - SHOWN} more" * (len(names) > SHOWN)
