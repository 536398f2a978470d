"""What the result of a notebook depends on: its source, its parameters, the semlib code that it imports, its inputs."""

import ast
import contextlib
import functools
import hashlib
import json
from pathlib import Path

DATA = (".csv", ".json", ".safetensors")
_PACKAGE = Path(__file__).resolve().parent.parent


def fingerprint(notebook, parameters, paths):
    """Everything that decides whether a notebook must run again.

    Parameters
    ----------
    notebook : semlib.driver.notebook.Notebook
    parameters : dict
        The values that the notebook gets, including its own defaults.
    paths : semlib.paths.Paths

    Returns
    -------
    dict
        ``source`` (digest of all cells), ``parameters``, ``semlib`` (module file -> digest) and ``inputs``
        (declared glob -> digest of the content of all files that match it).
    """
    return {
        "source": _digest(
            [notebook.metadata, *((cell["cell_type"], cell["source"]) for cell in notebook.cells)]
        ),
        "parameters": json.loads(json.dumps(parameters)),
        "semlib": {
            module: file_digest(_PACKAGE / module)[:16] for module in modules(notebook.code)
        },
        "inputs": {pattern: _content(pattern, paths) for pattern in notebook.inputs},
    }


def reasons(before, now):
    """Sentences that say what differs between two fingerprints; empty when nothing does.

    `before` is None when the notebook has no finished run on record.
    """
    if before is None:
        return ["no finished run on record"]
    said = ["notebook changed"] if before["source"] != now["source"] else []
    said += [
        f"{what} changed: {', '.join(names)}"
        for what, key in (("semlib", "semlib"), ("input", "inputs"))
        if (names := _differing(before[key], now[key]))
    ]
    old, new = before["parameters"], now["parameters"]
    if names := _differing(old, new):
        values = (
            f"{name} {old.get(name, 'default')!s} -> {new.get(name, 'default')!s}" for name in names
        )
        said.append(f"parameters changed: {', '.join(values)}")
    return said


def files(pattern, paths):
    """Sorted files that match a declared glob such as ``data/ssl/*/embeddings.npy``; hidden files do not count.

    ``source/*`` is every file of an own folder; it is nothing in a built-in data set, whose raw files a run makes.
    """
    if not pattern.startswith("source/"):
        root, rest = _split(pattern, paths)
        found = root.glob(rest)
    else:
        found = (
            []
            if paths.raw.is_relative_to(paths.data)
            else paths.raw.rglob(pattern.removeprefix("source/"))
        )
    return sorted(path for path in found if path.is_file() and not path.name.startswith("."))


def locate(name, paths):
    """Path of a file named as notebooks name it: "data/level0.npy", "figures/table1.csv"."""
    root, rest = _split(name, paths)
    return root / rest


def relative(path, paths):
    """The name of a file as notebooks name it; `locate` the other way round."""
    root = "data" if path.is_relative_to(paths.data) else "figures"
    return f"{root}/{path.relative_to(getattr(paths, root)).as_posix()}"


def file_digest(path):
    """SHA-256 of a file, in hexadecimal; read once as long as its size and time of change stay the same."""
    stat = path.stat()
    return _sha256(path, stat.st_size, stat.st_mtime_ns)


def modules(code):
    """Files of semlib, relative to the package, that Python source imports directly or through other semlib modules.

    Imports inside functions count; modules named only at run time (importlib) do not. Of each subpackage that occurs,
    the files that are not code (weights, tables of words) count, too.
    """
    found, waiting = set(), _imports(code, "")
    while waiting:
        parts = waiting.pop().split(".")
        for depth in range(1, len(parts) + 1):
            stem = "/".join(parts[1:depth])
            for file in (f"{stem}/__init__.py".lstrip("/"), f"{stem}.py"):
                if file not in found and (_PACKAGE / file).is_file():
                    found.add(file)
                    package = ".".join(("semlib", *file.split("/")[:-1]))
                    waiting += _imports((_PACKAGE / file).read_text(encoding="utf-8"), package)
    folders = {_PACKAGE / file.split("/")[0] for file in found if "/" in file}
    kept = (path for folder in folders for path in folder.rglob("*") if path.is_file())
    return sorted(
        found | {path.relative_to(_PACKAGE).as_posix() for path in kept if path.suffix in DATA}
    )


def _imports(code, package):
    """Dotted names below semlib that some source imports; `package` is where it stands, for relative imports."""
    names = []
    with contextlib.suppress(SyntaxError):
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.Import):
                names += [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                above = (
                    package.split(".")[: len(package.split(".")) - node.level + 1]
                    if node.level
                    else []
                )
                base = ".".join([*above, *([node.module] if node.module else [])])
                names += [f"{base}.{alias.name}" for alias in node.names]
    return [name for name in names if name.split(".")[0] == "semlib"]


def _split(pattern, paths):
    root, _, rest = pattern.partition("/")
    if root not in ("data", "figures") or not rest:
        raise ValueError(
            f"{pattern!r} in a notebook's inputs or outputs: it must start with data/, figures/ or source/"
        )
    return getattr(paths, root), rest


def _content(pattern, paths):
    """Digest over the files of a glob: by content, and for "source/" by name, size and time of change."""
    found = files(pattern, paths)
    if pattern.startswith("source/"):
        return _digest((str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in found)
    return _digest((relative(path, paths), file_digest(path)) for path in found)


def _digest(items):
    return hashlib.sha256(json.dumps(list(items)).encode()).hexdigest()[:16]


def _differing(old, new):
    return sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))


@functools.cache
def _sha256(path, size, mtime_ns):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
