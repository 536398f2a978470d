"""The file of labels of a folder, whatever its delimiter, encoding, columns and their order."""

import csv
import io

LABEL_FILES = ("labels", "label", "classes", "annotations")
FILE_COLUMNS = ("file", "filename", "file_name", "image", "image_path", "path", "name")
LABEL_COLUMNS = ("label", "class", "category", "defect")


def is_label_file(file):
    """Whether a file of a folder lists labels, by its name."""
    return file.stem.lower() in LABEL_FILES and file.suffix.lower() in (".csv", ".tsv")


def read_labels(files, pictures, remarks):
    """Labels by place of the picture, from the one file of labels; empty without one.

    `pictures` has the file and folder's label by place without ending; `remarks` receives what is
    not read of the file.
    """
    if not files:
        return {}
    if len(files) > 1:
        raise ValueError(f"{files[0]} and {files[1].name} both name labels: remove one")
    columns, lines = _table(files[0])
    file_column = _column(files[0], columns, FILE_COLUMNS, "file")
    label_column = _column(files[0], columns, LABEL_COLUMNS, "label")
    ignored = [c for n, c in enumerate(columns) if n not in (file_column, label_column) and c]
    if ignored:
        remarks.append(f"{files[0].name}: columns not read: {', '.join(ignored)}")
    names = _names(pictures)
    labels = {}
    for number, cells in enumerate(lines, start=2):
        if not any(cells):
            continue
        if len(cells) <= max(file_column, label_column) or any(cells[len(columns) :]):
            raise ValueError(
                f"{files[0]}, line {number}: {len(cells)} columns, as the header has {len(columns)}"
            )
        name = cells[file_column]
        keys = _named(name, names)
        if not keys:
            raise FileNotFoundError(
                f"{files[0]}, line {number}: {name!r} is not an image in this folder"
            )
        if len(keys) > 1:
            raise ValueError(f"{files[0]}, line {number}: {name!r} can be {' or '.join(keys)}")
        (key,) = keys
        if key in labels:
            raise ValueError(f"{files[0]}, line {number}: {name!r} is listed twice")
        labels[key] = cells[label_column]
    return labels


def _names(pictures):
    """Places of pictures by what a list may call them: a path, or a name behind "*/".

    A name in small letters means all pictures that differ from it in capitals only.
    """
    exact = {}
    small = {}
    for key, (file, _) in pictures.items():
        for name in {key, key + file.suffix, f"*/{file.stem}", f"*/{file.name}"}:
            exact.setdefault(name, []).append(key)
            small.setdefault(name.lower(), []).append(key)
    return small | exact


def _named(name, names):
    """Places that a list may mean by a name, whatever folders it puts before it."""
    parts = name.replace("\\", "/").split("/")
    texts = ["/".join(parts[start:]) for start in range(len(parts))]
    texts += [f"*/{name}"] * (len(parts) == 1)
    spelt = (spelling for text in texts for spelling in (text, text.lower()))
    return next((names[text] for text in spelt if text in names), [])


def _table(file):
    """Header and lines of a CSV whatever its encoding and delimiter."""
    content = file.read_bytes()
    encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{file} is neither UTF-8 nor UTF-16: save it as UTF-8 ({error})"
        ) from error
    first = text.splitlines()[0] if text.strip() else ""
    delimiter = max(";\t,", key=first.count)
    reader = csv.reader(io.StringIO(text), delimiter=delimiter)
    try:
        lines = [[cell.strip() for cell in line] for line in reader]
    except csv.Error as error:
        raise ValueError(f"{file} is no readable CSV file: {error}") from error
    return (lines[0], lines[1:]) if lines else ([], [])


def _column(file, columns, names, what):
    small = [column.lower() for column in columns]
    for name in names:
        if name in small:
            return small.index(name)
    raise ValueError(
        f"{file}: no column for the {what} ({', '.join(names)}) in its first line, {columns}"
    )
