"""A notebook of the suite: what it declares (parameters, inputs, outputs) and the parameter values that it gets."""

import ast
import json
import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import yaml

from semlib import paths


@dataclass(frozen=True)
class Parameter:
    """One line ``name: kind = default`` of a notebook's parameters cell."""

    name: str
    kind: str
    default: object

    def convert(self, value, where):
        """`value` as this parameter's type; text is read as YAML unless the parameter is text.

        Raises
        ------
        ValueError
            If the value does not fit; the message starts with `where`.
        """
        kinds = [kind.strip() for kind in self.kind.split("|")]
        read = value
        if isinstance(value, str) and kinds != ["str"]:
            read = _yaml(value)
        for candidate in (read, value):
            for kind in kinds:
                if (fitted := _fit(candidate, kind)) is not _UNFIT:
                    return fitted
        raise ValueError(f"{where}: parameter {self.name} is {self.kind}, not {value!r}")


@dataclass
class Notebook:
    """A numbered notebook file, read once.

    Raises
    ------
    ValueError
        If the file is not a notebook or its parameters cell is not plain ``name: type = value`` lines.
    """

    path: Path
    cells: list = field(init=False, repr=False)
    metadata: dict = field(init=False, repr=False)

    def __post_init__(self):
        try:
            content = json.loads(self.path.read_text(encoding="utf-8"))
            self.cells = [{**cell, "source": "".join(cell["source"])} for cell in content["cells"]]
            self.metadata = content["metadata"].get("semlib", {})
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{self.path} is not a notebook of format 4 ({error!r})") from error

    @property
    def name(self):
        return self.path.stem

    @property
    def inputs(self):
        return self.metadata.get("inputs", [])

    @property
    def outputs(self):
        return self.metadata.get("outputs", [])

    @property
    def code(self):
        """Source of all code cells, without lines of IPython magic."""
        source = "\n".join(cell["source"] for cell in self.cells if cell["cell_type"] == "code")
        return re.sub(r"^\s*[%!?].*$", "", source, flags=re.MULTILINE)

    @cached_property
    def parameters(self):
        """Declared parameters by name, from the cell tagged "parameters"."""
        source = "\n".join(
            c["source"] for c in self.cells if "parameters" in c["metadata"].get("tags", [])
        )
        try:
            lines = [node for node in ast.parse(source).body if isinstance(node, ast.AnnAssign)]
            found = [
                Parameter(n.target.id, ast.unparse(n.annotation), ast.literal_eval(n.value))
                for n in lines
            ]
        except (SyntaxError, ValueError, TypeError, AttributeError) as error:
            raise ValueError(
                f"{self.path}: parameters must be lines 'name: type = value  # help' ({error})"
            ) from error
        return {parameter.name: parameter for parameter in found}


def numbered():
    """All notebooks ``NN_name.ipynb`` of the suite, in order."""
    found = [Notebook(path) for path in sorted(paths.NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))]
    if not found:
        raise FileNotFoundError(
            f"no notebooks NN_name.ipynb in {paths.NOTEBOOKS}: run from a clone of the project"
        )
    return found


def select(notebooks, only=(), start=None):
    """Those of `notebooks` that `only` names, from `start` on; a name is "04", "4" or "04_ssl_training"."""
    wanted = {_find(notebooks, name) for name in only} or {notebook.name for notebook in notebooks}
    first = _find(notebooks, start) if start else ""
    selected = [
        notebook for notebook in notebooks if notebook.name in wanted and notebook.name >= first
    ]
    if not selected:
        raise ValueError(f"nothing to run: {', '.join(sorted(wanted))} comes before {first}")
    return selected


def assign(notebooks, selected, *, dataset, profile, seed, parameters):
    """Parameter values for each selected notebook: its defaults, then the profile, `parameters`, dataset and seed.

    Parameters
    ----------
    notebooks, selected : list of Notebook
        All notebooks (the profile must fit each) and those that will run.
    dataset, profile : str
    seed : int
    parameters : dict
        Values for every selected notebook that declares the name.

    Returns
    -------
    dict
        Notebook name -> {parameter: value}.

    Raises
    ------
    ValueError
        For an unknown profile, notebook or parameter and for a value that does not fit the declared type.
    """
    presets, file = _profile(profile)
    declared = {notebook.name: notebook.parameters for notebook in notebooks}
    for name, values in presets.items():
        if name not in declared:
            raise ValueError(f"{file}: unknown notebook {name!r}; there are {', '.join(declared)}")
        _refuse_unknown(values, declared[name], f"{file}: {name}")
    _refuse_unknown(parameters, {k: 0 for notebook in selected for k in notebook.parameters}, "-p")
    result = {}
    for notebook in selected:
        own = {name: value for name, value in parameters.items() if name in notebook.parameters}
        given = {**presets.get(notebook.name, {}), **own, "dataset": dataset, "seed": seed}
        missing = [name for name in ("dataset", "seed") if name not in notebook.parameters]
        if missing:
            raise ValueError(f"{notebook.path} must declare the parameter {missing[0]}")
        converted = {
            k: notebook.parameters[k].convert(value, notebook.name) for k, value in given.items()
        }
        result[notebook.name] = {
            k: converted.get(k, p.default) for k, p in notebook.parameters.items()
        }
    return result


def _profile(name):
    file = paths.PROFILES / f"{name}.yaml"
    if not file.is_file():
        known = ", ".join(sorted(path.stem for path in paths.PROFILES.glob("*.yaml")))
        raise ValueError(f"unknown profile {name!r}: use one of {known}")
    content = _yaml(file.read_text(encoding="utf-8")) or {}
    if not isinstance(content, dict) or not all(
        isinstance(values, dict | None) for values in content.values()
    ):
        raise ValueError(f"{file} must map notebooks to {{parameter: value}}")
    return {notebook: values or {} for notebook, values in content.items()}, file


def _refuse_unknown(values, known, where):
    for name in values:
        if name in ("dataset", "seed"):
            raise ValueError(f"{where}: give {name} with --{name}, for all notebooks")
        if name not in known:
            others = ", ".join(sorted(set(known) - {"dataset", "seed"})) or "none"
            raise ValueError(f"{where}: unknown parameter {name!r}; known: {others}")


def _find(notebooks, name):
    for notebook in notebooks:
        if (
            str(name).removesuffix(".ipynb") == notebook.name
            or str(name).zfill(2) == notebook.name[:2]
        ):
            return notebook.name
    raise ValueError(
        f"unknown notebook {name!r}: use one of {', '.join(notebook.name for notebook in notebooks)}"
    )


_UNFIT = object()
_TYPES = {"int": int, "str": str, "bool": bool, "list": list, "dict": dict, "None": type(None)}


def _fit(value, kind):
    """`value` as the declared kind, or _UNFIT; "1e-3", which YAML 1.1 takes for text, is a float."""
    outer, _, inner = kind.partition("[")
    if outer == "float":
        try:
            return _UNFIT if isinstance(value, bool) else float(value)
        except (TypeError, ValueError):
            return _UNFIT
    if outer in ("list", "tuple") and inner and isinstance(value, list | tuple):
        fitted = [_fit(item, inner.rstrip("]").split(",")[0]) for item in value]
        return _UNFIT if _UNFIT in fitted else fitted
    if (
        outer not in _TYPES
        or not isinstance(value, _TYPES[outer])
        or (outer == "int" and isinstance(value, bool))
    ):
        return _UNFIT
    return value


def _yaml(text):
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"not valid YAML: {' '.join(str(error).split())}") from error
