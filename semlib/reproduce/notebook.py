"""A numbered notebook: what it declares, and which parameter values it gets."""

import ast
import contextlib
import json
import re
from dataclasses import dataclass
from functools import cached_property

import yaml

from semlib import paths
from semlib.reproduce import limits

_TYPES = {"int": int, "bool": bool, "str": str, "list": list, "dict": dict}
_OPTIONS = ("dataset", "seed")  # parameters that are options of the command


@dataclass(frozen=True)
class Parameter:
    """One line ``name: kind = default`` of a notebook's parameters cell."""

    name: str
    kind: str
    default: object

    def convert(self, value, origin):
        """A value as this parameter's type; text is read as YAML unless the parameter is text."""
        converted = _read_yaml(value) if isinstance(value, str) and self.kind != "str" else value
        if self.kind == "float" and not isinstance(converted, bool):
            with contextlib.suppress(TypeError, ValueError):
                return float(converted)  # also of the text "1e-3", which YAML 1.1 takes for text
        elif type(converted) is _TYPES.get(self.kind):  # of isinstance True is an int
            return converted
        raise ValueError(f"{origin}: parameter {self.name} is {self.kind}, not {value!r}")


class Notebook:
    """A numbered notebook file, read once."""

    def __init__(self, path):
        self.path = path
        self.name = path.stem
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            self.cells = [{**cell, "source": "".join(cell["source"])} for cell in content["cells"]]
            self.metadata = content["metadata"].get("semlib", {})
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path} is not a notebook of format 4 ({error!r})") from error
        self.inputs = self.metadata.get("inputs", [])
        self.reads = [*self.inputs, *self.metadata.get("optional_inputs", [])]
        self.outputs = self.metadata.get("outputs", [])

    @property
    def code(self):
        """Source of all code cells, without lines of IPython magic."""
        cells = [cell["source"] for cell in self.cells if cell["cell_type"] == "code"]
        return re.sub(r"^\s*[%!?].*$", "", "\n".join(cells), flags=re.MULTILINE)

    @property
    def title(self):
        """The heading that a notebook opens with."""
        return self.cells[0]["source"].partition("\n")[0].removeprefix("# ")

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
        raise FileNotFoundError(f"no notebooks in {paths.NOTEBOOKS}: run from a clone")
    return suite


def select(suite, only=(), start=None):
    """Those that `only` names, from `start` on; a name is "04", "4" or "04_ssl_training"."""
    wanted = [_find(suite, name) for name in only] or suite
    first = suite.index(_find(suite, start)) if start else 0
    selected = [book for book in suite[first:] if book in wanted]
    if not selected:
        raise ValueError(f"nothing to run: {', '.join(only)} comes before {start}")
    return selected


def _find(suite, name):
    short = str(name).removesuffix(".ipynb")
    for notebook in suite:
        if short == notebook.name or short.zfill(2) == notebook.name[:2]:
            return notebook
    names = ", ".join(notebook.name for notebook in suite)
    raise ValueError(f"unknown notebook {name!r}: use one of {names}")


def assign(suite, selected, *, dataset, profile, seed, parameters):
    """Values of each selected notebook: its defaults, then the profile's, then `parameters`.

    The profile must fit all notebooks of the suite. ValueError for an unknown profile, notebook or
    parameter, and for a value of another type than the declared one or outside its limits.
    """
    presets, file = _profile(profile)
    declared = {notebook.name: notebook.parameters for notebook in suite}
    for name, values in presets.items():
        if name not in declared:
            raise ValueError(f"{file}: unknown notebook {name!r}; there are {', '.join(declared)}")
        _refuse_unknown(values, declared[name], f"{file}: {name}")
    _refuse_unknown(parameters, {name for book in selected for name in book.parameters}, "-p")
    assigned = {}
    for book in selected:
        values = presets.get(book.name, {}) | parameters | {"dataset": dataset, "seed": seed}
        assigned[book.name] = {
            name: line.convert(values.get(name, line.default), book.name)
            for name, line in book.parameters.items()
        }
        limits.check(book.name, assigned[book.name])
    return assigned


def takes(profile):
    """How long a profile states to take; empty if it does not say."""
    content = _read_yaml((paths.PROFILES / f"{profile}.yaml").read_text(encoding="utf-8"))
    return (content or {}).get("takes", "")


def _profile(name):
    """Content of a profile, notebook -> {parameter: value}, and its file."""
    file = paths.PROFILES / f"{name}.yaml"
    if not file.is_file():
        names = ", ".join(sorted(path.stem for path in paths.PROFILES.glob("*.yaml")))
        raise ValueError(f"unknown profile {name!r}: use one of {names}")
    content = _read_yaml(file.read_text(encoding="utf-8")) or {}
    if isinstance(content, dict):
        content.pop("takes", None)
    if not isinstance(content, dict) or not all(isinstance(v, dict) for v in content.values()):
        raise ValueError(f"{file} must map notebooks to {{parameter: value}}")
    return content, file


def _refuse_unknown(values, declared, origin):
    for name in values:
        if name in _OPTIONS:
            raise ValueError(f"{origin}: give {name} with --{name}, for all notebooks")
        if name not in declared:
            others = ", ".join(sorted(set(declared) - set(_OPTIONS))) or "none"
            raise ValueError(f"{origin}: unknown parameter {name!r}; known: {others}")


def _read_yaml(text):
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"not valid YAML: {' '.join(str(error).split())}") from error
