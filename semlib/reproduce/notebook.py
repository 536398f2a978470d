"""A numbered notebook: what it declares, and which parameter values it gets."""

import ast
import contextlib
import json
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import yaml

from semlib import paths

_TYPES = {"int": int, "bool": bool, "str": str, "list": list, "dict": dict}


@dataclass(frozen=True)
class Parameter:
    """One line ``name: kind = default`` of a notebook's parameters cell."""

    name: str
    kind: str
    default: object

    def convert(self, value, origin):
        """`value` as this parameter's type; text is read as YAML unless the parameter is text."""
        given = value
        if isinstance(value, str) and self.kind != "str":
            value = _read_yaml(value)
        is_bool = isinstance(value, bool)  # which Python takes for an int
        if self.kind == "float" and not is_bool:
            with contextlib.suppress(TypeError, ValueError):
                return float(value)  # also of the text "1e-3", which YAML 1.1 takes for text
        elif isinstance(value, _TYPES.get(self.kind, ())) and is_bool == (self.kind == "bool"):
            return value
        raise ValueError(f"{origin}: parameter {self.name} is {self.kind}, not {given!r}")


class Notebook:
    """A numbered notebook file, read once."""

    def __init__(self, path):
        self.path = Path(path)
        self.name = self.path.stem
        try:
            content = json.loads(self.path.read_text(encoding="utf-8"))
            self.cells = [{**cell, "source": "".join(cell["source"])} for cell in content["cells"]]
            self.metadata = content["metadata"].get("semlib", {})
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{self.path} is not a notebook of format 4 ({error!r})") from error
        self.inputs = self.metadata.get("inputs", [])
        self.outputs = self.metadata.get("outputs", [])

    def text(self, kind):
        """Source of all cells of a kind, "code" or "markdown"."""
        return "\n".join(cell["source"] for cell in self.cells if cell["cell_type"] == kind)

    @property
    def code(self):
        """Source of all code cells, without lines of IPython magic."""
        return re.sub(r"^\s*[%!?].*$", "", self.text("code"), flags=re.MULTILINE)

    @property
    def title(self):
        """The heading that a notebook opens with."""
        heading = re.match(r"# *(.+)", self.text("markdown"))
        return heading[1] if heading else self.name

    @cached_property
    def parameters(self):
        """Declared parameters by name, from the cell tagged "parameters"."""
        from papermill import inspect_notebook

        try:
            return {
                name: Parameter(name, line["inferred_type_name"], ast.literal_eval(line["default"]))
                for name, line in inspect_notebook(str(self.path)).items()
            }
        except (SyntaxError, ValueError) as error:
            raise ValueError(
                f"{self.path}: parameters must be lines 'name: type = value  # help' ({error})"
            ) from error


def numbered():
    """All notebooks ``NN_name.ipynb`` of the suite, in order."""
    suite = [Notebook(path) for path in sorted(paths.NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))]
    if not suite:
        raise FileNotFoundError(
            f"no notebooks NN_name.ipynb in {paths.NOTEBOOKS}: run from a clone of the project"
        )
    return suite


def select(suite, only=(), start=None):
    """Those that `only` names, from `start` on; a name is "04", "4" or "04_ssl_training"."""
    wanted = {_full_name(suite, name) for name in only} or {book.name for book in suite}
    first = _full_name(suite, start) if start else ""
    selected = [book for book in suite if book.name in wanted and book.name >= first]
    if not selected:
        raise ValueError(f"nothing to run: {', '.join(sorted(wanted))} comes before {first}")
    return selected


def _full_name(suite, name):
    short = str(name).removesuffix(".ipynb")
    for notebook in suite:
        if short == notebook.name or short.zfill(2) == notebook.name[:2]:
            return notebook.name
    names = ", ".join(notebook.name for notebook in suite)
    raise ValueError(f"unknown notebook {name!r}: use one of {names}")


def assign(suite, selected, *, dataset, profile, seed, parameters):
    """Values of each selected notebook: its defaults, then the profile's, then `parameters`.

    The profile must fit all notebooks of the suite. ValueError for an unknown profile, notebook or
    parameter, and for a value of another type than the declared one.
    """
    presets, file = _profile(profile)
    declared = {notebook.name: notebook.parameters for notebook in suite}
    for name, values in presets.items():
        if name not in declared:
            raise ValueError(f"{file}: unknown notebook {name!r}; there are {', '.join(declared)}")
        _refuse_unknown(values, declared[name], f"{file}: {name}")
    _refuse_unknown(parameters, {name for book in selected for name in book.parameters}, "-p")
    assigned = {}
    for notebook in selected:
        own = notebook.parameters
        for name in ("dataset", "seed"):
            if name not in own:
                raise ValueError(f"{notebook.path} must declare the parameter {name}")
        given = {**presets.get(notebook.name, {}), **parameters, "dataset": dataset, "seed": seed}
        assigned[notebook.name] = {
            name: line.convert(given[name], notebook.name) if name in given else line.default
            for name, line in own.items()
        }
    return assigned


def _profile(name):
    """Content of a profile, notebook -> {parameter: value}, and its file."""
    file = paths.PROFILES / f"{name}.yaml"
    if not file.is_file():
        names = ", ".join(sorted(path.stem for path in paths.PROFILES.glob("*.yaml")))
        raise ValueError(f"unknown profile {name!r}: use one of {names}")
    content = _read_yaml(file.read_text(encoding="utf-8")) or {}
    if not isinstance(content, dict) or not all(isinstance(v, dict) for v in content.values()):
        raise ValueError(f"{file} must map notebooks to {{parameter: value}}")
    return content, file


def _refuse_unknown(values, declared, origin):
    for name in values:
        if name in ("dataset", "seed"):
            raise ValueError(f"{origin}: give {name} with --{name}, for all notebooks")
        if name not in declared:
            others = ", ".join(sorted(set(declared) - {"dataset", "seed"})) or "none"
            raise ValueError(f"{origin}: unknown parameter {name!r}; known: {others}")


def _read_yaml(text):
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"not valid YAML: {' '.join(str(error).split())}") from error
