"""A folder of one's own images as a data set. The folder is only read, never written to."""

import csv
from pathlib import Path

SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff")


def rows(folder):
    """List the images of a folder (top level only, sorted by name) with their labels and masks.

    ``labels.csv`` (columns ``file,label``; free text, not every image needs a row) and ``masks/``
    (a mask has its image's stem) are optional.

    Parameters
    ----------
    folder : Path

    Returns
    -------
    list of dict
        Keys image_id (the stem), path, label and mask_path; the last two empty where unknown.

    Raises
    ------
    ValueError
        If there is no image, two files share a stem, ``labels.csv`` has other columns or names a
        file twice, or not one mask belongs to an image.
    FileNotFoundError
        If ``labels.csv`` names a file that is not there.
    """
    folder = Path(folder)
    images = _images(folder)
    if not images:
        raise ValueError(
            f"{folder} holds no image ({', '.join(SUFFIXES)}); only its top level is searched"
        )
    labels = _labels(folder / "labels.csv", {file.name for file in images.values()})
    masks = _images(folder / "masks") if (folder / "masks").is_dir() else {}
    if masks and not masks.keys() & images.keys():
        raise ValueError(
            f"{folder / 'masks'}: no mask has the name of an image (found {next(iter(masks))!r})"
        )
    return [
        {
            "image_id": stem,
            "path": file.name,
            "label": labels.get(file.name, ""),
            "mask_path": f"masks/{masks[stem].name}" if stem in masks else "",
        }
        for stem, file in images.items()
    ]


def _images(folder):
    """Image files of a folder by stem, sorted by name."""
    found = {}
    for file in sorted(folder.iterdir()):
        if file.name.startswith(".") or file.suffix.lower() not in SUFFIXES:
            continue
        if file.stem in found:
            raise ValueError(
                f"{folder}: duplicate id {file.stem!r} ({found[file.stem].name} and {file.name}); rename one"
            )
        found[file.stem] = file
    return found


def _labels(file, names):
    """Labels by file name; empty without a labels.csv."""
    if not file.exists():
        return {}
    try:
        with open(file, newline="", encoding="utf-8-sig") as stream:
            table = list(csv.reader(stream))
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{file} is no readable UTF-8 CSV file: {error}") from error
    if not table or [column.strip() for column in table[0]] != ["file", "label"]:
        raise ValueError(
            f"{file}: the first line is {table[:1]}, expected the columns 'file,label' (with a comma)"
        )
    labels = {}
    for number, row in enumerate(table[1:], start=2):
        if not any(row):
            continue
        if len(row) != 2:
            raise ValueError(
                f"{file}, line {number}: {row} has {len(row)} columns, expected 2 (file,label)"
            )
        name, label = (cell.strip() for cell in row)
        if name not in names:
            raise FileNotFoundError(
                f"{file}, line {number}: {name!r} is not an image in {file.parent}"
            )
        if name in labels:
            raise ValueError(f"{file}, line {number}: {name!r} is listed twice")
        labels[name] = label
    return labels
